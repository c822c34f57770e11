package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/server/ec2api/wire"
)

func observeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "observe",
		GroupID: "ask",
		Short:   "Try rules without dropping: list, start and stop observations",
		Long: `Try rules without dropping. While an interface or a group observes, what no rule allows passes its interfaces
and is counted and told of (see: sallyport drops). What claims a foreign address or cannot be read is dropped
all the same. An observation ends by itself, after 30 days at the latest; what it let pass ends with it.`,
		Example: `  sallyport observe
  sallyport observe start sg-0123456789abcdef0 --for 24h
  sallyport observe stop sg-0123456789abcdef0`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in := &wire.DescribeObservationsRequest{MaxResults: new(int32(1000))}
			return all(cmd, wire.DescribeObservationsCall, in,
				func(in *wire.DescribeObservationsRequest, out, sum *wire.DescribeObservationsResult) bool {
					sum.Observations = append(sum.Observations, out.Observations...)
					in.NextToken = out.NextToken
					return out.NextToken != nil
				}, func(out *wire.DescribeObservationsResult) table { return observationTable(out.Observations...) })
		},
	}
	start := &cobra.Command{
		Use:     "start ENI|GROUP",
		Short:   "Let an interface, or all of a group, observe for a while",
		Example: "  sallyport observe start eni-0123456789abcdef0 --for 8h",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := observationOf(args[0])
			if err != nil {
				return err
			}
			f := cmd.Flags()
			long, _ := f.GetDuration("for")
			if text, _ := f.GetString("until"); text != "" {
				if f.Changed("for") {
					return usagef("--for and --until exclude each other")
				}
				until, err := time.Parse(time.RFC3339, text)
				if err != nil {
					return usagef("--until %q is no time as 2006-01-02T15:04:05Z", text)
				}
				in.Until = &until
			} else {
				if long <= 0 || long%time.Second != 0 {
					return usagef("--for %s is no whole number of seconds above 0", long)
				}
				in.DurationSeconds = new(int64(long / time.Second))
			}
			return modifyObservation(cmd, in)
		},
	}
	start.Flags().Duration("for", time.Hour, "how long, at most 720h")
	start.Flags().String("until", "", "until this `time` (2006-01-02T15:04:05Z), instead of --for")
	stop := &cobra.Command{
		Use:     "stop ENI|GROUP",
		Short:   "End an observation",
		Example: "  sallyport observe stop eni-0123456789abcdef0",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := observationOf(args[0])
			if err != nil {
				return err
			}
			in.DurationSeconds = new(int64(0))
			return modifyObservation(cmd, in)
		},
	}
	return family(cmd, start, stop)
}

// observationOf names what is to observe, by the form of its id.
func observationOf(id string) (*wire.ModifyObservationRequest, error) {
	switch {
	case strings.HasPrefix(id, "eni-"):
		return &wire.ModifyObservationRequest{NetworkInterfaceId: &id}, nil
	case strings.HasPrefix(id, "sg-"):
		return &wire.ModifyObservationRequest{GroupId: &id}, nil
	}
	return nil, usagef("%q is the id of no interface (eni-…) or group (sg-…)", id)
}

func modifyObservation(cmd *cobra.Command, in *wire.ModifyObservationRequest) error {
	return ask(cmd, wire.ModifyObservationCall, in, func(out *wire.ModifyObservationResult) table {
		return observationTable(wire.Value(out.Observation))
	})
}

func observationTable(list ...wire.Observation) table {
	t := table{{"OBSERVES", "UNTIL"}}
	for _, o := range list {
		t = append(t, []string{wire.Value(o.NetworkInterfaceId) + wire.Value(o.GroupId), when(o.Until)})
	}
	return t
}
