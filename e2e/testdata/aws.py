"""The aws CLI without its start: most of what a call costs is loading Python and EC2's model.

Loads both once, listens on the Unix socket that is named, and runs the CLI's own entry point in a
child of its own for each request: one line of JSON {"args": […], "env": {…}}, answered by
{"code": 0, "stdout": "…", "stderr": "…"}. Ends when its standard input does.
"""

import json
import os
import select
import signal
import socket
import sys
import tempfile

import awscli.clidriver


def main(path):
    os.environ["AWS_CONFIG_FILE"] = os.devnull
    driver = awscli.clidriver.create_clidriver()
    driver.session.get_service_model("ec2")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    while True:
        readable, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in readable:
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            answer(driver, connection)
        connection.close()


def answer(driver, connection):
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    stream = connection.makefile("rw")
    request = json.loads(stream.readline())
    os.environ.clear()
    os.environ.update(request["env"])
    outputs = []
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    for fd in (1, 2):
        outputs.append(tempfile.TemporaryFile("w+"))
        os.dup2(outputs[-1].fileno(), fd)
    code = 255
    try:
        code = awscli.clidriver.AWSCLIEntryPoint(driver).main(request["args"])
    except SystemExit as e:
        code = e.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        texts = []
        for output in outputs:
            output.seek(0)
            texts.append(output.read())
        json.dump({"code": code or 0, "stdout": texts[0], "stderr": texts[1]}, stream)
        stream.flush()
        os._exit(0)


main(sys.argv[1])
