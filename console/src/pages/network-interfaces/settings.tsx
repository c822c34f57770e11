import { ModifyNetworkInterfaceAttributeCommand, type NetworkInterface } from "@aws-sdk/client-ec2";
import { Alert, Box, Button, Checkbox, FormField, Input, Select, SpaceBetween } from "@cloudscape-design/components";
import { useState } from "react";
import { send } from "../../api/ec2";
import { messageOf } from "../../api/errors";
import { useDrops } from "../../api/network-interfaces";
import { queryClient } from "../../api/query";
import { call } from "../../api/sallyport";
import { useApplied } from "../../components/apply-status";
import { FormModal } from "../../components/form-modal";
import { codeCall } from "../../components/show-as-code";
import { text as forms } from "../../text/forms";
import { text } from "../../text/network-interfaces";

export interface InterfaceModalProps {
  eni: NetworkInterface;
  onClose: () => void;
}

/** useSaved returns what saves a change of one interface, and says when it is in force. */
function useSaved(id: string) {
  const applied = useApplied();
  return async (command: ModifyNetworkInterfaceAttributeCommand, header: string) => {
    const { revision } = await send(command);
    applied(header, revision, { networkInterfaceIds: [id] });
    await queryClient.invalidateQueries();
  };
}

export function DescriptionModal({ eni, onClose }: InterfaceModalProps) {
  const id = eni.NetworkInterfaceId!;
  const save = useSaved(id);
  const [value, setValue] = useState(eni.Description ?? "");
  const make = () =>
    new ModifyNetworkInterfaceAttributeCommand({ NetworkInterfaceId: id, Description: { Value: value } });
  return (
    <FormModal
      title={text.describe.title}
      submit={forms.save}
      disabled={value === (eni.Description ?? "")}
      calls={[codeCall(make())]}
      onSubmit={() => save(make(), text.describe.done(id))}
      onClose={onClose}
    >
      <FormField label={text.describe.label} description={id}>
        <Input value={value} autoComplete={false} onChange={(e) => setValue(e.detail.value)} />
      </FormField>
    </FormModal>
  );
}

export function SourceDestModal({ eni, onClose }: InterfaceModalProps) {
  const id = eni.NetworkInterfaceId!;
  const save = useSaved(id);
  const [on, setOn] = useState(eni.SourceDestCheck ?? true);
  const make = () =>
    new ModifyNetworkInterfaceAttributeCommand({ NetworkInterfaceId: id, SourceDestCheck: { Value: on } });
  return (
    <FormModal
      title={text.check.title}
      submit={forms.save}
      disabled={on === eni.SourceDestCheck}
      calls={[codeCall(make())]}
      onSubmit={() => save(make(), text.check.done(id))}
      onClose={onClose}
    >
      <FormField label={text.sourceDest} description={id}>
        <Checkbox checked={on} description={text.check.hint} onChange={(e) => setOn(e.detail.checked)}>
          {text.check.label}
        </Checkbox>
      </FormField>
    </FormModal>
  );
}

export function TerminationModal({ eni, onClose }: InterfaceModalProps) {
  const id = eni.NetworkInterfaceId!;
  const save = useSaved(id);
  const was = eni.Attachment?.DeleteOnTermination ?? false;
  const [on, setOn] = useState(was);
  const make = () =>
    new ModifyNetworkInterfaceAttributeCommand({
      NetworkInterfaceId: id,
      Attachment: { AttachmentId: eni.Attachment?.AttachmentId, DeleteOnTermination: on },
    });
  return (
    <FormModal
      title={text.terminate.title}
      submit={forms.save}
      disabled={on === was}
      calls={[codeCall(make())]}
      onSubmit={() => save(make(), text.terminate.done(id))}
      onClose={onClose}
    >
      <FormField label={text.termination} description={`${id}, ${eni.Attachment?.InstanceId}`}>
        <Checkbox checked={on} onChange={(e) => setOn(e.detail.checked)}>
          {text.terminate.label}
        </Checkbox>
      </FormField>
    </FormModal>
  );
}

const timeouts = [
  { member: "TcpEstablishedTimeout", label: text.tracking.tcp, hint: text.tracking.tcpHint, usual: 432_000 },
  { member: "UdpTimeout", label: text.tracking.udp, hint: text.tracking.udpHint, usual: 30 },
  { member: "UdpStreamTimeout", label: text.tracking.stream, hint: text.tracking.streamHint, usual: 180 },
] as const;

/** The timeouts of an interface as facts. */
export const trackingFacts = (eni: NetworkInterface) =>
  timeouts.map((t) => ({
    label: t.label,
    value: text.tracking.seconds(eni.ConnectionTrackingConfiguration?.[t.member], t.usual),
  }));

export function TrackingModal({ eni, onClose }: InterfaceModalProps) {
  const id = eni.NetworkInterfaceId!;
  const save = useSaved(id);
  const was = timeouts.map((t) => String(eni.ConnectionTrackingConfiguration?.[t.member] ?? ""));
  const [now, setNow] = useState(was);
  const wrong = now.map((v) => v.trim() !== "" && !/^\d+$/.test(v.trim()));
  const make = () =>
    new ModifyNetworkInterfaceAttributeCommand({
      NetworkInterfaceId: id,
      ConnectionTrackingSpecification: Object.fromEntries(
        timeouts.flatMap((t, i) => (now[i]!.trim() ? [[t.member, Number(now[i])]] : [])),
      ),
    });
  return (
    <FormModal
      title={text.tracking.title}
      submit={forms.save}
      disabled={now.every((v, i) => v.trim() === was[i]) || wrong.includes(true)}
      calls={[codeCall(make())]}
      onSubmit={() => save(make(), text.tracking.done(id))}
      onClose={onClose}
    >
      <SpaceBetween size="m">
        <Box>{text.tracking.about}</Box>
        {timeouts.map((t, i) => (
          <FormField key={t.member} label={t.label} constraintText={t.hint}>
            <Input
              type="number"
              inputMode="numeric"
              value={now[i]!}
              placeholder={String(t.usual)}
              invalid={wrong[i]}
              onChange={(e) => setNow(now.map((v, k) => (k === i ? e.detail.value : v)))}
            />
          </FormField>
        ))}
      </SpaceBetween>
    </FormModal>
  );
}

export function ObserveModal({ eni, onClose }: InterfaceModalProps) {
  const id = eni.NetworkInterfaceId!;
  const applied = useApplied();
  const until = useDrops(id).data?.InterfaceDrops[0]?.ObservesUntil;
  const [chosen, setChosen] = useState(text.observe.durations[0]!);
  const [error, setError] = useState<unknown>();
  async function observe(DurationSeconds: number) {
    const { revision } = await call("ModifyObservation", { NetworkInterfaceId: id, DurationSeconds });
    applied(DurationSeconds ? text.observe.done(id) : text.observe.ended(id), revision, { networkInterfaceIds: [id] });
    await queryClient.invalidateQueries();
  }
  const end = () => observe(0).then(onClose, setError);
  return (
    <FormModal
      title={text.observe.title}
      submit={text.observe.title}
      onSubmit={() => observe(Number(chosen.value))}
      onClose={onClose}
    >
      <SpaceBetween size="m">
        <Box>{text.observe.about}</Box>
        {until && (
          <Alert
            type="warning"
            action={
              <Button formAction="none" onClick={() => void end()}>
                {text.observe.end}
              </Button>
            }
          >
            {text.observe.until(until.toLocaleString())}
          </Alert>
        )}
        {error !== undefined && <Alert type="error">{messageOf(error)}</Alert>}
        <FormField label={text.observe.duration} description={id}>
          <Select
            options={text.observe.durations}
            selectedOption={chosen}
            onChange={(e) => setChosen(text.observe.durations.find((d) => d.value === e.detail.selectedOption.value)!)}
          />
        </FormField>
      </SpaceBetween>
    </FormModal>
  );
}
