import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "react-router";
import { labelOf, vpcQuery } from "../../api/network";
import { Copyable, DetailPage } from "../../components/detail-page";
import { text } from "../../text/vpcs";
import { attributeQuery, useVpcActions } from "./actions";
import { VpcState } from "./columns";
import { vpcTabs } from "./tabs";

const enabled = (value: boolean | undefined) => (value === undefined ? "–" : value ? text.enabled : text.disabled);

export default function VpcPage() {
  const id = useParams().id!;
  const navigate = useNavigate();
  const answer = useQuery(vpcQuery(id));
  const support = useQuery(attributeQuery(id, "enableDnsSupport")).data?.EnableDnsSupport?.Value;
  const hostnames = useQuery(attributeQuery(id, "enableDnsHostnames")).data?.EnableDnsHostnames?.Value;
  const vpc = answer.data?.Vpcs?.[0];
  const actions = useVpcActions(vpc ? [vpc] : [], () => void navigate("/Vpcs"));
  return (
    <DetailPage
      id={id}
      list={{ text: text.title, href: "#/Vpcs" }}
      item={vpc}
      answer={answer}
      title={(v) => labelOf(v.VpcId, v)}
      menu={actions.menu}
      facts={(v) => [
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
      tabs={vpcTabs}
    >
      {actions.dialog}
    </DetailPage>
  );
}
