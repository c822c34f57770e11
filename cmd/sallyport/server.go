package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/server"
	"github.com/sallyport/sallyport/vpc"
)

// garbageShare is how much garbage a server lets grow beside what it keeps, in per cent of that. Most of
// it is the State, which stays and is marked anew by each collection: at Go's 100 per cent that was a
// third of the CPU time of reading a group, and the memory that this costs is within what a server may have.
const garbageShare = 200

func serverCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "server",
		GroupID: "run",
		Short:   "Run the control plane: the API and the feed to agents",
		Long: `Run the control plane: the API that AWS clients speak, and the feed to agents. It needs no root. The
state is in an etcd that it runs itself, or in the cluster that --endpoints names.`,
		Example: "  sallyport server --data-dir /var/lib/sallyport --listen 192.0.2.1:443 --tls-cert api.crt --tls-key api.key",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := server.DefaultConfig()
			if done, err := loadConfig(cmd, func() error { return readServer(cmd, &c) }); done || err != nil {
				return err
			}
			log, err := logger(cmd)
			if err != nil {
				return err
			}
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(garbageShare)
			}
			ctx, stop := context.WithCancel(cmd.Context())
			defer stop()
			var recorded error
			c.Log, c.Ready = log, func() {
				if recorded = recordEndpoint(c); recorded != nil {
					stop()
					return
				}
				notifyReady()
			}
			s, err := server.New(c)
			if err != nil {
				return &usageError{err}
			}
			return cmp.Or(s.Run(ctx), recorded)
		},
	}
	d := server.DefaultConfig()
	f := cmd.Flags()
	f.String("data-dir", "/var/lib/sallyport", "`directory` for the state, keys and certificates")
	f.StringSlice("endpoints", nil, "`URLs` of an etcd cluster; without them the server runs one itself")
	f.String("etcd-ca", "", "`file` (PEM) with the authorities of the etcd cluster's certificates; without it the system's")
	f.String("etcd-cert", "", "`file` (PEM) with this server's certificate for the etcd cluster; read again for each connection")
	f.String("etcd-key", "", "`file` (PEM) with its key")
	f.String("etcd-user", "", "`user` of the etcd cluster")
	f.String("etcd-password-file", "", "`file` whose first line is that user's password")
	f.String("listen", d.Listen, "`address` of the API")
	f.String("feed-listen", d.FeedListen, "`address` on which agents are served")
	f.String("region", d.Region, "the region that the API serves")
	f.String("default-vpc-cidr", d.DefaultVPCCIDR.String(), "`block` of the default VPC, chosen at the first start")
	f.String("tls-cert", "", "`file` (PEM) with the API's certificate; read again when it changes")
	f.String("tls-key", "", "`file` (PEM) with its key")
	f.Bool("insecure-http", false, "serve the API without TLS on an address that is not loopback")
	f.StringSlice("trusted-proxies", nil, "`addresses` or blocks of reverse proxies before the API, whose X-Forwarded-For is believed")
	f.String("metrics-listen", "", "`address` for Prometheus (/metrics) and, on loopback, Go's profiles (/debug/pprof/); without it there are neither")
	f.String("local-agent", string(d.LocalAgent), "host `name` for which pki/agent.crt is issued")
	configFlags(cmd)
	return cmd
}

func readServer(cmd *cobra.Command, c *server.Config) (err error) {
	f := cmd.Flags()
	for name, to := range map[string]*string{
		"data-dir": &c.DataDir, "listen": &c.Listen, "feed-listen": &c.FeedListen, "region": &c.Region,
		"tls-cert": &c.TLSCert, "tls-key": &c.TLSKey, "metrics-listen": &c.MetricsListen,
		"etcd-ca": &c.Etcd.CA, "etcd-cert": &c.Etcd.Cert, "etcd-key": &c.Etcd.Key,
		"etcd-user": &c.Etcd.User, "etcd-password-file": &c.Etcd.PasswordFile,
	} {
		*to, _ = f.GetString(name)
	}
	c.Endpoints, _ = f.GetStringSlice("endpoints")
	c.InsecureHTTP, _ = f.GetBool("insecure-http")
	host, _ := f.GetString("local-agent")
	c.LocalAgent = vpc.HostID(host)
	cidr, _ := f.GetString("default-vpc-cidr")
	if c.DefaultVPCCIDR, err = netip.ParsePrefix(cidr); err != nil {
		return fmt.Errorf("--default-vpc-cidr %q: want a block such as 172.31.0.0/16", cidr)
	}
	proxies, _ := f.GetStringSlice("trusted-proxies")
	for _, p := range proxies {
		block, err := netip.ParsePrefix(p)
		if a, aErr := netip.ParseAddr(p); aErr == nil {
			block, err = a.Prefix(a.BitLen())
		}
		if err != nil || block != block.Masked() || block.Addr().Is4In6() {
			return fmt.Errorf("--trusted-proxies %q: want an address or a block such as 192.0.2.0/28", p)
		}
		c.TrustedProxies = append(c.TrustedProxies, block)
	}
	_, err = server.New(*c)
	return err
}
