package clients_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// sdk returns the Go SDK's client. It does not try again: what fails once is seen.
func (s *server) sdk(t *testing.T) *ec2.Client {
	t.Helper()
	id, secret := s.credentials(t)
	return ec2.New(ec2.Options{
		BaseEndpoint: &s.url, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""),
		Retryer: aws.NopRetryer{}, HTTPClient: plainClient{},
	})
}

// plainClient sends a copy of a request's body. The SDK closes its own while net/http may still be writing, which
// can end a connection amid a long answer (docs/limits.md); without a second try that would be seen.
type plainClient struct{}

func (plainClient) Do(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return http.DefaultClient.Do(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return http.DefaultClient.Do(r)
}

// must takes a call's results, and gives the answer to a test that fails if there is none.
func must[Out any](out Out, err error) func(*testing.T) Out {
	return func(t *testing.T) Out {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// refused takes a call's results, which must be an error of that code with status 400, and with that text in
// its message.
func refused[Out any](_ Out, err error) func(t *testing.T, code, text string) {
	return func(t *testing.T, code, text string) {
		t.Helper()
		refusal, answer := smithy.APIError(nil), (*smithyhttp.ResponseError)(nil)
		if !errors.As(err, &refusal) || !errors.As(err, &answer) {
			t.Fatalf("got %v, want %s", err, code)
		}
		if refusal.ErrorCode() != code || answer.HTTPStatusCode() != 400 || !strings.Contains(refusal.ErrorMessage(), text) {
			t.Fatalf("got %d %s: %s, want 400 %s: …%s…", answer.HTTPStatusCode(), refusal.ErrorCode(), refusal.ErrorMessage(), code, text)
		}
	}
}

// one returns the only element.
func one[T any](t *testing.T, list []T) T {
	t.Helper()
	if len(list) != 1 {
		t.Fatalf("got %d elements, want 1: %+v", len(list), list)
	}
	return list[0]
}

// equal compares what a client reads with what it must.
func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: &name, Values: values}
}

// tagsOf makes `key=value` of each tag, sorted.
func tagsOf(tags []types.Tag) string {
	var out []string
	for _, tag := range tags {
		out = append(out, aws.ToString(tag.Key)+"="+aws.ToString(tag.Value))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// specification has the tags k=v for what is made.
func specification(kind types.ResourceType, tags ...string) []types.TagSpecification {
	s := types.TagSpecification{ResourceType: kind}
	for _, tag := range tags {
		k, v, _ := strings.Cut(tag, "=")
		s.Tags = append(s.Tags, types.Tag{Key: &k, Value: &v})
	}
	return []types.TagSpecification{s}
}

// anywhere is every address of IPv4, with the ports 0 that Terraform sends for every protocol.
func anywhere() types.IpPermission {
	return types.IpPermission{
		IpProtocol: aws.String("-1"), FromPort: aws.Int32(0), ToPort: aws.Int32(0),
		IpRanges: []types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}},
	}
}

// tcp is a permission for one port.
func tcp(port int32, cidrs ...string) types.IpPermission {
	p := types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: &port, ToPort: &port}
	for _, cidr := range cidrs {
		p.IpRanges = append(p.IpRanges, types.IpRange{CidrIp: &cidr})
	}
	return p
}

// newVPC makes a VPC with a subnet.
func newVPC(t *testing.T, c *ec2.Client, cidr, subnet string) (vpcID, subnetID string) {
	t.Helper()
	vpcID = *must(c.CreateVpc(t.Context(), &ec2.CreateVpcInput{CidrBlock: &cidr}))(t).Vpc.VpcId
	out := must(c.CreateSubnet(t.Context(), &ec2.CreateSubnetInput{VpcId: &vpcID, CidrBlock: &subnet}))(t)
	return vpcID, *out.Subnet.SubnetId
}

// newGroup makes a group in a VPC.
func newGroup(t *testing.T, c *ec2.Client, vpcID, name string) string {
	t.Helper()
	return *must(c.CreateSecurityGroup(t.Context(), &ec2.CreateSecurityGroupInput{
		GroupName: &name, Description: aws.String(name), VpcId: &vpcID,
	}))(t).GroupId
}
