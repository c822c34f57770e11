import type { Subnet } from "@aws-sdk/client-ec2";
import { Link } from "@cloudscape-design/components";
import { Copyable, Facts } from "../../components/detail-page";
import { text } from "../../text/subnets";
import { ipv6Of, SubnetState } from "./columns";

export function SubnetFacts({ subnet: s }: { subnet: Subnet }) {
  return (
    <Facts
      items={[
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
    />
  );
}
