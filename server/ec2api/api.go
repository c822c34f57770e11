// Package ec2api serves the EC2 Query API: form in, XML out. A request is verified, authorized,
// decoded, handed to one action, and answered; an action maps the request to a method of vpc.State
// and its result to the answer, and decides nothing itself.
package ec2api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/sallyport/sallyport/feed"
	"github.com/sallyport/sallyport/inquiry"
	"github.com/sallyport/sallyport/server/ec2api/sigv4"
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/server/store"
	"github.com/sallyport/sallyport/vpc"
)

const maxBody = 1 << 20 // bytes

// Store is where the state is.
type Store interface {
	// Read returns the State with every write that was acknowledged before the call.
	Read(context.Context) (*vpc.State, error)
	// Update writes what fn makes of the newest State and returns the revision of the write. fn may
	// run again. Its error comes back unchanged.
	Update(context.Context, func(*vpc.State) (vpc.Change, error)) (revision int64, err error)
}

// Enforcement knows what hosts have in force, and what they counted.
type Enforcement interface {
	// InForce returns the newest revision that a host has in force, whether the host is connected
	// now, and what it reports as wrong, "" if nothing.
	InForce(vpc.HostID) (revision int64, connected bool, problem string)
	// Took returns how long it took from when this server knew a revision until a host had confirmed
	// it; false: it has not, or that is not known.
	Took(id vpc.HostID, revision int64) (time.Duration, bool)
	// Changed returns a channel that is closed when what InForce says of any host changes.
	Changed() <-chan struct{}
	// Counters returns what a host last said that it counted, and when; nil: nothing to this server.
	Counters(vpc.HostID) (feed.Counters, time.Time)
}

// Hosts can be asked what only they know.
type Hosts interface {
	// Ask returns the answer of a host that is connected to this server, or why there is none, in a few
	// seconds at most. Without an answer the host may have done what was asked.
	Ask(context.Context, vpc.HostID, inquiry.Question) (inquiry.Answer, error)
}

// Keys makes access keys, sessions and what else is kept secret; nothing of it is stored yet.
type Keys interface {
	NewKey(user string) (key vpc.AccessKey, secret string)
	// NewSession makes a token of at least so many bytes, and at most three more.
	NewSession(c vpc.Caller, tokenBytes int) (key vpc.AccessKey, secret, token string)
	NewSignInToken(vpc.Caller) (stored vpc.SignInToken, token string)
	// NewPassword seals a password; one that is too weak is refused with a *vpc.Error.
	NewPassword(ctx context.Context, user, password string) (sealed []byte, err error)
}

// Config is what the API needs. All but Audit, LocalHost, Stopping, Observe, Env and RequestID are required.
type Config struct {
	Store       Store
	Enforcement Enforcement
	Hosts       Hosts
	// Verify says who signed a request: the method of a sigv4.Verifier.
	Verify func(r *http.Request, body []byte) (sigv4.Identity, error)
	// Caller says whose an access key is; the zero Caller if it does not work any more.
	Caller func(vpc.AccessKeyID) vpc.Caller
	// Authorize returns nil if the caller may call the operation, else a *vpc.Error.
	Authorize func(vpc.Caller, *wire.Operation) error
	Keys      Keys
	Audit     Audit // nil: none is kept
	Log       *slog.Logger
	// LocalHost is the host that the server runs on; empty: it is none.
	LocalHost vpc.HostID
	// Stopping is closed when the server is to end: what waits is answered. nil: never.
	Stopping <-chan struct{}
	// Observe is told of every answer: code is "" for success, op nil if none was found. nil: nothing.
	Observe func(op *wire.Operation, code string, took time.Duration)

	Env       func() vpc.Env // of one request; nil: the clock and random ids
	RequestID func() string  // nil: random
}

// api is the handler.
type api struct {
	Config
	actions map[*wire.Operation]action
	looking chan struct{} // has room for one of the calls that wait for enforcement
	waiting chan struct{} // has room for all of them
}

// action decodes a request, runs it and encodes its answer.
type action func(c *call, f *wire.Form) (answer []byte, err error)

// answers are buffers to encode into. One that a long list has filled is left to the collector.
var answers = sync.Pool{New: func() any { return new([]byte) }}

const maxKeptAnswer = 256 << 10 // bytes

// New returns the handler of the endpoint.
func New(c Config) (http.Handler, error) {
	if c.Store == nil || c.Enforcement == nil || c.Hosts == nil || c.Verify == nil || c.Caller == nil || c.Authorize == nil ||
		c.Keys == nil || c.Log == nil {
		return nil, errors.New("ec2api: the config lacks a part")
	}
	if c.Env == nil {
		c.Env = func() vpc.Env { return vpc.Env{Now: time.Now().UTC(), ID: vpc.RandomID} }
	}
	if c.RequestID == nil {
		c.RequestID = uuid.NewString
	}
	a := &api{Config: c, actions: map[*wire.Operation]action{}, looking: make(chan struct{}, 1), waiting: make(chan struct{}, maxWaiting)}
	a.stsActions()
	a.regionActions()
	a.securityGroupActions()
	a.securityGroupRuleActions()
	a.securityGroupUseActions()
	a.ruleEditActions()
	a.vpcActions()
	a.classicLinkActions()
	a.subnetActions()
	a.networkInterfaceActions()
	a.instanceActions()
	a.imageActions()
	a.tagActions()
	a.enforcementActions()
	a.callerAddressActions()
	a.observationActions()
	a.counterActions()
	a.resourceActions()
	a.prefixListActions()
	a.peeringActions()
	a.routeActions()
	a.flowLogActions()
	a.insightsActions()
	a.quotaActions()
	a.userActions()
	a.auditActions()
	a.connectionActions()
	a.reachabilityActions()
	return a, nil
}

// handle makes fn the implementation of op.
func handle[In, Out any](a *api, op wire.Op[In, Out], fn func(*call, *In) (*Out, error)) {
	a.actions[op.Operation] = func(c *call, f *wire.Form) ([]byte, error) {
		in, err := op.Decode(f)
		if err != nil {
			return nil, err
		}
		if d, ok := any(in).(wire.DryRunner); ok {
			c.dryRun = d.IsDryRun()
		}
		if p, ok := any(in).(wire.Previewer); ok {
			c.preview = p.IsPreview() && !c.dryRun // which says whether the call would be taken
		}
		out, err := fn(c, in)
		if err != nil {
			return nil, err
		}
		if c.dryRun {
			return nil, vpc.Errorf(vpc.CodeDryRunOperation, "Request would have succeeded, but DryRun flag is set.")
		}
		c.buffer = answers.Get().(*[]byte)
		*c.buffer = op.Encode((*c.buffer)[:0], c.requestID, out)
		return *c.buffer, nil
	}
}

// call is one request on its way.
type call struct {
	*api
	ctx       context.Context
	env       vpc.Env
	requestID string
	host      string // by which the client called
	remote    string // from where, with the port
	forwarded bool   // on the way from there, somebody says, the request came through a proxy
	service   *wire.Service
	identity  sigv4.Identity
	caller    vpc.Caller
	action    string
	op        *wire.Operation // nil until it is known whether there is one
	dryRun    bool            // nothing may be written: the answer is an error in any case
	preview   bool            // nothing may be written, and nothing is recorded
	revision  int64           // that the answer shows; 0: none was read yet
	wrote     bool
	buffer    *[]byte // of answers; nil: none was taken
}

// read returns the newest State.
func (c *call) read() (*vpc.State, error) {
	s, err := c.Store.Read(c.ctx)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	c.revision = s.Revision()
	s, _ = s.Forget(c.env)
	return s, nil
}

// update writes what fn makes of the newest State. What fn returns through variables is that of its
// last run. In a dry run or a preview it is only tried.
func (c *call) update(fn func(*vpc.State) (vpc.Change, error)) error {
	if c.dryRun || c.preview {
		s, err := c.read()
		if err == nil {
			_, err = fn(s)
		}
		return err
	}
	revision, err := c.Store.Update(c.ctx, func(s *vpc.State) (vpc.Change, error) {
		if err := c.stillMay(s); err != nil {
			return vpc.Change{}, err
		}
		s, gone := s.Forget(c.env)
		change, err := fn(s)
		if c.wrote = !change.Empty(); c.wrote {
			change.Deletes = append(change.Deletes, gone.Deletes...)
			change = s.ForgetSessions(c.env, change)
		}
		c.revision = s.Revision() // of a refusal: the State that it is about
		return change, err
	})
	if err == nil {
		c.revision = revision
	}
	return err
}

// stillMay refuses a caller whose key or role went while the request was on its way, or went on another
// server of which this one had not heard: in the State that is written to, the right must be there.
func (c *call) stillMay(s *vpc.State) error {
	now := s.Caller(c.caller.Key)
	if now.User == "" {
		return &sigv4.Error{Kind: sigv4.UnknownKey, Reason: "the access key is gone"}
	}
	return c.Authorize(now, c.op)
}

// ServeHTTP implements http.Handler.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path != "/":
		http.NotFound(w, r)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost:
		w.Header().Set("Allow", "GET, HEAD, POST")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	start := time.Now()
	c := &call{
		api: a, ctx: r.Context(), env: a.Env(), requestID: a.RequestID(), host: r.Host, remote: r.RemoteAddr,
		forwarded: r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != "", service: &wire.EC2,
	}
	body, err := c.serve(w, r)
	status, code := http.StatusOK, ""
	if err != nil {
		var message string
		code, message, status = c.refusal(err)
		body = c.service.AppendError(nil, c.requestID, code, message, status)
	}
	h := w.Header()
	h.Set("Content-Type", "text/xml;charset=UTF-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("x-amzn-RequestId", c.requestID)
	if c.revision != 0 {
		h.Set("x-sallyport-revision", strconv.FormatInt(c.revision, 10))
	}
	w.WriteHeader(status)
	_, writeErr := w.Write(body)
	if c.buffer != nil && cap(*c.buffer) <= maxKeptAnswer {
		answers.Put(c.buffer) // nothing refers to body any more
	}
	took := time.Since(start)
	c.log(status, err, writeErr, took)
	if a.Observe != nil {
		a.Observe(c.op, code, took)
	}
}

// contain makes a panic an error of this request alone.
func contain(answer *[]byte, err *error) {
	if p := recover(); p != nil {
		*answer, *err = nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}
}

// serve returns the answer, or why there is none.
func (c *call) serve(w http.ResponseWriter, r *http.Request) (answer []byte, err error) {
	defer contain(&answer, &err)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, vpc.Errorf(vpc.CodeInvalidRequest, "The request is larger than %d bytes.", maxBody)
	} else if vpc.CodeOf(err) != "" { // whoever handed the body over refuses it
		return nil, err
	} else if err != nil {
		return nil, vpc.Errorf(vpc.CodeInvalidRequest, "The request received was invalid.")
	}
	// Who asks is settled before what: the form is only looked at for the style of the answer.
	form, formErr := wire.ParseForm(r.URL.RawQuery, string(body))
	if formErr == nil {
		c.service = wire.ServiceOf(form.Version())
		c.action = form.Action()
	}
	if c.identity, err = c.Verify(r, body); err != nil {
		return nil, err
	}
	if c.caller = c.Caller(vpc.AccessKeyID(c.identity.AccessKeyID)); c.caller.User == "" { // it went a moment ago
		return nil, &sigv4.Error{Kind: sigv4.UnknownKey, Reason: "the access key is gone"}
	}
	do := func() ([]byte, error) { return c.act(c.op, form) }
	op := wire.Operations[c.action]
	switch err := c.find(form, formErr); {
	case err == nil:
	case formErr != nil:
		op, form = wire.Operations[wire.ClaimedAction(r.URL.RawQuery, string(body))], nil
		fallthrough
	default:
		do = func() ([]byte, error) { return nil, err }
	}
	if c.Audit != nil && op != nil && op.Changes() {
		return c.audited(r, op, form, do)
	}
	return do()
}

// find settles which operation is asked for.
func (c *call) find(form *wire.Form, formErr error) error {
	if formErr != nil {
		return formErr
	}
	op, err := wire.Lookup(form)
	if err != nil {
		return err
	}
	c.op = op
	if (c.identity.Service == wire.STS.Name) != (op.Service == &wire.STS) {
		return &sigv4.Error{Kind: sigv4.BadScope, Reason: fmt.Sprintf(
			"Credential should be scoped to correct service: '%s'.", op.Service.Name)}
	}
	if c.actions[op] == nil {
		return wire.InvalidAction(op.Name)
	}
	return nil
}

// act does what the caller asks for, if the caller may.
func (c *call) act(op *wire.Operation, f *wire.Form) (answer []byte, err error) {
	defer contain(&answer, &err)
	if err := c.Authorize(c.caller, op); err != nil {
		return nil, err
	}
	return c.actions[op](c, f)
}

// refusal says how an error is answered.
func (c *call) refusal(err error) (code, message string, status int) {
	var (
		refused   *vpc.Error
		badForm   *wire.Error
		badSigner *sigv4.Error
	)
	switch {
	case errors.As(err, &refused):
		if c.dryRun && refused.Code == vpc.CodeInsufficientInstanceCapacity {
			return string(refused.Code), refused.Message, http.StatusBadRequest // a rehearsal is not to be tried again
		}
		return string(refused.Code), refused.Message, statusOf(refused.Code)
	case errors.Is(err, store.ErrTooLarge):
		return string(vpc.CodeResourceCountExceeded),
			"The request changes more than can be written at once. Make several smaller requests.", http.StatusBadRequest
	case errors.As(err, &badForm):
		return badForm.Code, badForm.Message, http.StatusBadRequest
	case errors.As(err, &badSigner):
		return badSigner.For(c.service.Name)
	default:
		return string(vpc.CodeInternalError), "An internal error has occurred", http.StatusInternalServerError
	}
}

// statusOf returns the HTTP status of a refusal.
func statusOf(code vpc.Code) int {
	switch code {
	case vpc.CodeAuthFailure:
		return http.StatusUnauthorized
	case vpc.CodeUnauthorizedOperation, vpc.CodeAccessDenied:
		return http.StatusForbidden
	case vpc.CodeDryRunOperation:
		return http.StatusPreconditionFailed
	case vpc.CodeInternalError, vpc.CodeInsufficientInstanceCapacity:
		return http.StatusInternalServerError
	case vpc.CodeUnavailable, vpc.CodeRequestLimitExceeded:
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadRequest
	}
}

func (c *call) log(status int, err, writeErr error, took time.Duration) {
	level := slog.LevelDebug
	wrote := c.revision != 0 && c.wrote && err == nil
	switch {
	case wrote:
		level = slog.LevelInfo
	case vpc.CodeOf(err) == vpc.CodeInsufficientInstanceCapacity: // expected, and for the operator to mend
		level = slog.LevelInfo
	case status >= http.StatusInternalServerError && c.ctx.Err() == nil:
		level = slog.LevelError
	}
	if !c.Log.Enabled(c.ctx, level) {
		return // most reads: before anything is made for it
	}
	attrs := []slog.Attr{
		slog.String("request_id", c.requestID),
		slog.String("action", fmt.Sprintf("%.64s", c.action)),
		slog.String("key", c.identity.AccessKeyID),
		slog.Int("status", status),
		slog.Duration("took", took),
	}
	if wrote {
		attrs = append(attrs, slog.Int64("revision", c.revision))
	}
	if err != nil {
		attrs = append(attrs, slog.Any("err", err))
	}
	if writeErr != nil {
		attrs = append(attrs, slog.Any("write_err", writeErr))
	}
	c.Log.LogAttrs(c.ctx, level, "api request", attrs...)
}
