package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/agent"
	"github.com/sallyport/sallyport/server"
)

func devCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "dev",
		GroupID: "run",
		Short:   "Run a server and an agent with lab guests on this machine",
		Long: `Run a server and an agent on this machine, with lab guests: network namespaces that
aws ec2 run-instances starts. API and console are at http://ADDR (--listen). When everything works,
a line that starts with "ready" is printed, then lines to paste, and a link that signs you in to the console.

SIGTERM or Ctrl-C stops cleanly: lab guests and their devices go, the state stays, and the next start
makes them again. After SIGKILL guests and filters go on, and the next start adopts them.`,
		Example: `  sudo sallyport dev
  sudo sallyport dev --data-dir /srv/sallyport --listen 127.0.0.1:8080 --lab-cidr 10.99.0.0/16
  sudo sallyport dev --purge`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var d dev
			d.read(cmd)
			if done, err := loadConfig(cmd, func() error { d.read(cmd); return d.check() }); done || err != nil {
				return err
			}
			log, err := logger(cmd)
			if err != nil {
				return err
			}
			d.log, d.stdout, d.stderr = log, cmd.OutOrStdout(), cmd.ErrOrStderr()
			if on, _ := cmd.Flags().GetBool("purge"); on {
				return d.purge()
			}
			return d.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.String("data-dir", "/var/lib/sallyport", "`directory` for the state, keys and certificates")
	f.String("listen", "127.0.0.1:4580", "`address` of the API")
	f.String("feed-listen", "127.0.0.1:4581", "`address` on which agents are served")
	f.String("region", "us-east-1", "the region that the API serves")
	f.String("attach", "auto", "how programs are attached: auto, tcx or clsact")
	f.String("lab-cidr", "172.31.0.0/16", "`block` of the default VPC, chosen at the first start")
	f.Bool("purge", false, "remove what a lost data directory left on this machine, then exit")
	completeAttach(cmd)
	configFlags(cmd)
	_ = f.Set("log-level", "warn")
	f.Lookup("log-level").DefValue = "warn"
	f.Lookup("log-level").Changed = false
	return cmd
}

func completeAttach(cmd *cobra.Command) {
	_ = cmd.RegisterFlagCompletionFunc("attach",
		cobra.FixedCompletions([]string{"auto", "tcx", "clsact"}, cobra.ShellCompDirectiveNoFileComp))
}

// dev is one run of `sallyport dev`.
type dev struct {
	dataDir, listen, feedListen, region, attach, labCIDR, logLevel, logFormat string

	log            *slog.Logger
	stdout, stderr io.Writer
}

func (d *dev) read(cmd *cobra.Command) {
	for name, to := range map[string]*string{
		"data-dir": &d.dataDir, "listen": &d.listen, "feed-listen": &d.feedListen, "region": &d.region,
		"attach": &d.attach, "lab-cidr": &d.labCIDR, "log-level": &d.logLevel, "log-format": &d.logFormat,
	} {
		*to, _ = cmd.Flags().GetString(name)
	}
}

func (d *dev) check() error {
	for name, addr := range map[string]string{"listen": d.listen, "feed-listen": d.feedListen} {
		if _, port, err := net.SplitHostPort(addr); err != nil || port == "0" {
			return fmt.Errorf("--%s %q: want host:port, such as 127.0.0.1:4580", name, addr)
		}
	}
	p, err := netip.ParsePrefix(d.labCIDR)
	if err != nil || !p.Addr().Is4() || p != p.Masked() || p.Bits() < 16 || p.Bits() > 20 {
		return fmt.Errorf("--lab-cidr %q: want an IPv4 block from /16 to /20, such as 172.31.0.0/16", d.labCIDR)
	}
	if _, err := agent.ParseAttach(d.attach); err != nil {
		return err
	}
	if d.dataDir == "" {
		return errors.New("--data-dir is empty")
	}
	if d.dataDir, err = filepath.Abs(d.dataDir); err != nil {
		return err
	}
	c := server.DefaultConfig()
	c.DataDir, c.Listen, c.FeedListen, c.Region, c.DefaultVPCCIDR = d.dataDir, d.listen, d.feedListen, d.region, p
	_, err = server.New(c)
	return err
}

func (d *dev) purge() error {
	if err := agent.Purge(agent.DefaultConfig()); err != nil {
		return err
	}
	fmt.Fprintln(d.stdout, "removed: lab guests, their devices and routes, filters and their pins")
	return nil
}

func (d *dev) run(ctx context.Context) error {
	if err := agent.Preflight(agent.DefaultConfig()); err != nil {
		return err
	}
	if err := server.CheckDataDir(d.dataDir); err != nil {
		return err
	}
	labCIDR := netip.MustParsePrefix(d.labCIDR)
	if err := agent.CheckLabCIDR(labCIDR); err != nil {
		return err
	}
	for name, addr := range map[string]string{"listen": d.listen, "feed-listen": d.feedListen} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("%w; is it running already? Choose another address with --%s", err, name)
		}
		_ = l.Close()
	}
	if err := os.MkdirAll(d.dataDir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	pki := filepath.Join(d.dataDir, "pki")
	srv := &child{
		name: "server", log: d.log, stderr: d.stderr,
		command: []string{
			self, "server", "--data-dir", d.dataDir, "--listen", d.listen, "--feed-listen", d.feedListen,
			"--region", d.region, "--default-vpc-cidr", d.labCIDR, "--log-level", d.logLevel, "--log-format", d.logFormat,
		},
	}
	agt := &child{
		name: "agent", log: d.log, stderr: d.stderr,
		command: []string{
			self, "agent", "--server", d.feedListen, "--lab", "--attach", d.attach, "--log-level", d.logLevel, "--log-format", d.logFormat,
			"--ca-file", filepath.Join(pki, "ca.crt"),
			"--cert-file", filepath.Join(pki, "agent.crt"), "--key-file", filepath.Join(pki, "agent.key"),
		},
	}
	// The agent is stopped before the server: what it has to say last is still heard.
	serverCtx, stopServer := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServer()
	var g errgroup.Group
	agentCtx, stopAgent := context.WithCancel(ctx)
	defer stopAgent()
	serverReady, agentReady := make(chan struct{}), make(chan struct{})
	g.Go(func() error { defer stopAgent(); return srv.run(serverCtx, serverReady) })
	g.Go(func() error {
		defer stopServer()
		select {
		case <-serverReady:
		case <-agentCtx.Done():
			return nil
		}
		return agt.run(agentCtx, agentReady)
	})
	g.Go(func() error {
		select {
		case <-agentReady:
		case <-agentCtx.Done():
			return nil
		}
		c, err := apiClientOf(agentCtx, d.dataDir) // the server has written where and as whom
		if err != nil {
			return err
		}
		l, err := signInLink(agentCtx, c, linkTimeout)
		if agentCtx.Err() != nil {
			return nil
		}
		fmt.Fprintf(d.stdout, "ready: API and console http://%s, region %s, data in %s\n", d.listen, d.region, d.dataDir)
		if err == nil {
			fmt.Fprintf(d.stdout, "# The console; the link signs you in, once: %s\n", l.URL)
		} else {
			fmt.Fprintf(d.stdout, "# The console: run sallyport console for a link that signs you in (%v)\n", err)
		}
		printEnv(d.stdout, c.endpoint)
		return nil
	})
	return g.Wait()
}

// How long a child may take to stop before it is killed, and how long dev waits before it starts
// one again.
const (
	stopTimeout  = 30 * time.Second
	restartDelay = 300 * time.Millisecond
)

// linkTimeout is for who starts dev and turns to its console later in the day.
const linkTimeout = 12 * time.Hour
