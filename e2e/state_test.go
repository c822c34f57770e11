package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/vishvananda/netlink"
)

// sdk returns a client of the Go SDK: for looking at the whole state, faster than the CLI.
func (d *dev) sdk(t *testing.T) *ec2.Client {
	t.Helper()
	profile, err := config.LoadSharedConfigProfile(t.Context(), "default", func(o *config.LoadSharedConfigOptions) {
		o.CredentialsFiles, o.ConfigFiles = []string{filepath.Join(d.dir, "credentials")}, []string{}
	})
	if err != nil {
		t.Fatal(err)
	}
	creds := profile.Credentials
	return ec2.New(ec2.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://" + d.listen),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return creds, nil }),
	})
}

// state is everything that the API shows, one line per object.
type state []string

// state describes everything.
func (d *dev) state(t *testing.T) state {
	t.Helper()
	c, ctx := d.sdk(t), t.Context()
	var s state
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	add := func(kind string, v any) {
		t.Helper()
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var all []json.RawMessage
		if err := json.Unmarshal(b, &all); err != nil {
			t.Fatal(err)
		}
		for _, o := range all {
			s = append(s, kind+" "+string(o))
		}
	}
	vpcs, err := c.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{})
	ok(err)
	add("vpc", vpcs.Vpcs)
	subnets, err := c.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{})
	ok(err)
	add("subnet", subnets.Subnets)
	groups, err := c.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{})
	ok(err)
	add("group", groups.SecurityGroups)
	rules, err := c.DescribeSecurityGroupRules(ctx, &ec2.DescribeSecurityGroupRulesInput{})
	ok(err)
	add("rule", rules.SecurityGroupRules)
	enis, err := c.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{})
	ok(err)
	add("eni", enis.NetworkInterfaces)
	instances, err := c.DescribeInstances(ctx, &ec2.DescribeInstancesInput{})
	ok(err)
	add("instance", instances.Reservations)
	tags, err := c.DescribeTags(ctx, &ec2.DescribeTagsInput{})
	ok(err)
	add("tag", tags.Tags)
	return s
}

// diff returns the lines that only one of two states has; "" if they are equal.
func (s state) diff(before state) string {
	var b strings.Builder
	for _, l := range before {
		if !slices.Contains(s, l) {
			fmt.Fprintf(&b, "- %s\n", l)
		}
	}
	for _, l := range s {
		if !slices.Contains(before, l) {
			fmt.Fprintf(&b, "+ %s\n", l)
		}
	}
	return b.String()
}

// lingering checks that a clean stop left no device, route, rule or namespace of a lab.
func lingering(t *testing.T) {
	t.Helper()
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if strings.HasPrefix(l.Attrs().Name, "spb-") || strings.HasPrefix(l.Attrs().Name, "spv-") {
			t.Errorf("a clean stop left the device %s", l.Attrs().Name)
		}
	}
	for _, args := range [][]string{
		{"ip", "rule"},
		{"ip", "-6", "rule"},
		{"ip", "route", "show", "table", "all"},
		{"ip", "-6", "route", "show", "table", "all"},
		{"ip", "addr", "show", "lo"},
		{"ip", "netns"},
	} {
		out, err := exec.Command(args[0], args[1:]...).Output()
		if err != nil {
			t.Fatalf("%s: %v", strings.Join(args, " "), err)
		}
		for line := range strings.Lines(string(out)) {
			for _, ours := range []string{"spb-", "proto 90", "198.51.100.1", "2001:db8:ffff::1", "i-"} {
				if strings.Contains(line, ours) && !strings.Contains(line, "spt-") {
					t.Errorf("a clean stop left in `%s`: %s", strings.Join(args, " "), line)
				}
			}
		}
	}
}

// bound waits until an interface is bound and everything is in force on it.
func (w *world) bound(t *testing.T, eni string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), sallyport, "enforcement", "--wait", "--data-dir", w.d.dir, eni).CombinedOutput()
	if err != nil {
		t.Fatalf("%s is not in force: %v\n%s", eni, err, out)
	}
}

func mustAddr(t *testing.T, s string) netip.Addr {
	t.Helper()
	a, err := netip.ParseAddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// wrongCalls: each is refused with EC2's code and message, and nothing changes.
func (s *story) wrongCalls(t *testing.T) {
	before := s.d.state(t)
	rule := func(args ...string) []string {
		return append([]string{"authorize-security-group-ingress", "--group-id"}, args...)
	}
	peer, range80 := "0.0.0.0/0", "IpRanges=[{CidrIp=0.0.0.0/0}]"
	if s.v6 {
		peer, range80 = "::/0", "Ipv6Ranges=[{CidrIpv6=::/0}]"
	}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"unknown group": {
			rule("sg-00000000000000000", "--protocol", "tcp", "--port", "80", "--cidr", "0.0.0.0/0"),
			"An error occurred (InvalidGroup.NotFound) when calling the AuthorizeSecurityGroupIngress operation: " +
				"The security group 'sg-00000000000000000' does not exist",
		},
		"duplicate rule": {
			rule(s.webSG, "--ip-permissions", "IpProtocol=tcp,FromPort=80,ToPort=80,"+range80),
			"An error occurred (InvalidPermission.Duplicate) when calling the AuthorizeSecurityGroupIngress operation: " +
				`the specified rule "peer: ` + peer + `, TCP, from port: 80, to port: 80, ALLOW" already exists`,
		},
		"malformed CIDR": {
			rule(s.webSG, "--protocol", "tcp", "--port", "81", "--cidr", "10.0.0.0/33"),
			"An error occurred (InvalidParameterValue) when calling the AuthorizeSecurityGroupIngress operation: " +
				"CIDR block 10.0.0.0/33 is malformed",
		},
		"port 70000": {
			rule(s.webSG, "--protocol", "tcp", "--port", "70000", "--cidr", "0.0.0.0/0"),
			"An error occurred (InvalidParameterValue) when calling the AuthorizeSecurityGroupIngress operation: " +
				"TCP/UDP (from) port (70000) out of range",
		},
		"group in use": {
			[]string{"delete-security-group", "--group-id", s.webSG},
			"An error occurred (DependencyViolation) when calling the DeleteSecurityGroup operation: " +
				"resource " + s.webSG + " has a dependent object",
		},
		"name sg-x": {
			[]string{"create-security-group", "--vpc-id", s.vpc, "--group-name", "sg-x", "--description", "x"},
			"An error occurred (InvalidParameterValue) when calling the CreateSecurityGroup operation: " +
				"Value (sg-x) for parameter GroupName is invalid. Group names may not be in the format sg-*.",
		},
		"missing description": {
			[]string{"create-security-group", "--vpc-id", s.vpc, "--group-name", "x", "--description", ""},
			"An error occurred (MissingParameter) when calling the CreateSecurityGroup operation: " +
				"The request must contain the parameter GroupDescription",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.d.tryAWS(t, tt.args...)
			if r.code != 254 || r.stderr != tt.want {
				t.Errorf("aws ec2 %s:\ngot  %d %s\nwant 254 %s", strings.Join(tt.args, " "), r.code, r.stderr, tt.want)
			}
			if diff := s.d.state(t).diff(before); diff != "" {
				t.Errorf("a refused call changed the state:\n%s", diff)
			}
		})
	}
}
