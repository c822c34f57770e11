package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/agent"
)

func doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "doctor",
		GroupID: "host",
		Short:   "Say what on this host stands in the way",
		Long: `Say what on this host stands in the way: kernel, bpf file system, the host's own firewall, routes, other
programs on devices. It changes nothing. The exit code is 1 if there is a problem; a warning is none.`,
		Example: "  sallyport doctor --lab-cidr 10.99.0.0/16",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, _ := cmd.Flags().GetString("lab-cidr")
			block, err := netip.ParsePrefix(s)
			if err != nil {
				return usagef("--lab-cidr %q: want a block such as 172.31.0.0/16", s)
			}
			found := agent.Diagnose(cmd.Context(), agent.DefaultConfig(), block)
			if o, _ := cmd.Flags().GetString("output"); o == "json" {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				if err := e.Encode(found); err != nil {
					return err
				}
			} else {
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				for _, f := range found {
					fmt.Fprintf(w, "%s\t%s\t%s\n", f.Severity, f.Check, f.Found)
					if f.Fix != "" {
						fmt.Fprintf(w, "\t\t→ %s\n", f.Fix)
					}
				}
				if err := w.Flush(); err != nil {
					return err
				}
			}
			problems := 0
			for _, f := range found {
				if f.Severity == agent.Problem {
					problems++
				}
			}
			if problems > 0 {
				return fmt.Errorf("%d of %d checks found a problem", problems, len(found))
			}
			return nil
		},
	}
	cmd.Flags().String("lab-cidr", "172.31.0.0/16", "`block` of the default VPC")
	return cmd
}
