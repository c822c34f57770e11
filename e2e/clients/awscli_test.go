package clients_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// TestAWSCLI is a session with Debian's aws, which knows no AWS_ENDPOINT_URL.
func TestAWSCLI(t *testing.T) {
	t.Parallel()
	c := awscli{t, startServer(t)}

	c.says(`user/admin`, "sts", "get-caller-identity", "--query", "Arn")
	vpcID := c.out("Vpc.VpcId", "create-vpc", "--cidr-block", "10.50.0.0/16", "--tag-specifications", "ResourceType=vpc,Tags=[{Key=Name,Value=cli}]")
	c.out("", "wait", "vpc-available", "--vpc-ids", vpcID)
	subnet := c.out("Subnet.SubnetId", "create-subnet", "--vpc-id", vpcID, "--cidr-block", "10.50.1.0/24")
	web := c.out("GroupId", "create-security-group", "--vpc-id", vpcID, "--group-name", "web", "--description", "Web servers")
	db := c.out("GroupId", "create-security-group", "--vpc-id", vpcID, "--group-name", "db", "--description", "Databases")
	c.out("", "wait", "security-group-exists", "--group-ids", web, db)

	// The short forms, which the CLI itself makes permissions of.
	c.says(`"tcp 80 80 0.0.0.0/0"`, "authorize-security-group-ingress", "--group-id", web, "--protocol", "tcp", "--port", "80", "--cidr", "0.0.0.0/0",
		"--query", "join(' ', [SecurityGroupRules[0].IpProtocol, to_string(SecurityGroupRules[0].FromPort), to_string(SecurityGroupRules[0].ToPort), SecurityGroupRules[0].CidrIpv4])")
	c.says(`"-1"`, "authorize-security-group-ingress", "--group-id", db, "--protocol", "all", "--source-group", web, "--query", "SecurityGroupRules[0].IpProtocol")
	c.refused("InvalidPermission.Duplicate", "AuthorizeSecurityGroupIngress", `the specified rule "peer: 0.0.0.0/0, TCP, from port: 80, to port: 80, ALLOW" already exists`,
		"authorize-security-group-ingress", "--group-id", web, "--protocol", "tcp", "--port", "80", "--cidr", "0.0.0.0/0")
	c.refused("DryRunOperation", "RevokeSecurityGroupIngress", "Request would have succeeded, but DryRun flag is set.",
		"revoke-security-group-ingress", "--dry-run", "--group-id", web, "--protocol", "tcp", "--port", "80", "--cidr", "0.0.0.0/0")
	c.says(`"True"`, "update-security-group-rule-descriptions-ingress", "--group-id", web, "--query", "to_string(Return) == 'true' && 'True'",
		"--ip-permissions", `[{"IpProtocol":"tcp","FromPort":80,"ToPort":80,"IpRanges":[{"CidrIp":"0.0.0.0/0","Description":"everybody & all"}]}]`)
	rule := c.out("SecurityGroupRules[?IsEgress==`false`] | [0].SecurityGroupRuleId", "describe-security-group-rules", "--filters", "Name=group-id,Values="+web)
	c.out("", "modify-security-group-rules", "--group-id", web,
		"--security-group-rules", "SecurityGroupRuleId="+rule+",SecurityGroupRule={IpProtocol=tcp,FromPort=8080,ToPort=8090,CidrIpv4=10.0.0.0/8}")
	c.wants("describe-security-groups", `{"IpPermissions": [{"FromPort": 8080, "IpProtocol": "tcp", "IpRanges": [{"CidrIp": "10.0.0.0/8"}],
		"Ipv6Ranges": [], "PrefixListIds": [], "ToPort": 8090, "UserIdGroupPairs": []}], "Name": "web"}`,
		"--group-ids", web, "--query", "SecurityGroups[0].{IpPermissions: IpPermissions, Name: GroupName}")

	// Pages: the CLI walks them itself, and starts in the middle with a token of its own.
	c.says("3", "describe-security-groups", "--filters", "Name=vpc-id,Values="+vpcID, "--page-size", "5", "--query", "length(SecurityGroups)")
	first, _, _ := c.run("describe-security-groups", "--max-items", "1", "--filters", "Name=vpc-id,Values="+vpcID)
	var page struct{ NextToken string }
	if err := json.Unmarshal([]byte(first), &page); err != nil {
		t.Fatal(err)
	}
	c.says("2", "describe-security-groups", "--starting-token", page.NextToken, "--filters", "Name=vpc-id,Values="+vpcID, "--query", "length(SecurityGroups)")

	// A prefix list.
	list := c.out("PrefixList.PrefixListId", "create-managed-prefix-list", "--prefix-list-name", "offices", "--address-family", "IPv4",
		"--max-entries", "5", "--entries", "Cidr=192.0.2.0/24,Description=north")
	c.out("", "authorize-security-group-ingress", "--group-id", web, "--ip-permissions", "IpProtocol=udp,FromPort=53,ToPort=53,PrefixListIds=[{PrefixListId="+list+"}]")
	c.out("", "modify-managed-prefix-list", "--prefix-list-id", list, "--current-version", "1", "--add-entries", "Cidr=198.51.100.0/24", "--remove-entries", "Cidr=192.0.2.0/24")
	c.wants("get-managed-prefix-list-entries", `[{"Cidr": "198.51.100.0/24"}]`, "--prefix-list-id", list, "--query", "Entries")
	c.says(`"`+web+`"`, "get-managed-prefix-list-associations", "--prefix-list-id", list, "--query", "PrefixListAssociations[].ResourceId | join(',', @)")

	// An interface, and what pins a group.
	eni := c.out("NetworkInterface.NetworkInterfaceId", "create-network-interface", "--subnet-id", subnet, "--groups", db, "--private-ip-address", "10.50.1.9")
	c.out("", "wait", "network-interface-available", "--network-interface-ids", eni)
	c.out("", "modify-network-interface-attribute", "--network-interface-id", eni, "--groups", web)
	c.out("", "create-tags", "--resources", eni, web, "--tags", "Key=Name,Value=both")
	c.says("2", "describe-tags", "--filters", "Name=key,Values=Name", "Name=value,Values=both", "--query", "length(Tags)")
	c.refused("DependencyViolation", "DeleteSecurityGroup", "resource "+web+" has a dependent object", "delete-security-group", "--group-id", web)
	c.out("", "delete-network-interface", "--network-interface-id", eni)
	c.refused("InvalidNetworkInterfaceID.NotFound", "DescribeNetworkInterfaces", "The networkInterface ID '"+eni+"' does not exist",
		"describe-network-interfaces", "--network-interface-ids", eni)
	for _, group := range []string{db, web} { // db names web
		c.out("", "delete-security-group", "--group-id", group)
	}
	c.out("", "delete-managed-prefix-list", "--prefix-list-id", list)
	c.refused("InvalidGroup.NotFound", "DescribeSecurityGroups", "The security group '"+web+"' does not exist", "describe-security-groups", "--group-ids", web)
	c.out("", "delete-subnet", "--subnet-id", subnet)
	c.out("", "delete-vpc", "--vpc-id", vpcID)
}

type awscli struct {
	*testing.T
	server *server
}

// run runs aws with the answer as JSON. The service is ec2 if none is named.
func (c awscli) run(args ...string) (stdout, stderr string, code int) {
	c.Helper()
	if args[0] != "sts" {
		args = append([]string{"ec2"}, args...)
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(c.Context(), awsCLI, append([]string{"--endpoint-url", c.server.url, "--output", "json"}, args...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = c.server.env(c.T), &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		c.Fatal(err)
	}
	return strings.TrimSpace(out.String()), strings.TrimSpace(errs.String()), cmd.ProcessState.ExitCode()
}

// out returns what a query finds in the answer of a call, which must succeed; "" for no query.
func (c awscli) out(query string, args ...string) string {
	c.Helper()
	if query != "" {
		args = append(args, "--query", query, "--output", "text")
	}
	stdout, stderr, code := c.run(args...)
	if code != 0 || query != "" && (stdout == "" || stdout == "None") {
		c.Fatalf("aws %s: %d %s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// says wants a text in the answer of a call.
func (c awscli) says(want string, args ...string) {
	c.Helper()
	if stdout, stderr, code := c.run(args...); code != 0 || !strings.Contains(stdout, want) {
		c.Errorf("aws %s: %d %s%s, want %s", strings.Join(args, " "), code, stdout, stderr, want)
	}
}

// wants compares the whole answer.
func (c awscli) wants(action, want string, args ...string) {
	c.Helper()
	stdout, stderr, code := c.run(append([]string{action}, args...)...)
	var got, wanted any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		c.Fatal(err)
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 || fmt.Sprint(got) != fmt.Sprint(wanted) {
		c.Errorf("aws %s: %d %s%s\nwant %s", action, code, stdout, stderr, want)
	}
}

// refused wants a refusal as people see it.
func (c awscli) refused(code, operation, message string, args ...string) {
	c.Helper()
	want := fmt.Sprintf("An error occurred (%s) when calling the %s operation: %s", code, operation, message)
	if stdout, stderr, exit := c.run(args...); exit != 254 || stderr != want || stdout != "" {
		c.Errorf("aws %s: %d %s%s\nwant 254 %s", strings.Join(args, " "), exit, stdout, stderr, want)
	}
}
