import {
  AssociateSubnetCidrBlockCommand,
  DeleteSubnetCommand,
  DisassociateSubnetCidrBlockCommand,
  ModifySubnetAttributeCommand,
  type Subnet,
} from "@aws-sdk/client-ec2";
import { Alert, Box, Button, Checkbox, FormField, Input, SpaceBetween } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { useNavigate } from "react-router";
import { send } from "../../api/ec2";
import { messageOf } from "../../api/errors";
import { vpcQuery } from "../../api/network";
import { queryClient } from "../../api/query";
import { nameOf } from "../../api/tags";
import type { ActionMenu } from "../../components/action-menu";
import { DeleteModal } from "../../components/delete-modal";
import { FormModal } from "../../components/form-modal";
import { codeCall } from "../../components/show-as-code";
import { ManageTagsModal } from "../../components/tags-editor";
import { useNotify } from "../../shell/notifications";
import { text as forms } from "../../text/forms";
import { text } from "../../text/subnets";

type Window = "delete" | "settings" | "ipv6" | "tags";

/** useSubnetActions are what can be done with the selected subnets, and the windows that it takes. */
export function useSubnetActions(selected: Subnet[], onDeleted?: () => void): { menu: ActionMenu; dialog: ReactNode } {
  const navigate = useNavigate();
  const [open, setOpen] = useState<Window>();
  const close = () => setOpen(undefined);
  const one = selected.length === 1 ? selected[0] : undefined;
  const item = (id: string, label: string, disabled: boolean) => ({ id, text: label, disabled });
  const menu: ActionMenu = {
    label: forms.actions,
    items: [
      item("view", forms.viewDetails, !one),
      item("settings", text.actions.settings, !one),
      item("ipv6", text.actions.ipv6, !one),
      item("tags", forms.manageTags, !selected.length),
      item("delete", text.actions.delete, !selected.length),
    ],
    onItem: (id) => (id === "view" ? void navigate(`/Subnets/${one!.SubnetId}`) : setOpen(id as Window)),
  };
  return {
    menu,
    dialog: (
      <>
        {open === "settings" && one && <SettingsModal subnet={one} onClose={close} />}
        {open === "ipv6" && one && <Ipv6Modal subnet={one} onClose={close} />}
        {open === "tags" && <ManageTagsModal resourceIds={selected.map((s) => s.SubnetId!)} onClose={close} />}
        {open === "delete" && (
          <DeleteModal
            title={text.delete.title(selected.length)}
            resources={selected.map((s) => ({ id: s.SubnetId!, name: nameOf(s) }))}
            onDelete={(SubnetId) => send(new DeleteSubnetCommand({ SubnetId }))}
            usesHref={(id) => `#/Subnets/${id}?tab=interfaces`}
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

function SettingsModal({ subnet, onClose }: { subnet: Subnet; onClose: () => void }) {
  const notify = useNotify();
  const t = text.settings;
  const id = subnet.SubnetId!;
  const was = { ipv6: subnet.AssignIpv6AddressOnCreation ?? false, isPublic: subnet.MapPublicIpOnLaunch ?? false };
  const [now, setNow] = useState(was);
  // EC2 takes one attribute in a call.
  const calls = [
    ...(now.ipv6 !== was.ipv6 ? [{ AssignIpv6AddressOnCreation: { Value: now.ipv6 } }] : []),
    ...(now.isPublic !== was.isPublic ? [{ MapPublicIpOnLaunch: { Value: now.isPublic } }] : []),
  ].map((change) => new ModifySubnetAttributeCommand({ SubnetId: id, ...change }));
  async function save() {
    try {
      for (const command of calls) await send(command);
    } finally {
      await queryClient.invalidateQueries();
    }
    notify({ type: "success", content: t.done(id) });
  }
  return (
    <FormModal
      title={t.title(id)}
      submit={t.submit}
      disabled={!calls.length}
      calls={calls.map(codeCall)}
      onSubmit={save}
      onClose={onClose}
    >
      <SpaceBetween size="s">
        <Checkbox checked={now.ipv6} onChange={(e) => setNow({ ...now, ipv6: e.detail.checked })}>
          {t.autoIpv6}
        </Checkbox>
        <Checkbox
          checked={now.isPublic}
          description={t.autoPublicHint}
          onChange={(e) => setNow({ ...now, isPublic: e.detail.checked })}
        >
          {t.autoPublic}
        </Checkbox>
      </SpaceBetween>
    </FormModal>
  );
}

/** Of a VPC's /56 the /64 with this number, as an example to write over: 2001:db8:0:aa00::/56, 1 → 2001:db8:0:aa01::/64. */
export function exampleIpv6(vpcBlock: string, number: number): string {
  const groups = (vpcBlock.split("/")[0] ?? "").replace(/::$/, "").split(":");
  while (groups.length < 4) groups.push("0");
  const fourth = (parseInt(groups[3]!, 16) | number).toString(16);
  return `${[...groups.slice(0, 3), fourth].join(":")}::/64`;
}

function Ipv6Modal({ subnet, onClose }: { subnet: Subnet; onClose: () => void }) {
  const notify = useNotify();
  const t = text.ipv6;
  const id = subnet.SubnetId!;
  const vpc = useQuery(vpcQuery(subnet.VpcId!)).data?.Vpcs?.[0];
  const vpcBlock = vpc?.Ipv6CidrBlockAssociationSet?.[0]?.Ipv6CidrBlock;
  const blocks = subnet.Ipv6CidrBlockAssociationSet ?? [];
  const [block, setBlock] = useState<string>();
  const [error, setError] = useState<string>();
  const wanted = block ?? (vpcBlock ? exampleIpv6(vpcBlock, 0) : "");
  const command = new AssociateSubnetCidrBlockCommand({ SubnetId: id, Ipv6CidrBlock: wanted.trim() });
  async function remove(association: string, removed: string) {
    setError(undefined);
    try {
      await send(new DisassociateSubnetCidrBlockCommand({ AssociationId: association }));
      notify({ type: "success", content: t.removed(removed) });
      await queryClient.invalidateQueries();
      onClose();
    } catch (e) {
      setError(messageOf(e));
    }
  }
  return (
    <FormModal
      title={t.title(id)}
      submit={t.add}
      disabled={!wanted.trim() || blocks.length > 0}
      calls={wanted.trim() && !blocks.length ? [codeCall(command)] : []}
      onClose={onClose}
      onSubmit={async () => {
        await send(command);
        notify({ type: "success", content: t.added(id) });
        await queryClient.invalidateQueries();
      }}
    >
      <SpaceBetween size="m">
        {error && <Alert type="error">{error}</Alert>}
        {blocks.map((a) => (
          <SpaceBetween key={a.AssociationId} direction="horizontal" size="s" alignItems="center">
            <Box>{a.Ipv6CidrBlock}</Box>
            <Button
              formAction="none"
              variant="inline-link"
              ariaLabel={t.removeLabel(a.Ipv6CidrBlock!)}
              onClick={() => void remove(a.AssociationId!, a.Ipv6CidrBlock!)}
            >
              {t.remove}
            </Button>
          </SpaceBetween>
        ))}
        {blocks.length === 0 && vpc && !vpcBlock && <Alert type="info">{t.noVpcBlock}</Alert>}
        {blocks.length === 0 && vpcBlock && (
          <FormField label={t.block} description={t.none} constraintText={`${t.hint} ${vpcBlock}`}>
            <Input value={wanted} onChange={(e) => setBlock(e.detail.value)} />
          </FormField>
        )}
      </SpaceBetween>
    </FormModal>
  );
}
