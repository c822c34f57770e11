package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/server/ec2api/wire"
)

func connectionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "connections [ENI...]",
		Aliases: []string{"describe-connections"},
		GroupID: "ask",
		Short:   "Show which connections interfaces have, and whether today's rules would let them",
		Long: `Show which connections these interfaces, or all bound ones, have, which rule admitted each, and whether today's
rules would. RULE is a rule's id, or its number if it was revoked or modified since; packets and bytes are those in and
out. The exit code is 1 if a host did not answer.`,
		Example: `  sallyport connections --refused
  sallyport connections eni-0123456789abcdef0 --protocol tcp --local-port 22`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			limit, _ := cmd.Flags().GetInt("limit")
			if limit <= 0 {
				return usagef("--limit is at least 1")
			}
			s := readSelection(cmd, args)
			var silent []wire.UnansweredHost
			err := all(cmd, wire.DescribeConnectionsCall, &wire.DescribeConnectionsRequest{
				NetworkInterfaceIds: s.enis, SecurityGroupIds: s.groups, SecurityGroupRuleIds: s.rules, Filters: s.filters,
				RefusedByRules: s.refused, Observed: s.observed, MaxResults: new(int32(min(max(limit, 5), 1000))),
			}, func(in *wire.DescribeConnectionsRequest, out, sum *wire.DescribeConnectionsResult) bool {
				silent = append(silent, out.UnansweredHosts...)
				sum.UnansweredHosts, sum.Complete = silent, new(len(silent) == 0)
				sum.Connections = append(sum.Connections, out.Connections...)
				sum.Connections = sum.Connections[:min(len(sum.Connections), limit)]
				in.NextToken = out.NextToken
				return out.NextToken != nil && len(sum.Connections) < limit
			}, connectionTable)
			return cmp.Or(err, unanswered(silent))
		},
	}
	selectionFlags(cmd)
	cmd.Flags().Int("limit", 1000, "how many connections to show at most")
	return cmd
}

func cutConnectionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "cut-connections [ENI...]",
		Aliases: []string{"cut"},
		GroupID: "ask",
		Short:   "End connections: their next packet is judged as a new one",
		Long: `End the connections of these interfaces, of the members of groups, or those that rules admitted: the next packet is
judged as the first of a new one. With --refused only those that today's rules would refuse, as after a revocation.
What was written before is in force on a host before it cuts. The exit code is 1 if a host did not answer.`,
		Example: `  sallyport cut-connections --group sg-0123456789abcdef0 --refused
  sallyport cut-connections eni-0123456789abcdef0 --protocol tcp --local-port 22`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			s := readSelection(cmd, args)
			if len(s.enis)+len(s.groups)+len(s.rules) == 0 && !s.numbered {
				return usagef("name an interface, --group, --rule or --rule-number (usage: %s)", cmd.UseLine())
			}
			in := &wire.CutConnectionsRequest{
				NetworkInterfaceIds: s.enis, SecurityGroupIds: s.groups, SecurityGroupRuleIds: s.rules, Filters: s.filters,
				RefusedByRules: s.refused, Observed: s.observed,
			}
			if dry, _ := cmd.Flags().GetBool("dry-run"); dry {
				in.DryRun = &dry
			}
			var silent []wire.UnansweredHost
			err := ask(cmd, wire.CutConnectionsCall, in, func(out *wire.CutConnectionsResult) table {
				silent = out.UnansweredHosts
				t := table{{"ENI", "HOST", "CUT"}}
				for _, c := range out.Cuts {
					t = append(t, []string{wire.Value(c.NetworkInterfaceId), wire.Value(c.HostId), fmt.Sprint(wire.Value(c.Count))})
				}
				return t
			})
			if refusal, ok := errors.AsType[*wire.Error](err); ok && refusal.Code == "DryRunOperation" {
				fmt.Fprintln(cmd.ErrOrStderr(), refusal.Message)
				return nil
			}
			return cmp.Or(err, unanswered(silent))
		},
	}
	selectionFlags(cmd)
	cmd.Flags().Bool("dry-run", false, "only say whether it would be done")
	return cmd
}

// unanswered is the error of hosts that said nothing.
func unanswered(hosts []wire.UnansweredHost) error {
	if len(hosts) == 0 {
		return nil
	}
	var said []string
	for _, h := range hosts {
		said = append(said, fmt.Sprintf("%s: %s", wire.Value(h.HostId), wire.Value(h.Message)))
	}
	return fmt.Errorf("no answer of %s", strings.Join(said, "; "))
}

// selection is what both commands say of connections.
type selection struct {
	enis, groups, rules []string
	filters             []wire.Filter
	refused, observed   *bool
	numbered            bool
}

// What the filters are called as flags, and what they take.
var connectionFilters = []struct{ name, usage string }{
	{"protocol", "only this `protocol`: tcp, udp, icmp, icmpv6 or a number"},
	{"remote-cidr", "only with a remote address in this `CIDR`"},
	{"local-port", "only with this `port`, or a range (8000-8999), on the interface's side"},
	{"remote-port", "only with this `port`, or a range, on the other side"},
	{"state", "only in this `state`: half-open, established, closing or untracked"},
	{"direction", "only whose first packet was ingress or egress, by `name`"},
	{"rule-number", "only those that the rule with this `number` admitted, which may be gone"},
}

func selectionFlags(cmd *cobra.Command) {
	apiFlags(cmd)
	f := cmd.Flags()
	f.StringSlice("group", nil, "only of interfaces that carry this `group`")
	f.StringSlice("rule", nil, "only those that the rule with this `id` admitted")
	f.Bool("refused", false, "only those that today's rules would refuse; =false: only the others")
	f.Bool("observed", false, "only those that no rule admitted, but observation; =false: only the others")
	for _, filter := range connectionFilters {
		f.StringSlice(filter.name, nil, filter.usage)
	}
	for name, values := range map[string][]string{
		"protocol": {"tcp", "udp", "icmp", "icmpv6"}, "state": {"half-open", "established", "closing", "untracked"}, "direction": {"ingress", "egress"},
	} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
}

func readSelection(cmd *cobra.Command, enis []string) selection {
	f := cmd.Flags()
	s := selection{enis: enis, numbered: f.Changed("rule-number")}
	s.groups, _ = f.GetStringSlice("group")
	s.rules, _ = f.GetStringSlice("rule")
	for name, to := range map[string]**bool{"refused": &s.refused, "observed": &s.observed} {
		if f.Changed(name) {
			v, _ := f.GetBool(name)
			*to = &v
		}
	}
	for _, filter := range connectionFilters {
		if v, _ := f.GetStringSlice(filter.name); len(v) > 0 {
			s.filters = append(s.filters, wire.Filter{Name: &filter.name, Values: v})
		}
	}
	return s
}

func connectionTable(out *wire.DescribeConnectionsResult) table {
	t := table{{"ENI", "PROTOCOL", "LOCAL", "REMOTE", "DIRECTION", "STATE", "RULE", "TODAY", "AGE", "IDLE", "PACKETS", "BYTES"}}
	for _, c := range out.Connections {
		rule, today := "-", "refused"
		switch {
		case wire.Value(c.Observed):
			rule = "observed"
		case c.SecurityGroupRuleId != nil:
			rule = *c.SecurityGroupRuleId
		case c.RuleNumber != nil:
			rule = fmt.Sprintf("#%d", *c.RuleNumber)
		}
		if wire.Value(c.AllowedByRules) {
			today = "allowed"
		}
		protocol := wire.Value(c.Protocol)
		if c.IcmpType != nil {
			protocol = fmt.Sprintf("%s type %d id %d", protocol, *c.IcmpType, wire.Value(c.IcmpId))
		}
		t = append(t, []string{
			wire.Value(c.NetworkInterfaceId), protocol, end(c.LocalAddress, c.LocalPort), end(c.RemoteAddress, c.RemotePort),
			wire.Value(c.Direction), wire.Value(c.State), rule, today, ago(c.AgeSeconds), ago(c.IdleSeconds),
			fmt.Sprintf("%d/%d", wire.Value(c.PacketsIngress), wire.Value(c.PacketsEgress)),
			fmt.Sprintf("%d/%d", wire.Value(c.BytesIngress), wire.Value(c.BytesEgress)),
		})
	}
	return t
}

// end is an address with its port, if it has one.
func end(address *string, port *int32) string {
	if port == nil {
		return wire.Value(address)
	}
	return net.JoinHostPort(wire.Value(address), strconv.Itoa(int(*port)))
}

// ago is a number of seconds in the largest unit that fits.
func ago(n *int64) string {
	d := time.Duration(wire.Value(n)) * time.Second
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d >= time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	default:
		return fmt.Sprintf("%ds", d/time.Second)
	}
}
