import { Link } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "react-router";
import { labelOf, subnetQuery } from "../../api/network";
import { Copyable, DetailPage } from "../../components/detail-page";
import { text } from "../../text/subnets";
import { useSubnetActions } from "./actions";
import { ipv6Of, SubnetState } from "./columns";
import { subnetTabs } from "./tabs";

export default function SubnetPage() {
  const id = useParams().id!;
  const navigate = useNavigate();
  const answer = useQuery(subnetQuery(id));
  const subnet = answer.data?.Subnets?.[0];
  const actions = useSubnetActions(subnet ? [subnet] : [], () => void navigate("/Subnets"));
  return (
    <DetailPage
      id={id}
      list={{ text: text.title, href: "#/Subnets" }}
      item={subnet}
      answer={answer}
      title={(s) => labelOf(s.SubnetId, s)}
      menu={actions.menu}
      facts={(s) => [
        { label: text.id, value: <Copyable value={s.SubnetId} label={text.id} /> },
        { label: text.arn, value: <Copyable value={s.SubnetArn} label={text.arn} /> },
        { label: text.state, value: <SubnetState subnet={s} /> },
        { label: text.vpc, value: <Link href={`#/Vpcs/${s.VpcId}`}>{s.VpcId}</Link> },
        { label: text.cidr, value: <Copyable value={s.CidrBlock} label={text.cidr} /> },
        { label: text.cidr6, value: ipv6Of(s) },
        { label: text.available, value: s.AvailableIpAddressCount },
        { label: text.zone, value: `${s.AvailabilityZone} (${s.AvailabilityZoneId})` },
        { label: text.default, value: s.DefaultForAz ? text.yes : text.no },
        { label: text.autoIpv6, value: s.AssignIpv6AddressOnCreation ? text.yes : text.no },
        { label: text.autoPublic, value: s.MapPublicIpOnLaunch ? text.yes : text.no },
        { label: text.owner, value: s.OwnerId },
      ]}
      tabs={subnetTabs}
    >
      {actions.dialog}
    </DetailPage>
  );
}
