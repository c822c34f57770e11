import {
  Container,
  FormField,
  Header,
  Input,
  ProgressBar,
  RadioGroup,
  SpaceBetween,
} from "@cloudscape-design/components";
import { useState } from "react";
import { useNavigate } from "react-router";
import { useDryRun } from "../../api/dry-run";
import { send } from "../../api/ec2";
import { messageOf } from "../../api/errors";
import {
  createCommand,
  entriesOfCall,
  inCalls,
  modifyCommand,
  modifyEntries,
  wouldSucceed,
  type NewPrefixList,
} from "../../api/prefix-lists";
import { queryClient } from "../../api/query";
import { tagSpecifications } from "../../api/tags";
import { FormPage, useFieldErrors, type FieldPatterns } from "../../components/form-page";
import { useNameAndTags } from "../../components/name-and-tags";
import { codeCall, resultOf } from "../../components/show-as-code";
import { TagsSection } from "../../components/tags-editor";
import { useNotify } from "../../shell/notifications";
import { text } from "../../text/prefix-lists";
import { EntriesEditor, pageSize } from "./entries-editor";
import { entriesOfRows, problemsOf, rowAbout, rowOf, type Row } from "./rows";

const t = text.create;

const patterns: FieldPatterns<"name" | "max" | "entries"> = [
  [/prefixListName/i, "name"],
  [/maxEntries|PrefixListMaxEntriesExceeded/i, "max"],
  [/CIDR|description/i, "entries"],
];

export default function CreatePrefixListPage() {
  const navigate = useNavigate();
  const notify = useNotify();
  const [name, setName] = useState("");
  const [max, setMax] = useState("");
  const [family, setFamily] = useState<"IPv4" | "IPv6">("IPv4");
  const [rows, setRows] = useState<Row[]>(() => [rowOf({ cidr: "", description: "" })]);
  const [progress, setProgress] = useState<{ done: number; of: number }>();
  const named = useNameAndTags();
  const entries = entriesOfRows(rows);
  const list: NewPrefixList = {
    name: name.trim(),
    family,
    maxEntries: /^\d+$/.test(max.trim()) ? Number(max) : undefined,
    entries,
  };
  const tags = { TagSpecifications: tagSpecifications("prefix-list", named.tags) };
  const rest = inCalls({ add: entries.slice(entriesOfCall), remove: [] });
  // The newest rows are the last ones, and one call holds only so many: so they are asked about.
  const asked = { ...list, entries: (rest.at(-1) ?? { add: entries }).add };
  const live = useDryRun((DryRun) =>
    entries.some((e) => !e.cidr) ? undefined : createCommand(asked, { ...tags, DryRun: DryRun || undefined }),
  );
  const errors = useFieldErrors(patterns, JSON.stringify([list, tags]), live);
  const refused = errors.of("entries");
  const create = async () => {
    // All entries are looked at before the first call, so that a slip in the last line makes no list.
    for (const call of rest) await wouldSucceed(createCommand({ ...list, entries: call.add }, { DryRun: true }));
    const made = await send(createCommand(list, tags));
    const id = made.output.PrefixList!.PrefixListId!;
    let saved = Math.min(entries.length, entriesOfCall);
    try {
      await modifyEntries(id, 1, { add: entries.slice(entriesOfCall), remove: [] }, undefined, (done, of) => {
        setProgress({ done: done + 1, of: of + 1 });
        saved = Math.min(entries.length, (done + 1) * entriesOfCall);
      });
      notify({ type: "success", content: t.done(id) });
    } catch (e) {
      notify({ type: "error", header: t.rest(id, saved, entries.length), content: messageOf(e) });
    }
    void queryClient.invalidateQueries();
    await navigate(`/PrefixLists/${id}`);
  };
  return (
    <FormPage
      title={t.title}
      description={text.empty.body}
      list={{ text: text.title, href: "#/PrefixLists" }}
      submit={t.submit}
      disabled={!named.valid || problemsOf(rows).size > 0}
      error={errors.whole ?? (refused && (rows.length > pageSize || !rowAbout(rows, refused)) ? refused : undefined)}
      calls={[
        codeCall(createCommand(list, tags)),
        ...rest.map((c, i) => codeCall(modifyCommand(resultOf(0, "PrefixList.PrefixListId"), i + 1, c))),
      ]}
      onSubmit={() => errors.submit(create)}
    >
      <Container header={<Header variant="h2">{t.settings}</Header>}>
        <SpaceBetween size="l">
          <FormField label={text.listName} errorText={errors.of("name")}>
            <Input
              value={name}
              placeholder="my-prefix-list-01"
              autoComplete={false}
              onChange={(e) => setName(e.detail.value)}
            />
          </FormField>
          <FormField label={text.maxEntries} description={t.maxHint} errorText={errors.of("max")}>
            <Input
              value={max}
              type="number"
              inputMode="numeric"
              step={1}
              placeholder="10"
              onChange={(e) => setMax(e.detail.value)}
            />
          </FormField>
          <FormField label={text.family} description={t.familyHint}>
            <RadioGroup
              value={family}
              onChange={(e) => setFamily(e.detail.value as "IPv4" | "IPv6")}
              items={[
                { value: "IPv4", label: "IPv4" },
                { value: "IPv6", label: "IPv6" },
              ]}
            />
          </FormField>
        </SpaceBetween>
      </Container>
      <EntriesEditor
        rows={rows}
        onChange={setRows}
        maxEntries={list.maxEntries}
        family={family}
        refused={refused}
        fresh
      />
      <TagsSection tags={named.tags} onChange={named.setTags} />
      {progress && (
        <ProgressBar
          value={(100 * progress.done) / progress.of}
          label={text.modify.progressLabel}
          additionalInfo={text.modify.progress(progress.done, progress.of)}
        />
      )}
    </FormPage>
  );
}
