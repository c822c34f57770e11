import { text } from "../../text/show-as-code";
import { decoded, piecesOf, plain, type CodeCall } from "./call";
import { Expression, hcl, type Block, type Body, type Value } from "./hcl";
import { addresses, peersOf, type Permission } from "./terraform-rules";

/** terraform writes what calls make as resources of the provider hashicorp/aws. Terraform says what is to be, not what to
 * do: of a call that removes or starts something there is a comment, which says what to change. */
export function terraform(calls: CodeCall[]): string {
  return hcl(new Configuration(calls).blocks());
}

type Input = Record<string, unknown>;
interface Tag {
  Key?: string;
  Value?: string;
}

class Configuration {
  private taken = new Set<string>();
  /** By call: the resource that it makes, as type.name. */
  private made = new Map<number, string>();

  constructor(private calls: CodeCall[]) {}

  blocks(): Block[] {
    return this.calls.flatMap((c, i) => this.block(c, i));
  }

  private block(call: CodeCall, i: number): Block[] {
    const input = plain(call.input) as Input;
    switch (call.action) {
      case "CreateSecurityGroup":
        return this.group(input, i);
      case "AuthorizeSecurityGroupIngress":
      case "AuthorizeSecurityGroupEgress":
        return this.rules(input, call.action.endsWith("Egress"));
      case "RevokeSecurityGroupIngress":
      case "RevokeSecurityGroupEgress":
        return this.revoked(input, call.action.endsWith("Egress"));
      case "ModifySecurityGroupRules":
        return this.modified(input, call.egress ?? false);
      case "AssociateSecurityGroupVpc":
        return this.resource(i, "aws_vpc_security_group_vpc_association", "association", [
          ["security_group_id", this.value(input.GroupId)],
          ["vpc_id", this.value(input.VpcId)],
        ]);
      case "CreateTags":
        return (input.Resources as string[]).flatMap((id) =>
          (input.Tags as Tag[]).flatMap((t) =>
            this.resource(undefined, "aws_ec2_tag", t.Key ?? "tag", [
              ["resource_id", this.value(id)],
              ["key", t.Key],
              ["value", t.Value ?? ""],
            ]),
          ),
        );
      case "DeleteTags": {
        const keys = ((input.Tags as Tag[] | undefined) ?? []).map((t) => t.Key ?? "");
        return [
          {
            comment: text.terraform.untagged(
              keys,
              (input.Resources as string[]).map((r) => this.said(r)),
            ),
          },
        ];
      }
      case "CreateManagedPrefixList":
        return this.resource(
          i,
          "aws_ec2_managed_prefix_list",
          input.PrefixListName as string,
          [
            ["name", input.PrefixListName as string],
            ["address_family", input.AddressFamily as string],
            ["max_entries", input.MaxEntries as number],
            this.tags(input),
          ],
          this.entriesOf(input.Entries),
        );
      case "ModifyManagedPrefixList":
        return this.prefixListChange(input);
      case "CreateNetworkInterface":
        return this.networkInterface(input, i);
      case "ModifyNetworkInterfaceAttribute":
        return this.interfaceAttribute(input);
      case "RunInstances":
        return this.instances(input, i);
      case "CreateVpc":
        return this.resource(i, "aws_vpc", this.named(input, "vpc"), [
          ["cidr_block", this.value(input.CidrBlock)],
          ["assign_generated_ipv6_cidr_block", input.AmazonProvidedIpv6CidrBlock as boolean | undefined],
          ["instance_tenancy", this.value(input.InstanceTenancy)],
          this.tags(input),
        ]);
      case "ModifyVpcAttribute": {
        const set: Record<string, Value> = {};
        const { EnableDnsHostnames: hostnames, EnableDnsSupport: support } = input as Record<
          string,
          { Value?: boolean } | undefined
        >;
        if (hostnames?.Value !== undefined) set.enable_dns_hostnames = hostnames.Value;
        if (support?.Value !== undefined) set.enable_dns_support = support.Value;
        return [{ comment: text.terraform.set(this.said(input.VpcId), set) }];
      }
      case "CreateSubnet":
        return this.resource(i, "aws_subnet", this.named(input, "subnet"), [
          ["vpc_id", this.value(input.VpcId)],
          ["cidr_block", this.value(input.CidrBlock)],
          ["ipv6_cidr_block", this.value(input.Ipv6CidrBlock)],
          ["availability_zone", this.value(input.AvailabilityZone)],
          this.tags(input),
        ]);
      case "CreateVpcPeeringConnection":
        return this.resource(i, "aws_vpc_peering_connection", this.named(input, "peering"), [
          ["vpc_id", this.value(input.VpcId)],
          ["peer_vpc_id", this.value(input.PeerVpcId)],
          ["auto_accept", this.calls.some((c) => c.action === "AcceptVpcPeeringConnection") || undefined],
          this.tags(input),
        ]);
      case "AcceptVpcPeeringConnection": {
        const id = this.value(input.VpcPeeringConnectionId);
        if (id instanceof Expression) return []; // auto_accept says it
        return this.resource(i, "aws_vpc_peering_connection_accepter", "peering", [
          ["vpc_peering_connection_id", id],
          ["auto_accept", true],
        ]);
      }
      default:
        return [{ comment: this.otherwise(call.action, input) }];
    }
  }

  /** resource is one block with a name that no other has; call is the one that makes it. */
  private resource(
    call: number | undefined,
    type: string,
    wish: string,
    attributes: Body["attributes"],
    blocks: Body[] = [],
  ): Body[] {
    const name = this.name(type, wish);
    if (call !== undefined) this.made.set(call, `${type}.${name}`);
    return [{ type: "resource", labels: [type, name], attributes, blocks }];
  }

  private name(type: string, wish: string): string {
    const base = wish.replace(/[^\w-]+/g, "_").replace(/^(?=[^A-Za-z_])/, "_") || "this";
    let free = base;
    for (let n = 2; this.taken.has(`${type}.${free}`); n++) free = `${base}_${n}`;
    this.taken.add(`${type}.${free}`);
    return free;
  }

  /** value is a text, or where it is an earlier call's result the resource's id. */
  private value(v: unknown): string | Expression | undefined {
    if (typeof v !== "string") return undefined;
    const [piece] = piecesOf(v);
    if (piece === undefined || typeof piece === "string") return v;
    const resource = this.made.get(piece.call);
    if (!resource) return new Expression("null");
    return new Expression(
      `${resource}.${/NetworkInterfaceId$/.test(piece.path) && resource.startsWith("aws_instance") ? "primary_network_interface_id" : "id"}`,
    );
  }

  /** said is how a comment names what a text stands for. */
  private said(v: unknown): string {
    const value = this.value(v);
    return value instanceof Expression ? value.text.replace(/\.id$/, "") : (value ?? "");
  }

  private values(list: unknown): Value | undefined {
    const values = ((list as string[] | undefined) ?? []).map((v) => this.value(v)!);
    return values.length ? values : undefined;
  }

  private tags(input: Input): [string, Value | undefined] {
    const tags = ((input.TagSpecifications as { Tags?: Tag[] }[] | undefined) ?? []).flatMap((s) => s.Tags ?? []);
    return ["tags", tags.length ? Object.fromEntries(tags.map((t) => [t.Key!, t.Value ?? ""])) : undefined];
  }

  private named(input: Input, otherwise: string): string {
    const tags = this.tags(input)[1] as Record<string, string> | undefined;
    return tags?.Name ?? otherwise;
  }

  private group(input: Input, i: number): Block[] {
    const name = input.GroupName as string;
    const made = this.resource(i, "aws_security_group", name, [
      ["name", name],
      ["description", input.Description as string],
      ["vpc_id", this.value(input.VpcId)],
      this.tags(input),
    ]);
    const group = new Expression(`${this.made.get(i)!}.id`);
    const revoked = this.calls.some(
      (c) => c.action === "RevokeSecurityGroupEgress" && this.isResultOf((c.input as Input).GroupId, i),
    );
    if (revoked) return made;
    // EC2 gives a new group this rule; Terraform takes it away again.
    return [
      ...made,
      ...this.resource(undefined, "aws_vpc_security_group_egress_rule", `${name}_all`, [
        ["security_group_id", group],
        ["ip_protocol", "-1"],
        ["cidr_ipv4", "0.0.0.0/0"],
      ]),
    ];
  }

  private isResultOf(v: unknown, call: number): boolean {
    const [piece] = typeof v === "string" ? piecesOf(v) : [];
    return typeof piece === "object" && piece.call === call;
  }

  private rules(input: Input, egress: boolean): Block[] {
    const type = `aws_vpc_security_group_${egress ? "egress" : "ingress"}_rule`;
    const group = this.value(input.GroupId);
    return ((input.IpPermissions as Permission[] | undefined) ?? []).flatMap((p) =>
      peersOf(p).flatMap(({ description, ...peer }) =>
        this.resource(undefined, type, this.ruleName(group, p), [
          ["security_group_id", group],
          ...addresses(p, peer, (v) => this.value(v)),
          ["description", description],
          this.tags(input),
        ]),
      ),
    );
  }

  /** ruleName is what the rule's resource is called: web_tcp_443. */
  private ruleName(group: Value | undefined, p: Permission): string {
    const prefix = group instanceof Expression ? `${group.text.split(".")[1]}_` : "";
    const protocol = p.IpProtocol === "-1" ? "all" : (p.IpProtocol ?? "all");
    const ports = [p.FromPort, p.ToPort === p.FromPort ? undefined : p.ToPort].filter((n) => n !== undefined && n >= 0);
    return prefix + [protocol, ...(p.IpProtocol === "-1" ? [] : ports)].join("_");
  }

  private revoked(input: Input, egress: boolean): Block[] {
    const group = this.value(input.GroupId);
    const ids = input.SecurityGroupRuleIds as string[] | undefined;
    if (group instanceof Expression && !ids) return []; // the group's own first rule, which Terraform removes
    return [
      {
        comment: text.terraform.revoked(
          egress,
          this.said(input.GroupId),
          (ids ?? []).map((id) => this.said(id)),
        ),
      },
    ];
  }

  private modified(input: Input, egress: boolean): Block[] {
    const type = `aws_vpc_security_group_${egress ? "egress" : "ingress"}_rule`;
    const updates = input.SecurityGroupRules as { SecurityGroupRuleId?: string; SecurityGroupRule?: Input }[];
    return updates.flatMap(({ SecurityGroupRuleId: id = "", SecurityGroupRule: rule = {} }) => {
      const name = this.name(type, this.said(id).replace(/[-.]/g, "_"));
      return [
        {
          type: "import",
          attributes: [
            ["to", new Expression(`${type}.${name}`)],
            ["id", this.value(id)],
          ],
        } satisfies Body,
        {
          type: "resource",
          labels: [type, name],
          attributes: [
            ["security_group_id", this.value(input.GroupId)],
            ...addresses(
              rule,
              {
                cidr_ipv4: rule.CidrIpv4 as string | undefined,
                cidr_ipv6: rule.CidrIpv6 as string | undefined,
                prefix_list_id: rule.PrefixListId as string | undefined,
                referenced_security_group_id: rule.ReferencedGroupId as string | undefined,
              },
              (v) => this.value(v),
            ),
            ["description", rule.Description as string | undefined],
          ],
        } satisfies Body,
      ];
    });
  }

  private entriesOf(list: unknown): Body[] {
    return ((list as { Cidr?: string; Description?: string }[] | undefined) ?? []).map((e) => ({
      type: "entry",
      attributes: [
        ["cidr", e.Cidr],
        ["description", e.Description || undefined],
      ],
    }));
  }

  private prefixListChange(input: Input): Block[] {
    const list = this.value(input.PrefixListId);
    const added = (input.AddEntries as { Cidr?: string; Description?: string }[] | undefined) ?? [];
    const removed = (input.RemoveEntries as { Cidr?: string }[] | undefined) ?? [];
    const blocks: Block[] = added.flatMap((e) =>
      this.resource(undefined, "aws_ec2_managed_prefix_list_entry", e.Cidr ?? "entry", [
        ["prefix_list_id", list],
        ["cidr", e.Cidr],
        ["description", e.Description || undefined],
      ]),
    );
    const gone = removed.map((e) => e.Cidr ?? "");
    if (gone.length) blocks.push({ comment: text.terraform.entriesRemoved(gone) });
    const { PrefixListName, MaxEntries } = input as { PrefixListName?: string; MaxEntries?: number };
    if (PrefixListName !== undefined || MaxEntries !== undefined) {
      const set = {
        ...(PrefixListName === undefined ? {} : { name: PrefixListName }),
        ...(MaxEntries === undefined ? {} : { max_entries: MaxEntries }),
      };
      blocks.push({ comment: text.terraform.set(this.said(input.PrefixListId), set) });
    }
    return blocks;
  }

  private networkInterface(input: Input, i: number): Block[] {
    const addressesOf = (list: unknown, member: string) =>
      ((list as Record<string, string>[] | undefined) ?? []).map((a) => a[member]!);
    const primary = input.PrivateIpAddress as string | undefined;
    const v4 = [...(primary ? [primary] : []), ...addressesOf(input.PrivateIpAddresses, "PrivateIpAddress")];
    const v6 = addressesOf(input.Ipv6Addresses, "Ipv6Address");
    return this.resource(i, "aws_network_interface", this.named(input, "interface"), [
      ["subnet_id", this.value(input.SubnetId)],
      ["description", (input.Description as string | undefined) || undefined],
      ["security_groups", this.values(input.Groups)],
      ["private_ips", v4.length ? v4 : undefined],
      ["ipv6_addresses", v6.length ? v6 : undefined],
      ["ipv6_address_count", input.Ipv6AddressCount as number | undefined],
      this.tags(input),
    ]);
  }

  private interfaceAttribute(input: Input): Block[] {
    const id = input.NetworkInterfaceId as string;
    const groups = input.Groups as string[] | undefined;
    if (groups) {
      return [
        { comment: text.terraform.groups(this.said(id)) },
        ...groups.flatMap((g) =>
          this.resource(undefined, "aws_network_interface_sg_attachment", this.said(g).replace(/[-.]/g, "_"), [
            ["security_group_id", this.value(g)],
            ["network_interface_id", this.value(id)],
          ]),
        ),
      ];
    }
    const set: Record<string, Value> = {};
    const check = (input.SourceDestCheck as { Value?: boolean } | undefined)?.Value;
    const description = (input.Description as { Value?: string } | undefined)?.Value;
    if (check !== undefined) set.source_dest_check = check;
    if (description !== undefined) set.description = description;
    return [{ comment: text.terraform.set(this.said(id), set) }];
  }

  private instances(input: Input, i: number): Block[] {
    const [network] = (input.NetworkInterfaces as Input[] | undefined) ?? [];
    const count = (input.MaxCount as number | undefined) ?? 1;
    const userData = input.UserData as string | undefined;
    return this.resource(i, "aws_instance", this.named(input, "instance"), [
      ["count", count > 1 ? count : undefined],
      ["ami", this.value(input.ImageId)],
      ["instance_type", this.value(input.InstanceType) ?? "m1.small"],
      ["subnet_id", this.value(input.SubnetId ?? network?.SubnetId)],
      ["vpc_security_group_ids", this.values(input.SecurityGroupIds ?? network?.Groups)],
      ["private_ip", this.value(input.PrivateIpAddress ?? network?.PrivateIpAddress)],
      ["user_data", userData === undefined ? undefined : decoded(userData)],
      this.tags(input),
    ]);
  }

  private otherwise(action: string, input: Input): string {
    const ids = Object.entries(input)
      .filter(([name]) => /Ids?$/.test(name))
      .flatMap(([, v]) => (Array.isArray(v) ? (v as string[]) : [v]))
      .map((id) => this.said(id));
    if (/^(Delete|Terminate|Disassociate|Revoke)/.test(action)) return text.terraform.removed(ids);
    return text.terraform.none(action);
  }
}
