package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/agent/local"
	"github.com/sallyport/sallyport/vpc"
)

const defaultSocket = "/run/sallyport/agent.sock"

func socketFlag(cmd *cobra.Command) {
	cmd.Flags().String("socket", defaultSocket, "`path` of the agent's Unix socket")
}

func agentClient(cmd *cobra.Command) *local.Client {
	path, _ := cmd.Flags().GetString("socket")
	return local.NewClient(path)
}

func bindCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bind DEVICE ENI",
		GroupID: "host",
		Short:   "Tie a host device (tap, veth) to a network interface; from then on it is filtered",
		Long: `Tie a host device (tap, veth) to a network interface. From then on the device is filtered: closed
until the server has accepted the binding and the interface's rules are in force.

To be closed from the first packet, bind a device before it is set up.`,
		Example: "  sallyport bind tap7 eni-0123456789abcdef0",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			guest, _ := cmd.Flags().GetString("guest")
			wait, _ := cmd.Flags().GetBool("wait")
			if !local.ENIPattern.MatchString(args[1]) {
				return usagef("%q is not the id of a network interface (eni-…)", args[1])
			}
			c, err := agentClient(cmd).Bind(cmd.Context(), local.BindRequest{
				Device: args[0], ENI: vpc.InterfaceID(args[1]), Guest: guest, InForce: wait,
			})
			if err != nil {
				return err
			}
			if err := printClaims(cmd, c, []local.Claim{c}); err != nil {
				return err
			}
			switch {
			case c.State == local.Refused:
				return fmt.Errorf("refused: %s; %s stays closed until it is unbound", c.Message, c.Device)
			case wait && c.State != local.Bound:
				return errors.New("the rules are not in force yet; the device is closed and opens by itself")
			}
			return nil
		},
	}
	socketFlag(cmd)
	cmd.Flags().String("guest", "", "`name` of the guest (domain, container, pod): names the instance that the interface gets")
	cmd.Flags().Bool("wait", false, "wait until the interface's rules are in force on the device")
	return cmd
}

func unbindCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "unbind DEVICE",
		GroupID: "host",
		Short:   "Give a device up: it is filtered no longer",
		Example: "  sallyport unbind tap7",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return agentClient(cmd).Unbind(cmd.Context(), args[0])
		},
	}
	socketFlag(cmd)
	return cmd
}

func bindingsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bindings",
		GroupID: "host",
		Short:   "List which device of this host is which network interface",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cs, err := agentClient(cmd).Bindings(cmd.Context())
			if err != nil {
				return err
			}
			return printClaims(cmd, cs, cs)
		},
	}
	socketFlag(cmd)
	return cmd
}

// printClaims prints body as JSON where that is asked for, else the claims as a table.
func printClaims(cmd *cobra.Command, body any, claims []local.Claim) error {
	if o, _ := cmd.Flags().GetString("output"); o == "json" {
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetIndent("", "  ")
		return e.Encode(body)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DEVICE\tENI\tSTATE\tSOURCE\tGUEST\tMESSAGE")
	for _, c := range claims {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", c.Device, c.ENI, c.State, c.Source, c.Guest, c.Message)
	}
	return w.Flush()
}
