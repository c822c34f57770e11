package wire_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/sallyport/sallyport/server/ec2api/wire"
)

// TestSDK is the yardstick of the descriptions: for every operation of EC2 and STS that is described, Amazon's client
// sends a request with every member that it knows, and parses an answer with every member that we know. Each value must
// arrive, and neither side may have a member that the other one lacks.
func TestSDK(t *testing.T) {
	endpoint := &echo{}
	server := httptest.NewServer(endpoint)
	defer server.Close()
	creds := credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")
	clients := map[*wire.Service]any{
		&wire.EC2: ec2.New(ec2.Options{
			BaseEndpoint: &server.URL, Region: "us-east-1", Credentials: creds, Retryer: aws.NopRetryer{}, HTTPClient: plainClient{},
		}),
		&wire.STS: sts.New(sts.Options{
			BaseEndpoint: &server.URL, Region: "us-east-1", Credentials: creds, Retryer: aws.NopRetryer{}, HTTPClient: plainClient{},
		}),
	}
	var operations, sent, answered int
	for name, op := range wire.Operations {
		client := clients[op.Service]
		if client == nil {
			continue // no client but ours: TestCall
		}
		operations++
		t.Run(name, func(t *testing.T) {
			method := reflect.ValueOf(client).MethodByName(name)
			if !method.IsValid() {
				t.Fatalf("the SDK has no operation %s", name)
			}
			in := reflect.New(method.Type().In(1).Elem())
			new(filler).fill(in.Elem())
			endpoint.out = op.NewResult()
			new(filler).fill(reflect.ValueOf(endpoint.out).Elem())
			results := method.Call([]reflect.Value{reflect.ValueOf(context.Background()), in})
			if err, _ := reflect.TypeAssert[error](results[1]); err != nil {
				t.Fatal(err)
			}
			request := comparison{t: t}
			request.compare(name+"Request", in, reflect.ValueOf(endpoint.in))
			result := comparison{t: t}
			result.compare(name+"Result", results[0], reflect.ValueOf(endpoint.out))
			sent += request.values
			answered += result.values
		})
	}
	t.Logf("%d operations: %d values arrived in requests, %d in results", operations, sent, answered)
	if operations < 86 || sent < operations || answered < operations {
		t.Error("the yardstick is too short: are operations missing from the registry?")
	}
}

// plainClient sends a request whose body is a copy. The SDK closes the body that it gave as soon as the answer begins;
// with smithy-go 1.28 its WriteTo then returns EOF, which net/http, if it is still writing, takes for a broken request:
// it closes the connection amid a long answer.
type plainClient struct{}

func (plainClient) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return http.DefaultClient.Do(r)
}

// echo keeps the last request and answers with out.
type echo struct{ in, out any }

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	service := &wire.EC2
	refuse := func(err error) {
		w.WriteHeader(http.StatusBadRequest)
		w.Write(service.AppendError(nil, "request-1", "Test", err.Error(), http.StatusBadRequest))
	}
	form, err := wire.ParseForm(r.URL.RawQuery, string(body))
	if err != nil {
		refuse(err)
		return
	}
	service = wire.ServiceOf(form.Version())
	op, err := wire.Lookup(form)
	if err != nil {
		refuse(err)
		return
	}
	if e.in, err = op.Decode(form); err != nil {
		refuse(err)
		return
	}
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.Write(op.Encode(nil, "request-1", e.out))
}

// filler gives every member a value, each another one: two entries per list, true and false in turn, the values of an
// enum one after the other.
type filler struct{ n int }

var (
	timeType   = reflect.TypeFor[time.Time]()
	secretType = reflect.TypeFor[wire.Secret]()
)

func (f *filler) fill(v reflect.Value) {
	f.n++
	switch {
	case v.Type() == timeType:
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(f.n) * 61 * time.Second)))
		return
	case v.Type() == reflect.TypeFor[[]byte]():
		v.SetBytes(fmt.Appendf(nil, "bytes \x00\xff %d", f.n))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if member(v.Type().Field(i)) {
				f.fill(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		f.fill(v.Index(0))
		f.fill(v.Index(1))
	case reflect.String:
		v.SetString(fmt.Sprintf("value %d <&> \"é\" + 100%%", f.n))
		if values := v.MethodByName("Values"); values.IsValid() { // an enum of the SDK
			known := values.Call(nil)[0]
			v.Set(known.Index(f.n % known.Len()))
		}
	case reflect.Bool:
		v.SetBool(f.n%2 == 0)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(f.n) + 5) // MaxResults is at least 5
	case reflect.Float64:
		v.SetFloat(float64(f.n) + 0.25)
	default:
		panic("fill " + v.Type().String())
	}
}

// member tells the members of a structure from what the SDK adds.
func member(f reflect.StructField) bool { return f.IsExported() && f.Name != "ResultMetadata" }

// unmodelled is what EC2 answers, though its model lacks it; the SDK parses the answer in spite of it.
const unmodelled = "CreateSecurityGroupResult.Return"

// comparison walks the SDK's structure and ours side by side; the members' names are the same.
type comparison struct {
	t      *testing.T
	values int
}

func (c *comparison) compare(path string, theirs, ours reflect.Value) {
	c.t.Helper()
	switch {
	case ours.Kind() == reflect.Pointer && ours.IsNil(), theirs.Kind() == reflect.Pointer && theirs.IsNil():
		c.t.Errorf("%s: SDK has %v, we have %v", path, theirs, ours)
		return
	case theirs.Kind() == reflect.Pointer:
		c.compare(path, theirs.Elem(), ours)
		return
	case ours.Kind() == reflect.Pointer:
		c.compare(path, theirs, ours.Elem())
		return
	case theirs.Type() == timeType:
		c.equal(path, theirs.Interface().(time.Time).UnixMilli(), ours.Interface().(time.Time).UnixMilli())
		return
	case ours.Type() == secretType && theirs.Kind() == reflect.Slice:
		c.equal(path, string(theirs.Bytes()), ours.String())
		return
	case theirs.Type() == reflect.TypeFor[[]byte]():
		if c.values++; !bytes.Equal(theirs.Bytes(), ours.Bytes()) {
			c.t.Errorf("%s: SDK has %q, we have %q", path, theirs, ours)
		}
		return
	}
	switch theirs.Kind() {
	case reflect.Struct:
		for i := range theirs.NumField() {
			f := theirs.Type().Field(i)
			if !member(f) {
				continue
			}
			if mine := ours.FieldByName(f.Name); mine.IsValid() {
				c.compare(path+"."+f.Name, theirs.Field(i), mine)
			} else {
				c.t.Errorf("%s.%s: the description lacks it", path, f.Name)
			}
		}
		for i := range ours.NumField() {
			if name := ours.Type().Field(i).Name; !theirs.FieldByName(name).IsValid() && path+"."+name != unmodelled {
				c.t.Errorf("%s.%s: the SDK lacks it", path, name)
			}
		}
	case reflect.Slice:
		if theirs.Len() != 2 || ours.Len() != 2 {
			c.t.Errorf("%s: SDK has %d entries, we have %d, want 2", path, theirs.Len(), ours.Len())
			return
		}
		c.compare(path+".1", theirs.Index(0), ours.Index(0))
		c.compare(path+".2", theirs.Index(1), ours.Index(1))
	case reflect.String:
		c.equal(path, theirs.String(), ours.String())
	case reflect.Bool:
		c.equal(path, theirs.Bool(), ours.Bool())
	case reflect.Int32, reflect.Int64:
		c.equal(path, theirs.Int(), ours.Int())
	case reflect.Float64:
		c.equal(path, theirs.Float(), ours.Float())
	default:
		c.t.Errorf("%s: cannot compare %s", path, theirs.Type())
	}
}

func (c *comparison) equal(path string, theirs, ours any) {
	c.t.Helper()
	if c.values++; theirs != ours {
		c.t.Errorf("%s: SDK has %v, we have %v", path, theirs, ours)
	}
}
