import {
  AuthorizeSecurityGroupEgressCommand,
  AuthorizeSecurityGroupIngressCommand,
  CreateSecurityGroupCommand,
  ModifySecurityGroupRulesCommand,
  RevokeSecurityGroupEgressCommand,
  RevokeSecurityGroupIngressCommand,
  type IpPermission,
  type Vpc,
} from "@aws-sdk/client-ec2";
import type { CreateSecurityGroupWithRulesRequest, SecurityGroupRuleAddition } from "../../api/sallyport_gen";
import { codeCall, resultOf, type CodeCall } from "../show-as-code";
import { isEmpty, self, world4, world6, type Edit } from "./rows";

/** permissions says added rules as EC2's Authorize calls take them: those with the same protocol and ports together. */
function permissions(added: SecurityGroupRuleAddition[], group: string): IpPermission[] {
  const found = new Map<string, IpPermission>();
  for (const r of added) {
    const { IpProtocol, FromPort, ToPort, Description } = r;
    const key = [IpProtocol, FromPort, ToPort].join();
    const ports = IpProtocol === "-1" ? {} : { FromPort, ToPort };
    const p = found.get(key) ?? { IpProtocol, ...ports };
    found.set(key, p);
    const said = Description ? { Description } : {};
    if (r.CidrIpv4) (p.IpRanges ??= []).push({ CidrIp: r.CidrIpv4, ...said });
    if (r.CidrIpv6) (p.Ipv6Ranges ??= []).push({ CidrIpv6: r.CidrIpv6, ...said });
    if (r.PrefixListId) (p.PrefixListIds ??= []).push({ PrefixListId: r.PrefixListId, ...said });
    if (r.ReferencedGroupId) {
      const GroupId = r.ReferencedGroupId === self ? group : r.ReferencedGroupId;
      (p.UserIdGroupPairs ??= []).push({ GroupId, ...said });
    }
  }
  return [...found.values()];
}

/** editCalls are the calls of EC2 that come to the same as an edit, one after another. */
export function editCalls(GroupId: string, edit: Edit, egress: boolean): CodeCall[] {
  if (isEmpty(edit)) return [];
  const calls: CodeCall[] = [];
  if (edit.RemoveRuleIds.length) {
    const input = { GroupId, SecurityGroupRuleIds: edit.RemoveRuleIds };
    calls.push(
      codeCall(egress ? new RevokeSecurityGroupEgressCommand(input) : new RevokeSecurityGroupIngressCommand(input)),
    );
  }
  if (edit.ModifyRules.length) {
    const command = new ModifySecurityGroupRulesCommand({ GroupId, SecurityGroupRules: edit.ModifyRules });
    calls.push({ ...codeCall(command), egress });
  }
  if (edit.AddRules.length) calls.push(authorize(GroupId, edit.AddRules, egress));
  return calls;
}

function authorize(GroupId: string, added: SecurityGroupRuleAddition[], egress: boolean): CodeCall {
  const input = { GroupId, IpPermissions: permissions(added, GroupId) };
  return codeCall(
    egress ? new AuthorizeSecurityGroupEgressCommand(input) : new AuthorizeSecurityGroupIngressCommand(input),
  );
}

const isEverything = (r: SecurityGroupRuleAddition) =>
  r.IpProtocol === "-1" && !r.Description && (r.CidrIpv4 === world4 || r.CidrIpv6 === world6);

/** createCalls are those that make a group with rules: EC2 gives it outbound rules of its own, which go if they are not
 * among these. */
export function createCalls(request: CreateSecurityGroupWithRulesRequest, vpc: Vpc | undefined): CodeCall[] {
  const { GroupName, Description, VpcId, AddRules: added = [] } = request;
  const tags = request.TagSpecifications?.flatMap((s) => s.Tags ?? []) ?? [];
  const calls = [
    codeCall(
      new CreateSecurityGroupCommand({
        GroupName: GroupName?.trim() || "NAME",
        Description: Description || "DESCRIPTION",
        VpcId,
        ...(tags.length ? { TagSpecifications: [{ ResourceType: "security-group", Tags: tags }] } : {}),
      }),
    ),
  ];
  const id = resultOf(0, "GroupId");
  const given = added.filter((r) => r.IsEgress && isEverything(r));
  const defaults: SecurityGroupRuleAddition[] = [
    { IpProtocol: "-1", CidrIpv4: world4 },
    ...(vpc?.Ipv6CidrBlockAssociationSet?.length ? [{ IpProtocol: "-1", CidrIpv6: world6 }] : []),
  ];
  const same = (a: SecurityGroupRuleAddition, b: SecurityGroupRuleAddition) =>
    a.CidrIpv4 === b.CidrIpv4 && a.CidrIpv6 === b.CidrIpv6;
  const gone = defaults.filter((d) => !given.some((g) => same(g, d)));
  if (gone.length) {
    calls.push(codeCall(new RevokeSecurityGroupEgressCommand({ GroupId: id, IpPermissions: permissions(gone, id) })));
  }
  const outbound = added.filter((r) => r.IsEgress && !(isEverything(r) && defaults.some((d) => same(d, r))));
  const inbound = added.filter((r) => !r.IsEgress);
  if (inbound.length) calls.push(authorize(id, inbound, false));
  if (outbound.length) calls.push(authorize(id, outbound, true));
  return calls;
}
