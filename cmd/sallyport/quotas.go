package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func quotasCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "quotas",
		GroupID: "ask",
		Short:   "List what the account may have, or set it",
		Long: `List what the account may have: EC2's defaults, or what was set here. A lower quota takes nothing away; it
only refuses more.`,
		Example: `  sallyport quotas
  sallyport quotas set vpcs-per-region 20
  sallyport quotas reset vpcs-per-region`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd, wire.DescribeQuotasCall, &wire.DescribeQuotasRequest{}, func(out *wire.DescribeQuotasResult) table {
				return quotaTable(out.Quotas...)
			})
		},
	}
	set := &cobra.Command{
		Use:     "set NAME VALUE",
		Short:   "Set a quota",
		Example: "  sallyport quotas set security-groups-per-interface 8",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseInt(args[1], 10, 32)
			if err != nil || n < 0 {
				return usagef("%q is not a number from 0 on", args[1])
			}
			return modifyQuota(cmd, &wire.ModifyQuotaRequest{QuotaName: &args[0], Value: new(int32(n))})
		},
	}
	reset := &cobra.Command{
		Use:     "reset NAME",
		Short:   "Take a quota back to its default",
		Example: "  sallyport quotas reset security-groups-per-interface",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return modifyQuota(cmd, &wire.ModifyQuotaRequest{QuotaName: &args[0]})
		},
	}
	set.ValidArgsFunction, reset.ValidArgsFunction = completeQuota, completeQuota
	return family(cmd, set, reset)
}

// completeQuota offers the names of the quotas, with their defaults, for a first argument.
func completeQuota(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	if len(args) == 0 {
		settings, _ := new(vpc.State).Quotas(nil) // errors are about names
		for _, q := range settings {
			names = append(names, cobra.CompletionWithDesc(string(q.Name), fmt.Sprintf("by default %d", q.Default)))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func modifyQuota(cmd *cobra.Command, in *wire.ModifyQuotaRequest) error {
	return ask(cmd, wire.ModifyQuotaCall, in, func(out *wire.ModifyQuotaResult) table {
		return quotaTable(wire.Value(out.Quota))
	})
}

func quotaTable(quotas ...wire.Quota) table {
	t := table{{"QUOTA", "VALUE", "DEFAULT", "MAXIMUM"}}
	for _, q := range quotas {
		t = append(t, []string{
			wire.Value(q.QuotaName), fmt.Sprint(wire.Value(q.Value)), fmt.Sprint(wire.Value(q.Default)), fmt.Sprint(wire.Value(q.Maximum)),
		})
	}
	return t
}
