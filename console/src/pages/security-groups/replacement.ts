import {
  DeleteSecurityGroupCommand,
  DisassociateSecurityGroupVpcCommand,
  ModifyNetworkInterfaceAttributeCommand,
  ModifySecurityGroupRulesCommand,
} from "@aws-sdk/client-ec2";
import type {
  ReplaceSecurityGroupRequest,
  ReplaceSecurityGroupResult,
  SecurityGroupUseInterface,
  SecurityGroupUseRule,
  SecurityGroupUses,
} from "../../api/sallyport_gen";
import { revokeCalls } from "../../api/security-groups";
import { codeCall, type CodeCall } from "../../components/code/call";

/** What becomes of a rule that names the group. */
export type Fate = "keep" | "replace" | "remove";

/** What a person has chosen so far. */
export interface Choice {
  by: string | undefined;
  interfaces: SecurityGroupUseInterface[];
  fates: Record<string, Fate>;
  /** VPCs whose association ends. */
  ended: string[];
  thenDelete: boolean;
}

/** ruleId of a use. */
export const ruleId = (u: SecurityGroupUseRule) => u.Rule?.SecurityGroupRuleId ?? "";

/** startingChoice takes the group from wherever it stands in the way of its delete. */
export function startingChoice(uses: SecurityGroupUses, thenDelete: boolean): Choice {
  return {
    by: undefined,
    interfaces: uses.NetworkInterfaces,
    fates: Object.fromEntries(uses.Rules.map((u) => [ruleId(u), u.Blocks ? "replace" : "keep"])),
    ended: thenDelete ? associated(uses) : [],
    thenDelete,
  };
}

/** associated returns the further VPCs of a group. */
export const associated = (uses: SecurityGroupUses) =>
  uses.VpcAssociations.filter((a) => a.State === "associated").map((a) => a.VpcId ?? "");

/** replacement returns the request that the choice stands for; undefined: nothing is to be replaced. */
export function replacement(uses: SecurityGroupUses, choice: Choice): ReplaceSecurityGroupRequest | undefined {
  const rules = uses.Rules.map(ruleId).filter((id) => choice.fates[id] === "replace");
  const all = choice.interfaces.length > 0 && choice.interfaces.length === uses.NetworkInterfaces.length;
  if (!choice.by || rules.length + choice.interfaces.length === 0) return undefined;
  return {
    GroupId: uses.GroupId!,
    ReplacementGroupId: choice.by,
    ...(all
      ? { AllNetworkInterfaces: true }
      : { NetworkInterfaceIds: choice.interfaces.map((i) => i.NetworkInterfaceId!) }),
    SecurityGroupRuleIds: rules,
  };
}

/** removedRules are the rules that the choice deletes. */
export const removedRules = (uses: SecurityGroupUses, choice: Choice) =>
  uses.Rules.filter((u) => choice.fates[ruleId(u)] === "remove");

/** codeOf returns the calls of EC2 that do one after the other what the form does; changes is what the server says that
 * its one call would do. */
export function codeOf(uses: SecurityGroupUses, choice: Choice, changes?: ReplaceSecurityGroupResult): CodeCall[] {
  const parts = new Map<string, CodeCall>();
  for (const { After: r } of changes?.SecurityGroupRules ?? []) {
    if (!r) continue;
    const key = `${r.GroupId} ${r.IsEgress}`;
    const before = parts.get(key)?.input as ModifySecurityGroupRulesCommand["input"] | undefined;
    const command = new ModifySecurityGroupRulesCommand({
      GroupId: r.GroupId,
      SecurityGroupRules: [
        ...(before?.SecurityGroupRules ?? []),
        {
          SecurityGroupRuleId: r.SecurityGroupRuleId,
          SecurityGroupRule: {
            IpProtocol: r.IpProtocol,
            FromPort: r.FromPort,
            ToPort: r.ToPort,
            ReferencedGroupId: r.ReferencedGroupInfo?.GroupId,
            Description: r.Description,
          },
        },
      ],
    });
    parts.set(key, { ...codeCall(command), egress: r.IsEgress ?? false });
  }
  return [
    ...revokeCalls(removedRules(uses, choice).map((u) => u.Rule!)).map(codeCall),
    ...(changes?.NetworkInterfaces ?? []).map((i) =>
      codeCall(
        new ModifyNetworkInterfaceAttributeCommand({
          NetworkInterfaceId: i.NetworkInterfaceId,
          Groups: i.NewGroupIds,
        }),
      ),
    ),
    ...parts.values(),
    ...choice.ended.map((VpcId) => codeCall(new DisassociateSecurityGroupVpcCommand({ GroupId: uses.GroupId, VpcId }))),
    ...(choice.thenDelete ? [codeCall(new DeleteSecurityGroupCommand({ GroupId: uses.GroupId }))] : []),
  ];
}
