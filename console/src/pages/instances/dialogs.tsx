import {
  DescribeInstanceAttributeCommand,
  type Instance,
  ModifyInstanceAttributeCommand,
  ModifyNetworkInterfaceAttributeCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import { Alert, Box, Button, Checkbox, Link, Modal, SpaceBetween, Table } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { messageOf } from "../../api/errors";
import { query, send } from "../../api/ec2";
import { primaryOf } from "../../api/instances";
import { queryClient } from "../../api/query";
import { useNotify } from "../../shell/notifications";
import { text } from "../../text/instances";
import { StateCell } from "./cells";
import { nameOf } from "../../api/tags";
import { Progress } from "./progress";

/** StateModal asks before instances are stopped or terminated, and does it. */
export function StateModal(props: { kind: "stop" | "terminate"; instances: Instance[]; onClose: () => void }) {
  const { kind, instances, onClose } = props;
  const t = text.confirm[kind];
  const notify = useNotify();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const ids = instances.map((i) => i.InstanceId!);
  const confirm = async () => {
    setBusy(true);
    setError(undefined);
    try {
      if (kind === "stop") await send(new StopInstancesCommand({ InstanceIds: ids }));
      else await send(new TerminateInstancesCommand({ InstanceIds: ids }));
      notify({
        type: "success",
        header: text.done[kind](ids),
        content: <Progress ids={ids} to={kind === "stop" ? "stopped" : "terminated"} since={Date.now()} />,
      });
      onClose();
    } catch (e) {
      setError(e);
    }
    setBusy(false);
    await queryClient.invalidateQueries();
  };
  return (
    <Modal
      visible
      onDismiss={onClose}
      header={t.title(instances.length)}
      closeAriaLabel={text.confirm.cancel}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={onClose}>
              {text.confirm.cancel}
            </Button>
            <Button variant="primary" loading={busy} onClick={() => void confirm()}>
              {t.button}
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <SpaceBetween size="m">
        <Table
          variant="embedded"
          enableKeyboardNavigation={false}
          items={instances}
          trackBy={(i) => i.InstanceId!}
          ariaLabels={{ tableLabel: text.title }}
          columnDefinitions={[
            {
              id: "id",
              header: text.columns.id,
              cell: (i) => (nameOf(i) ? `${i.InstanceId} (${nameOf(i)})` : i.InstanceId),
              isRowHeader: true,
            },
            { id: "state", header: text.columns.state, cell: (i) => <StateCell instance={i} /> },
          ]}
        />
        <Alert type="warning">{t.body}</Alert>
        {error !== undefined && (
          <Alert type="error" header={text.failed[kind](instances.length)}>
            {messageOf(error)}
          </Alert>
        )}
      </SpaceBetween>
    </Modal>
  );
}

/** Something of an instance that is on or off. */
export type Switch = "termination-protection" | "stop-protection" | "source-dest";

const words = {
  "termination-protection": text.protection.termination,
  "stop-protection": text.protection.stop,
  "source-dest": text.protection.sourceDest,
};

const attributes = {
  "termination-protection": ["disableApiTermination", "DisableApiTermination"],
  "stop-protection": ["disableApiStop", "DisableApiStop"],
  "source-dest": ["sourceDestCheck", "SourceDestCheck"],
} as const;

/** attributeQuery is for useQuery: one attribute of an instance. */
export const attributeQuery = (InstanceId: string, kind: Switch) =>
  query(new DescribeInstanceAttributeCommand({ InstanceId, Attribute: attributes[kind][0] }));

/** SwitchModal shows one attribute that is on or off, and changes it. */
export function SwitchModal({ kind, instance, onClose }: { kind: Switch; instance: Instance; onClose: () => void }) {
  const notify = useNotify();
  const InstanceId = instance.InstanceId!;
  const [, member] = attributes[kind];
  const now = useQuery(attributeQuery(InstanceId, kind));
  const [chosen, setChosen] = useState<boolean>();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const value = now.data?.[member]?.Value ?? false;
  const on = chosen ?? value;
  const save = async () => {
    setBusy(true);
    setError(undefined);
    try {
      const primary = primaryOf(instance)?.NetworkInterfaceId;
      if (kind === "source-dest" && primary && (instance.NetworkInterfaces?.length ?? 0) > 1) {
        // Of an instance with several interfaces each has its own; this is the primary one's.
        await send(
          new ModifyNetworkInterfaceAttributeCommand({ NetworkInterfaceId: primary, SourceDestCheck: { Value: on } }),
        );
      } else {
        await send(new ModifyInstanceAttributeCommand({ InstanceId, [member]: { Value: on } }));
      }
      notify({ type: "success", content: text.protection.saved(words[kind].title, InstanceId, on) });
      await queryClient.invalidateQueries();
      onClose();
    } catch (e) {
      setError(e);
      setBusy(false);
    }
  };
  return (
    <Modal
      visible
      onDismiss={onClose}
      header={words[kind].title}
      closeAriaLabel={text.confirm.cancel}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={onClose}>
              {text.confirm.cancel}
            </Button>
            <Button variant="primary" loading={busy} disabled={!now.data || on === value} onClick={() => void save()}>
              {text.protection.save}
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <SpaceBetween size="m">
        <div>
          <Box variant="awsui-key-label">{text.columns.id}</Box>
          <Link href={`#/Instances/${InstanceId}`}>{InstanceId}</Link>
          {nameOf(instance) && ` (${nameOf(instance)})`}
        </div>
        <Checkbox
          checked={on}
          disabled={!now.data}
          description={words[kind].body}
          onChange={(e) => setChosen(e.detail.checked)}
        >
          {text.protection.enable}
        </Checkbox>
        {(error ?? now.error) != null && (
          <Alert type="error" header={text.failed.change}>
            {messageOf(error ?? now.error)}
          </Alert>
        )}
      </SpaceBetween>
    </Modal>
  );
}
