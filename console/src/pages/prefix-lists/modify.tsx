import {
  Alert,
  Box,
  Button,
  Container,
  FormField,
  Header,
  Input,
  ProgressBar,
  SpaceBetween,
} from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useNavigate, useParams } from "react-router";
import { useDryRun } from "../../api/dry-run";
import { messageOf } from "../../api/errors";
import {
  changesOf,
  describePrefixLists,
  entriesOf,
  entriesOfCall,
  inCalls,
  modifyCommand,
  modifyEntries,
  wouldSucceed,
  type Entry,
} from "../../api/prefix-lists";
import { queryClient } from "../../api/query";
import { useApplied } from "../../components/apply-status";
import { FormPage, useFieldErrors, type FieldPatterns } from "../../components/form-page";
import { codeCall } from "../../components/show-as-code";
import { LoadingPage, Page } from "../../shell/page";
import { text as shell } from "../../text/shell";
import { text } from "../../text/prefix-lists";
import { EntriesEditor, pageSize } from "./entries-editor";
import { changesOfRows, problemsOf, rebased, rowAbout, rowsOf, stateOf } from "./rows";

const t = text.modify;
const mismatch = "PrefixListVersionMismatch";
const named = 10; // changes of others that are listed

const patterns: FieldPatterns<"name" | "version" | "entries"> = [
  [/prefixListName/i, "name"],
  [new RegExp(mismatch), "version"],
  [/CIDR|description/i, "entries"],
];

/** A list as it was when somebody looked. */
interface Base {
  version: number;
  name: string;
  family: string;
  maxEntries: number;
  entries: Entry[];
}

export default function ModifyPrefixListPage() {
  const id = useParams().id!;
  // Looked at once: what comes later is a conflict, not a new beginning.
  const answer = useQuery({ queryKey: ["prefix-list-form", id], queryFn: () => look(id), gcTime: 0 });
  if (answer.data) return <ModifyForm key={id} id={id} first={answer.data} />;
  if (answer.isPending) return <LoadingPage />;
  return (
    <Page title={t.title(id)} breadcrumbs={[{ text: text.title, href: "#/PrefixLists" }]}>
      <Alert type="error" header={shell.error.title}>
        {messageOf(answer.error)}
      </Alert>
    </Page>
  );
}

function ModifyForm({ id, first }: { id: string; first: Base }) {
  const navigate = useNavigate();
  const applied = useApplied();
  const [base, setBase] = useState(first);
  const [name, setName] = useState(base.name);
  const [rows, setRows] = useState(() => rowsOf(first.entries));
  const [progress, setProgress] = useState<{ done: number; of: number }>();
  const [partly, setPartly] = useState<{ version: number; error: string }>();
  const changes = changesOfRows(rows);
  const calls = inCalls(changes);
  const newName = name.trim() !== base.name ? name.trim() : undefined;
  if (!calls.length && newName !== undefined) calls.push(changes);
  const live = useDryRun((dryRun) =>
    calls.length && !changes.add.some((e) => !e.cidr)
      ? modifyCommand(id, base.version, calls.at(-1)!, newName, dryRun)
      : undefined,
  );
  const errors = useFieldErrors(patterns, JSON.stringify([base.version, newName, changes]), live);
  const conflict = errors.of("version") !== "";
  const refused = errors.of("entries");
  const states = rows.map(stateOf);
  const count = (state: string) => states.filter((s) => s === state).length;
  const summary = [t.summary(count("added"), count("changed"), count("removed")), newName !== undefined && t.renamed]
    .filter(Boolean)
    .join(", ");

  const rebase = (now: Base) => {
    setRows(rebased(now.entries, changes));
    setBase(now);
    if (newName === undefined) setName(now.name);
  };

  const save = async () => {
    setPartly(undefined);
    // All are looked at before the first call, so that a slip in the last line changes nothing.
    if (calls.length > 1) {
      for (const call of calls) await wouldSucceed(modifyCommand(id, base.version, call, undefined, true));
    }
    let answered = 0;
    try {
      const saved = await modifyEntries(id, base.version, changes, newName, (done, of) => {
        answered = done;
        if (of > 1) setProgress({ done, of });
      });
      applied(t.done(id, saved.version), saved.revision, { prefixListIds: [id] });
    } catch (e) {
      if (answered === 0) throw e;
      const now = await look(id);
      rebase(now);
      setPartly({ version: now.version, error: messageOf(e) });
      return;
    } finally {
      setProgress(undefined);
      void queryClient.invalidateQueries();
    }
    await navigate(`/PrefixLists/${id}`);
  };

  return (
    <FormPage
      title={t.title(base.name)}
      description={id}
      list={{ text: text.title, href: "#/PrefixLists" }}
      cancelPath={`/PrefixLists/${id}`}
      submit={t.submit}
      disabled={!calls.length || conflict || problemsOf(rows).size > 0}
      error={errors.whole ?? (refused && (rows.length > pageSize || !rowAbout(rows, refused)) ? refused : undefined)}
      calls={calls.map((c, i) => codeCall(modifyCommand(id, base.version + i, c, i === 0 ? newName : undefined)))}
      onSubmit={() => errors.submit(save)}
    >
      {conflict && (
        <Conflict id={id} base={base} onRebase={rebase} onDiscard={() => void navigate(`/PrefixLists/${id}`)} />
      )}
      {partly !== undefined && (
        <Alert type="error" header={partly.error}>
          {t.partly(partly.version)}
        </Alert>
      )}
      <Container header={<Header variant="h2">{text.create.settings}</Header>}>
        <FormField label={text.listName} errorText={errors.of("name")}>
          <Input value={name} autoComplete={false} onChange={(e) => setName(e.detail.value)} />
        </FormField>
      </Container>
      <EntriesEditor
        rows={rows}
        onChange={setRows}
        maxEntries={base.maxEntries}
        family={base.family}
        refused={refused}
      />
      <Box aria-live="polite" color="text-body-secondary">
        {summary || t.nothing}
        {calls.length > 1 && `. ${t.calls(calls.length, entriesOfCall)}`}
      </Box>
      {progress && (
        <ProgressBar
          value={(100 * progress.done) / progress.of}
          label={t.progressLabel}
          additionalInfo={t.progress(progress.done, progress.of)}
        />
      )}
    </FormPage>
  );
}

/** look returns a list as it is. */
async function look(id: string): Promise<Base> {
  const [list] = await describePrefixLists([id]);
  const version = list!.Version!;
  return {
    version,
    name: list!.PrefixListName!,
    family: list!.AddressFamily!,
    maxEntries: list!.MaxEntries!,
    entries: await entriesOf(id, version),
  };
}

/** Conflict says what others changed since, and puts one's own changes on top of it. */
function Conflict(props: { id: string; base: Base; onRebase: (now: Base) => void; onDiscard: () => void }) {
  const { id, base, onRebase, onDiscard } = props;
  const c = t.conflict;
  const answer = useQuery({
    queryKey: ["prefix-list-now", id, base.version],
    queryFn: () => look(id),
    staleTime: 0,
    refetchInterval: 2000, // they may not have done
  });
  const now = answer.data;
  if (!now) return answer.error ? <Alert type="error">{messageOf(answer.error)}</Alert> : null;
  const theirs = changesOf(base.entries, now.entries);
  const lines = [
    ...(now.name !== base.name ? [c.renamed(now.name)] : []),
    ...theirs.add.map((e) => c.added(e.cidr)),
    ...theirs.remove.map(c.removed),
  ];
  return (
    <Alert
      type="warning"
      header={c.title}
      action={
        <SpaceBetween direction="horizontal" size="xs">
          <Button formAction="none" onClick={onDiscard}>
            {c.discard}
          </Button>
          <Button formAction="none" variant="primary" onClick={() => onRebase(now)}>
            {c.put(now.version)}
          </Button>
        </SpaceBetween>
      }
    >
      <Box>{c.body(base.version, now.version)}</Box>
      {lines.length > 0 && (
        <>
          <Box>{c.theirs}</Box>
          <ul>
            {lines.slice(0, named).map((line) => (
              <li key={line}>{line}</li>
            ))}
            {lines.length > named && <li>{c.more(lines.length - named)}</li>}
          </ul>
        </>
      )}
    </Alert>
  );
}
