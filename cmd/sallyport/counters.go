package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/server/ec2api/wire"
)

func ruleCountersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "rule-counters [RULE|GROUP|ENI...]",
		Aliases: []string{"describe-rule-counters"},
		GroupID: "ask",
		Short:   "Who hit which rule: what each has let through, and when",
		Long: `What each rule has let through, and when, as the hosts last said: all rules, those of groups, or those of the
groups of interfaces. A rule that nothing hit is listed with zeros. The numbers start over when a device gets
its interface, and with the machine.`,
		Example: `  sallyport rule-counters --unused
  sallyport rule-counters sg-0123456789abcdef0 --interfaces`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			in := &wire.DescribeRuleCountersRequest{}
			for _, id := range args {
				switch {
				case strings.HasPrefix(id, "sgr-"):
					in.SecurityGroupRuleIds = append(in.SecurityGroupRuleIds, id)
				case strings.HasPrefix(id, "sg-"):
					in.GroupIds = append(in.GroupIds, id)
				case strings.HasPrefix(id, "eni-"):
					in.NetworkInterfaceIds = append(in.NetworkInterfaceIds, id)
				default:
					return usagef("%q is the id of no rule (sgr-…), group (sg-…) or interface (eni-…)", id)
				}
			}
			unused, _ := cmd.Flags().GetBool("unused")
			show := ruleCounterTable
			if each, _ := cmd.Flags().GetBool("interfaces"); each {
				show = ruleInterfaceTable
			}
			in.MaxResults = new(int32(1000))
			return all(cmd, wire.DescribeRuleCountersCall, in,
				func(in *wire.DescribeRuleCountersRequest, out, sum *wire.DescribeRuleCountersResult) bool {
					for _, r := range out.RuleCounters {
						if !unused || wire.Value(r.Packets) == 0 {
							sum.RuleCounters = append(sum.RuleCounters, r)
						}
					}
					in.NextToken = out.NextToken
					return out.NextToken != nil
				}, show)
		},
	}
	cmd.Flags().Bool("unused", false, "only rules that nothing hit")
	cmd.Flags().Bool("interfaces", false, "one line per rule and interface")
	apiFlags(cmd)
	return cmd
}

func ruleCounterTable(out *wire.DescribeRuleCountersResult) table {
	t := table{{"RULE", "GROUP", "DIRECTION", "PACKETS", "BYTES", "CONNECTIONS", "NOW", "FIRST", "LAST", "INTERFACES"}}
	for _, r := range out.RuleCounters {
		unknown := 0
		for _, e := range r.Interfaces {
			if e.Message != nil {
				unknown++
			}
		}
		interfaces := fmt.Sprint(len(r.Interfaces))
		if unknown > 0 {
			interfaces += fmt.Sprintf(", %d not certain: --interfaces says why", unknown)
		}
		t = append(t, []string{
			wire.Value(r.SecurityGroupRuleId), wire.Value(r.GroupId), wire.Value(r.Direction),
			fmt.Sprint(wire.Value(r.Packets)), fmt.Sprint(wire.Value(r.Bytes)), fmt.Sprint(wire.Value(r.Connections)), number(r.ConnectionsNow),
			when(r.FirstHit), when(r.LastHit), interfaces,
		})
	}
	return t
}

func ruleInterfaceTable(out *wire.DescribeRuleCountersResult) table {
	t := table{{"RULE", "ENI", "HOST", "PACKETS", "BYTES", "CONNECTIONS", "NOW", "FIRST", "LAST", "MESSAGE"}}
	for _, r := range out.RuleCounters {
		for _, e := range r.Interfaces {
			t = append(t, []string{
				wire.Value(r.SecurityGroupRuleId), wire.Value(e.NetworkInterfaceId), cmp.Or(wire.Value(e.HostId), "-"),
				fmt.Sprint(wire.Value(e.Packets)), fmt.Sprint(wire.Value(e.Bytes)), fmt.Sprint(wire.Value(e.Connections)), number(e.ConnectionsNow),
				when(e.FirstHit), when(e.LastHit), wire.Value(e.Message),
			})
		}
	}
	return t
}

// number is - where it is not known.
func number(n *int64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

func dropsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "drops [ENI...]",
		Aliases: []string{"describe-drops"},
		GroupID: "ask",
		Short:   "What was dropped at these interfaces, or at every bound one, and why",
		Long: `What was dropped at these interfaces, or at every bound one, by direction and reason, as the hosts last said;
then the latest drops by kind: from or to whom, at which port. What passed because the interface observes is
marked so.`,
		Example: "  sallyport drops eni-0123456789abcdef0",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			in := &wire.DescribeDropsRequest{NetworkInterfaceIds: args, MaxResults: new(int32(1000))}
			return all(cmd, wire.DescribeDropsCall, in,
				func(in *wire.DescribeDropsRequest, out, sum *wire.DescribeDropsResult) bool {
					sum.InterfaceDrops = append(sum.InterfaceDrops, out.InterfaceDrops...)
					in.NextToken = out.NextToken
					return out.NextToken != nil
				}, dropTable)
		},
	}
	apiFlags(cmd)
	return cmd
}

func dropTable(out *wire.DescribeDropsResult) table {
	t := table{{"ENI", "HOST", "DIRECTION", "REASON", "PACKETS", "LAST", "MESSAGE"}}
	samples := table{{""}, {"LAST", "ENI", "DIRECTION", "REASON", "PROTOCOL", "REMOTE", "PORT", "COUNT"}}
	for _, e := range out.InterfaceDrops {
		id, host := wire.Value(e.NetworkInterfaceId), cmp.Or(wire.Value(e.HostId), "-")
		message := wire.Value(e.Message)
		line := func(direction *string, reason string, packets *int64, last *time.Time) {
			t = append(t, []string{id, host, wire.Value(direction), reason, fmt.Sprint(wire.Value(packets)), when(last), message})
			message = ""
		}
		for _, d := range e.Drops {
			line(d.Direction, wire.Value(d.Reason), d.Packets, d.LastTime)
		}
		for _, o := range e.ObservedPackets {
			line(o.Direction, "observed, not dropped", o.Packets, nil)
		}
		if len(e.Drops)+len(e.ObservedPackets) == 0 {
			t = append(t, []string{id, host, "-", "-", "0", "-", message})
		}
		for _, s := range e.Samples {
			reason, port := wire.Value(s.Reason), "-"
			if wire.Value(s.Observed) {
				reason += " (observed)"
			}
			if s.Port != nil {
				port = fmt.Sprint(*s.Port)
			}
			samples = append(samples, []string{
				when(s.LastTime), id, wire.Value(s.Direction), reason,
				cmp.Or(wire.Value(s.Protocol), "-"), cmp.Or(wire.Value(s.RemoteAddress), "-"), port, fmt.Sprint(wire.Value(s.Count)),
			})
		}
	}
	if len(samples) > 2 {
		t = append(t, samples...)
	}
	return t
}
