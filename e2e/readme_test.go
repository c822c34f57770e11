package e2e_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestReadme pastes the session of README.md into a shell, in whose environment another cloud is
// configured. All that differs is the data directory.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	must(t, err)
	var session string
	for block := range strings.SplitSeq(string(readme), "```sh\n") {
		if strings.HasPrefix(block, `eval "$(bin/sallyport env)"`) {
			session, _, _ = strings.Cut(block, "```")
		}
	}
	if session == "" {
		t.Fatal("README.md has no session that starts with sallyport env")
	}
	dir := t.TempDir()
	startDev(t, dir)
	session = strings.ReplaceAll(session, "bin/sallyport env", "bin/sallyport env --data-dir "+dir)
	session = strings.ReplaceAll(session, "bin/sallyport enforcement", "bin/sallyport enforcement --data-dir "+dir)

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	// As typed: a mistake does not end a shell that reads what is typed.
	cmd := exec.CommandContext(ctx, "bash", "--noprofile", "--norc", "-s")
	cmd.Stdin = strings.NewReader(session)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "PATH=/usr/bin:/usr/sbin:/bin:/sbin:"+os.Getenv("PATH"), "AWS_CONFIG_FILE=/dev/null",
		"AWS_PROFILE=elsewhere", "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=other", "AWS_SESSION_TOKEN=other")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("the session ended with %v", err)
	}
	// What curl prints with -w: 000 is no answer.
	got := regexp.MustCompile(`(?m)^[0-9]{3}$`).FindAllString(stdout.String(), -1)
	timeouts := strings.Count(stderr.String(), "timed out")
	refused := strings.Contains(stderr.String(), "refused") || strings.Contains(stderr.String(), "error")
	if want := []string{"000", "200", "000"}; !slices.Equal(got, want) || timeouts != 2 || refused {
		t.Errorf("curl printed %v with %d timeouts, want %v with 2\nstdout:\n%s\nstderr:\n%s", got, timeouts, want, &stdout, &stderr)
	}
}
