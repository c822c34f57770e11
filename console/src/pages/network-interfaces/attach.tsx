import {
  AttachNetworkInterfaceCommand,
  DescribeInstancesCommand,
  DetachNetworkInterfaceCommand,
  type NetworkInterface,
} from "@aws-sdk/client-ec2";
import { Box, FormField, Input, Select, SpaceBetween } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { query, send } from "../../api/ec2";
import { messageOf } from "../../api/errors";
import { labelOf } from "../../api/network";
import { queryClient } from "../../api/query";
import { FormModal } from "../../components/form-modal";
import { codeCall } from "../../components/show-as-code";
import { useNotify } from "../../shell/notifications";
import { text as forms } from "../../text/forms";
import { text } from "../../text/network-interfaces";
import type { InterfaceModalProps } from "./settings";

const offered = 1000; // instances

export function AttachModal({ eni, onClose }: InterfaceModalProps) {
  const id = eni.NetworkInterfaceId!;
  const notify = useNotify();
  const [instance, setInstance] = useState("");
  const [index, setIndex] = useState("1");
  const t = text.attach;
  const answer = useQuery(
    query(
      new DescribeInstancesCommand({
        Filters: [
          { Name: "instance-state-name", Values: ["running", "stopped"] },
          { Name: "vpc-id", Values: [eni.VpcId!] },
          { Name: "availability-zone", Values: [eni.AvailabilityZone!] },
        ],
        MaxResults: offered,
      }),
    ),
  );
  const instances = (answer.data?.Reservations ?? []).flatMap((r) => r.Instances ?? []);
  const options = instances.map((i) => ({
    value: i.InstanceId!,
    label: labelOf(i.InstanceId, i),
    description: [i.State?.Name, i.PrivateIpAddress].filter(Boolean).join(", "),
  }));
  const choose = (chosen: string) => {
    setInstance(chosen);
    // The first index that is free.
    const taken = instances
      .find((i) => i.InstanceId === chosen)
      ?.NetworkInterfaces?.map((e) => e.Attachment?.DeviceIndex);
    for (let n = 1; ; n++) {
      if (!taken?.includes(n)) {
        setIndex(String(n));
        return;
      }
    }
  };
  const make = () =>
    new AttachNetworkInterfaceCommand({ NetworkInterfaceId: id, InstanceId: instance, DeviceIndex: Number(index) });
  return (
    <FormModal
      title={t.title(id)}
      submit={t.submit}
      disabled={!instance || !/^\d+$/.test(index)}
      calls={instance ? [codeCall(make())] : []}
      onClose={onClose}
      onSubmit={async () => {
        await send(make());
        notify({ type: "success", content: t.done(id, instance) });
        await queryClient.invalidateQueries();
      }}
    >
      <SpaceBetween size="m">
        <FormField label={t.instance} description={t.hint}>
          <Select
            placeholder={t.choose}
            options={options}
            selectedOption={options.find((o) => o.value === instance) ?? null}
            filteringType="auto"
            filteringAriaLabel={t.choose}
            statusType={answer.isPending ? "loading" : answer.error ? "error" : "finished"}
            loadingText={forms.loading}
            errorText={answer.error ? messageOf(answer.error) : ""}
            empty={forms.none}
            onChange={(e) => choose(e.detail.selectedOption.value!)}
          />
        </FormField>
        <FormField label={t.index}>
          <Input type="number" inputMode="numeric" value={index} onChange={(e) => setIndex(e.detail.value)} />
        </FormField>
      </SpaceBetween>
    </FormModal>
  );
}

export function DetachModal({ enis, onClose }: { enis: NetworkInterface[]; onClose: () => void }) {
  const notify = useNotify();
  const t = text.detach;
  return (
    <FormModal
      title={t.title(enis.length)}
      submit={t.submit}
      onClose={onClose}
      onSubmit={async () => {
        try {
          for (const e of enis) {
            await send(new DetachNetworkInterfaceCommand({ AttachmentId: e.Attachment?.AttachmentId }));
          }
        } finally {
          await queryClient.invalidateQueries();
        }
        notify({ type: "success", content: t.done(enis.map((e) => e.NetworkInterfaceId!)) });
      }}
    >
      <Box>{t.body}</Box>
      <ul>
        {enis.map((e) => (
          <li key={e.NetworkInterfaceId}>
            {labelOf(e.NetworkInterfaceId, { Tags: e.TagSet })}, {e.Attachment?.InstanceId}
          </li>
        ))}
      </ul>
    </FormModal>
  );
}
