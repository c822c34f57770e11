package clients_test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// shown is where the console's tests keep what "Show as code" says of a session of calls.
const shown = "../../console/src/components/code/testdata/session"

// TestShownCode runs what the console shows of one session, with the aws CLI and with boto3, each on a server of its
// own. Both do the same, up to the last call, for which there is no host.
func TestShownCode(t *testing.T) {
	t.Parallel()
	states := map[string]string{}
	for name, tt := range map[string]struct {
		command  []string
		prologue string // what `sallyport env` and a newer client would make unnecessary
		file     string
	}{
		"aws CLI": {[]string{"sh"}, "aws() { " + awsCLI + ` --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }` + "\n", shown + ".sh"},
		"boto3": {
			[]string{python, "-"},
			"import boto3, functools, os\nboto3.client = functools.partial(boto3.client, endpoint_url=os.environ['AWS_ENDPOINT_URL'])\n", shown + ".py",
		},
	} {
		t.Run(name, func(t *testing.T) {
			code, err := os.ReadFile(tt.file)
			if err != nil {
				t.Fatal(err)
			}
			s := startServer(t)
			var errs bytes.Buffer
			cmd := exec.CommandContext(t.Context(), tt.command[0], tt.command[1:]...)
			cmd.Env, cmd.Stdin, cmd.Stderr = s.env(t), strings.NewReader(tt.prologue+string(code)), &errs
			err = cmd.Run()
			if got := errs.String(); err == nil || strings.Count(got, "An error occurred") != 1 ||
				!strings.Contains(got, "(InsufficientInstanceCapacity) when calling the RunInstances operation") {
				t.Errorf("only RunInstances is to fail, for want of a host: %v\n%s", err, got)
			}
			states[name] = state(t, s)
		})
	}
	if states["aws CLI"] != states["boto3"] {
		t.Errorf("they do not do the same:\naws CLI\n%s\nboto3\n%s", states["aws CLI"], states["boto3"])
	}
	if got := states["boto3"]; strings.Contains(got, "icmp") || strings.Contains(got, "gone") {
		t.Errorf("what was revoked or deleted is in\n%s", got)
	}
	for _, want := range []string{
		"web: Web servers: 1 & 2 $HOME Name=it's web, team=${shop} %{if} \"a\\b\"\n", "db: - databases env=prod, old=\n",
		"in of web: tcp 80-80 0.0.0.0/0", "in of web: tcp 443-443 ::/0", "in of db: tcp 5432-5440 web", "out of db: udp 53-53 offices",
		"offices: 192.0.2.128/25 Porto, 203.0.113.0/24 Hamburg\n",
		"10.7.1.10 False web env=prod",
		"10.7.0.0/16 - 10.8.0.0/16 active",
	} {
		if !strings.Contains(states["boto3"], want) {
			t.Errorf("%q is not in\n%s", want, states["boto3"])
		}
	}
}

// state is what such a session has made, without ids.
func state(t *testing.T, s *server) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), python, "testdata/console_state.py")
	cmd.Env = s.env(t)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}
