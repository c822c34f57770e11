// Package ec2apitest is a lean client of the endpoint, for load generators and for tests that need
// many calls at once. It sends what an SDK would, and adds no retries, pools or goroutines of its own.
package ec2apitest

import (
	"bufio"
	"bytes"
	"context"
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
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// ErrLost says that the connection broke after a request was sent: what became of it is unknown.
var ErrLost = errors.New("the connection was lost before the answer came")

// Client has one connection, which it keeps alive, and one request on its way at a time. It is not
// safe for concurrent use.
type Client struct {
	addr   string // host:port, speaking HTTP
	region string
	creds  aws.Credentials
	signer *v4.Signer

	conn net.Conn // nil: none
	r    *bufio.Reader
	w    *bufio.Writer
	body bytes.Buffer // of the last answer
}

// New returns a client of the endpoint at addr, host:port. It connects with the first call.
func New(addr, region string, creds aws.Credentials) *Client {
	return &Client{addr: addr, region: region, creds: creds, signer: v4.NewSigner()}
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
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.addr+"/", bytes.NewReader(form))
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	hash := sha256.Sum256(form)
	if err := c.signer.SignHTTP(ctx, c.creds, req, hex.EncodeToString(hash[:]), "ec2", c.region, time.Now()); err != nil {
		return Answer{}, fmt.Errorf("sign: %w", err)
	}
	if err := c.connect(ctx); err != nil {
		return Answer{}, err
	}
	a, err := c.exchange(ctx, req)
	if err != nil {
		c.Close()
		return Answer{}, fmt.Errorf("%w: %w", ErrLost, err)
	}
	return a, nil
}

func (c *Client) connect(ctx context.Context) (err error) {
	if c.conn != nil {
		return nil
	}
	if c.conn, err = new(net.Dialer).DialContext(ctx, "tcp", c.addr); err != nil {
		return err
	}
	c.r, c.w = bufio.NewReaderSize(c.conn, 64<<10), bufio.NewWriterSize(c.conn, 8<<10)
	return nil
}

func (c *Client) exchange(ctx context.Context, req *http.Request) (Answer, error) {
	defer context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Now()) })()
	if err := req.Write(c.w); err != nil {
		return Answer{}, err
	}
	if err := c.w.Flush(); err != nil {
		return Answer{}, err
	}
	res, err := http.ReadResponse(c.r, req)
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
