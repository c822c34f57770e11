import {
  DeleteManagedPrefixListCommand,
  type ManagedPrefixList,
  ModifyManagedPrefixListCommand,
  RestoreManagedPrefixListVersionCommand,
} from "@aws-sdk/client-ec2";
import { Box, FormField, Input, Select, SpaceBetween } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { useNavigate } from "react-router";
import { useDryRun } from "../../api/dry-run";
import { send } from "../../api/ec2";
import { changesOf, entriesQuery } from "../../api/prefix-lists";
import { queryClient } from "../../api/query";
import type { ActionMenu } from "../../components/action-menu";
import { useApplied } from "../../components/apply-status";
import { DeleteModal } from "../../components/delete-modal";
import { FormModal } from "../../components/form-modal";
import { codeCall } from "../../components/show-as-code";
import { ManageTagsModal } from "../../components/tags-editor";
import { text as forms } from "../../text/forms";
import { text } from "../../text/prefix-lists";
import { useVersions } from "./versions";

type Window = "resize" | "restore" | "delete" | "tags";

/** usePrefixListActions are what can be done with the selected lists, and the windows that it takes. */
export function usePrefixListActions(
  selected: ManagedPrefixList[],
  onDeleted?: () => void,
): { menu: ActionMenu; dialog: ReactNode } {
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
      item("modify", t.modify, !one),
      item("resize", t.resize, !one),
      item("restore", t.restore, !one || one.Version === 1),
      item("tags", forms.manageTags, !selected.length),
      item("delete", t.delete, !selected.length),
    ],
    onItem: (id) => {
      if (id === "view") void navigate(`/PrefixLists/${one!.PrefixListId}`);
      else if (id === "modify") void navigate(`/PrefixLists/${one!.PrefixListId}/modify`);
      else setOpen(id as Window);
    },
  };
  return {
    menu,
    dialog: (
      <>
        {open === "resize" && one && <ResizeModal list={one} onClose={close} />}
        {open === "restore" && one && <RestoreModal list={one} onClose={close} />}
        {open === "tags" && <ManageTagsModal resourceIds={selected.map((l) => l.PrefixListId!)} onClose={close} />}
        {open === "delete" && (
          <DeleteModal
            title={text.delete.title(selected.length)}
            resources={selected.map((l) => ({ id: l.PrefixListId!, name: l.PrefixListName! }))}
            onDelete={(PrefixListId) => send(new DeleteManagedPrefixListCommand({ PrefixListId }))}
            usesHref={(id) => `#/PrefixLists/${id}?tab=associations`}
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

function ResizeModal({ list, onClose }: { list: ManagedPrefixList; onClose: () => void }) {
  const applied = useApplied();
  const t = text.resize;
  const id = list.PrefixListId!;
  const [max, setMax] = useState(String(list.MaxEntries));
  const have = useQuery(entriesQuery(id, list.Version!)).data?.length;
  const wanted = /^\d+$/.test(max.trim()) ? Number(max) : undefined;
  const changed = wanted !== undefined && wanted !== list.MaxEntries;
  const make = (DryRun: boolean) =>
    new ModifyManagedPrefixListCommand({ PrefixListId: id, MaxEntries: wanted, DryRun: DryRun || undefined });
  const refused = useDryRun((dryRun) => (changed ? make(dryRun) : undefined));
  return (
    <FormModal
      title={t.title(id)}
      submit={t.submit}
      disabled={!changed}
      calls={changed ? [codeCall(make(false))] : []}
      onClose={onClose}
      onSubmit={async () => {
        try {
          const { output, revision } = await send(make(false));
          const now = output.PrefixList;
          // EC2 answers that it will try; the state says why it did not.
          if (now?.State?.endsWith("-failed")) throw new Error(`${t.failed}: ${now.StateMessage}`);
          applied(t.done(id, wanted!), revision, { prefixListIds: [id] });
        } finally {
          await queryClient.invalidateQueries();
        }
      }}
    >
      <SpaceBetween size="m">
        <Box>{have !== undefined && t.now(have, list.MaxEntries!)}</Box>
        <FormField label={t.label} description={t.hint} errorText={changed ? refused?.message : ""}>
          <Input value={max} type="number" inputMode="numeric" step={1} onChange={(e) => setMax(e.detail.value)} />
        </FormField>
      </SpaceBetween>
    </FormModal>
  );
}

/** RestoreModal makes an earlier version the latest. Without a version it asks for one. */
export function RestoreModal(props: { list: ManagedPrefixList; version?: number; onClose: () => void }) {
  const { list, onClose } = props;
  const applied = useApplied();
  const t = text.restore;
  const id = list.PrefixListId!;
  const latest = list.Version!;
  const options = useVersions(list)
    .filter((v) => v !== latest)
    .map((v) => ({ value: String(v), label: text.versions.version(v) }));
  const [version, setVersion] = useState(props.version ?? latest - 1);
  const here = useQuery(entriesQuery(id, version)).data;
  const there = useQuery(entriesQuery(id, latest)).data;
  const command = new RestoreManagedPrefixListVersionCommand({
    PrefixListId: id,
    PreviousVersion: version,
    CurrentVersion: latest,
  });
  const effect = here && there && changesOf(there, here);
  const known = new Set(there?.map((e) => e.cidr));
  const described = effect?.add.filter((e) => known.has(e.cidr)).length ?? 0;
  return (
    <FormModal
      title={t.title(id)}
      submit={t.submit}
      disabled={version < 1}
      calls={[codeCall(command)]}
      onClose={onClose}
      onSubmit={async () => {
        try {
          const { output, revision } = await send(command);
          applied(t.done(id, version, output.PrefixList?.Version ?? latest + 1), revision, { prefixListIds: [id] });
        } finally {
          await queryClient.invalidateQueries();
        }
      }}
    >
      <SpaceBetween size="m">
        <FormField label={t.label}>
          <Select
            options={options}
            selectedOption={options.find((o) => o.value === String(version)) ?? null}
            virtualScroll={options.length > 100}
            empty={t.nothing}
            onChange={(e) => setVersion(Number(e.detail.selectedOption.value))}
          />
        </FormField>
        {effect && <Box>{t.effect(effect.add.length - described, effect.remove.length, described)}</Box>}
        <Box color="text-body-secondary">{t.body(version, latest + 1)}</Box>
      </SpaceBetween>
    </FormModal>
  );
}
