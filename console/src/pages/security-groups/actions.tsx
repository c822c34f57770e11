import type { SecurityGroup } from "@aws-sdk/client-ec2";
import { lazy, Suspense, useState, type ReactNode } from "react";
import type { ActionMenu } from "../../components/action-menu";
import { text } from "../../text/security-groups";

const t = text.actions;

// Not before somebody asks for one: the list is there sooner.
const ManageTagsModal = lazy(() =>
  import("../../components/tags-editor").then((m) => ({ default: m.ManageTagsModal })),
);
const AssociateModal = lazy(() => import("./associations").then((m) => ({ default: m.AssociateModal })));
const DeleteGroups = lazy(() => import("./delete").then((m) => ({ default: m.DeleteGroups })));

type Open = "tags" | "delete" | "associate";

/** useGroupActions returns the menu of what can be done with groups, and the dialogs that it opens, to be rendered.
 * deleted is told of the ids of groups that are gone. */
export function useGroupActions(
  groups: SecurityGroup[],
  deleted?: (ids: string[]) => void,
): { menu: ActionMenu; dialogs: ReactNode; open: (dialog: Open) => void } {
  const [open, setOpen] = useState<Open>();
  // Of those that were selected when it was opened: a delete takes groups out of the selection.
  const [subject, setSubject] = useState<SecurityGroup[]>([]);
  const one = groups.length === 1 ? groups[0] : undefined;
  const ofOne = (label: string, path: (id: string) => string) => ({
    id: label,
    text: label,
    ...(one ? { href: `#${path(one.GroupId!)}` } : { disabled: true, disabledReason: t.one }),
  });
  const ofAny = (id: Open, label: string) => ({
    id,
    text: label,
    disabled: groups.length === 0,
    ...(groups.length === 0 ? { disabledReason: t.none } : {}),
  });
  const show = (dialog: Open) => {
    setSubject(groups);
    setOpen(dialog);
  };
  const close = () => setOpen(undefined);
  const ids = subject.map((g) => g.GroupId!);
  return {
    open: show,
    menu: {
      label: t.label,
      items: [
        ofOne(t.view, (id) => `/SecurityGroups/${id}`),
        ofOne(t.inbound, (id) => `/SecurityGroups/${id}/inbound`),
        ofOne(t.outbound, (id) => `/SecurityGroups/${id}/outbound`),
        ofAny("tags", t.tags),
        ofOne(t.stale, () => `/StaleRules/${one?.VpcId}`),
        ofOne(t.copy, (id) => `/CopySecurityGroup/${id}`),
        { ...ofAny("associate", t.associate), ...(one ? {} : { disabled: true, disabledReason: t.one }) },
        ofOne(t.replace, (id) => `/SecurityGroups/${id}/replace`),
        ofAny("delete", t.delete),
      ],
      onItem: (id) => {
        if (id === "tags" || id === "delete" || id === "associate") show(id);
      },
    },
    dialogs: (
      <Suspense fallback={null}>
        {open === "tags" && <ManageTagsModal resourceIds={ids} onClose={close} />}
        {open === "associate" && subject[0] && <AssociateModal group={subject[0]} onClose={close} />}
        {open === "delete" && (
          <DeleteGroups
            groups={subject}
            onClose={(gone) => {
              close();
              if (gone.length) deleted?.(gone);
            }}
          />
        )}
      </Suspense>
    ),
  };
}
