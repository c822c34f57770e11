import { StartInstancesCommand, type Instance } from "@aws-sdk/client-ec2";
import type { ButtonDropdownProps } from "@cloudscape-design/components";
import { useState, type ReactNode } from "react";
import { useNavigate } from "react-router";
import { messageOf } from "../../api/errors";
import { send } from "../../api/ec2";
import { externalImage, useImageNames } from "../../api/instances";
import { queryClient } from "../../api/query";
import type { ActionMenu } from "../../components/action-menu";
import { ManageTagsModal } from "../../components/tags-editor";
import { useNotify } from "../../shell/notifications";
import { text } from "../../text/instances";
import { Progress } from "./progress";
import { StateModal, SwitchModal, type Switch } from "./dialogs";

const t = text.actions;

interface Dialog {
  kind: "stop" | "terminate" | "tags" | Switch;
  instances: Instance[];
}

export interface InstanceActions {
  /** All that can be done with the instances. */
  all: ActionMenu;
  /** Only what changes their state: EC2's button beside Actions. */
  state: ActionMenu;
  /** What the chosen action asks; to be rendered by the page. */
  dialog: ReactNode;
}

/** useInstanceActions is what can be done with instances; an action that cannot says why not. */
export function useInstanceActions(instances: Instance[], options: { detail?: boolean } = {}): InstanceActions {
  const navigate = useNavigate();
  const notify = useNotify();
  const images = useImageNames();
  const [dialog, setDialog] = useState<Dialog>();
  const ids = instances.map((i) => i.InstanceId!);

  const all = (test: (i: Instance) => boolean) => instances.every(test);
  const external = (i: Instance) => images.get(i.ImageId ?? "") === externalImage;
  const state = (...names: string[]) => all((i) => names.includes(i.State?.Name ?? ""));
  const gone = instances.some((i) => ["shutting-down", "terminated"].includes(i.State?.Name ?? ""));

  // An item, disabled with the first of the reasons that is one.
  const item = (id: string, label: string, ...reasons: (string | false)[]): ButtonDropdownProps.Item => {
    const why = reasons.find((r) => r !== false);
    return why === undefined ? { id, text: label } : { id, text: label, disabled: true, disabledReason: why };
  };
  const some = instances.length === 0 && t.nothing;
  const one = instances.length !== 1 && t.one;
  const started = instances.some(external) && t.external;

  const states = [
    item("stop", t.stop, some, started, !state("running", "pending") && t.notRunning),
    item("start", t.start, some, started, !state("stopped") && t.notStopped),
    item("reboot", t.reboot, some, t.noReboot),
    item("terminate", t.terminate, some, state("terminated") && t.gone),
  ];
  const items: ButtonDropdownProps.ItemOrGroup[] = [
    ...(options.detail ? [] : [item("view", t.view, one)]),
    { id: "state", text: t.state, items: states },
    {
      id: "settings",
      text: t.settings,
      items: [
        item("tags", t.tags, some),
        item("termination-protection", t.terminationProtection, one, gone && t.gone),
        item("stop-protection", t.stopProtection, one, gone && t.gone),
      ],
    },
    {
      id: "networking",
      text: t.networking,
      items: [item("source-dest", t.sourceDest, one, gone && t.gone)],
    },
    {
      id: "security",
      text: t.security,
      items: [item("groups", t.groups, one, gone && t.gone)],
    },
    item("why", t.why, some, instances.length > 2 && t.two, gone && t.gone),
  ];

  const start = async () => {
    try {
      await send(new StartInstancesCommand({ InstanceIds: ids }));
      notify({
        type: "success",
        header: text.done.start(ids),
        content: <Progress ids={ids} to="running" since={Date.now()} />,
      });
    } catch (error) {
      notify({ type: "error", header: text.failed.start(ids.length), content: messageOf(error) });
    }
    await queryClient.invalidateQueries();
  };
  const onItem = (id: string) => {
    switch (id) {
      case "view":
        return void navigate(`/Instances/${ids[0]}`);
      case "start":
        return void start();
      case "groups":
        return void navigate(`/Instances/${ids[0]}/ChangeSecurityGroups`);
      case "why":
        return void navigate(`/Why?${ends(ids).toString()}`);
      case "stop":
      case "terminate":
      case "tags":
      case "termination-protection":
      case "stop-protection":
      case "source-dest":
        return setDialog({ kind: id, instances });
    }
  };
  const close = () => setDialog(undefined);
  return {
    all: { label: t.label, items, onItem },
    state: { label: t.state, items: states, onItem },
    dialog: dialog && <InstanceDialog dialog={dialog} onClose={close} />,
  };
}

// Of one instance: may somebody reach it? Of two: may the first one reach the second?
function ends([first, second]: string[]): URLSearchParams {
  return new URLSearchParams(second ? { from: first!, to: second } : { to: first! });
}

function InstanceDialog({ dialog, onClose }: { dialog: Dialog; onClose: () => void }) {
  switch (dialog.kind) {
    case "stop":
    case "terminate":
      return <StateModal kind={dialog.kind} instances={dialog.instances} onClose={onClose} />;
    case "tags":
      return <ManageTagsModal resourceIds={dialog.instances.map((i) => i.InstanceId!)} onClose={onClose} />;
    case "termination-protection":
    case "stop-protection":
    case "source-dest":
      return <SwitchModal kind={dialog.kind} instance={dialog.instances[0]!} onClose={onClose} />;
  }
}
