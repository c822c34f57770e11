import { DeleteNetworkInterfaceCommand, type NetworkInterface } from "@aws-sdk/client-ec2";
import { useState, type ReactNode } from "react";
import { useNavigate } from "react-router";
import { send } from "../../api/ec2";
import type { ActionMenu } from "../../components/action-menu";
import { DeleteModal } from "../../components/delete-modal";
import { ManageTagsModal } from "../../components/tags-editor";
import { text as forms } from "../../text/forms";
import { text } from "../../text/network-interfaces";
import { ManageAddressesModal } from "./addresses";
import { AttachModal, DetachModal } from "./attach";
import { interfaceName } from "./columns";
import { DescriptionModal, ObserveModal, SourceDestModal, TerminationModal, TrackingModal } from "./settings";

type Window =
  | "addresses"
  | "attach"
  | "delete"
  | "description"
  | "detach"
  | "observe"
  | "sourceDest"
  | "tags"
  | "termination"
  | "tracking";

/** useInterfaceActions are what can be done with the selected interfaces, and the windows that it takes. */
export function useInterfaceActions(
  selected: NetworkInterface[],
  onDeleted?: () => void,
): { menu: ActionMenu; dialog: ReactNode } {
  const navigate = useNavigate();
  const [open, setOpen] = useState<Window>();
  const close = () => setOpen(undefined);
  const a = text.actions;
  const one = selected.length === 1 ? selected[0] : undefined;
  const id = one?.NetworkInterfaceId;
  const attached = selected.filter((e) => e.Attachment);
  // The primary interface of an instance stays with it.
  const detachable = selected.length > 0 && selected.every((e) => (e.Attachment?.DeviceIndex ?? 0) > 0);
  const item = (key: string, label: string, disabled: boolean) => ({ id: key, text: label, disabled });
  const menu: ActionMenu = {
    label: forms.actions,
    items: [
      item("view", forms.viewDetails, !one),
      item("groups", a.groups, !one),
      item("addresses", a.addresses, !one),
      item("attach", a.attach, !one || attached.length > 0),
      item("detach", a.detach, !detachable),
      item("description", a.description, !one),
      item("sourceDest", a.sourceDest, !one),
      item("tracking", a.tracking, !one),
      item("termination", a.termination, !one?.Attachment),
      item("observe", a.observe, !one),
      item("why", a.why, !one),
      item("tags", forms.manageTags, !selected.length),
      item("delete", a.delete, !selected.length || attached.length > 0),
    ],
    onItem: (chosen) => {
      if (chosen === "view") void navigate(`/NetworkInterfaces/${id}`);
      else if (chosen === "groups") void navigate(`/NetworkInterfaces/${id}/ChangeSecurityGroups`);
      else if (chosen === "why") void navigate(`/Why?to=${id}`);
      else setOpen(chosen as Window);
    },
  };
  return {
    menu,
    dialog: (
      <>
        {open === "addresses" && one && <ManageAddressesModal eni={one} onClose={close} />}
        {open === "attach" && one && <AttachModal eni={one} onClose={close} />}
        {open === "detach" && detachable && <DetachModal enis={selected} onClose={close} />}
        {open === "description" && one && <DescriptionModal eni={one} onClose={close} />}
        {open === "sourceDest" && one && <SourceDestModal eni={one} onClose={close} />}
        {open === "tracking" && one && <TrackingModal eni={one} onClose={close} />}
        {open === "termination" && one && <TerminationModal eni={one} onClose={close} />}
        {open === "observe" && one && <ObserveModal eni={one} onClose={close} />}
        {open === "tags" && (
          <ManageTagsModal resourceIds={selected.map((e) => e.NetworkInterfaceId!)} onClose={close} />
        )}
        {open === "delete" && (
          <DeleteModal
            title={text.remove.title(selected.length)}
            resources={selected.map((e) => ({
              id: e.NetworkInterfaceId!,
              name: interfaceName(e) || (e.Description ?? ""),
            }))}
            onDelete={(NetworkInterfaceId) => send(new DeleteNetworkInterfaceCommand({ NetworkInterfaceId }))}
            {...(onDeleted ? { onDone: onDeleted } : {})}
            onClose={close}
          >
            {text.remove.body}
          </DeleteModal>
        )}
      </>
    ),
  };
}
