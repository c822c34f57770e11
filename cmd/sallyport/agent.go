package main

import (
	"fmt"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sallyport/sallyport/agent"
)

func agentCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "agent",
		GroupID: "run",
		Short:   "Run the agent of this host (root)",
		Long: `Run the agent of this host, as root: it filters the devices that are bound to network interfaces.
What it has put in force stays in force without it. One agent runs per machine.`,
		Example: "  sallyport agent --server 192.0.2.1:4581 --ca-file ca.crt --cert-file host7.crt --key-file host7.key",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := agent.DefaultConfig()
			if done, err := loadConfig(cmd, func() error { return readAgent(cmd, &c) }); done || err != nil {
				return err
			}
			log, err := logger(cmd)
			if err != nil {
				return err
			}
			c.Version, c.Log, c.Ready = version(), log, notifyReady
			a, err := agent.New(c)
			if err != nil {
				return &usageError{err}
			}
			return a.Run(cmd.Context())
		},
	}
	d := agent.DefaultConfig()
	f := cmd.Flags()
	f.String("server", d.Server, "`address` of the server's feed")
	f.String("ca-file", "", "`file` (PEM) with the authority that server and agents trust")
	f.String("cert-file", "", "`file` (PEM) with this host's certificate, which names the host")
	f.String("key-file", "", "`file` (PEM) with its key")
	f.String("run-dir", d.RunDir, "`directory` for the lock, the socket and what must survive a restart")
	f.String("pins", d.Pins, "`directory` for pinned programs and maps, below a bpf file system")
	f.String("attach", "auto", "how programs are attached: auto, tcx or clsact")
	f.StringSlice("platform-services", nil, "`services` that guests reach without rules, like udp/169.254.169.253:53; default none")
	f.String("link-local", string(agent.LinkLocalDerived), "link-local IPv6 addresses that guests may use: derived (from the MAC) or any")
	f.StringSlice("link-local-routers", nil, "fe80 `addresses` of routers whose advertisements reach guests; default none")
	f.Uint32("max-connections", d.MaxConnections, "how many established `connections` one interface may have, if it is bound from now on")
	f.Uint32("connection-places", d.MaxHalfOpen, "how many `places` the table of its connections has: half-open ones and untracked flows have no others, and displace each other")
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "max-half-open" { // its name when established connections had a table of their own
			name = "connection-places"
		}
		return pflag.NormalizedName(name)
	})
	f.Bool("lab", false, "run lab guests; they are for trying and testing, not isolation")
	completeAttach(cmd)
	_ = cmd.RegisterFlagCompletionFunc("link-local",
		cobra.FixedCompletions([]string{"derived", "any"}, cobra.ShellCompDirectiveNoFileComp))
	configFlags(cmd)
	return cmd
}

func readAgent(cmd *cobra.Command, c *agent.Config) (err error) {
	f := cmd.Flags()
	for name, to := range map[string]*string{
		"server": &c.Server, "ca-file": &c.CAFile, "cert-file": &c.CertFile, "key-file": &c.KeyFile,
		"run-dir": &c.RunDir, "pins": &c.Pins,
	} {
		*to, _ = f.GetString(name)
	}
	for _, file := range []string{"ca-file", "cert-file", "key-file"} {
		if v, _ := f.GetString(file); v == "" {
			return fmt.Errorf("--%s is missing: server and agent know each other by certificates; a server issues pki/ca.crt, "+
				"pki/agent.crt and pki/agent.key in its data directory", file)
		}
	}
	c.Lab, _ = f.GetBool("lab")
	c.MaxConnections, _ = f.GetUint32("max-connections")
	c.MaxHalfOpen, _ = f.GetUint32("connection-places")
	attach, _ := f.GetString("attach")
	if c.Attach, err = agent.ParseAttach(attach); err != nil {
		return err
	}
	linkLocal, _ := f.GetString("link-local")
	if c.LinkLocal, err = agent.ParseLinkLocal(linkLocal); err != nil {
		return err
	}
	services, _ := f.GetStringSlice("platform-services")
	if c.PlatformServices, err = agent.ParsePlatformServices(services); err != nil {
		return err
	}
	routers, _ := f.GetStringSlice("link-local-routers")
	if c.LinkLocalRouters, err = agent.ParseLinkLocalRouters(routers); err != nil {
		return err
	}
	_, err = agent.New(*c)
	return err
}

// notifyReady tells systemd, or dev, that this process is ready; without either it does nothing.
func notifyReady() { _, _ = daemon.SdNotify(false, daemon.SdNotifyReady) }
