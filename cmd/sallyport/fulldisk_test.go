package main

import (
	"fmt"
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

// With a full disk below the audit log nothing is changed, until there is room again. The disk is a file
// system in memory that only the server sees; to mount it takes root.
func TestFullAuditDisk(t *testing.T) {
	dir, listen := filepath.Join(t.TempDir(), "data"), freeAddr(t)
	if err := os.MkdirAll(filepath.Join(dir, "audit"), 0o700); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "sallyport") // this test is the command, under its name
	copySelf(t, program)
	cmd := exec.Command("sh", "-c", `mount --make-rprivate / && mount -t tmpfs -o size=8m,mode=0700 spt-iam-audit "$0"/audit && exec "$@"`,
		dir, program, "server", "--data-dir", dir, "--listen", listen, "--feed-listen", freeAddr(t), "--log-level", "error")
	var log syncBuffer
	cmd.Stderr = &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start a server in a mount namespace (as root?): %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	l := &lone{t, dir, "http://" + listen, &log}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, _, code := l.run("quotas"); code == exitDone {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the server does not answer: %s", &log)
		}
	}
	admin := l.ec2(l.credentials())
	create := &ec2.CreateSecurityGroupInput{GroupName: aws.String("g"), Description: aws.String("d")}
	_, err := admin.CreateSecurityGroup(t.Context(), create)
	wants(t, "a change without room for its record", err, "Unavailable")
	out, err := admin.DescribeSecurityGroups(t.Context(), nil)
	if err != nil || len(out.SecurityGroups) != 1 {
		t.Errorf("reading goes on, and shows the default group alone: %+v, %v", out, err)
	}
	if !strings.Contains(log.String(), "refused for want of an audit log") || !strings.Contains(log.String(), "bytes left") {
		t.Errorf("the operator is not told: %s", &log)
	}
	mount := exec.Command("nsenter", "-t", fmt.Sprint(cmd.Process.Pid), "-m", "mount", "-o", "remount,size=64m", filepath.Join(dir, "audit"))
	if text, err := mount.CombinedOutput(); err != nil {
		t.Fatalf("make room: %v %s", err, text)
	}
	_, err = admin.CreateSecurityGroup(t.Context(), create)
	wants(t, "with room again", err, "")
	if got := l.ok("audit"); strings.Count(got, "CreateSecurityGroup") != 1 {
		t.Errorf("the log holds\n%s", got)
	}
}
