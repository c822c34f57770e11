import {
  Alert,
  Box,
  Button,
  FormField,
  Header,
  Input,
  Modal,
  Pagination,
  SpaceBetween,
  StatusIndicator,
  Table,
  Textarea,
  TextFilter,
} from "@cloudscape-design/components";
import { useEffect, useRef, useState } from "react";
import { parsePasted } from "../../api/prefix-lists";
import { text as forms } from "../../text/forms";
import { text } from "../../text/prefix-lists";
import { problemsOf, rowAbout, rowOf, stateOf, type Row, type RowState } from "./rows";

const t = text.editor;
/** Rows of one page. */
export const pageSize = 50; // rows with fields are slow to draw

export interface EntriesEditorProps {
  rows: Row[];
  onChange: (rows: Row[]) => void;
  maxEntries: number | undefined;
  family: string;
  /** What the server says, of whichever entry. */
  refused: string;
  /** New rows are all there are: nothing is marked as new. */
  fresh?: boolean;
}

const marks: Record<RowState, { type: "success" | "info" | "error"; text: string } | undefined> = {
  same: undefined,
  added: { type: "success", text: t.added },
  changed: { type: "info", text: t.changed },
  removed: { type: "error", text: t.removed },
};

/** EntriesEditor is the table of a list's entries in which each can be written over, added and removed. */
export function EntriesEditor({ rows, onChange, maxEntries, family, refused, fresh = false }: EntriesEditorProps) {
  const [page, setPage] = useState(1);
  const [filter, setFilter] = useState("");
  const [pasting, setPasting] = useState(false);
  const [added, setAdded] = useState<number>();
  const top = useRef<HTMLDivElement>(null);
  const looked = filter.toLowerCase();
  const found = looked
    ? rows.filter((r) => `${r.cidr}\n${r.description}\n${r.was?.cidr ?? ""}`.toLowerCase().includes(looked))
    : rows;
  const pages = Math.max(1, Math.ceil(found.length / pageSize));
  const shownPage = Math.min(page, pages);
  const items = found.slice((shownPage - 1) * pageSize, shownPage * pageSize);
  const problems = problemsOf(rows);
  const about = refused ? rowAbout(rows, refused) : undefined;
  const errorOf = (r: Row) => problems.get(r.key) ?? (r === about ? refused : "");
  const number = new Map(rows.map((r, i) => [r.key, i + 1]));
  const set = (key: number, part: Partial<Row>) => onChange(rows.map((r) => (r.key === key ? { ...r, ...part } : r)));
  const left = rows.filter((r) => !r.removed && (r.cidr.trim() || r.was)).length;

  // A new row has the focus.
  useEffect(() => {
    if (added === undefined) return;
    top.current?.querySelector<HTMLInputElement>(`[data-row="${added}"] input`)?.focus();
  }, [added]);

  function add() {
    const row = rowOf({ cidr: "", description: "" });
    onChange([...rows, row]);
    setFilter("");
    setPage(Math.ceil((rows.length + 1) / pageSize));
    setAdded(row.key);
  }

  function remove(r: Row) {
    onChange(r.was ? rows.map((x) => (x === r ? { ...x, ...r.was, removed: true } : x)) : rows.filter((x) => x !== r));
  }

  const undo = (r: Row) => set(r.key, { ...r.was, removed: false });

  // It may be on another page, or filtered away.
  const elsewhere = about && !items.includes(about) ? about : undefined;
  function show(r: Row) {
    setFilter("");
    setPage(Math.floor(rows.indexOf(r) / pageSize) + 1);
  }

  return (
    <div ref={top}>
      {elsewhere && (
        <Box margin={{ bottom: "s" }}>
          <Alert
            type="error"
            action={
              <Button formAction="none" onClick={() => show(elsewhere)}>
                {t.show}
              </Button>
            }
          >
            {refused}
          </Alert>
        </Box>
      )}
      <Table
        items={items}
        trackBy={(r) => String(r.key)}
        enableKeyboardNavigation={false}
        ariaLabels={{ tableLabel: t.title }}
        header={
          <Header
            variant="h2"
            counter={t.counter(left, maxEntries)}
            actions={
              <SpaceBetween direction="horizontal" size="xs">
                <Button formAction="none" onClick={() => setPasting(true)}>
                  {t.paste}
                </Button>
                <Button formAction="none" onClick={add}>
                  {t.add}
                </Button>
              </SpaceBetween>
            }
          >
            {t.title}
          </Header>
        }
        filter={
          rows.length > 10 && (
            <TextFilter
              filteringText={filter}
              filteringPlaceholder={t.find}
              filteringAriaLabel={t.find}
              countText={filter ? text.entries.matches(found.length) : ""}
              onChange={(e) => {
                setFilter(e.detail.filteringText);
                setPage(1);
              }}
            />
          )
        }
        pagination={
          pages > 1 && (
            <Pagination
              currentPageIndex={shownPage}
              pagesCount={pages}
              onChange={(e) => setPage(e.detail.currentPageIndex)}
            />
          )
        }
        empty={filter ? t.noMatch : t.none}
        columnDefinitions={[
          {
            id: "cidr",
            header: t.cidr,
            minWidth: 220,
            cell: (r) => (
              <div data-row={r.key}>
                <FormField errorText={errorOf(r)} stretch>
                  <Input
                    ariaLabel={t.cidrLabel(number.get(r.key)!)}
                    value={r.cidr}
                    disabled={r.removed ?? false}
                    placeholder={family === "IPv6" ? "2001:db8::/32" : "10.0.0.0/16"}
                    autoComplete={false}
                    onChange={(e) => set(r.key, { cidr: e.detail.value })}
                  />
                </FormField>
              </div>
            ),
          },
          {
            id: "description",
            header: `${t.description} - ${forms.optional}`,
            minWidth: 220,
            cell: (r) => (
              <Input
                ariaLabel={t.descriptionLabel(number.get(r.key)!)}
                value={r.description}
                disabled={r.removed ?? false}
                autoComplete={false}
                onChange={(e) => set(r.key, { description: e.detail.value })}
              />
            ),
          },
          ...(fresh
            ? []
            : [
                {
                  id: "change",
                  header: t.change,
                  width: 130,
                  cell: (r: Row) => {
                    const mark = marks[stateOf(r)];
                    return mark && <StatusIndicator type={mark.type}>{mark.text}</StatusIndicator>;
                  },
                },
              ]),
          {
            id: "actions",
            header: forms.actions,
            width: 170,
            cell: (r) => (
              <SpaceBetween direction="horizontal" size="xs">
                {r.was && stateOf(r) !== "same" && (
                  <Button
                    formAction="none"
                    variant="inline-link"
                    ariaLabel={t.undoLabel(r.was.cidr)}
                    onClick={() => undo(r)}
                  >
                    {t.undo}
                  </Button>
                )}
                {!r.removed && (
                  <Button
                    formAction="none"
                    variant="inline-link"
                    ariaLabel={t.removeLabel(r.cidr)}
                    onClick={() => remove(r)}
                  >
                    {t.remove}
                  </Button>
                )}
              </SpaceBetween>
            ),
          },
        ]}
      />
      {pasting && (
        <PasteModal
          rows={rows}
          onClose={() => setPasting(false)}
          onAdd={(fresh) => {
            const kept = rows.filter((r) => r.was || r.cidr.trim() || r.description.trim());
            onChange([...kept, ...fresh]);
            setFilter("");
            setPage(Math.ceil((kept.length + fresh.length) / pageSize));
          }}
        />
      )}
    </div>
  );
}

function PasteModal(props: { rows: Row[]; onAdd: (rows: Row[]) => void; onClose: () => void }) {
  const { rows, onAdd, onClose } = props;
  const [pasted, setPasted] = useState("");
  const there = new Set(rows.filter((r) => !r.removed).map((r) => r.cidr.trim()));
  const all = new Map(parsePasted(pasted).map((e) => [e.cidr, e]));
  const fresh = [...all.values()].filter((e) => !there.has(e.cidr));
  const known = all.size - fresh.length;
  return (
    <Modal
      visible
      size="large"
      header={text.paste.title}
      onDismiss={onClose}
      closeAriaLabel={forms.close}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button formAction="none" variant="link" onClick={onClose}>
              {forms.cancel}
            </Button>
            <Button
              formAction="none"
              variant="primary"
              disabled={!fresh.length}
              onClick={() => {
                onAdd(fresh.map((e) => rowOf(e)));
                onClose();
              }}
            >
              {text.paste.submit}
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <FormField
        stretch
        label={text.paste.label}
        description={text.paste.about}
        constraintText={pasted && text.paste.found(fresh.length, known)}
      >
        <Textarea
          value={pasted}
          rows={12}
          autoFocus
          placeholder={text.paste.example}
          onChange={(e) => setPasted(e.detail.value)}
        />
      </FormField>
    </Modal>
  );
}
