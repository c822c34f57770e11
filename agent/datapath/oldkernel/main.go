// The old kernel is a virtual machine with Linux 6.1, of which this is the first and only process. It
// loads the programs as an agent does, says how that went ("loaded", or why not), and ends.
package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
)

func main() {
	if os.Getpid() != 1 {
		if err := load(); err != nil {
			fmt.Printf("%+v\n", err)
			os.Exit(1)
		}
		return
	}
	if err := run(); err != nil {
		fmt.Printf("over: %v\n", err)
	}
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func run() error {
	for _, m := range []struct{ kind, path string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"bpf", "/sys/fs/bpf"},
	} {
		if err := errors.Join(os.MkdirAll(m.path, 0o755), unix.Mount(m.kind, m.path, m.kind, 0, "")); err != nil {
			return err
		}
	}
	// Again: the library has looked for its file systems before they were there.
	cmd := exec.Command("/proc/self/exe")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

func load() error {
	var release unix.Utsname
	if err := unix.Uname(&release); err != nil {
		return err
	}
	// All that is configured, so that the verifier leaves nothing out.
	d, err := datapath.Open(datapath.Options{PlatformServices: []datapath.PlatformService{
		{Protocol: unix.IPPROTO_UDP, Addr: netip.MustParseAddrPort("169.254.169.253:53")},
	}})
	if err != nil {
		return err
	}
	if _, err := d.Probe("", ruleset.Ingress, ruleset.Packet{}); !errors.Is(err, datapath.ErrNotAttached) { // its programs are loaded first
		return err
	}
	fmt.Println("loaded", unix.ByteSliceToString(release.Release[:]))
	return d.Close()
}
