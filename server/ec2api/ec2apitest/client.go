// Package ec2apitest is a lean client of the endpoint, for load generators and for tests that need
// many calls at once: HTTP alone, one connection, no retries, pools or goroutines. What real clients send
// is tested with real clients.
package ec2apitest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// ErrLost says that the connection broke after a request was sent: what became of it is unknown.
var ErrLost = errors.New("the connection was lost before the answer came")

// Client has one connection, which it keeps alive, and one request on its way at a time. It is not
// safe for concurrent use.
type Client struct {
	addr   string // host:port, speaking HTTP
	region string
	creds  aws.Credentials // without a session token

	day  string   // of key
	key  []byte   // that signs
	conn net.Conn // nil: none
	r    *bufio.Reader
	out  []byte       // the last request
	body bytes.Buffer // of the last answer
}

// New returns a client of the endpoint at addr, host:port. It connects with the first call.
func New(addr, region string, creds aws.Credentials) *Client {
	return &Client{addr: addr, region: region, creds: creds}
}

// Answer is what came back.
type Answer struct {
	Status   int
	Revision int64  // x-sallyport-revision; 0: it has none
	Body     []byte // belongs to the client: valid until its next call
}

// Form returns the parameters of an EC2 action: names and values by turns.
func Form(action string, parameters ...string) url.Values {
	f := url.Values{"Action": {action}, "Version": {"2016-11-15"}}
	for i := 0; i+1 < len(parameters); i += 2 {
		f.Add(parameters[i], parameters[i+1])
	}
	return f
}

// Do signs and sends one request and reads its whole answer. An error wraps ErrLost if the request may
// have been carried out.
func (c *Client) Do(ctx context.Context, form url.Values) (Answer, error) {
	return c.Send(ctx, []byte(form.Encode()))
}

// Send is Do with an encoded form.
func (c *Client) Send(ctx context.Context, form []byte) (Answer, error) {
	if err := c.connect(ctx); err != nil {
		return Answer{}, err
	}
	a, err := c.exchange(ctx, c.request(form, time.Now().UTC()))
	if err != nil {
		c.Close()
		return Answer{}, fmt.Errorf("%w: %w", ErrLost, err)
	}
	return a, nil
}

const (
	contentType   = "application/x-www-form-urlencoded; charset=utf-8"
	signedHeaders = "content-type;host;x-amz-date"
)

// request writes a signed request, in a buffer that the next one overwrites. Amazon's signer would be
// a third of what a call costs its caller, who shares the CPUs with the server that is measured.
// Source: "AWS Signature Version 4 for API requests", IAM User Guide.
func (c *Client) request(form []byte, now time.Time) []byte {
	date := now.Format("20060102T150405Z")
	day := date[:8]
	scope := day + "/" + c.region + "/ec2/aws4_request"
	if c.day != day {
		c.day, c.key = day, []byte("AWS4"+c.creds.SecretAccessKey)
		for _, part := range []string{day, c.region, "ec2", "aws4_request"} {
			c.key = mac(c.key, []byte(part))
		}
	}
	body := sha256.Sum256(form)
	b := c.out[:0]
	b = append(b, "POST\n/\n\ncontent-type:"+contentType+"\nhost:"+c.addr+"\nx-amz-date:"+date+"\n\n"+signedHeaders+"\n"...)
	b = hex.AppendEncode(b, body[:])
	canonical := sha256.Sum256(b)
	b = append(b[:0], "AWS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"...)
	b = hex.AppendEncode(b, canonical[:])
	signature := mac(c.key, b)
	b = append(b[:0], "POST / HTTP/1.1\r\nHost: "+c.addr+"\r\nContent-Type: "+contentType+"\r\nX-Amz-Date: "+date+
		"\r\nAuthorization: AWS4-HMAC-SHA256 Credential="+c.creds.AccessKeyID+"/"+scope+", SignedHeaders="+signedHeaders+", Signature="...)
	b = append(hex.AppendEncode(b, signature), "\r\nContent-Length: "...)
	b = append(strconv.AppendInt(b, int64(len(form)), 10), "\r\n\r\n"...)
	c.out = append(b, form...)
	return c.out
}

func mac(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}

func (c *Client) connect(ctx context.Context) (err error) {
	if c.conn != nil {
		return nil
	}
	if c.conn, err = new(net.Dialer).DialContext(ctx, "tcp", c.addr); err != nil {
		return err
	}
	c.r = bufio.NewReaderSize(c.conn, 64<<10)
	return nil
}

func (c *Client) exchange(ctx context.Context, request []byte) (Answer, error) {
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Now()) })()
	}
	if _, err := c.conn.Write(request); err != nil {
		return Answer{}, err
	}
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	c.body.Reset()
	n, err := io.Copy(&c.body, res.Body)
	if err == nil && n != res.ContentLength {
		err = fmt.Errorf("got %d bytes of %d", n, res.ContentLength)
	}
	if err != nil {
		return Answer{}, err
	}
	if res.Close {
		c.Close()
	}
	revision, _ := strconv.ParseInt(res.Header.Get("x-sallyport-revision"), 10, 64) // absent: 0
	return Answer{Status: res.StatusCode, Revision: revision, Body: c.body.Bytes()}, nil
}

// Close drops the connection; the next call makes a new one.
func (c *Client) Close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// Texts returns the texts of the elements with that name, in order.
func (a Answer) Texts(name string) []string {
	var texts []string
	dec := xml.NewDecoder(bytes.NewReader(a.Body))
	for {
		token, err := dec.Token()
		if err != nil {
			return texts
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == name {
			var text struct {
				Text string `xml:",chardata"`
			}
			if dec.DecodeElement(&text, &start) == nil {
				texts = append(texts, text.Text)
			}
		}
	}
}

// Text returns the text of the first element with that name; "" if there is none.
func (a Answer) Text(name string) string {
	if texts := a.Texts(name); len(texts) > 0 {
		return texts[0]
	}
	return ""
}

// Code returns the code of a refusal; "" of an answer.
func (a Answer) Code() string {
	if a.Status == http.StatusOK {
		return ""
	}
	return a.Text("Code")
}

var credentialLine = regexp.MustCompile(`^(aws_access_key_id|aws_secret_access_key) *= *(\S+)$`)

// Credentials reads the administrator's key from a server's data directory.
func Credentials(dataDir string) (aws.Credentials, error) {
	file, err := os.ReadFile(filepath.Join(dataDir, "credentials"))
	if err != nil {
		return aws.Credentials{}, err
	}
	var c aws.Credentials
	for line := range strings.Lines(string(file)) {
		switch m := credentialLine.FindStringSubmatch(strings.TrimSpace(line)); {
		case m == nil:
		case m[1] == "aws_access_key_id" && c.AccessKeyID == "":
			c.AccessKeyID = m[2]
		case m[1] == "aws_secret_access_key" && c.SecretAccessKey == "":
			c.SecretAccessKey = m[2]
		}
	}
	if !c.HasKeys() {
		return c, fmt.Errorf("no keys in the credentials file of %s", dataDir)
	}
	return c, nil
}
