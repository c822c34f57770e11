package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sallyport": main,
		// status runs the command in its arguments and prints its exit code: exec alone tells 0 from the rest.
		"status": func() { status(os.Args[1:]) },
	})
}

// TestSessions runs the sessions in testdata: what a user types, and what comes of it. None needs a
// running dev; those that do are in e2e.
func TestSessions(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", RequireExplicitExec: true})
}

func status(command []string) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	err := cmd.Run()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("exit code", cmd.ProcessState.ExitCode())
}
