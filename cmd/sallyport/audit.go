package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/server/ec2api/wire"
)

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "audit",
		GroupID: "ask",
		Short:   "Show who changed what, newest first",
		Long: `Show who changed what, newest first: every call to this server that changes something, also those that were
refused. --output json shows the parameters, too.`,
		Example: `  sallyport audit --since 1h
  sallyport audit --resource sg-0123456789abcdef0 --limit 10`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := cmd.Flags()
			in := &wire.DescribeAuditRecordsRequest{}
			for name, to := range map[string]**string{
				"user": &in.UserName, "key": &in.AccessKeyId, "action": &in.ActionName, "resource": &in.ResourceId, "error": &in.ErrorCode,
			} {
				if v, _ := f.GetString(name); v != "" {
					*to = &v
				}
			}
			from, _ := f.GetString("since")
			until, _ := f.GetString("until")
			var err error
			if in.StartTime, err = since(from); err != nil {
				return err
			}
			if in.EndTime, err = since(until); err != nil {
				return err
			}
			limit, _ := f.GetInt("limit")
			if limit <= 0 {
				return usagef("--limit is at least 1")
			}
			in.MaxResults = new(int32(min(max(limit, 5), 1000)))
			return all(cmd, wire.DescribeAuditRecordsCall, in,
				func(in *wire.DescribeAuditRecordsRequest, out, sum *wire.DescribeAuditRecordsResult) bool {
					sum.AuditRecords = append(sum.AuditRecords, out.AuditRecords...)
					sum.AuditRecords = sum.AuditRecords[:min(len(sum.AuditRecords), limit)]
					in.NextToken = out.NextToken
					return out.NextToken != nil && len(sum.AuditRecords) < limit
				},
				auditTable)
		},
	}
	f := cmd.Flags()
	f.String("user", "", "only calls of this `user`")
	f.String("key", "", "only calls that this access `key` signed")
	f.String("action", "", "only calls of this `action`, such as DeleteSecurityGroup")
	f.String("resource", "", "only calls with this `id` in the parameters or in the answer")
	f.String("error", "", "only calls refused with this `code`, such as UnauthorizedOperation")
	f.String("since", "", "a `time` (2006-01-02T15:04:05Z) or how long ago (90m)")
	f.String("until", "", "a `time`, or how long ago")
	f.Int("limit", 50, "how many records to show at most")
	apiFlags(cmd)
	return cmd
}

func auditTable(out *wire.DescribeAuditRecordsResult) table {
	t := table{{"TIME", "USER", "SOURCE", "ACTION", "RESULT", "REVISION", "ABOUT"}}
	for _, r := range out.AuditRecords {
		ids := r.ResourceIds
		if len(ids) == 0 { // of a call that names nothing in its answer, what it was about
			for _, p := range r.Parameters {
				if name := wire.Value(p.Name); strings.Contains(name, "Id") || strings.HasSuffix(name, "Name") && !strings.Contains(name, ".") {
					ids = append(ids, wire.Value(p.Value))
				}
			}
		}
		more := ""
		if len(ids) > 3 {
			ids, more = ids[:3], fmt.Sprintf(" and %d more", len(ids)-3)
		}
		revision := "-"
		if r.Revision != nil {
			revision = fmt.Sprint(*r.Revision)
		}
		t = append(t, []string{
			when(r.Time), cmp.Or(wire.Value(r.UserName), "-"), wire.Value(r.SourceAddress), wire.Value(r.ActionName),
			cmp.Or(wire.Value(r.ErrorCode), "done"), revision, strings.Join(ids, " ") + more,
		})
	}
	return t
}
