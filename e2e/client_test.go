package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/sallyport/sallyport/server/ec2api/wire"
)

// client is the Go SDK, for tests that make more calls than the CLI has time for. It knows the newest
// revision that an answer named, and makes the further actions, for which no SDK has a call.
type client struct {
	*ec2.Client
	url      string
	creds    aws.Credentials
	revision atomic.Int64
}

func newClient(t *testing.T, d *dev) *client {
	t.Helper()
	profile, err := config.LoadSharedConfigProfile(t.Context(), "default", func(o *config.LoadSharedConfigOptions) {
		o.CredentialsFiles, o.ConfigFiles = []string{filepath.Join(d.dir, "credentials")}, []string{}
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{url: "http://" + d.listen, creds: profile.Credentials}
	c.Client = ec2.New(d.sdk(t).Options(), func(o *ec2.Options) { o.HTTPClient = c })
	return c
}

// Do sends a request, and remembers the revision of its answer.
func (c *client) Do(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	r, err := strconv.ParseInt(res.Header.Get("x-sallyport-revision"), 10, 64)
	if err != nil && res.StatusCode == http.StatusOK {
		_ = res.Body.Close()
		return nil, fmt.Errorf("the answer names no revision: %w", err)
	}
	for old := c.revision.Load(); r > old && !c.revision.CompareAndSwap(old, r); old = c.revision.Load() {
	}
	return res, nil
}

// further makes one of Sallyport's own actions. A refusal is a *wire.Error.
func further[In, Out any](ctx context.Context, c *client, call wire.Call[In, Out], in *In) (*Out, error) {
	body := []byte(call.Form(in).Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	hash := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, c.creds, req, hex.EncodeToString(hash[:]), "ec2", "us-east-1", time.Now()); err != nil {
		return nil, err
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		refusal, _, err := wire.ParseError(answer)
		if err != nil {
			return nil, fmt.Errorf("%s: %s", res.Status, answer)
		}
		return nil, refusal
	}
	return call.Parse(answer)
}

// inForce waits until everything that this client wrote is in force on interfaces; on every bound one
// if none is named.
func (c *client) inForce(ctx context.Context, enis ...string) error {
	revision := c.revision.Load()
	return until(ctx, func() (bool, error) {
		out, err := further(ctx, c, wire.DescribeEnforcementCall,
			&wire.DescribeEnforcementRequest{NetworkInterfaceIds: enis, Revision: &revision})
		if err != nil {
			return false, fmt.Errorf("is revision %d in force: %w", revision, err)
		}
		return wire.Value(out.InForce), nil
	})
}

// until asks again and again until the answer is yes, for at most the limit.
func until(ctx context.Context, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errorString("still not so after "+limit.String()))
	defer cancel()
	for {
		yes, err := ask()
		if yes || err != nil {
			return err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
