package clients_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// TestGoSDK is a program that takes all of its settings from the environment, as docs/clients.md has it.
func TestGoSDK(t *testing.T) {
	s := startServer(t)
	for _, variable := range s.env(t) {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	conf := must(config.LoadDefaultConfig(t.Context()))(t)
	c := ec2.NewFromConfig(conf)
	t.Run("waiters and pages", func(t *testing.T) { goWaits(t, c) })
	t.Run("sessions", func(t *testing.T) { goSessions(t, conf) })
	t.Run("a reader", func(t *testing.T) { goReader(t, s, conf) })
	t.Run("peers and references", func(t *testing.T) { goPeers(t, c) })
	t.Run("insights", func(t *testing.T) { goInsights(t, s, c) })
	t.Run("flow logs", func(t *testing.T) { goFlowLogs(t, c) })
}

func goWaits(t *testing.T, c *ec2.Client) {
	ctx := t.Context()
	vpcID := *must(c.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.60.9.9/16")}))(t).Vpc.VpcId
	v := one(t, must(ec2.NewVpcAvailableWaiter(c).WaitForOutput(ctx, &ec2.DescribeVpcsInput{VpcIds: []string{vpcID}}, time.Minute))(t).Vpcs)
	equal(t, "block", *v.CidrBlock, "10.60.0.0/16")
	var made []string
	for name := range strings.SplitSeq("abcdefghijkl", "") {
		made = append(made, newGroup(t, c, vpcID, name))
	}
	must(ec2.NewSecurityGroupExistsWaiter(c).WaitForOutput(ctx, &ec2.DescribeSecurityGroupsInput{GroupIds: made}, time.Minute))(t)
	var pages, groups int
	for p := ec2.NewDescribeSecurityGroupsPaginator(c, &ec2.DescribeSecurityGroupsInput{
		Filters: []types.Filter{filter("vpc-id", vpcID)}, MaxResults: aws.Int32(5),
	}); p.HasMorePages(); pages++ {
		groups += len(must(p.NextPage(ctx))(t).SecurityGroups)
	}
	equal(t, "pages and groups", [2]int{pages, groups}, [2]int{3, 13})
	refused(c.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{MaxResults: aws.Int32(3)}))(t, "InvalidParameterValue",
		"Value ( 3 ) for parameter maxResults is invalid. Expecting a value greater than 5.")
	refused(c.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{VpcIds: []string{vpcID}, MaxResults: aws.Int32(5)}))(t, "InvalidParameterCombination",
		"The parameter VpcIds cannot be used with the parameter MaxResults")
	refused(c.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{VpcIds: []string{"vpc-1", "vpc-zz"}}))(t, "InvalidVpcID.Malformed", "")
	refused(c.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: &vpcID}))(t, "DependencyViolation", "has dependencies and cannot be deleted.")
	for _, id := range made {
		must(c.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: &id}))(t)
	}
	must(c.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: &vpcID}))(t)
}

// status wants a refusal of that status and code.
func status(t *testing.T, err error, want int, code string) {
	t.Helper()
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &answer) || answer.HTTPStatusCode() != want || !strings.Contains(err.Error(), code) {
		t.Errorf("got %v, want %d %s", err, want, code)
	}
}

func goSessions(t *testing.T, conf aws.Config) {
	ctx := t.Context()
	me := must(sts.NewFromConfig(conf).GetCallerIdentity(ctx, nil))(t)
	equal(t, "who", *me.Arn, "arn:aws:iam::"+*me.Account+":user/admin")
	session := must(sts.NewFromConfig(conf).GetSessionToken(ctx, &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(900)}))(t).Credentials
	if left := time.Until(*session.Expiration); left < 14*time.Minute || left > 16*time.Minute {
		t.Errorf("the session has %s left, want 15 minutes", left)
	}
	with := func(token string) *ec2.Client {
		return ec2.NewFromConfig(conf, func(o *ec2.Options) {
			o.Credentials = credentials.NewStaticCredentialsProvider(*session.AccessKeyId, *session.SecretAccessKey, token)
		})
	}
	must(with(*session.SessionToken).DescribeVpcs(ctx, &ec2.DescribeVpcsInput{}))(t)
	for _, token := range []string{"", "wrong", *session.SessionToken + "x"} {
		_, err := with(token).DescribeVpcs(ctx, &ec2.DescribeVpcsInput{})
		status(t, err, http.StatusUnauthorized, "AuthFailure")
	}
}

func goReader(t *testing.T, s *server, conf aws.Config) {
	ctx := t.Context()
	cli := func(args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(ctx, sallyport, append(args, "--data-dir", s.dir, "--output", "json")...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("sallyport %s: %v", strings.Join(args, " "), err)
		}
		return out
	}
	cli("users", "create", "ann", "--role", "reader")
	var key struct{ AccessKeyId, SecretAccessKey string }
	if err := json.Unmarshal(cli("keys", "create", "ann"), &key); err != nil {
		t.Fatal(err)
	}
	reader := ec2.NewFromConfig(conf, func(o *ec2.Options) {
		o.Credentials = credentials.NewStaticCredentialsProvider(key.AccessKeyId, key.SecretAccessKey, "")
	})
	must(reader.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{}))(t)
	_, err := reader.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{GroupName: aws.String("g"), Description: aws.String("g")})
	status(t, err, http.StatusForbidden, "UnauthorizedOperation")
	_, err = reader.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{GroupName: aws.String("g"), Description: aws.String("g"), DryRun: aws.Bool(true)})
	status(t, err, http.StatusForbidden, "UnauthorizedOperation")
	cli("users", "disable", "ann")
	_, err = reader.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{})
	status(t, err, http.StatusUnauthorized, "AuthFailure")
}

// goPeers is what a group of another VPC looks like, while its peering lives and after that.
func goPeers(t *testing.T, c *ec2.Client) {
	ctx := t.Context()
	here, hereSubnet := newVPC(t, c, "10.61.0.0/16", "10.61.1.0/24")
	there, thereSubnet := newVPC(t, c, "10.62.0.0/16", "10.62.1.0/24")
	group, peer := newGroup(t, c, here, "here"), newGroup(t, c, there, "there")
	pcx := must(c.CreateVpcPeeringConnection(ctx, &ec2.CreateVpcPeeringConnectionInput{VpcId: &here, PeerVpcId: &there}))(t).VpcPeeringConnection.VpcPeeringConnectionId
	must(ec2.NewVpcPeeringConnectionExistsWaiter(c).WaitForOutput(ctx, &ec2.DescribeVpcPeeringConnectionsInput{VpcPeeringConnectionIds: []string{*pcx}}, time.Minute))(t)
	must(c.AcceptVpcPeeringConnection(ctx, &ec2.AcceptVpcPeeringConnectionInput{VpcPeeringConnectionId: pcx}))(t)
	rule := one(t, must(c.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &group, IpPermissions: []types.IpPermission{{
		IpProtocol: aws.String("-1"), UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: &peer}},
	}}}))(t).SecurityGroupRules)
	info := rule.ReferencedGroupInfo
	equal(t, "reference", *info.GroupId+*info.VpcId+*info.VpcPeeringConnectionId, peer+there+*pcx)
	equal(t, "its state", *info.PeeringStatus, "active")
	// The group that is referenced may go: what is left is stale.
	must(c.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: &peer}))(t)
	stale := one(t, must(c.DescribeStaleSecurityGroups(ctx, &ec2.DescribeStaleSecurityGroupsInput{VpcId: &here}))(t).StaleSecurityGroupSet)
	equal(t, "stale group", *stale.GroupId, group)
	must(c.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &group, SecurityGroupRuleIds: []string{*rule.SecurityGroupRuleId}}))(t)
	must(c.DeleteVpcPeeringConnection(ctx, &ec2.DeleteVpcPeeringConnectionInput{VpcPeeringConnectionId: pcx}))(t)
	deleted := ec2.NewVpcPeeringConnectionDeletedWaiter(c, func(o *ec2.VpcPeeringConnectionDeletedWaiterOptions) { o.MinDelay = quick })
	must(deleted.WaitForOutput(ctx, &ec2.DescribeVpcPeeringConnectionsInput{VpcPeeringConnectionIds: []string{*pcx}}, time.Minute))(t)
	must(c.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: &group}))(t)
	tf := terraform{Client: c}
	tf.destroyVPC(t, here, hereSubnet)
	tf.destroyVPC(t, there, thereSubnet)
}

// goInsights asks whether one interface reaches another, closes the way, and asks again.
func goInsights(t *testing.T, s *server, c *ec2.Client) {
	ctx := t.Context()
	vpcID, subnet := newVPC(t, c, "10.63.0.0/16", "10.63.1.0/24")
	tf := terraform{s, c}
	tf.paperHost(t)
	from, to := newGroup(t, c, vpcID, "from"), newGroup(t, c, vpcID, "to")
	permission := []types.IpPermission{{
		IpProtocol: aws.String("tcp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443), UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: &from}},
	}}
	must(c.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &to, IpPermissions: permission}))(t)
	client, web := tf.runInstance(t, subnet, "10.63.1.10", from), tf.runInstance(t, subnet, "10.63.1.11", to)
	path := must(c.CreateNetworkInsightsPath(ctx, &ec2.CreateNetworkInsightsPathInput{
		ClientToken: aws.String("path-1"), Protocol: types.ProtocolTcp, DestinationPort: aws.Int32(443),
		Source: client.NetworkInterfaces[0].NetworkInterfaceId, Destination: web.NetworkInterfaces[0].NetworkInterfaceId,
	}))(t).NetworkInsightsPath.NetworkInsightsPathId
	var analyses []string
	analyse := func(token string) types.NetworkInsightsAnalysis {
		t.Helper()
		started := must(c.StartNetworkInsightsAnalysis(ctx, &ec2.StartNetworkInsightsAnalysisInput{ClientToken: &token, NetworkInsightsPathId: path}))(t).NetworkInsightsAnalysis
		equal(t, "status of the answer", started.Status, types.AnalysisStatusRunning)
		analyses = append(analyses, *started.NetworkInsightsAnalysisId)
		a := one(t, must(c.DescribeNetworkInsightsAnalyses(ctx, &ec2.DescribeNetworkInsightsAnalysesInput{
			NetworkInsightsAnalysisIds: []string{*started.NetworkInsightsAnalysisId},
		}))(t).NetworkInsightsAnalyses)
		equal(t, "status", a.Status, types.AnalysisStatusSucceeded)
		return a
	}
	if a := analyse("a"); !*a.NetworkPathFound || len(a.ForwardPathComponents) == 0 {
		t.Errorf("no way is found: %+v", a)
	}
	must(c.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &to, IpPermissions: permission}))(t)
	if a := analyse("b"); *a.NetworkPathFound || len(a.Explanations) == 0 || a.Explanations[0].ExplanationCode == nil {
		t.Errorf("a way is found, or no explanation: %+v", a)
	}
	refused(c.DeleteNetworkInsightsPath(ctx, &ec2.DeleteNetworkInsightsPathInput{NetworkInsightsPathId: path}))(t, "AnalysisExistsForNetworkInsightsPath", "")
	for _, id := range analyses {
		must(c.DeleteNetworkInsightsAnalysis(ctx, &ec2.DeleteNetworkInsightsAnalysisInput{NetworkInsightsAnalysisId: &id}))(t)
	}
	must(c.DeleteNetworkInsightsPath(ctx, &ec2.DeleteNetworkInsightsPathInput{NetworkInsightsPathId: path}))(t)
	tf.terminate(t, *client.InstanceId)
	tf.terminate(t, *web.InstanceId)
	tf.destroyGroup(t, to)
	tf.destroyGroup(t, from)
	tf.destroyVPC(t, vpcID, subnet)
}

func goFlowLogs(t *testing.T, c *ec2.Client) {
	ctx := t.Context()
	v := one(t, must(c.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: []types.Filter{filter("is-default", "true")}}))(t).Vpcs)
	out := must(c.CreateFlowLogs(ctx, &ec2.CreateFlowLogsInput{
		ResourceIds: []string{*v.VpcId}, ResourceType: types.FlowLogsResourceTypeVpc, TrafficType: types.TrafficTypeAll,
		LogDestinationType: types.LogDestinationTypeS3, LogDestination: aws.String("arn:aws:s3:::logs"),
	}))(t)
	item := one(t, out.Unsuccessful)
	equal(t, "resource", *item.ResourceId, *v.VpcId)
	if len(out.FlowLogIds) != 0 || aws.ToString(item.Error.Message) == "" {
		t.Errorf("a log that writes nothing is there, or no reason: %+v", out)
	}
	equal(t, "logs", len(must(c.DescribeFlowLogs(ctx, &ec2.DescribeFlowLogsInput{}))(t).FlowLogs), 0)
}
