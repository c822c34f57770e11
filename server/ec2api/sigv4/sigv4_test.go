package sigv4_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sallyport/sallyport/server/ec2api/sigv4"
)

const (
	keyID     = "AKIDEXAMPLE"
	sessionID = "ASIAEXAMPLE" // of a session whose token is token, and which has an hour left
	token     = "FwoGZXIvYXdzEXAMPLE+/="
	secret    = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	form      = "Action=DescribeVpcs&Version=2016-11-15"
)

var (
	now   = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	creds = aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}
)

func verifier(t testing.TB) *sigv4.Verifier {
	t.Helper()
	v, err := sigv4.New(sigv4.Options{
		Region: "us-east-1",
		Now:    func() time.Time { return now },
		Lookup: lookup,
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func lookup(id string) (sigv4.Key, bool) {
	sum := sha256.Sum256([]byte(token))
	switch id {
	case keyID:
		return sigv4.Key{Secret: secret}, true
	case sessionID:
		return sigv4.Key{Secret: secret, Token: sum[:], Expires: now.Add(time.Hour)}, true
	case "ASIAOVER":
		return sigv4.Key{Secret: secret, Token: sum[:], Expires: now}, true
	default:
		return sigv4.Key{}, false
	}
}

// as returns credentials of a session.
func as(id, secret, token string) aws.Credentials {
	return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token}
}

// call is a request as a client makes it, before it is signed.
type call struct {
	method, target, body string
	header               http.Header
	creds                aws.Credentials
	service, region      string
	at                   time.Time
	payload              string        // hash that is signed; empty: that of the body
	expires              time.Duration // presigned if not 0
}

func (c call) defaults() call {
	set := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	set(&c.method, "POST")
	set(&c.target, "http://localhost:4580/")
	set(&c.service, "ec2")
	set(&c.region, "us-east-1")
	set(&c.payload, hash(c.body))
	if c.creds.AccessKeyID == "" {
		c.creds = creds
	}
	if c.at.IsZero() {
		c.at = now
	}
	return c
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// sign signs with Amazon's own signer and sends the request through HTTP's own writer and parser.
func (c call) sign(t testing.TB) *http.Request {
	t.Helper()
	c = c.defaults()
	r, err := http.NewRequest(c.method, c.target, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, c.header)
	signer := v4.NewSigner()
	if c.expires != 0 {
		q := r.URL.Query()
		q.Set("X-Amz-Expires", strconv.Itoa(int(c.expires/time.Second)))
		r.URL.RawQuery = q.Encode()
		signed, header, err := signer.PresignHTTP(context.Background(), c.creds, r, c.payload, c.service, c.region, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if r, err = http.NewRequest(c.method, signed, strings.NewReader(c.body)); err != nil {
			t.Fatal(err)
		}
		for k, v := range header {
			if k != "Host" {
				r.Header[k] = v
			}
		}
		return travel(t, r)
	}
	if err := signer.SignHTTP(context.Background(), c.creds, r, c.payload, c.service, c.region, c.at); err != nil {
		t.Fatal(err)
	}
	return travel(t, r)
}

func travel(t testing.TB, r *http.Request) *http.Request {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&b))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func body(t testing.TB, r *http.Request) []byte {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestVerifyAgreesWithSDK: whatever Amazon's signer signs, we accept.
func TestVerifyAgreesWithSDK(t *testing.T) {
	query := func(kv ...string) string {
		q := url.Values{}
		for i := 0; i < len(kv); i += 2 {
			q.Add(kv[i], kv[i+1])
		}
		return "http://localhost:4580/?" + q.Encode()
	}
	for name, c := range map[string]call{
		"form":                {body: form},
		"empty body":          {},
		"sts":                 {body: form, service: "sts"},
		"session":             {body: form, creds: as(sessionID, secret, token)},
		"session presigned":   {method: "GET", target: query("a", "b"), expires: time.Minute, creds: as(sessionID, secret, token)},
		"host without port":   {target: "http://ec2.example.com/", body: form},
		"host with IPv6":      {target: "http://[::1]:4580/", body: form},
		"no path":             {target: "http://localhost:4580", body: form},
		"path":                {target: "http://localhost:4580/a%20b/c%2Fd/é+~", body: form},
		"get":                 {method: "GET", target: query("Action", "DescribeVpcs", "Version", "2016-11-15")},
		"query and body":      {target: query("Action", "DescribeVpcs"), body: "Version=2016-11-15"},
		"query spaces":        {method: "GET", target: query("Filter.1.Name", "tag:a b", "Filter.1.Value.1", " x + y ")},
		"query utf-8":         {method: "GET", target: query("Filter.1.Value.1", "Zürich 東京 ☃", "é", "è")},
		"query reserved":      {method: "GET", target: query("v", "!'()*~-_.:/?#[]@$&,;=+%\"<>\\^`{|}")},
		"query sorted":        {method: "GET", target: query("a10", "1", "a2", "2", "A", "3", "a.1", "4", "a", "5")},
		"query twice":         {method: "GET", target: query("a", "2", "a", "1", "a", "10")},
		"query without value": {method: "GET", target: "http://localhost:4580/?a&b=&c"},
		"header spaces":       {body: form, header: http.Header{"X-Amz-Meta": {"  a   b  c "}}},
		"header twice":        {body: form, header: http.Header{"X-Amz-Meta": {"b", " a  a"}}},
		"header utf-8":        {body: form, header: http.Header{"X-Amz-Meta": {"Zürich"}}},
		"content type":        {body: form, header: http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}},
		"content hash":        {body: form, header: http.Header{"X-Amz-Content-Sha256": {hash(form)}}},
		"clock behind":        {body: form, at: now.Add(-15 * time.Minute)},
		"clock ahead":         {body: form, at: now.Add(15 * time.Minute)},
		"presigned":           {method: "GET", target: query("Action", "DescribeVpcs"), expires: time.Minute},
		"presigned utf-8":     {method: "GET", target: query("Action", "x", "Filter.1.Value.1", "Zürich + 東京"), expires: time.Minute},
		"presigned sts":       {method: "GET", target: query("Action", "GetCallerIdentity"), service: "sts", expires: time.Minute},
		"presigned post":      {target: query("Action", "DescribeVpcs"), body: "Version=2016-11-15", expires: time.Minute},
		"presigned a week":    {method: "GET", target: query("a", "b"), at: now.Add(-7 * 24 * time.Hour), expires: 7 * 24 * time.Hour},
		"presigned header":    {method: "GET", target: query("a", "b"), expires: time.Minute, header: http.Header{"X-Custom": {"a  b"}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.sign(t)
			b := body(t, r)
			got, err := verifier(t).Verify(r, b)
			if err != nil {
				t.Fatalf("Verify: %v\n%s %s\n%v", err, r.Method, r.URL, r.Header)
			}
			c := c.defaults()
			want := sigv4.Identity{AccessKeyID: c.creds.AccessKeyID, Service: c.service, Time: c.at, Presigned: c.expires != 0}
			if got != want {
				t.Errorf("Verify = %+v, want %+v", got, want)
			}
			if got, err := verifier(t).Verify(r, append(b, 'x')); kind(err) != sigv4.WrongSecret {
				t.Errorf("with a changed body Verify = %+v, %v, want WrongSecret", got, err)
			}
		})
	}
}

func kind(err error) sigv4.Kind {
	if e, ok := errors.AsType[*sigv4.Error](err); ok {
		return e.Kind
	}
	return 0
}

func TestVerifyRefuses(t *testing.T) {
	signed := func(change func(*http.Request)) func(testing.TB) *http.Request {
		return func(t testing.TB) *http.Request {
			r := call{body: form, header: http.Header{"X-Amz-Meta": {"a"}}}.sign(t)
			change(r)
			return r
		}
	}
	presigned := func(change func(url.Values)) func(testing.TB) *http.Request {
		return func(t testing.TB) *http.Request {
			r := call{method: "GET", target: "http://localhost/?Action=DescribeVpcs", expires: time.Minute}.sign(t)
			q := r.URL.Query()
			change(q)
			r.URL.RawQuery = q.Encode()
			return r
		}
	}
	sessionOf := func(change func(*http.Request)) func(testing.TB) *http.Request {
		return func(t testing.TB) *http.Request {
			r := call{body: form, creds: as(sessionID, secret, token)}.sign(t)
			change(r)
			return r
		}
	}
	authorization := func(old, new string) func(testing.TB) *http.Request {
		return signed(func(r *http.Request) {
			a := r.Header.Get("Authorization")
			if !strings.Contains(a, old) {
				panic("no " + old + " in " + a)
			}
			r.Header.Set("Authorization", strings.Replace(a, old, new, 1))
		})
	}
	for name, tt := range map[string]struct {
		request func(testing.TB) *http.Request
		want    sigv4.Kind
	}{
		"unsigned":         {signed(func(r *http.Request) { r.Header.Del("Authorization") }), sigv4.Unsigned},
		"signed twice":     {signed(func(r *http.Request) { r.URL.RawQuery = "X-Amz-Signature=a" }), sigv4.Malformed},
		"two headers":      {signed(func(r *http.Request) { r.Header.Add("Authorization", "a") }), sigv4.Malformed},
		"empty header":     {signed(func(r *http.Request) { r.Header.Set("Authorization", "") }), sigv4.Malformed},
		"other scheme":     {authorization("AWS4-HMAC-SHA256", "Bearer"), sigv4.Malformed},
		"no credential":    {authorization("Credential", "Kredential"), sigv4.Malformed},
		"no signature":     {authorization("Signature=", "Signatur="), sigv4.Malformed},
		"no headers":       {authorization("SignedHeaders", "Signed"), sigv4.Malformed},
		"a fourth part":    {authorization("Credential", "A=b, Credential"), sigv4.Malformed},
		"a part twice":     {authorization("SignedHeaders", "Signature=a, SignedHeaders"), sigv4.Malformed},
		"no equals sign":   {authorization("SignedHeaders=", "x, SignedHeaders="), sigv4.Malformed},
		"short credential": {authorization("/aws4_request", ""), sigv4.Malformed},
		"long credential":  {authorization("/ec2/", "/ec2/ec2/"), sigv4.Malformed},
		"empty region":     {authorization("/us-east-1/", "//"), sigv4.Malformed},
		"huge key id":      {authorization(keyID, strings.Repeat("A", 129)), sigv4.Malformed},
		"terminator":       {authorization("/aws4_request", "/aws5_request"), sigv4.BadScope},
		"other day":        {authorization("/20261122/", "/20261121/"), sigv4.BadScope},
		"other region":     {call{body: form, region: "eu-west-1"}.sign, sigv4.BadScope},
		"other service":    {call{body: form, service: "s3"}.sign, sigv4.BadScope},
		"region swapped":   {authorization("/us-east-1/", "/us-east-2/"), sigv4.BadScope},
		"service swapped":  {authorization("/ec2/", "/sts/"), sigv4.WrongSecret},
		"host unsigned":    {authorization(";host", ""), sigv4.Malformed},
		"date unsigned":    {authorization(";x-amz-date", ""), sigv4.Malformed},
		"amz unsigned":     {authorization(";x-amz-meta", ""), sigv4.Malformed},
		"amz added":        {signed(func(r *http.Request) { r.Header.Set("X-Amz-Target", "a") }), sigv4.Malformed},
		"headers unsorted": {authorization("content-length;host", "host;content-length"), sigv4.Malformed},
		"header twice":     {authorization(";host", ";host;host"), sigv4.Malformed},
		"header in caps":   {authorization(";host", ";Host"), sigv4.Malformed},
		"header absent":    {authorization(";host", ";cookie;host"), sigv4.WrongSecret},
		"no date":          {signed(func(r *http.Request) { r.Header.Del("X-Amz-Date") }), sigv4.Malformed},
		"two dates":        {signed(func(r *http.Request) { r.Header.Add("X-Amz-Date", "a") }), sigv4.Malformed},
		"unreadable date":  {signed(func(r *http.Request) { r.Header.Set("X-Amz-Date", "2026-11-22") }), sigv4.Malformed},
		"old":              {call{body: form, at: now.Add(-15*time.Minute - time.Second)}.sign, sigv4.Expired},
		"from the future":  {call{body: form, at: now.Add(15*time.Minute + time.Second)}.sign, sigv4.Expired},
		"date moved":       {signed(func(r *http.Request) { r.Header.Set("X-Amz-Date", "20261122T120001Z") }), sigv4.WrongSecret},
		"unknown key":      {call{body: form, creds: aws.Credentials{AccessKeyID: "AKIDOTHER", SecretAccessKey: secret}}.sign, sigv4.UnknownKey},
		"wrong secret":     {call{body: form, creds: aws.Credentials{AccessKeyID: keyID, SecretAccessKey: "x"}}.sign, sigv4.WrongSecret},
		"needless token":   {call{body: form, creds: as(keyID, secret, token)}.sign, sigv4.WrongToken},
		"no token":         {call{body: form, creds: as(sessionID, secret, "")}.sign, sigv4.WrongToken},
		"wrong token":      {call{body: form, creds: as(sessionID, secret, token+"x")}.sign, sigv4.WrongToken},
		"token's secret":   {call{body: form, creds: as(sessionID, "x", token)}.sign, sigv4.WrongSecret},
		"session over":     {call{body: form, creds: as("ASIAOVER", secret, token)}.sign, sigv4.ExpiredToken},
		"over, no token":   {call{body: form, creds: as("ASIAOVER", secret, "")}.sign, sigv4.WrongToken},
		"over, no secret":  {call{body: form, creds: as("ASIAOVER", "x", token)}.sign, sigv4.WrongSecret},
		"token of nobody":  {call{body: form, creds: as("ASIAOTHER", secret, token)}.sign, sigv4.UnknownKey},
		"two tokens":       {sessionOf(func(r *http.Request) { r.Header.Add("X-Amz-Security-Token", "a") }), sigv4.Malformed},
		"token unsigned":   {signed(func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", token) }), sigv4.Malformed},
		"token taken off":  {sessionOf(func(r *http.Request) { r.Header.Del("X-Amz-Security-Token") }), sigv4.WrongSecret},
		"signature bit":    {signed(flip), sigv4.WrongSecret},
		"signature empty":  {authorization("Signature=", "Signature=, x="), sigv4.Malformed},
		"other method":     {signed(func(r *http.Request) { r.Method = "PUT" }), sigv4.WrongSecret},
		"other host":       {signed(func(r *http.Request) { r.Host = "localhost:4581" }), sigv4.WrongSecret},
		"other path":       {signed(func(r *http.Request) { r.URL.Path = "/x" }), sigv4.WrongSecret},
		"query added":      {signed(func(r *http.Request) { r.URL.RawQuery = "Action=DeleteVpc" }), sigv4.WrongSecret},
		"query unreadable": {signed(func(r *http.Request) { r.URL.RawQuery = "a=%zz" }), sigv4.Malformed},
		"amz changed":      {signed(func(r *http.Request) { r.Header.Set("X-Amz-Meta", "b") }), sigv4.WrongSecret},
		"amz value added":  {signed(func(r *http.Request) { r.Header.Add("X-Amz-Meta", "b") }), sigv4.WrongSecret},
		"hash is not ours": {call{body: form, payload: hash("x"), header: http.Header{"X-Amz-Content-Sha256": {hash("x")}}}.sign, sigv4.WrongSecret},
		"hash lies":        {call{body: form, header: http.Header{"X-Amz-Content-Sha256": {hash("x")}}}.sign, sigv4.WrongSecret},
		"unsigned payload": {call{body: form, payload: "UNSIGNED-PAYLOAD", header: http.Header{"X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"}}}.sign, sigv4.WrongSecret},

		"presigned: algorithm":    {presigned(func(q url.Values) { q.Set("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256") }), sigv4.Malformed},
		"presigned: no signature": {presigned(func(q url.Values) { q.Del("X-Amz-Signature") }), sigv4.Malformed},
		"presigned: no expiry":    {presigned(func(q url.Values) { q.Del("X-Amz-Expires") }), sigv4.Malformed},
		"presigned: no seconds":   {presigned(func(q url.Values) { q.Set("X-Amz-Expires", "0") }), sigv4.Malformed},
		"presigned: eight days":   {presigned(func(q url.Values) { q.Set("X-Amz-Expires", "691200") }), sigv4.Malformed},
		"presigned: negative":     {presigned(func(q url.Values) { q.Set("X-Amz-Expires", "-1") }), sigv4.Malformed},
		"presigned: longer":       {presigned(func(q url.Values) { q.Set("X-Amz-Expires", "61") }), sigv4.WrongSecret},
		"presigned: date":         {presigned(func(q url.Values) { q.Set("X-Amz-Date", "yesterday") }), sigv4.Malformed},
		"presigned: twice":        {presigned(func(q url.Values) { q.Add("X-Amz-Signature", "a") }), sigv4.Malformed},
		"presigned: action":       {presigned(func(q url.Values) { q.Set("Action", "DeleteVpc") }), sigv4.WrongSecret},
		"presigned: added":        {presigned(func(q url.Values) { q.Set("DryRun", "false") }), sigv4.WrongSecret},
		"presigned: host":         {presigned(func(q url.Values) { q.Set("X-Amz-SignedHeaders", "date") }), sigv4.Malformed},
		"presigned: hash lies":    {call{method: "GET", target: "http://localhost/?X-Amz-Content-Sha256=" + hash("x"), expires: time.Minute}.sign, sigv4.WrongSecret},
		"presigned: token":        {call{method: "GET", creds: as(keyID, secret, token), expires: time.Minute}.sign, sigv4.WrongToken},
		"presigned: wrong token":  {call{method: "GET", creds: as(sessionID, secret, "x"), expires: time.Minute}.sign, sigv4.WrongToken},
		"presigned: two tokens":   {presigned(func(q url.Values) { q.Add("X-Amz-Security-Token", "a"); q.Add("X-Amz-Security-Token", "a") }), sigv4.Malformed},
		"presigned: over":         {call{method: "GET", at: now.Add(-61 * time.Second), expires: time.Minute}.sign, sigv4.Expired},
		"presigned: not yet":      {call{method: "GET", at: now.Add(16 * time.Minute), expires: time.Hour}.sign, sigv4.Expired},
	} {
		t.Run(name, func(t *testing.T) {
			r := tt.request(t)
			got, err := verifier(t).Verify(r, body(t, r))
			if kind(err) != tt.want {
				t.Errorf("Verify = %+v, %v (kind %d), want kind %d", got, err, kind(err), tt.want)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the error reveals the secret: %v", err)
			}
		})
	}
}

// flip changes one bit of the signature.
func flip(r *http.Request) {
	a := []byte(r.Header.Get("Authorization"))
	a[len(a)-1] ^= 1
	r.Header.Set("Authorization", string(a))
}

// TestVanilla is the first example of AWS's own test suite, "get-vanilla": an oracle that is no program.
func TestVanilla(t *testing.T) {
	v, err := sigv4.New(sigv4.Options{
		Region: "us-east-1", Services: []string{"service"},
		Now:    func() time.Time { return time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC) },
		Lookup: lookup,
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET / HTTP/1.1\r\nHost: example.amazonaws.com\r\n" +
		"X-Amz-Date: 20150830T123600Z\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, " +
		"SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(r, nil); err != nil {
		t.Errorf("Verify: %v", err)
	}
}

// TestDateHeader: clients that cannot set X-Amz-Date sign Date. No signer of the SDK does, so this one is spelled out.
func TestDateHeader(t *testing.T) {
	for name, tt := range map[string]struct {
		date, signed string
		want         sigv4.Kind // 0: accepted
	}{
		"http":     {"Sun, 22 Nov 2026 12:00:00 GMT", "date;host", 0},
		"basic":    {"20261122T120000Z", "date;host", 0},
		"unsigned": {"20261122T120000Z", "host", sigv4.Malformed},
		"old":      {"Sun, 22 Nov 2026 11:00:00 GMT", "date;host", sigv4.Expired},
	} {
		t.Run(name, func(t *testing.T) {
			r := &http.Request{Method: http.MethodGet, Host: "localhost", URL: &url.URL{Path: "/"}, Header: http.Header{"Date": {tt.date}}}
			key := []byte("AWS4" + secret)
			at := "20261122T120000Z"
			request := "GET\n/\n\ndate:" + tt.date + "\nhost:localhost\n\ndate;host\n" + hash("")
			for _, part := range []string{
				"20261122", "us-east-1", "ec2", "aws4_request",
				"AWS4-HMAC-SHA256\n" + at + "\n20261122/us-east-1/ec2/aws4_request\n" + hash(request),
			} {
				h := hmac.New(sha256.New, key)
				h.Write([]byte(part))
				key = h.Sum(nil)
			}
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+keyID+"/20261122/us-east-1/ec2/aws4_request,"+
				"SignedHeaders="+tt.signed+",Signature="+hex.EncodeToString(key))
			if _, err := verifier(t).Verify(r, nil); kind(err) != tt.want {
				t.Errorf("Verify: %v (kind %d), want kind %d", err, kind(err), tt.want)
			}
		})
	}
}

func TestErrorFor(t *testing.T) {
	type answer struct {
		code   string
		status int
	}
	for kind, want := range map[sigv4.Kind]struct{ ec2, sts answer }{
		sigv4.Unsigned:    {answer{"MissingAuthenticationToken", 403}, answer{"MissingAuthenticationToken", 403}},
		sigv4.Malformed:   {answer{"IncompleteSignature", 400}, answer{"IncompleteSignature", 400}},
		sigv4.Expired:     {answer{"RequestExpired", 400}, answer{"SignatureDoesNotMatch", 403}},
		sigv4.BadScope:    {answer{"AuthFailure", 401}, answer{"SignatureDoesNotMatch", 403}},
		sigv4.UnknownKey:  {answer{"AuthFailure", 401}, answer{"InvalidClientTokenId", 403}},
		sigv4.WrongSecret: {answer{"AuthFailure", 401}, answer{"SignatureDoesNotMatch", 403}},

		sigv4.WrongToken:   {answer{"AuthFailure", 401}, answer{"InvalidClientTokenId", 403}},
		sigv4.ExpiredToken: {answer{"RequestExpired", 400}, answer{"ExpiredToken", 403}},
	} {
		e := &sigv4.Error{Kind: kind, Reason: "because"}
		code, message, status := e.For("ec2")
		if got := (answer{code, status}); got != want.ec2 {
			t.Errorf("kind %d at EC2 = %v, want %v", kind, got, want.ec2)
		}
		if code == "AuthFailure" && message != "AWS was not able to validate the provided access credentials" {
			t.Errorf("kind %d at EC2 says %q", kind, message)
		}
		code, _, status = e.For("sts")
		if got := (answer{code, status}); got != want.sts {
			t.Errorf("kind %d at STS = %v, want %v", kind, got, want.sts)
		}
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]sigv4.Options{"no region": {Lookup: lookup}, "no lookup": {Region: "r"}} {
		if _, err := sigv4.New(o); err == nil {
			t.Errorf("%s: New returned no error", name)
		}
	}
}

// TestEmptySecret: a key without a secret must not let in whoever signs with the empty one.
func TestEmptySecret(t *testing.T) {
	v, err := sigv4.New(sigv4.Options{
		Region: "us-east-1", Now: func() time.Time { return now },
		Lookup: func(string) (sigv4.Key, bool) { return sigv4.Key{}, true },
	})
	if err != nil {
		t.Fatal(err)
	}
	r := call{body: form, creds: aws.Credentials{AccessKeyID: keyID, SecretAccessKey: ""}}.sign(t)
	if _, err := v.Verify(r, body(t, r)); kind(err) != sigv4.UnknownKey {
		t.Errorf("Verify: %v, want UnknownKey", err)
	}
}

// TestNoDifference: an unknown key and a wrong secret cost the same work, however well the key is known already:
// counted in allocations, and in time, each measured in turn with the other.
func TestNoDifference(t *testing.T) {
	for name, warm := range map[string]bool{"key not used before": false, "key in use": true} {
		t.Run(name, func(t *testing.T) {
			v := verifier(t)
			if r := (call{body: form}).sign(t); warm {
				if _, err := v.Verify(r, []byte(form)); err != nil {
					t.Fatal(err)
				}
			}
			attempt := func(c aws.Credentials, want sigv4.Kind) func() {
				r := call{body: form, creds: c}.sign(t)
				return func() {
					if _, err := v.Verify(r, []byte(form)); kind(err) != want {
						t.Fatalf("Verify: %v, want kind %d", err, want)
					}
				}
			}
			unknown := attempt(aws.Credentials{AccessKeyID: "AKIDEXAMPL0", SecretAccessKey: secret}, sigv4.UnknownKey)
			wrong := attempt(aws.Credentials{AccessKeyID: keyID, SecretAccessKey: "x"}, sigv4.WrongSecret)
			if a, b := testing.AllocsPerRun(100, unknown), testing.AllocsPerRun(100, wrong); a != b {
				t.Errorf("an unknown key takes %v allocations, a wrong secret %v", a, b)
			}
			var ratio float64
			for range 10 { // the machine may be busy with other things: one quiet moment shows it
				a, b := medians(500, unknown, wrong)
				if ratio = float64(a) / float64(b); ratio > 0.9 && ratio < 1.1 {
					return
				}
			}
			t.Errorf("an unknown key takes %.2f times as long as a wrong secret", ratio)
		})
	}
}

// medians returns how long each of two functions takes, run in turn.
func medians(n int, a, b func()) (time.Duration, time.Duration) {
	took := func(f func()) time.Duration {
		start := time.Now()
		f()
		return time.Since(start)
	}
	as, bs := make([]time.Duration, n), make([]time.Duration, n)
	for i := range n {
		as[i], bs[i] = took(a), took(b)
	}
	slices.Sort(as)
	slices.Sort(bs)
	return as[n/2], bs[n/2]
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9._-]*$`)

// FuzzAgree signs with Amazon's signer, whatever the query, header and body; we accept it, and nothing with another body.
func FuzzAgree(f *testing.F) {
	f.Add("Filter.1.Value.1", "a b+c", "x  y", []byte(form), false)
	f.Add("é", "\x00\xff%2F", "", []byte{}, true)
	f.Fuzz(func(t *testing.T, name, value, header string, payload []byte, presign bool) {
		c := call{method: "POST", target: "http://localhost/?" + url.Values{name: {value}}.Encode(), body: string(payload)}
		if strings.HasPrefix(strings.ToLower(name), "x-amz-") || len(name)+len(value) > 4096 {
			t.Skip("names of the signature itself")
		}
		if presign {
			c.expires = time.Minute
		} else if !strings.ContainsFunc(header, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
			c.header = http.Header{"X-Amz-Meta": {header}}
		}
		if !plainName.MatchString(name) {
			t.Skip("the SDK sorts such names before it encodes them, the specification after")
		}
		r := c.sign(t)
		v := verifier(t)
		if _, err := v.Verify(r, payload); err != nil {
			t.Fatalf("Verify: %v", err)
		}
		if _, err := v.Verify(r, append(bytes.Clone(payload), 0)); err == nil {
			t.Fatal("a changed body was accepted")
		}
	})
}

// FuzzHostile: nobody gets in without the secret, and nothing panics.
func FuzzHostile(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/us-east-1/ec2/aws4_request, SignedHeaders=host;x-amz-date, Signature=00",
		"", "20261122T120000Z", "", []byte(form))
	f.Add("AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/20261122/us-east-1/ec2/aws4_request, SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=00",
		"", "20261122T120000Z", token, []byte(form))
	f.Add("", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261122%2Fus-east-1%2Fec2%2Faws4_request"+
		"&X-Amz-Date=20261122T120000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00", "", "", []byte{})
	f.Fuzz(func(t *testing.T, authorization, query, date, session string, payload []byte) {
		r := &http.Request{Method: http.MethodPost, Host: "localhost", URL: &url.URL{Path: "/", RawQuery: query}, Header: http.Header{}}
		if session != "" {
			r.Header.Set("X-Amz-Security-Token", session)
		}
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		if date != "" {
			r.Header.Set("X-Amz-Date", date)
		}
		id, err := verifier(t).Verify(r, payload)
		if err == nil {
			t.Fatalf("let in: %+v", id)
		}
		if kind(err) == 0 {
			t.Fatalf("not a *sigv4.Error: %v", err)
		}
	})
}

// FuzzSession: the secret of a session without its whole token lets nobody in, and with it everybody.
func FuzzSession(f *testing.F) {
	f.Add("", false)
	f.Add(token, false)
	f.Add(token+" ", true)
	f.Fuzz(func(t *testing.T, given string, presign bool) {
		if strings.ContainsFunc(given, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
			t.Skip("no header can carry it as it is")
		}
		c := call{method: "POST", body: form, creds: as(sessionID, secret, given)}
		if presign {
			c.expires = time.Minute
		}
		if _, err := verifier(t).Verify(c.sign(t), []byte(form)); (err == nil) != (given == token) {
			t.Fatalf("token %q: %v", given, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	r := call{body: form}.sign(b)
	v := verifier(b)
	for b.Loop() {
		if _, err := v.Verify(r, []byte(form)); err != nil {
			b.Fatal(err)
		}
	}
}
