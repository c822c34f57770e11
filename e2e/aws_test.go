package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// awsServer runs the aws CLI's own entry point, in a process of its own for each call, without the
// second that each start of /usr/bin/aws takes: testdata/aws.py. The README's session is played with
// /usr/bin/aws itself, as are the calls of e2e/clients.
var awsServer = sync.OnceValues(func() (socket string, err error) {
	dir, err := os.MkdirTemp("", "sallyport-aws-")
	if err != nil {
		return "", err
	}
	socket = filepath.Join(dir, "socket")
	cmd := exec.Command("/usr/bin/python3", "testdata/aws.py", socket)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	awsServerStop = func() {
		_ = stdin.Close()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "ready\n" {
		return "", fmt.Errorf("the aws CLI did not load: %q %w", line, err)
	}
	return socket, nil
})

// awsServerStop is for TestMain.
var awsServerStop = func() {}

// runAWS runs `aws args…` with an environment.
func runAWS(args, env []string) (result, error) {
	socket, err := awsServer()
	if err != nil {
		return result{}, err
	}
	c, err := net.Dial("unix", socket)
	if err != nil {
		return result{}, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		return result{}, err
	}
	request := struct {
		Args []string          `json:"args"`
		Env  map[string]string `json:"env"`
	}{args, map[string]string{}}
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		request.Env[name] = value
	}
	if err := json.NewEncoder(c).Encode(request); err != nil {
		return result{}, err
	}
	var answer struct {
		Code           int
		Stdout, Stderr string
	}
	if err := json.NewDecoder(c).Decode(&answer); err != nil {
		return result{}, err
	}
	return result{answer.Code, []byte(answer.Stdout), strings.TrimSpace(answer.Stderr)}, nil
}
