import {
  AssociateVpcCidrBlockCommand,
  CreateDefaultVpcCommand,
  DeleteVpcCommand,
  DescribeVpcAttributeCommand,
  DisassociateVpcCidrBlockCommand,
  ModifyVpcAttributeCommand,
  type Vpc,
} from "@aws-sdk/client-ec2";
import { Box, Checkbox, FormField, Input, SpaceBetween } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { useNavigate } from "react-router";
import { query, send } from "../../api/ec2";
import { queryClient } from "../../api/query";
import { nameOf } from "../../api/tags";
import type { ActionMenu } from "../../components/action-menu";
import { DeleteModal } from "../../components/delete-modal";
import { FormModal } from "../../components/form-modal";
import { codeCall } from "../../components/show-as-code";
import { ManageTagsModal } from "../../components/tags-editor";
import { useNotify } from "../../shell/notifications";
import { text as forms } from "../../text/forms";
import { text } from "../../text/vpcs";

type Window = "default" | "delete" | "settings" | "tags";

/** useVpcActions are what can be done with the selected VPCs, and the windows that it takes. */
export function useVpcActions(selected: Vpc[], onDeleted?: () => void): { menu: ActionMenu; dialog: ReactNode } {
  const navigate = useNavigate();
  const [open, setOpen] = useState<Window>();
  const close = () => setOpen(undefined);
  const t = text.actions;
  const one = selected.length === 1 ? selected[0] : undefined;
  const item = (id: string, label: string, disabled: boolean) => ({ id, text: label, disabled });
  const menu: ActionMenu = {
    label: forms.actions,
    items: [
      item("view", forms.viewDetails, !one),
      item("settings", t.editSettings, !one),
      item("cidrs", t.editCidrs, !one),
      item("subnet", t.createSubnet, !one),
      item("peering", t.createPeering, !one),
      item("default", t.createDefault, false),
      item("tags", forms.manageTags, !selected.length),
      item("delete", t.delete, !selected.length),
    ],
    onItem: (id) => {
      switch (id) {
        case "view":
          return void navigate(`/Vpcs/${one!.VpcId}`);
        case "cidrs":
          return void navigate(`/Vpcs/${one!.VpcId}?tab=cidrs`);
        case "subnet":
          return void navigate(`/CreateSubnet?vpc=${one!.VpcId}`);
        case "peering":
          return void navigate(`/CreatePeeringConnection?vpc=${one!.VpcId}`);
        default:
          setOpen(id as Window);
      }
    },
  };
  return {
    menu,
    dialog: (
      <>
        {open === "default" && <DefaultVpcModal onClose={close} />}
        {open === "settings" && one && <SettingsModal vpcId={one.VpcId!} onClose={close} />}
        {open === "tags" && <ManageTagsModal resourceIds={selected.map((v) => v.VpcId!)} onClose={close} />}
        {open === "delete" && (
          <DeleteModal
            title={text.delete.title(selected.length)}
            resources={selected.map((v) => ({ id: v.VpcId!, name: nameOf(v) }))}
            onDelete={(VpcId) => send(new DeleteVpcCommand({ VpcId }))}
            usesHref={(id) => `#/Vpcs/${id}?tab=subnets`}
            {...(onDeleted ? { onDone: onDeleted } : {})}
            onClose={close}
          >
            {text.delete.body}
          </DeleteModal>
        )}
      </>
    ),
  };
}

function DefaultVpcModal({ onClose }: { onClose: () => void }) {
  const notify = useNotify();
  const t = text.createDefault;
  return (
    <FormModal
      title={t.title}
      submit={t.submit}
      calls={[codeCall(new CreateDefaultVpcCommand({}))]}
      onClose={onClose}
      onSubmit={async () => {
        const { output } = await send(new CreateDefaultVpcCommand({}));
        notify({ type: "success", content: t.done(output.Vpc!.VpcId!) });
        await queryClient.invalidateQueries();
      }}
    >
      <Box>{t.body}</Box>
    </FormModal>
  );
}

export const attributeQuery = (VpcId: string, Attribute: "enableDnsSupport" | "enableDnsHostnames") =>
  query(new DescribeVpcAttributeCommand({ VpcId, Attribute }));

function SettingsModal({ vpcId, onClose }: { vpcId: string; onClose: () => void }) {
  const notify = useNotify();
  const t = text.settings;
  const support = useQuery(attributeQuery(vpcId, "enableDnsSupport")).data?.EnableDnsSupport?.Value;
  const hostnames = useQuery(attributeQuery(vpcId, "enableDnsHostnames")).data?.EnableDnsHostnames?.Value;
  const [wanted, setWanted] = useState<{ support?: boolean; hostnames?: boolean }>({});
  const now = { support: wanted.support ?? support ?? false, hostnames: wanted.hostnames ?? hostnames ?? false };
  const changes = [
    ...(now.support !== support ? [{ EnableDnsSupport: { Value: now.support } }] : []),
    ...(now.hostnames !== hostnames ? [{ EnableDnsHostnames: { Value: now.hostnames } }] : []),
  ];
  // Host names need DNS: what is turned on goes in that order, what is turned off in the other.
  if (!now.support) changes.reverse();
  // EC2 takes one attribute in a call.
  const calls = changes.map((change) => new ModifyVpcAttributeCommand({ VpcId: vpcId, ...change }));
  async function save() {
    try {
      for (const command of calls) await send(command);
    } finally {
      await queryClient.invalidateQueries();
    }
    notify({ type: "success", content: t.done(vpcId) });
  }
  return (
    <FormModal
      title={t.title(vpcId)}
      submit={t.submit}
      disabled={support === undefined || hostnames === undefined || !calls.length}
      calls={calls.map(codeCall)}
      onSubmit={save}
      onClose={onClose}
    >
      <SpaceBetween size="s">
        <Checkbox checked={now.support} onChange={(e) => setWanted({ ...wanted, support: e.detail.checked })}>
          {text.dnsSupport}
        </Checkbox>
        <Checkbox checked={now.hostnames} onChange={(e) => setWanted({ ...wanted, hostnames: e.detail.checked })}>
          {text.dnsHostnames}
        </Checkbox>
        <Box color="text-body-secondary">{t.note}</Box>
      </SpaceBetween>
    </FormModal>
  );
}

/** AddBlockModal associates one more block with a VPC. */
export function AddBlockModal({ vpcId, family, onClose }: { vpcId: string; family: 4 | 6; onClose: () => void }) {
  const notify = useNotify();
  const t = text.cidrs;
  const [cidr, setCidr] = useState("");
  const command = new AssociateVpcCidrBlockCommand({
    VpcId: vpcId,
    ...(family === 4 ? { CidrBlock: cidr.trim() } : { AmazonProvidedIpv6CidrBlock: true }),
  });
  return (
    <FormModal
      title={family === 4 ? t.add4Title(vpcId) : t.add6Title(vpcId)}
      submit={t.add}
      disabled={family === 4 && !cidr.trim()}
      calls={family === 4 && !cidr.trim() ? [] : [codeCall(command)]}
      onClose={onClose}
      onSubmit={async () => {
        await send(command);
        notify({ type: "success", content: t.added(vpcId) });
        await queryClient.invalidateQueries();
      }}
    >
      {family === 4 ? (
        <FormField label={text.create.cidr} description={text.create.cidrHint}>
          <Input value={cidr} placeholder="10.1.0.0/16" onChange={(e) => setCidr(e.detail.value)} />
        </FormField>
      ) : (
        <Box>{t.add6Body}</Box>
      )}
    </FormModal>
  );
}

/** RemoveBlockModal takes a block from a VPC. */
export function RemoveBlockModal(props: { associationId: string; block: string; onClose: () => void }) {
  const notify = useNotify();
  const t = text.cidrs;
  const command = new DisassociateVpcCidrBlockCommand({ AssociationId: props.associationId });
  return (
    <FormModal
      title={t.removeTitle(props.block)}
      submit={t.remove}
      calls={[codeCall(command)]}
      onClose={props.onClose}
      onSubmit={async () => {
        await send(command);
        notify({ type: "success", content: t.removed(props.block) });
        await queryClient.invalidateQueries();
      }}
    >
      <Box>{t.removeBody}</Box>
    </FormModal>
  );
}
