// Package wire is EC2's Query protocol: form in, XML out.
//
// The types, their decoders and their encoders (*_gen.go) are generated from the interface descriptions *.api of this
// folder; the head of ec2.api explains their format. What is written by hand is what all of them share: the
// parameter tree, the values of XML, the registry. Nothing here uses reflection or knows what an action does.
//
// A scalar member is a pointer, nil when absent: read it with [Value], make one with new(expr). A list is a slice: nil
// is absent, and an empty one is written as an empty element, as EC2 does for most of its lists.
package wire

//go:generate go run ./gen ../../../console/src/api/sallyport_gen.ts

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Error is a refusal of a request whose form is wrong; every one is the caller's mistake (HTTP 400).
type Error struct {
	Code    string // EC2's: UnknownParameter, MissingParameter, InvalidParameterValue…
	Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func refuse(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Value returns what p points to, or the zero value if p is nil.
func Value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// Secret is a value that is never logged or printed; string(s) reveals it.
type Secret string

const redacted = "(secret)"

func (Secret) String() string               { return redacted }
func (Secret) GoString() string             { return redacted }
func (Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// DryRunner is a request that can be asked for as a rehearsal.
type DryRunner interface{ IsDryRun() bool }

// Previewer is a request that can be asked for what it would do, and is then answered as if it was done.
type Previewer interface{ IsPreview() bool }

// Service is one API of the endpoint: a Version, a namespace, a form of answers.
type Service struct {
	Name      string // ec2, sts, sallyport
	Version   string // form field Version
	Namespace string

	anyVersion bool // every well-formed date is accepted as Version
	query      bool // classic Query answers, as of STS
}

// ServiceOf returns the service that a Version belongs to. Unknown ones are EC2's, which also says so in its answer.
func ServiceOf(version string) *Service {
	for _, s := range services {
		if s.Version == version {
			return s
		}
	}
	return &EC2
}

// Lookup finds the operation that a form asks for. Errors: MissingAction, MissingParameter (Version), NoSuchVersion,
// InvalidAction.
func Lookup(f *Form) (*Operation, error) {
	action, version := f.Action(), f.Version()
	s := ServiceOf(version)
	switch op := Operations[action]; {
	case action == "":
		return nil, refuse("MissingAction", "The request must contain the parameter Action")
	case version == "":
		return nil, refuse("MissingParameter", "The request must contain the parameter Version")
	case !s.accepts(version):
		return nil, refuse("NoSuchVersion", "The requested version (%s) of service %s does not exist", version, s.Name)
	case op == nil || op.Service != s:
		return nil, InvalidAction(action)
	default:
		return op, nil
	}
}

// InvalidAction is the refusal of an action that nobody serves.
func InvalidAction(action string) *Error {
	return refuse("InvalidAction", "The action %s is not valid for this web service.", action)
}

func (s *Service) accepts(version string) bool {
	if s.Version == version {
		return true
	}
	_, err := time.Parse(time.DateOnly, version)
	return s.anyVersion && err == nil && version[:2] == "20"
}

// Operation is one action, with the types of its request and result erased.
type Operation struct {
	Name    string // form field Action
	Service *Service

	newRequest, newResult func() any
	decode                func(*Form) (any, error)
	encode                func([]byte, string, any) []byte
}

// Changes reports whether the operation may change anything: EC2 begins the names of all others with Describe or Get,
// and so do we, or with Explain, Select or Search. STS's GetSessionToken, which makes a session, is the one that is
// named otherwise.
func (o *Operation) Changes() bool {
	reads := slices.ContainsFunc([]string{"Describe", "Get", "Explain", "Select", "Search"}, func(verb string) bool {
		return strings.HasPrefix(o.Name, verb)
	})
	return !reads || o == GetSessionToken.Operation
}

// NewRequest returns a pointer to an empty value of the operation's request type.
func (o *Operation) NewRequest() any { return o.newRequest() }

// NewResult returns a pointer to an empty value of the operation's result type.
func (o *Operation) NewResult() any { return o.newResult() }

// Decode returns the request, a pointer to the operation's request type. Errors are of type *[Error].
func (o *Operation) Decode(f *Form) (any, error) { return o.decode(f) }

// Encode appends the answer to b; out is a pointer to the operation's result type.
func (o *Operation) Encode(b []byte, requestID string, out any) []byte {
	return o.encode(b, requestID, out)
}

// Op is one action with its types, so that whoever registers a handler for it gets them checked:
//
//	func handle[In, Out any](m *mux, op wire.Op[In, Out], fn func(context.Context, *In) (*Out, error))
//	handle(m, wire.CreateSecurityGroup, api.createSecurityGroup)
type Op[In, Out any] struct {
	*Operation
	in  func(*In, *decoder, *node)
	out func(*Out, []byte) []byte
}

func newOp[In, Out any](
	s *Service, name string, in func(*In, *decoder, *node), out func(*Out, []byte) []byte,
) Op[In, Out] {
	op := Op[In, Out]{&Operation{Name: name, Service: s}, in, out}
	op.newRequest = func() any { return new(In) }
	op.newResult = func() any { return new(Out) }
	op.decode = func(f *Form) (any, error) {
		v, err := op.Decode(f)
		if err != nil {
			return nil, err // not v: a nil *In in an any is not nil
		}
		return v, nil
	}
	op.encode = func(b []byte, requestID string, v any) []byte { return op.Encode(b, requestID, v.(*Out)) }
	return op
}

// Decode returns the request that f holds. Errors are of type *[Error]: UnknownParameter, InvalidParameterValue,
// MissingParameter, InvalidRequest, MalformedQueryString; the first of the first of these kinds.
func (o Op[In, Out]) Decode(f *Form) (*In, error) {
	v, d := new(In), decoder{}
	o.in(v, &d, &f.root)
	if err := d.first(); err != nil {
		return nil, err
	}
	return v, nil
}

// Encode appends the whole XML answer to b.
func (o Op[In, Out]) Encode(b []byte, requestID string, out *Out) []byte {
	b = o.Service.begin(b, o.Name)
	if o.Service.query {
		b = o.out(out, append(append(append(b, '<'), o.Name...), "Result>"...))
		b = append(append(append(b, "</"...), o.Name...), "Result><ResponseMetadata>"...)
		b = append(putText(b, "RequestId", requestID), "</ResponseMetadata>"...)
	} else {
		b = o.out(out, putText(b, "requestId", requestID))
	}
	return append(append(append(b, "</"...), o.Name...), "Response>"...)
}

const xmlHeader = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

func (s *Service) begin(b []byte, name string) []byte {
	b = append(append(append(b, xmlHeader+"<"...), name...), `Response xmlns="`...)
	return append(append(b, s.Namespace...), `">`...)
}

// AppendError appends the whole XML of a refusal to b, in the service's envelope. Status is HTTP's: from 500 on the
// fault is the server's.
func (s *Service) AppendError(b []byte, requestID, code, message string, status int) []byte {
	if s.query {
		b = append(append(append(b, xmlHeader+`<ErrorResponse xmlns="`...), s.Namespace...), `"><Error>`...)
		fault := "Sender"
		if status >= 500 {
			fault = "Receiver"
		}
		b = putText(putText(putText(b, "Type", fault), "Code", code), "Message", message)
		return append(putText(append(b, "</Error>"...), "RequestId", requestID), "</ErrorResponse>"...)
	}
	b = append(b, xmlHeader+"<Response><Errors><Error>"...)
	b = append(putText(putText(b, "Code", code), "Message", message), "</Error></Errors>"...)
	return append(putText(b, "RequestID", requestID), "</Response>"...)
}
