package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

const nobody = 65534

// A server needs no root, no capability and no agent. Run by root, this test gives all of that away.
func TestUnprivilegedServer(t *testing.T) {
	dir, err := os.MkdirTemp("", "sallyport-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "sallyport") // this test is the command, under its name
	copySelf(t, program)
	listen := freeAddr(t)
	cmd := exec.Command(program, "server", "--data-dir", data, "--listen", listen, "--feed-listen", freeAddr(t), "--log-level", "warn")
	var log syncBuffer
	cmd.Stderr, cmd.Dir, cmd.Env = &log, "/", []string{"PATH=/usr/bin:/bin"}
	if os.Geteuid() == 0 {
		if err := os.Chown(data, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended //nolint:errcheck // it was killed: how it ended says nothing
	})
	l := &lone{t, data, "http://" + listen, &log}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, _, code := l.run("quotas"); code == exitDone {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the server does not answer: %s", &log)
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(status), "CapEff:\t0000000000000000") {
		t.Errorf("the server has rights:\n%s", status)
	}
	admin := l.ec2(l.credentials())
	if _, err := admin.CreateSecurityGroup(context.Background(), &ec2.CreateSecurityGroupInput{GroupName: aws.String("g"), Description: aws.String("d")}); err != nil {
		t.Errorf("write: %v", err)
	}
	out, err := admin.DescribeSecurityGroups(context.Background(), &ec2.DescribeSecurityGroupsInput{GroupNames: []string{"g"}})
	if err != nil || len(out.SecurityGroups) != 1 {
		t.Errorf("read: %+v, %v", out, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err = <-ended
	ended <- err
	if err != nil || log.String() != "" {
		t.Errorf("it ended with %v and said %s", err, &log)
	}
}

func copySelf(t *testing.T, to string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
