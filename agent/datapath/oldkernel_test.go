package datapath_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestOldKernel loads the programs on the oldest kernel that is supported, Linux 6.1, whose verifier
// knows less and counts otherwise.
func TestOldKernel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	qemu := exec.CommandContext(ctx, "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-machine", "q35,accel=tcg", "-cpu", "max", "-m", "768", "-kernel", filepath.Join(guestKernel, "vmlinuz"),
		"-initrd", initramfs(t, "./oldkernel"), "-append", "console=ttyS0 quiet loglevel=0 panic=-1 rdinit=/init", "-serial", "stdio")
	out, err := qemu.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\nloaded 6.1.") && !strings.HasPrefix(string(out), "loaded 6.1.") {
		t.Errorf("the programs do not load on Linux 6.1: %v\n%s", err, out)
	}
}
