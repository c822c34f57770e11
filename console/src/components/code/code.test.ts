import {
  AssociateSecurityGroupVpcCommand,
  CreateSecurityGroupCommand,
  ModifySecurityGroupRulesCommand,
  RevokeSecurityGroupIngressCommand,
} from "@aws-sdk/client-ec2";
import { expect, test } from "vitest";
import { awsCli } from "./aws-cli";
import { boto3 } from "./boto3";
import { codeCall, piecesOf, resultOf, snake } from "./call";
import { session } from "./session";
import { terraform } from "./terraform";

// e2e/clients runs the first two: `npx vitest run src/components/code -u` writes them.
test("a session is shown as what the tools accept", async () => {
  const calls = session();
  await expect(`${awsCli(calls)}\n`).toMatchFileSnapshot("testdata/session.sh");
  await expect(`${boto3(calls)}\n`).toMatchFileSnapshot("testdata/session.py");
  await expect(`${terraform(calls.toSpliced(-3, 2))}\n`).toMatchFileSnapshot("testdata/session.tf");
});

test("no calls are no code", () => {
  expect([awsCli([]), boto3([]), terraform([])]).toEqual(["", "", ""]);
});

test("words are quoted for a shell", () => {
  const shown = (Description: string) =>
    awsCli([codeCall(new CreateSecurityGroupCommand({ GroupName: "a", Description }))]);
  for (const [text, want] of [
    ["plain", "--description plain"],
    ["two words", "--description 'two words'"],
    ["it's", "--description 'it'\\''s'"],
    ["$(rm -rf /)`x`", "--description '$(rm -rf /)`x`'"],
    ["", "--description ''"],
    ["-x", "--description=-x"],
    ["a\nb", "--description 'a\nb'"],
  ]) {
    expect(shown(text!)).toContain(want);
  }
});

test("a text cannot end a Python or Terraform string", () => {
  const calls = [codeCall(new CreateSecurityGroupCommand({ GroupName: "a", Description: '"""\n${x} %{ x } \\' }))];
  expect(boto3(calls)).toContain('Description="\\"\\"\\"\\n${x} %{ x } \\\\"');
  expect(terraform(calls)).toContain('description = "\\"\\"\\"\\n$${x} %%{ x } \\\\"');
});

test("results stand for what they are, also within a text", () => {
  expect(piecesOf(`a${resultOf(1, "GroupId")}b`)).toEqual(["a", { call: 1, path: "GroupId" }, "b"]);
  expect(["GroupId", "VpcPeeringConnectionId", "Ipv6CidrBlock", "MapPublicIpOnLaunch"].map(snake)).toEqual([
    "group_id",
    "vpc_peering_connection_id",
    "ipv6_cidr_block",
    "map_public_ip_on_launch",
  ]);
});

test("a group and its association with a further VPC", () => {
  const calls = [
    codeCall(new CreateSecurityGroupCommand({ GroupName: "web", Description: "a", VpcId: "vpc-1" })),
    codeCall(new AssociateSecurityGroupVpcCommand({ GroupId: resultOf(0, "GroupId"), VpcId: "vpc-2" })),
  ];
  expect(awsCli(calls)).toContain('aws ec2 associate-security-group-vpc --group-id "$group_id" --vpc-id vpc-2');
  expect(boto3(calls)).toContain('ec2.associate_security_group_vpc(\n    GroupId=security_group["GroupId"],');
  expect(terraform(calls)).toContain('security_group_id = aws_security_group.web.id\n  vpc_id            = "vpc-2"');
});

test("Terraform is told what to remove and what to import", () => {
  const removed = new RevokeSecurityGroupIngressCommand({ GroupId: "sg-1", SecurityGroupRuleIds: ["sgr-1", "sgr-2"] });
  expect(terraform([codeCall(removed)])).toBe(
    "# Remove the resources of these rules from the configuration:\n# sgr-1\n# sgr-2",
  );
  const modified = new ModifySecurityGroupRulesCommand({
    GroupId: "sg-1",
    SecurityGroupRules: [
      {
        SecurityGroupRuleId: "sgr-1",
        SecurityGroupRule: { IpProtocol: "-1", FromPort: -1, ToPort: -1, PrefixListId: "pl-1" },
      },
    ],
  });
  expect(terraform([{ ...codeCall(modified), egress: true }])).toBe(
    `import {
  to = aws_vpc_security_group_egress_rule.sgr_1
  id = "sgr-1"
}

resource "aws_vpc_security_group_egress_rule" "sgr_1" {
  security_group_id = "sg-1"
  ip_protocol       = "-1"
  prefix_list_id    = "pl-1"
}`,
  );
});
