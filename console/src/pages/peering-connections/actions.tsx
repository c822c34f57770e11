import {
  AcceptVpcPeeringConnectionCommand,
  DeleteVpcPeeringConnectionCommand,
  ModifyVpcPeeringConnectionOptionsCommand,
  RejectVpcPeeringConnectionCommand,
  type VpcPeeringConnection,
} from "@aws-sdk/client-ec2";
import { Box, Checkbox, SpaceBetween } from "@cloudscape-design/components";
import { useState, type ReactNode } from "react";
import { useNavigate } from "react-router";
import { send } from "../../api/ec2";
import { describePeerings } from "../../api/network";
import { queryClient } from "../../api/query";
import { nameOf } from "../../api/tags";
import type { ActionMenu } from "../../components/action-menu";
import { useApplied } from "../../components/apply-status";
import { DeleteModal } from "../../components/delete-modal";
import { Facts } from "../../components/detail-page";
import { FormModal } from "../../components/form-modal";
import { codeCall } from "../../components/show-as-code";
import { ManageTagsModal } from "../../components/tags-editor";
import { useNotify } from "../../shell/notifications";
import { text as forms } from "../../text/forms";
import { text } from "../../text/peering-connections";
import { blocksOfSide, ended, pending, SideLink } from "./columns";

type Window = "accept" | "reject" | "dns" | "delete" | "tags";

/** usePeeringActions are what can be done with the selected connections, and the windows that it takes. */
export function usePeeringActions(selected: VpcPeeringConnection[]): {
  menu: ActionMenu;
  dialog: ReactNode;
  open: (w: Window) => void;
} {
  const navigate = useNavigate();
  const [open, setOpen] = useState<Window>();
  const close = () => setOpen(undefined);
  const one = selected.length === 1 ? selected[0] : undefined;
  const item = (id: string, label: string, disabled: boolean) => ({ id, text: label, disabled });
  const t = text.actions;
  const menu: ActionMenu = {
    label: forms.actions,
    items: [
      item("view", forms.viewDetails, !one),
      item("accept", t.accept, !one || !pending(one)),
      item("reject", t.reject, !one || !pending(one)),
      item("dns", t.dns, one?.Status?.Code !== "active"),
      item("tags", forms.manageTags, !selected.length),
      item("delete", t.delete, !selected.length || selected.some(ended)),
    ],
    onItem: (id) =>
      id === "view" ? void navigate(`/PeeringConnections/${one!.VpcPeeringConnectionId}`) : setOpen(id as Window),
  };
  return {
    menu,
    open: setOpen,
    dialog: (
      <>
        {(open === "accept" || open === "reject") && one && <AnswerModal answer={open} peering={one} onClose={close} />}
        {open === "dns" && one && <DnsModal peering={one} onClose={close} />}
        {open === "tags" && (
          <ManageTagsModal resourceIds={selected.map((p) => p.VpcPeeringConnectionId!)} onClose={close} />
        )}
        {open === "delete" && (
          <DeleteModal
            title={text.delete.title(selected.length)}
            resources={selected.map((p) => ({ id: p.VpcPeeringConnectionId!, name: nameOf(p) }))}
            onDelete={(id) => send(new DeleteVpcPeeringConnectionCommand({ VpcPeeringConnectionId: id }))}
            onClose={close}
          >
            {text.delete.body}
          </DeleteModal>
        )}
      </>
    ),
  };
}

function AnswerModal(props: { answer: "accept" | "reject"; peering: VpcPeeringConnection; onClose: () => void }) {
  const { answer, peering, onClose } = props;
  const notify = useNotify();
  const applied = useApplied();
  const t = text[answer];
  const id = peering.VpcPeeringConnectionId!;
  return (
    <FormModal
      title={t.title}
      submit={t.submit}
      calls={[
        codeCall(
          answer === "accept"
            ? new AcceptVpcPeeringConnectionCommand({ VpcPeeringConnectionId: id })
            : new RejectVpcPeeringConnectionCommand({ VpcPeeringConnectionId: id }),
        ),
      ]}
      onClose={onClose}
      onSubmit={async () => {
        const input = { VpcPeeringConnectionId: id };
        try {
          if (answer === "reject") {
            await send(new RejectVpcPeeringConnectionCommand(input));
            notify({ type: "success", content: t.done(id) });
            return;
          }
          const { revision } = await send(new AcceptVpcPeeringConnectionCommand(input));
          // The answer is EC2's first one; whether the blocks overlap shows in the next.
          const now = (await describePeerings([id]))[0]?.Status;
          if (now?.Code === "failed") notify({ type: "error", header: text.failed.title, content: now.Message });
          else applied(t.done(id), revision);
        } finally {
          await queryClient.invalidateQueries();
        }
      }}
    >
      <SpaceBetween size="m">
        <Box>{t.body}</Box>
        <Facts
          columns={2}
          items={[
            { label: text.requester, value: <SideLink side={peering.RequesterVpcInfo} /> },
            { label: text.accepter, value: <SideLink side={peering.AccepterVpcInfo} /> },
            { label: text.requesterCidrs, value: blocksOfSide(peering.RequesterVpcInfo) },
            { label: text.accepterCidrs, value: blocksOfSide(peering.AccepterVpcInfo) },
          ]}
        />
      </SpaceBetween>
    </FormModal>
  );
}

/** DnsModal edits what the VPCs resolve of each other. */
export function DnsModal({ peering, onClose }: { peering: VpcPeeringConnection; onClose: () => void }) {
  const notify = useNotify();
  const t = text.dns;
  const id = peering.VpcPeeringConnectionId!;
  const was = {
    requester: peering.RequesterVpcInfo?.PeeringOptions?.AllowDnsResolutionFromRemoteVpc ?? false,
    accepter: peering.AccepterVpcInfo?.PeeringOptions?.AllowDnsResolutionFromRemoteVpc ?? false,
  };
  const [now, setNow] = useState(was);
  const command = new ModifyVpcPeeringConnectionOptionsCommand({
    VpcPeeringConnectionId: id,
    RequesterPeeringConnectionOptions: { AllowDnsResolutionFromRemoteVpc: now.requester },
    AccepterPeeringConnectionOptions: { AllowDnsResolutionFromRemoteVpc: now.accepter },
  });
  return (
    <FormModal
      title={t.title(id)}
      submit={t.submit}
      disabled={now.requester === was.requester && now.accepter === was.accepter}
      calls={[codeCall(command)]}
      onClose={onClose}
      onSubmit={async () => {
        await send(command);
        notify({ type: "success", content: t.done(id) });
        await queryClient.invalidateQueries();
      }}
    >
      <SpaceBetween size="s">
        <Checkbox checked={now.accepter} onChange={(e) => setNow({ ...now, accepter: e.detail.checked })}>
          {t.requester}
        </Checkbox>
        <Checkbox checked={now.requester} onChange={(e) => setNow({ ...now, requester: e.detail.checked })}>
          {t.accepter}
        </Checkbox>
        <Box color="text-body-secondary">{t.note}</Box>
      </SpaceBetween>
    </FormModal>
  );
}
