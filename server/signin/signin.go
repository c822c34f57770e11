// Package signin lets people in to the console: POST /session takes a user's password, or a token that signs in
// once, sets a cookie, and answers keys for a short time; with the cookie alone it answers fresh ones. DELETE
// /session ends it all.
//
// The cookie is good for nothing else: every action is signed with the keys, which the page keeps in its memory.
package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"github.com/sallyport/sallyport/server/audit"
	"github.com/sallyport/sallyport/server/iam"
	"github.com/sallyport/sallyport/vpc"
)

const maxBody = 4 << 10 // bytes

// Store is where the state is.
type Store interface {
	Read(context.Context) (*vpc.State, error)
	Update(context.Context, func(*vpc.State) (vpc.Change, error)) (revision int64, err error)
}

// Keys makes what a session consists of, and checks passwords.
type Keys interface {
	NewConsoleSession() (id vpc.ConsoleSessionID, cookie string)
	NewConsoleKey(user string) (key vpc.AccessKey, secret, token string)
	// CheckPassword returns the sealed password of a user if it is that one, else AuthFailure with the reason.
	CheckPassword(ctx context.Context, user, password string, may func() error) (sealed []byte, err error)
}

// Audit is the log of what was changed.
type Audit interface {
	Ready() error
	Write(audit.Record) error
}

// Config of a handler. All but Observe are required.
type Config struct {
	Store Store
	Keys  Keys
	Audit Audit
	Log   *slog.Logger
	Env   func() vpc.Env
	// Observe is told of every answer: what is password, token, renewal or end; code is "" for success. nil: nothing.
	Observe func(what, code string)
}

// What is asked for, in metrics.
const (
	byPassword = "password"
	byToken    = "token"
	renewal    = "renewal"
	ending     = "end"
)

// Actions in the audit log. Renewals are not in it: that of a change names the user who signed it.
const (
	actionSignIn  = "SignIn"
	actionSignOut = "SignOut"
)

// Failures of nobody who is known have few lines in the audit log: strangers cannot push others' out of it.
const (
	strangersPerSec = 1
	freeStrangers   = 100
)

type handler struct {
	Config
	crossOrigin *http.CrossOriginProtection
	slow        *iam.SignIns
	strangers   *rate.Limiter
}

// New returns the handler of /session.
func New(c Config) (http.Handler, error) {
	if c.Store == nil || c.Keys == nil || c.Audit == nil || c.Log == nil || c.Env == nil {
		return nil, errors.New("signin: the config lacks a part")
	}
	if c.Observe == nil {
		c.Observe = func(string, string) {}
	}
	return &handler{c, http.NewCrossOriginProtection(), iam.NewSignIns(), rate.NewLimiter(strangersPerSec, freeStrangers)}, nil
}

// proof is what somebody signs in with: a name and a password, a token, or nothing but the cookie.
type proof struct{ UserName, Password, Token *string }

// granted is the answer: keys, and what a page wants to know before it asks anything.
type granted struct {
	AccessKeyId, SecretAccessKey, SessionToken string
	Expiration                                 time.Time // of the keys
	SessionExpiration                          time.Time // when the session ends, however often it is renewed
	UserName, Role, Region, Account            string

	cookie   string // of a new session; "" of a renewal
	revision int64
}

// refused is the answer otherwise.
type refused struct{ Code, Message string }

// What clients are told of a failure. Which part was wrong is in the audit log.
var (
	errPassword = vpc.Errorf(vpc.CodeAuthFailure, "The user name or the password is wrong.")
	errToken    = vpc.Errorf(vpc.CodeAuthFailure, "The link has been used, or it has expired.")
	errCookie   = vpc.Errorf(vpc.CodeAuthFailure, "You are not signed in, or your session has ended.")
	errOrigin   = vpc.Errorf(vpc.CodeUnauthorizedOperation, "The request comes from another site.")
)

func errBody(format string, a ...any) error { return vpc.Errorf(vpc.CodeInvalidRequest, format, a...) }

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	c := &call{handler: h, r: r, env: h.Env(), requestID: uuid.NewString(), cookie: cookieName(r)}
	head.Set("x-amzn-RequestId", c.requestID)
	var (
		answer *granted
		err    error
	)
	switch r.Method {
	case http.MethodPost:
		answer, err = c.begin(w)
	case http.MethodDelete:
		c.what = ending
		err = c.end()
		if err == nil {
			c.forget(w)
		}
	default:
		head.Set("Allow", "POST, DELETE")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	code := h.answer(w, answer, err)
	h.Observe(c.what, code)
	level := slog.LevelDebug
	if code == string(vpc.CodeInternalError) && r.Context().Err() == nil {
		level = slog.LevelError
	}
	attrs := []slog.Attr{slog.String("request_id", c.requestID), slog.String("what", c.what), slog.String("code", code)}
	if err != nil {
		attrs = append(attrs, slog.Any("err", err))
	}
	h.Log.LogAttrs(r.Context(), level, "console session", attrs...)
}

// answer writes an answer or a refusal, and returns the code of that.
func (h *handler) answer(w http.ResponseWriter, g *granted, err error) string {
	status, body, code := http.StatusOK, any(g), ""
	if err != nil {
		no := refused{string(vpc.CodeInternalError), "An internal error has occurred"}
		if e, ok := errors.AsType[*vpc.Error](err); ok {
			no = refused{string(e.Code), e.Message}
		}
		status, body, code = statusOf(vpc.Code(no.Code)), no, no.Code
	} else if g == nil {
		w.WriteHeader(http.StatusNoContent)
		return ""
	}
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return string(vpc.CodeInternalError)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text)
	return code
}

func statusOf(code vpc.Code) int {
	switch code {
	case vpc.CodeAuthFailure:
		return http.StatusUnauthorized
	case vpc.CodeUnauthorizedOperation:
		return http.StatusForbidden
	case vpc.CodeUnavailable, vpc.CodeRequestLimitExceeded:
		return http.StatusServiceUnavailable
	case vpc.CodeInternalError:
		return http.StatusInternalServerError
	default:
		return http.StatusBadRequest
	}
}

// call is one request on its way.
type call struct {
	*handler
	r         *http.Request
	env       vpc.Env
	requestID string
	cookie    string // its name
	what      string
}

// session returns the session that the browser's cookie says it has, "" for none. Nothing of it is checked.
func (c *call) session() vpc.ConsoleSessionID {
	k, err := c.r.Cookie(c.cookie)
	if err != nil || k.Value == "" {
		return ""
	}
	return iam.ConsoleSessionID(k.Value)
}

// begin signs in, or renews.
func (c *call) begin(w http.ResponseWriter) (*granted, error) {
	if err := c.crossOrigin.Check(c.r); err != nil {
		return nil, errOrigin
	}
	p, err := readProof(w, c.r)
	if err != nil {
		return nil, err
	}
	if p.Token == nil && p.UserName == nil {
		c.what = renewal
		g, err := c.renew()
		if vpc.CodeOf(err) == vpc.CodeAuthFailure {
			c.forget(w) // other tabs need not ask
		}
		return g, err
	}
	c.what = byPassword
	if p.Token != nil {
		c.what = byToken
	}
	return c.signIn(w, p)
}

// readProof reads a body: JSON, which no form of another site can send, of one of three shapes.
func readProof(w http.ResponseWriter, r *http.Request) (proof, error) {
	var p proof
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return p, errBody("The content type must be application/json.")
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return p, errBody("The body is not an object of UserName and Password, of Token, or empty.")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return p, errBody("The body holds more than one object.")
	}
	if (p.UserName == nil) != (p.Password == nil) || p.Token != nil && p.UserName != nil {
		return p, errBody("The body holds neither UserName and Password, nor Token alone, nor nothing.")
	}
	return p, nil
}

// signIn begins a session, with a record of it: without one nothing is begun.
func (c *call) signIn(w http.ResponseWriter, p proof) (*granted, error) {
	ctx := c.r.Context()
	if err := c.Audit.Ready(); err != nil {
		c.Log.ErrorContext(ctx, "refused for want of an audit log", "request_id", c.requestID, "err", err)
		return nil, vpc.Errorf(vpc.CodeUnavailable, "The audit log cannot be written. Nobody can sign in now.")
	}
	in, err := c.check(p)
	if vpc.CodeOf(err) == vpc.CodeRequestLimitExceeded || errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil, err // nothing was looked at: not in time, of who hung up
	}
	var g *granted
	if err == nil {
		g, err = c.start(in)
	}
	if failed := c.recordSignIn(p, g, err); failed != nil {
		return nil, failed
	}
	if vpc.CodeOf(err) == vpc.CodeAuthFailure {
		return nil, c.slowDown(p)
	}
	if err != nil {
		return nil, err
	}
	c.remember(w, g)
	return g, nil
}

// check finds out who signs in. An AuthFailure says why nobody does: for the audit log alone.
func (c *call) check(p proof) (vpc.SignIn, error) {
	ctx, source := c.r.Context(), iam.SourceOf(c.r.RemoteAddr)
	if p.Token == nil {
		sealed, err := c.Keys.CheckPassword(ctx, *p.UserName, *p.Password, func() error {
			return c.slow.MayTryPassword(source, *p.UserName)
		})
		return vpc.SignIn{Password: sealed, Key: vpc.AccessKey{User: *p.UserName}}, err
	}
	if err := c.slow.MayTryToken(source); err != nil {
		return vpc.SignIn{}, err
	}
	s, err := c.Store.Read(ctx)
	if err != nil {
		return vpc.SignIn{}, fmt.Errorf("read: %w", err)
	}
	t := s.UsableSignInToken(c.env, iam.SignInTokenID(*p.Token))
	if t == nil {
		return vpc.SignIn{}, vpc.Errorf(vpc.CodeAuthFailure, "The token has been used, or it has ended.")
	}
	return vpc.SignIn{Token: t.ID, Key: vpc.AccessKey{User: t.User}}, nil
}

// slowDown returns what the caller is told of a failure, after the wait that is due.
func (c *call) slowDown(p proof) error {
	ctx, source := c.r.Context(), iam.SourceOf(c.r.RemoteAddr)
	if p.Token != nil {
		return c.slow.WrongToken(ctx, errToken, source)
	}
	return c.slow.WrongPassword(ctx, errPassword, source, *p.UserName)
}

// start writes a session for who was found to sign in. The one that the browser had ends with it.
func (c *call) start(in vpc.SignIn) (*granted, error) {
	id, cookie := c.Keys.NewConsoleSession()
	in.Session, in.Replaces = id, c.session()
	g, err := c.grant(in.Key.User, func(s *vpc.State, key vpc.AccessKey) (*vpc.ConsoleSession, *vpc.AccessKey, vpc.Change, error) {
		in.Key = key
		return s.SignIn(c.env, in)
	})
	if err == nil {
		g.cookie = cookie
	}
	return g, err
}

// renew answers fresh keys of the browser's session.
func (c *call) renew() (*granted, error) {
	id := c.session()
	if id == "" {
		return nil, errCookie
	}
	s, err := c.Store.Read(c.r.Context())
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	cs := s.UsableConsoleSession(c.env, id)
	if cs == nil {
		return nil, errCookie
	}
	g, err := c.grant(cs.User, func(s *vpc.State, key vpc.AccessKey) (*vpc.ConsoleSession, *vpc.AccessKey, vpc.Change, error) {
		return s.RenewConsoleSession(c.env, id, key)
	})
	if vpc.CodeOf(err) == vpc.CodeAuthFailure {
		return nil, errCookie // it has just ended
	}
	return g, err
}

// grant makes a key for a user, writes what write makes of it, and returns it with its secrets.
func (c *call) grant(
	user string, write func(*vpc.State, vpc.AccessKey) (*vpc.ConsoleSession, *vpc.AccessKey, vpc.Change, error),
) (*granted, error) {
	key, secret, token := c.Keys.NewConsoleKey(user)
	g := &granted{AccessKeyId: string(key.ID), SecretAccessKey: secret, SessionToken: token, UserName: user}
	revision, err := c.Store.Update(c.r.Context(), func(s *vpc.State) (vpc.Change, error) {
		cs, k, change, err := write(s, key)
		if err != nil {
			return vpc.Change{}, err
		}
		installation := s.Installation()
		g.Expiration, g.SessionExpiration = k.Expires, cs.Until
		g.Role, g.Region, g.Account = string(s.User(user).Role), installation.Region, string(installation.Account)
		return s.ForgetSessions(c.env, change), nil
	})
	if err != nil {
		return nil, err
	}
	g.revision = revision
	return g, nil
}

// end ends the browser's session, if it has one.
func (c *call) end() error {
	if err := c.crossOrigin.Check(c.r); err != nil {
		return errOrigin
	}
	id, user := c.session(), ""
	if id == "" {
		return nil
	}
	revision, err := c.Store.Update(c.r.Context(), func(s *vpc.State) (vpc.Change, error) {
		user = ""
		if cs := s.ConsoleSession(id); cs != nil {
			user = cs.User
		}
		return s.EndConsoleSession(id), nil
	})
	if err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	if user == "" {
		return nil
	}
	r := c.record(actionSignOut)
	r.User, r.Revision = user, revision
	if err := c.Audit.Write(r); err != nil { // it has ended: nobody is told that it has not
		c.Log.ErrorContext(c.r.Context(), "audit record not written", "request_id", c.requestID, "record", r, "err", err)
	}
	return nil
}

// recordSignIn writes what came of a sign-in. A name that is no user's is not written: people type passwords there.
func (c *call) recordSignIn(p proof, g *granted, err error) error {
	r := c.record(actionSignIn)
	r.Parameters = map[string]string{"Method": c.what}
	switch refusal, ok := errors.AsType[*vpc.Error](err); {
	case err == nil:
		r.User, r.Key, r.IDs, r.Revision = g.UserName, g.AccessKeyId, []string{g.AccessKeyId}, g.revision
	case ok:
		r.Code, r.Message = string(refusal.Code), refusal.Message
	default:
		r.Code, r.Message = string(vpc.CodeInternalError), "An internal error has occurred"
	}
	if err != nil && p.UserName != nil {
		if s, readErr := c.Store.Read(c.r.Context()); readErr == nil && s.User(*p.UserName) != nil {
			r.User = *p.UserName
		}
	}
	if err != nil && r.User == "" && !c.strangers.Allow() {
		return nil
	}
	if err := c.Audit.Write(r); err != nil {
		c.Log.ErrorContext(c.r.Context(), "audit record not written", "request_id", c.requestID, "record", r, "err", err)
		return fmt.Errorf("write the audit record: %w", err)
	}
	return nil
}

const maxUserAgent = 1 << 10 // bytes, in a record

func (c *call) record(action string) audit.Record {
	source, _, err := net.SplitHostPort(c.r.RemoteAddr)
	if err != nil {
		source = c.r.RemoteAddr
	}
	agent := c.r.UserAgent()
	if len(agent) > maxUserAgent {
		agent = strings.ToValidUTF8(agent[:maxUserAgent], "") + "…"
	}
	return audit.Record{Time: c.env.Now, RequestID: c.requestID, Source: source, UserAgent: agent, Action: action}
}
