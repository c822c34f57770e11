import type { Vpc } from "@aws-sdk/client-ec2";
import { useQuery } from "@tanstack/react-query";
import { Copyable, Facts } from "../../components/detail-page";
import { text } from "../../text/vpcs";
import { attributeQuery } from "./actions";
import { VpcState } from "./columns";

const enabled = (value: boolean | undefined) => (value === undefined ? "–" : value ? text.enabled : text.disabled);

export function VpcFacts({ vpc: v }: { vpc: Vpc }) {
  const support = useQuery(attributeQuery(v.VpcId!, "enableDnsSupport")).data?.EnableDnsSupport?.Value;
  const hostnames = useQuery(attributeQuery(v.VpcId!, "enableDnsHostnames")).data?.EnableDnsHostnames?.Value;
  return (
    <Facts
      items={[
        { label: text.id, value: <Copyable value={v.VpcId} label={text.id} /> },
        { label: text.state, value: <VpcState vpc={v} /> },
        { label: text.default, value: v.IsDefault ? text.yes : text.no },
        { label: text.owner, value: v.OwnerId },
        { label: text.cidr, value: (v.CidrBlockAssociationSet ?? []).map((a) => a.CidrBlock).join(", ") },
        {
          label: text.cidr6,
          value: (v.Ipv6CidrBlockAssociationSet ?? []).map((a) => a.Ipv6CidrBlock).join(", ") || "–",
        },
        { label: text.dnsSupport, value: enabled(support) },
        { label: text.dnsHostnames, value: enabled(hostnames) },
        { label: text.tenancy, value: v.InstanceTenancy },
        { label: text.dhcp, value: v.DhcpOptionsId },
      ]}
    />
  );
}
