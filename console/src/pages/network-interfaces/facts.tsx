import type { NetworkInterface } from "@aws-sdk/client-ec2";
import { Link, StatusIndicator } from "@cloudscape-design/components";
import { useDrops, useEnforcement } from "../../api/network-interfaces";
import type { Enforcement } from "../../api/sallyport_gen";
import { Copyable, type Fact } from "../../components/detail-page";
import { text } from "../../text/network-interfaces";
import { delegated, InterfaceState, ipv6, Links, secondary } from "./columns";
import { trackingFacts } from "./settings";

/** useInterfaceFacts are what is known of one interface; without one there are none, and nothing is asked. */
export function useInterfaceFacts(eni: NetworkInterface | undefined): Fact[] {
  const id = eni?.NetworkInterfaceId ?? "";
  const enforcement = useEnforcement(id);
  const observes = useDrops(id).data?.InterfaceDrops[0]?.ObservesUntil;
  if (!eni) return [];
  const list = (values: string[]) => values.join(", ") || text.none;
  const attachment = eni.Attachment;
  const instance = attachment?.InstanceId;
  return [
    { label: text.id, value: <Copyable value={id} label={text.id} /> },
    { label: text.state, value: <InterfaceState eni={eni} /> },
    { label: text.description, value: eni.Description || text.none },
    { label: text.enforcement, value: <EnforcementOf enforcement={enforcement} /> },
    { label: text.ipv4, value: <Copyable value={eni.PrivateIpAddress} label={text.ipv4} /> },
    { label: text.moreIpv4, value: list(secondary(eni)) },
    { label: text.ipv6, value: list(ipv6(eni)) },
    { label: text.prefixes, value: list(delegated(eni)) },
    { label: text.subnet, value: <Link href={`#/Subnets/${eni.SubnetId}`}>{eni.SubnetId}</Link> },
    { label: text.vpc, value: <Link href={`#/Vpcs/${eni.VpcId}`}>{eni.VpcId}</Link> },
    { label: text.zone, value: `${eni.AvailabilityZone} (${eni.AvailabilityZoneId})` },
    { label: text.mac, value: <Copyable value={eni.MacAddress} label={text.mac} /> },
    { label: text.dns, value: <Copyable value={eni.PrivateDnsName} label={text.dns} /> },
    {
      label: text.instance,
      value: <Links page="Instances" items={instance ? [{ id: instance, label: instance }] : []} />,
    },
    { label: text.deviceIndex, value: attachment?.DeviceIndex ?? text.none },
    { label: text.attachedAt, value: attachment?.AttachTime?.toLocaleString() ?? text.none },
    { label: text.termination, value: attachment ? (attachment.DeleteOnTermination ? text.yes : text.no) : text.none },
    { label: text.host, value: enforcement?.HostId || text.none },
    { label: text.device, value: enforcement?.Device || text.none },
    { label: text.sourceDest, value: eni.SourceDestCheck ? text.on : text.off },
    {
      label: text.observes,
      value: observes ? (
        <StatusIndicator type="warning">{observes.toLocaleString()}</StatusIndicator>
      ) : (
        text.observesNot
      ),
    },
    ...trackingFacts(eni),
    { label: text.owner, value: eni.OwnerId },
  ];
}

function EnforcementOf({ enforcement: e }: { enforcement: Enforcement | undefined }) {
  if (!e) return text.none;
  if (e.BoundState !== "bound") return <StatusIndicator type="stopped">{text.notBound}</StatusIndicator>;
  return (
    <>
      <StatusIndicator type={e.InForce ? "success" : "in-progress"}>
        {e.InForce ? text.inForce : text.notYet}
      </StatusIndicator>
      {e.Message && <div>{e.Message}</div>}
    </>
  );
}
