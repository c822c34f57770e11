package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/server/ec2api/wire"
)

func enforcementCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "enforcement [ENI...]",
		GroupID: "ask",
		Short:   "Is a revision in force on these interfaces, or on every bound one?",
		Long: `Is a revision in force on these interfaces, or on every bound one? Every write has a revision, which
the API returns as the header x-sallyport-revision; without --revision the newest is meant, that is,
everything that was written so far. The exit code is 0 if it is in force on all of them.`,
		Example: "  sallyport enforcement --wait eni-0123456789abcdef0",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newAPIClient(cmd)
			if err != nil {
				return err
			}
			in := &wire.DescribeEnforcementRequest{NetworkInterfaceIds: args}
			if cmd.Flags().Changed("revision") {
				r, _ := cmd.Flags().GetInt64("revision")
				in.Revision = &r
			}
			wait, _ := cmd.Flags().GetBool("wait")
			timeout, _ := cmd.Flags().GetDuration("timeout")
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			out, err := enforcement(ctx, c, in, wait)
			if err != nil {
				return err
			}
			if err := printEnforcement(cmd, out); err != nil {
				return err
			}
			if !wire.Value(out.InForce) {
				return fmt.Errorf("revision %d is not in force on all of them", wire.Value(out.Revision))
			}
			return nil
		},
	}
	apiFlags(cmd)
	cmd.Flags().Int64("revision", 0, "the revision to ask for; without it the newest")
	cmd.Flags().Bool("wait", false, "wait until it is in force")
	cmd.Flags().Duration("timeout", 30*time.Second, "how long to wait at most")
	return cmd
}

// enforcement asks once, or until the revision that was the newest at the first answer is in force
// or ctx ends, whichever comes first.
func enforcement(
	ctx context.Context, c *apiClient, in *wire.DescribeEnforcementRequest, wait bool,
) (*wire.DescribeEnforcementResult, error) {
	out, err := do(ctx, c, wire.DescribeEnforcementCall, in)
	deadline, _ := ctx.Deadline()
	for err == nil && wait && !wire.Value(out.InForce) && time.Now().Before(deadline) {
		in.Revision = out.Revision
		// In whole seconds, so the answer may come a second late: then what was there before counts.
		in.WaitTimeSeconds = new(int32(min(time.Until(deadline)/time.Second+1, longestWait)))
		next, nextErr := do(ctx, c, wire.DescribeEnforcementCall, in)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return out, nil
		}
		out, err = next, nextErr
	}
	return out, err
}

const longestWait = 20 // seconds of one call

func printEnforcement(cmd *cobra.Command, out *wire.DescribeEnforcementResult) error {
	if asJSON(cmd) {
		return printJSON(cmd, out)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ENI\tHOST\tDEVICE\tSTATE\tREVISION\tIN FORCE\tTOOK\tMESSAGE")
	for _, e := range out.Enforcements {
		took := "-"
		if ms := e.TookMilliseconds; ms != nil {
			took = fmt.Sprintf("%d ms", *ms)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%t\t%s\t%s\n",
			wire.Value(e.NetworkInterfaceId), wire.Value(e.HostId), wire.Value(e.Device), wire.Value(e.BoundState),
			wire.Value(e.RevisionInForce), wire.Value(e.InForce), took, wire.Value(e.Message))
	}
	return w.Flush()
}
