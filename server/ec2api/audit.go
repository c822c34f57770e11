package ec2api

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/server/audit"
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

// Audit is the log of what calls changed.
type Audit interface {
	// Ready returns an error if a record could not be written.
	Ready() error
	// Write returns once the record is written.
	Write(audit.Record) error
	Read(context.Context, audit.Query) (records []audit.Record, next string, err error)
}

// Bounds of one record.
const (
	maxAuditValue      = 1 << 10  // bytes of one parameter or of the user agent
	maxAuditParameters = 32 << 10 // bytes of all of them
	maxAuditIDs        = 100
)

// audited does what may change something, with a record of it. Without one nothing is begun; if the
// record cannot be written afterwards the caller is not told of a success that nobody could prove.
// f is nil if it could not be read. A preview changes nothing, and comes with every key that is pressed in a form.
func (c *call) audited(r *http.Request, op *wire.Operation, f *wire.Form, do func() ([]byte, error)) ([]byte, error) {
	if err := c.Audit.Ready(); err != nil {
		c.Log.ErrorContext(c.ctx, "refused for want of an audit log", "request_id", c.requestID, "action", op.Name, "err", err)
		return nil, vpc.Errorf(vpc.CodeUnavailable, "The audit log cannot be written. Nothing was changed.")
	}
	answer, err := do()
	if c.preview {
		return answer, err
	}
	record := c.record(r, op, f, answer, err)
	if failed := c.Audit.Write(record); failed != nil {
		c.Log.ErrorContext(c.ctx, "audit record not written", "request_id", c.requestID, "record", record, "err", failed)
		return nil, fmt.Errorf("write the audit record: %w", failed)
	}
	return answer, err
}

func (c *call) record(r *http.Request, op *wire.Operation, f *wire.Form, answer []byte, err error) audit.Record {
	source, _, splitErr := net.SplitHostPort(r.RemoteAddr)
	if splitErr != nil {
		source = r.RemoteAddr
	}
	record := audit.Record{
		Time: c.env.Now, RequestID: c.requestID, User: c.caller.User, Key: c.identity.AccessKeyID, Source: source,
		UserAgent: cut(r.UserAgent(), maxAuditValue), Action: op.Name, Parameters: map[string]string{},
	}
	if f == nil {
		f = &wire.Form{}
	}
	_, _ = op.Decode(f) // a call that was refused before was not decoded: which parameters are secret shows here
	size := 0
	for name, value := range f.Parameters() {
		short := cut(value, maxAuditValue)
		if size += len(name) + len(short); size > maxAuditParameters {
			record.Truncated = true
			break
		}
		record.Truncated = record.Truncated || len(short) < len(value)
		record.Parameters[name] = short
	}
	if err != nil {
		record.Code, record.Message, _ = c.refusal(err)
		record.Message = cut(record.Message, maxAuditValue)
		return record
	}
	record.IDs = idsIn(string(answer))
	if c.wrote {
		record.Revision = c.revision
	}
	return record
}

func cut(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// idsIn returns the ids of resources and access keys that are values of an answer, each once.
func idsIn(answer string) []string {
	var ids []string
	seen := map[string]bool{}
	for len(ids) < maxAuditIDs {
		_, rest, ok := strings.Cut(answer, ">")
		if !ok {
			break
		}
		value, _, _ := strings.Cut(rest, "<")
		if !seen[value] && isID(value) {
			seen[value] = true
			ids = append(ids, value)
		}
		answer = rest
	}
	return ids
}

// isID reports whether a value has the form of an id: prefix-0123456789abcdef0, AKIA… or ASIA….
func isID(s string) bool {
	if i := strings.LastIndexByte(s, '-'); i > 0 {
		prefix, hex := s[:i], s[i+1:]
		return len(hex) == 17 && strings.Trim(hex, "0123456789abcdef") == "" && len(prefix) <= 20 &&
			strings.Trim(prefix, "abcdefghijklmnopqrstuvwxyz-") == ""
	}
	return len(s) == 20 && (strings.HasPrefix(s, "AKIA") || strings.HasPrefix(s, "ASIA"))
}

func (a *api) auditActions() { handle(a, wire.DescribeAuditRecords, describeAuditRecords) }

const maxAuditPage = 1000

func describeAuditRecords(c *call, in *wire.DescribeAuditRecordsRequest) (*wire.DescribeAuditRecordsResult, error) {
	if c.caller.Role != vpc.Administrator {
		return nil, c.errAdministrators()
	}
	if c.Audit == nil {
		return nil, vpc.Errorf(vpc.CodeUnsupportedOperation, "This server keeps no audit log.")
	}
	q := audit.Query{
		User: wire.Value(in.UserName), Key: wire.Value(in.AccessKeyId), Action: wire.Value(in.ActionName),
		Code: wire.Value(in.ErrorCode), ID: wire.Value(in.ResourceId), Start: wire.Value(in.StartTime), End: wire.Value(in.EndTime),
		Max: maxAuditPage, Token: wire.Value(in.NextToken),
	}
	if in.MaxResults != nil {
		q.Max = int(*in.MaxResults)
	}
	records, next, err := c.Audit.Read(c.ctx, q)
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeAuditRecordsResult{NextToken: token(next)}
	for _, r := range records {
		w := wire.AuditRecord{
			Time: &r.Time, RequestId: &r.RequestID, UserName: text(r.User), AccessKeyId: text(r.Key), SourceAddress: text(r.Source),
			UserAgent: text(r.UserAgent), ActionName: &r.Action, ErrorCode: text(r.Code), ErrorMessage: text(r.Message), ResourceIds: r.IDs,
		}
		for _, p := range tagSet(r.Parameters) { // in order of their names
			w.Parameters = append(w.Parameters, wire.AuditParameter{Name: p.Key, Value: p.Value})
		}
		if r.Revision != 0 {
			w.Revision = &r.Revision
		}
		out.AuditRecords = append(out.AuditRecords, w)
	}
	return out, nil
}
