package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/vpc"
)

// The socket speaks HTTP with JSON bodies: POST /v1/bind, POST /v1/unbind, GET /v1/bindings. An
// error is {"error": "…"} with status 400 (the caller's) or 500.

const (
	maxBody    = 64 << 10
	answerWait = 5 * time.Second  // for the control plane to accept or refuse
	forceWait  = 30 * time.Second // for rules to be in force
)

// BindRequest is the body of POST /v1/bind.
type BindRequest struct {
	Device string          `json:"device"`
	ENI    vpc.InterfaceID `json:"eni"`
	Guest  string          `json:"guest,omitempty"`
	// InForce makes the answer wait until the ENI's rules are in force, not only until the control
	// plane has answered.
	InForce bool `json:"inForce,omitempty"`
}

// UnbindRequest is the body of POST /v1/unbind.
type UnbindRequest struct {
	Device string `json:"device"`
}

type failure struct {
	Error string `json:"error"`
}

// Serve answers on the Unix socket at path until ctx ends. Members of the group sallyport, where
// there is one, may use it; others but root may not.
func (c *Claims) Serve(ctx context.Context, path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the old socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listen on the agent's socket: %w", err)
	}
	if err := protect(path); err != nil {
		return errors.Join(err, l.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/bind", handle(c.bind))
	mux.HandleFunc("POST /v1/unbind", handle(func(_ context.Context, in UnbindRequest) (struct{}, error) {
		return struct{}{}, c.Unbind(in.Device)
	}))
	mux.HandleFunc("GET /v1/bindings", handle(func(context.Context, struct{}) ([]Claim, error) { return c.List(), nil }))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the agent's socket: %w", err)
	}
	return nil
}

func protect(path string) error {
	if err := os.Chmod(path, 0o660); err != nil {
		return fmt.Errorf("protect the agent's socket: %w", err)
	}
	g, err := user.LookupGroup("sallyport")
	if err != nil {
		return nil // root alone
	}
	gid, err := strconv.Atoi(g.Gid)
	if err == nil {
		err = os.Chown(path, 0, gid)
	}
	if err != nil {
		return fmt.Errorf("give the agent's socket to group sallyport: %w", err)
	}
	return nil
}

func (c *Claims) bind(ctx context.Context, in BindRequest) (Claim, error) {
	claim, err := c.Bind(in.Device, in.ENI, in.Guest, Explicit)
	if err != nil {
		return Claim{}, err
	}
	wait, done := answerWait, func(c Claim) bool { return c.State != Closed }
	if in.InForce {
		wait, done = forceWait, func(c Claim) bool { return c.State == Bound || c.State == Refused }
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return c.Wait(ctx, claim.Ifindex, claim.ENI, done)
}

// handle decodes, calls and encodes.
func handle[In, Out any](fn func(context.Context, In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		if r.Method == http.MethodPost {
			d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
			d.DisallowUnknownFields()
			if err := d.Decode(&in); err != nil {
				answer(w, http.StatusBadRequest, failure{"the request is no JSON of this call: " + err.Error()})
				return
			}
			if _, err := d.Token(); !errors.Is(err, io.EOF) {
				answer(w, http.StatusBadRequest, failure{"the request is no JSON of this call: it goes on after its end"})
				return
			}
			// The time for reading is over; what remains is the call's own time.
			if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil {
				answer(w, http.StatusInternalServerError, failure{err.Error()})
				return
			}
		}
		out, err := fn(r.Context(), in)
		switch {
		case errors.Is(err, ErrUsage):
			answer(w, http.StatusBadRequest, failure{err.Error()})
		case err != nil:
			answer(w, http.StatusInternalServerError, failure{err.Error()})
		default:
			answer(w, http.StatusOK, out)
		}
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}

// Client speaks to the agent of this host.
type Client struct {
	path string
	http *http.Client
}

// NewClient returns a client of the agent's socket at path.
func NewClient(path string) *Client {
	return &Client{path, &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}}
}

// Bind claims a device and returns the claim as the control plane answered it, or as it is after a
// few seconds without an answer: Closed, to open by itself once there is one.
func (c *Client) Bind(ctx context.Context, in BindRequest) (Claim, error) {
	var out Claim
	return out, c.call(ctx, http.MethodPost, "/v1/bind", in, &out)
}

// Unbind gives a device up.
func (c *Client) Unbind(ctx context.Context, device string) error {
	return c.call(ctx, http.MethodPost, "/v1/unbind", UnbindRequest{device}, nil)
}

// Bindings returns the host's claims by device.
func (c *Client) Bindings(ctx context.Context) ([]Claim, error) {
	var out []Claim
	return out, c.call(ctx, http.MethodGet, "/v1/bindings", nil, &out)
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return fmt.Errorf("ask the agent: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, &body)
	if err != nil {
		return fmt.Errorf("ask the agent: %w", err)
	}
	res, err := c.http.Do(req)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("no agent listens on %s: start sallyport agent or sallyport dev, or name its --socket", c.path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the agent's socket %s is for root and the group sallyport", c.path)
	case err != nil:
		return fmt.Errorf("ask the agent: %w", err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("ask the agent: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		var f failure
		if err := json.Unmarshal(b, &f); err != nil || f.Error == "" {
			return fmt.Errorf("ask the agent: it answered %s", res.Status)
		}
		return errors.New(f.Error)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("ask the agent: %w", err)
	}
	return nil
}
