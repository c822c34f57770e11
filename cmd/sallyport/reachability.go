package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/server/ec2api/wire"
)

func explainReachabilityCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "explain-reachability SOURCE DESTINATION PROTOCOL [PORT]",
		Aliases: []string{"explain"},
		GroupID: "ask",
		Short:   "May one end reach the other, by which rules, and what is missing?",
		Long: `May one end reach the other, by which rules, and what is missing? An end is an interface, an instance or an address.
Without --icmp-type a packet of icmp or icmpv6 is an echo request. With --confirm the hosts run such a packet through the
interfaces' own programs, too; it reaches nobody. The exit code is 0 if the rules let it pass, 1 if not or if a
program says otherwise or nothing.`,
		Example: `  sallyport explain-reachability 198.51.100.1 eni-0123456789abcdef0 tcp 22
  sallyport explain-reachability i-0123456789abcdef0 i-0fedcba9876543210 icmp --confirm`,
		Args: cobra.RangeArgs(3, 4),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := &wire.ExplainReachabilityRequest{Source: &args[0], Destination: &args[1], Protocol: &args[2]}
			if len(args) == 4 {
				n, err := strconv.ParseUint(args[3], 10, 16)
				if err != nil {
					return usagef("%q is not a port (usage: %s)", args[3], cmd.UseLine())
				}
				in.Port = new(int32(n))
			}
			f := cmd.Flags()
			for name, to := range map[string]**int32{"icmp-type": &in.IcmpType, "icmp-code": &in.IcmpCode} {
				if f.Changed(name) {
					n, _ := f.GetUint8(name)
					*to = new(int32(n))
				}
			}
			if confirm, _ := f.GetBool("confirm"); confirm {
				in.Confirm = &confirm
			}
			c, err := newAPIClient(cmd)
			if err != nil {
				return err
			}
			out, err := do(cmd.Context(), c, wire.ExplainReachabilityCall, in)
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				if err := printJSON(cmd, out); err != nil {
					return err
				}
			} else {
				printReachability(cmd.OutOrStdout(), in, out)
			}
			return explained(out)
		},
	}
	apiFlags(cmd)
	cmd.Flags().Bool("confirm", false, "ask the interfaces' own programs, too")
	cmd.Flags().Uint8("icmp-type", 0, "the type of the `message`; without it an echo request")
	cmd.Flags().Uint8("icmp-code", 0, "the code of the `message`")
	return cmd
}

// gatesOf are the gates that there are, in the order of the way.
func gatesOf(out *wire.ExplainReachabilityResult) (gates []*wire.ReachabilityGate) {
	for _, g := range []*wire.ReachabilityGate{out.Egress, out.Ingress} {
		if g != nil {
			gates = append(gates, g)
		}
	}
	return gates
}

// explained is the answer as an exit code: nil for yes.
func explained(out *wire.ExplainReachabilityResult) error {
	for _, g := range gatesOf(out) {
		if c := g.Confirmation; c != nil && !wire.Value(c.Agrees) {
			return fmt.Errorf("%s of %s is not confirmed: %s",
				wire.Value(g.Direction), wire.Value(g.NetworkInterfaceId), wire.Value(c.Message))
		}
	}
	switch {
	case wire.Value(out.Allowed):
		return nil
	case passesObserved(out):
		return errors.New("the rules refuse the packet: it passes only because of an observation")
	default:
		return errors.New("the packet does not get there")
	}
}

// passesObserved says whether nothing but rules is in the way, and only where they are being tried.
func passesObserved(out *wire.ExplainReachabilityResult) bool {
	for _, g := range gatesOf(out) {
		if !wire.Value(g.Allowed) && g.ObservesUntil == nil {
			return false
		}
	}
	return len(out.Explanations) == 0
}

func printReachability(w io.Writer, in *wire.ExplainReachabilityRequest, out *wire.ExplainReachabilityResult) {
	what := wire.Value(in.Protocol)
	from, to := wire.Value(out.SourceAddress), wire.Value(out.DestinationAddress)
	if from == "" {
		from, to = wire.Value(in.Source), wire.Value(in.Destination)
	}
	if in.Port != nil {
		to += fmt.Sprintf(" port %d", *in.Port)
	}
	fmt.Fprintf(w, "%s from %s to %s: %s\n", what, from, to, allowedWord(out.Allowed))
	for _, e := range out.Explanations {
		about := []string{wire.Value(e.ExplanationCode)}
		for _, c := range []*wire.AnalysisComponent{e.Component, e.NetworkInterface, e.SourceVpc, e.DestinationVpc} {
			if c != nil {
				about = append(about, wire.Value(c.Id))
			}
		}
		fmt.Fprintf(w, "in the way: %s\n", strings.Join(about, " "))
	}
	for _, g := range gatesOf(out) {
		printGate(w, g)
	}
}

func allowedWord(allowed *bool) string {
	if wire.Value(allowed) {
		return "allowed"
	}
	return "refused"
}

func printGate(w io.Writer, g *wire.ReachabilityGate) {
	fmt.Fprintf(w, "%s of %s: %s (%s)", wire.Value(g.Direction), wire.Value(g.NetworkInterfaceId), allowedWord(g.Allowed), wire.Value(g.Reason))
	if c := g.Confirmation; c != nil {
		switch {
		case c.Action == nil:
			fmt.Fprintf(w, "; not confirmed: %s", wire.Value(c.Message))
		case wire.Value(c.Agrees):
			fmt.Fprint(w, "; its program says the same")
			if c.Message != nil {
				fmt.Fprintf(w, " (%s)", *c.Message)
			}
		default:
			fmt.Fprintf(w, "; its program says %s (%s): %s", wire.Value(c.Action), wire.Value(c.Reason), wire.Value(c.Message))
		}
	}
	fmt.Fprintln(w)
	if g.ObservesUntil != nil {
		fmt.Fprintf(w, "  what no rule allows passes all the same: it observes until %s\n", when(g.ObservesUntil))
	}
	for _, r := range g.Rules {
		fmt.Fprintf(w, "  by %s of %s: %s\n", wire.Value(r.SecurityGroupRuleId), wire.Value(r.GroupId), ruleInWords(&r))
	}
	if r := g.MissingRule; r != nil {
		verb := "authorize-security-group-ingress"
		if wire.Value(r.IsEgress) {
			verb = "authorize-security-group-egress"
		}
		fmt.Fprintf(w, "  missing: aws ec2 %s --group-id %s --ip-permissions '%s'\n", verb, wire.Value(r.GroupId), permission(r))
	}
}

// ruleInWords is a rule as a line: tcp 22 from 0.0.0.0/0.
func ruleInWords(r *wire.SecurityGroupRule) string {
	s := wire.Value(r.IpProtocol)
	if s == "-1" {
		s = "everything"
	}
	if from, to := wire.Value(r.FromPort), wire.Value(r.ToPort); from != -1 {
		s += fmt.Sprintf(" %d", from)
		switch {
		case strings.HasPrefix(s, "icmp") && to != -1:
			s += fmt.Sprintf("/%d", to)
		case !strings.HasPrefix(s, "icmp") && to != from:
			s += fmt.Sprintf("-%d", to)
		}
	}
	word := " from "
	if wire.Value(r.IsEgress) {
		word = " to "
	}
	return s + word + peerOf(r)
}

func peerOf(r *wire.SecurityGroupRule) string {
	for _, p := range []*string{r.CidrIpv4, r.CidrIpv6, r.PrefixListId} {
		if p != nil {
			return *p
		}
	}
	if r.ReferencedGroupInfo != nil {
		return wire.Value(r.ReferencedGroupInfo.GroupId)
	}
	return "?"
}

// permission is a rule in the shorthand of the aws CLI.
func permission(r *wire.SecurityGroupRule) string {
	s := "IpProtocol=" + wire.Value(r.IpProtocol)
	switch wire.Value(r.IpProtocol) {
	case "tcp", "udp", "icmp", "icmpv6":
		s += fmt.Sprintf(",FromPort=%d,ToPort=%d", wire.Value(r.FromPort), wire.Value(r.ToPort))
	}
	switch {
	case r.CidrIpv4 != nil:
		return s + ",IpRanges=[{CidrIp=" + *r.CidrIpv4 + "}]"
	case r.CidrIpv6 != nil:
		return s + ",Ipv6Ranges=[{CidrIpv6=" + *r.CidrIpv6 + "}]"
	default:
		return s + ",UserIdGroupPairs=[{GroupId=" + peerOf(r) + "}]"
	}
}
