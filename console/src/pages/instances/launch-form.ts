import {
  AuthorizeSecurityGroupIngressCommand,
  CreateSecurityGroupCommand,
  type IpPermission,
  RunInstancesCommand,
  type RunInstancesCommandInput,
} from "@aws-sdk/client-ec2";
import type { Group } from "../../api/interface-groups";
import type { CreateSecurityGroupWithRulesRequest, SecurityGroupRuleAddition } from "../../api/sallyport_gen";
import { tagSpecifications, type KeyValue } from "../../api/tags";
import { codeCall, resultOf, type CodeCall } from "../../components/show-as-code";
import { text } from "../../text/launch-instance";

/** What the launch form can let in, as EC2's has it. */
export const services = ["ssh", "https", "http", "ping"] as const;
export type Service = (typeof services)[number];

/** Who may use a service. */
export interface Source {
  allowed: boolean;
  kind: "anywhere" | "mine" | "custom";
  custom: string;
}

/** What a person has filled in. */
export interface LaunchForm {
  name: string;
  tags: readonly KeyValue[];
  count: string;
  vpcId: string;
  /** "": any default subnet. */
  subnetId: string;
  firewall: "create" | "existing";
  groupName: string;
  groupDescription: string;
  sources: Record<Service, Source>;
  groups: Group[];
  primary: string;
  ipv6: "none" | "auto" | "manual";
  ipv6Addresses: string;
  userData: string;
}

const closed: Source = { allowed: false, kind: "anywhere", custom: "" };

export const emptyForm: LaunchForm = {
  name: "",
  tags: [],
  count: "1",
  vpcId: "",
  subnetId: "",
  firewall: "create",
  groupName: "",
  groupDescription: "",
  sources: { ssh: { ...closed, allowed: true, kind: "mine" }, https: closed, http: closed, ping: closed },
  groups: [],
  primary: "",
  ipv6: "none",
  ipv6Addresses: "",
  userData: "",
};

/** countOf is how many instances are wanted; undefined: what was typed is no such number. */
export function countOf(form: LaunchForm): number | undefined {
  const n = Number(form.count);
  return Number.isInteger(n) && n >= 1 && n <= 1000 ? n : undefined;
}

const list = (typed: string) => typed.split(/[\s,]+/).filter((s) => s !== "");

/** base64 of a text as UTF-8. */
export const base64 = (script: string) =>
  btoa(Array.from(new TextEncoder().encode(script), (b) => String.fromCharCode(b)).join(""));

/** runInput is what RunInstances is asked for; groupIds are those of the new group, if there is one. */
export function runInput(form: LaunchForm, imageId: string, groupIds: string[]): RunInstancesCommandInput {
  const count = countOf(form) ?? 0;
  const tags = [...(form.name ? [{ key: "Name", value: form.name }] : []), ...form.tags];
  return {
    ImageId: imageId,
    MinCount: count,
    MaxCount: count,
    SubnetId: form.subnetId || undefined,
    SecurityGroupIds: groupIds.length ? groupIds : undefined,
    PrivateIpAddress: form.primary.trim() || undefined,
    Ipv6AddressCount: form.ipv6 === "auto" ? 1 : undefined,
    Ipv6Addresses:
      form.ipv6 === "manual" ? list(form.ipv6Addresses).map((Ipv6Address) => ({ Ipv6Address })) : undefined,
    UserData: form.userData ? base64(form.userData) : undefined,
    TagSpecifications: tagSpecifications("instance", tags),
  };
}

const ports: Record<Service, Pick<SecurityGroupRuleAddition, "IpProtocol" | "FromPort" | "ToPort">> = {
  ssh: { IpProtocol: "tcp", FromPort: 22, ToPort: 22 },
  https: { IpProtocol: "tcp", FromPort: 443, ToPort: 443 },
  http: { IpProtocol: "tcp", FromPort: 80, ToPort: 80 },
  ping: { IpProtocol: "icmp", FromPort: 8, ToPort: -1 },
};
const ping6 = { IpProtocol: "icmpv6", FromPort: 128, ToPort: -1 };

/** newRules are the inbound rules that the new group gets; mine are the person's own blocks. */
export function newRules(form: LaunchForm, mine: string[]): SecurityGroupRuleAddition[] {
  return services.flatMap((service) => {
    const { allowed, kind, custom } = form.sources[service];
    if (!allowed) return [];
    const blocks = kind === "anywhere" ? ["0.0.0.0/0", "::/0"] : kind === "mine" ? mine : list(custom);
    return blocks.map((block) => {
      const six = block.includes(":");
      const what = service === "ping" && six ? ping6 : ports[service];
      return { IsEgress: false, ...what, ...(six ? { CidrIpv6: block } : { CidrIpv4: block }) };
    });
  });
}

// As CreateSecurityGroup gives every group.
const allOut: SecurityGroupRuleAddition = { IsEgress: true, IpProtocol: "-1", CidrIpv4: "0.0.0.0/0" };

/** groupRequest makes the new group with its rules in one change. */
export function groupRequest(form: LaunchForm, mine: string[]): CreateSecurityGroupWithRulesRequest {
  return {
    GroupName: form.groupName,
    Description: form.groupDescription || text.firewall.defaultDescription(form.groupName),
    VpcId: form.vpcId,
    AddRules: [...newRules(form, mine), allOut],
  };
}

/** codeCalls are EC2's calls that do what the form does. */
export function codeCalls(form: LaunchForm, imageId: string, mine: string[]): CodeCall[] {
  if (form.firewall === "existing") {
    const ids = form.groups.map((g) => g.id);
    return [codeCall(new RunInstancesCommand(runInput(form, imageId, ids)))];
  }
  const { GroupName, Description, VpcId } = groupRequest(form, mine);
  const GroupId = resultOf(0, "GroupId");
  const permissions = newRules(form, mine).map((r): IpPermission => ({
    IpProtocol: r.IpProtocol,
    FromPort: r.FromPort,
    ToPort: r.ToPort,
    ...(r.CidrIpv4 ? { IpRanges: [{ CidrIp: r.CidrIpv4 }] } : { Ipv6Ranges: [{ CidrIpv6: r.CidrIpv6 }] }),
  }));
  return [
    codeCall(new CreateSecurityGroupCommand({ GroupName, Description, VpcId })),
    ...(permissions.length
      ? [codeCall(new AuthorizeSecurityGroupIngressCommand({ GroupId, IpPermissions: permissions }))]
      : []),
    codeCall(new RunInstancesCommand(runInput(form, imageId, [GroupId]))),
  ];
}

/** Which part of the form a refusal is about; undefined: none, or one cannot tell. */
export function partOf({ code, message }: { code: string; message: string }) {
  if (/^(InvalidGroup|InvalidSecurityGroup|InvalidPermission|SecurityGroup|RulesPer)/.test(code)) return "firewall";
  if (
    /^(InvalidSubnet|InvalidVpc|InvalidIPAddress|InsufficientFreeAddresses|InvalidAddress|PrivateIpAddress)/.test(code)
  )
    return "network";
  if (code === "InvalidParameterValue" && /\baddress\b/i.test(message)) return "network";
  if (code.startsWith("InvalidUserData")) return "userData";
  return /^(InstanceLimit|ResourceCount|InsufficientInstance)/.test(code) ? "count" : undefined;
}
