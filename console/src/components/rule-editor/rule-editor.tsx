import { AttributeEditor, type AttributeEditorProps, Box, Input, Select } from "@cloudscape-design/components";
import { useEffect, useMemo, useRef } from "react";
import { useNamesIn } from "../../api/security-groups";
import { text } from "../../text/rule-editor";
import { portText, protocolText, ruleTypes } from "../rule-types";
import { afterClick } from "./after-click";
import { icmpCodes, icmpTypes } from "./icmp";
import { PeersField } from "./peers-field";
import type { Told } from "./told";
import { newRow, shapeOf, type Field, type Row, type RowPart } from "./rows";
import "./rule-editor.css";

export interface RuleEditorProps {
  rows: Row[];
  /** Rows change by what they are when it is done: answers come in between. */
  onChange: (change: (rows: Row[]) => Row[]) => void;
  egress: boolean;
  /** Of the group: its groups are suggested. */
  vpcId: string;
  /** What the server says of the rows, by their keys. */
  told: Told;
  /** Rules may name the group that is about to be created. */
  offerSelf?: boolean;
  empty?: string;
}

const c = text.columns;
const typeOptions = ruleTypes.map((t) => ({
  value: t.id,
  label: t.label,
  ...(t.from !== undefined && t.from === t.to && t.from >= 0
    ? { labelTag: `${protocolText({ IpProtocol: t.protocol })} ${t.from}`, filteringTags: [`${t.from}`] }
    : {}),
}));

// From the widest on; the last holds on a phone.
const layouts: AttributeEditorProps.GridLayout[] = [
  { breakpoint: "s", rows: [[5, 5, 3, 4, 10, 5]], removeButton: { width: "auto" } },
  {
    breakpoint: "xxs",
    rows: [
      [4, 4, 2, 3],
      [8, 5],
    ],
    removeButton: { ownRow: true },
  },
  { rows: [[2], [2], [1, 1], [2], [2]] },
];

/** RuleEditor is the rows of rules of one direction, as EC2's console edits them. */
export function RuleEditor(props: RuleEditorProps) {
  const { rows, onChange, egress, told } = props;
  const editor = useRef<AttributeEditorProps.Ref>(null);
  const frame = useRef<HTMLDivElement>(null);
  const adding = useRef(false);
  useEffect(() => {
    if (!adding.current) return;
    adding.current = false;
    const ids = frame.current?.querySelectorAll(".rule-id");
    ids?.[ids.length - 1]?.closest("[role=group]")?.querySelector("button")?.focus();
  }, [rows.length]);
  const named = useMemo(
    () =>
      rows
        .flatMap((r) => r.peers)
        .map((p) =>
          p.startsWith("pl-")
            ? { PrefixListId: p }
            : p.startsWith("sg-")
              ? { ReferencedGroupInfo: { GroupId: p } }
              : {},
        ),
    [rows],
  );
  const names = useNamesIn(named);
  const edit = (row: Row, part: RowPart) =>
    onChange((now) =>
      now.map((r) => (r.key === row.key ? { ...r, ...(typeof part === "function" ? part(r) : part) } : r)),
    );
  const touch = (row: Row, field: Field) =>
    afterClick(() =>
      onChange((now) =>
        now.map((r) =>
          r.key === row.key && !r.touched.includes(field) ? { ...r, touched: [...r.touched, field] } : r,
        ),
      ),
    );
  const errors = (field: Field) => (row: Row) =>
    told.errors(row, field)?.map((message) => <div key={message}>{message}</div>);
  const peer = egress ? c.destination : c.source;
  const definition: AttributeEditorProps.FieldDefinition<Row>[] = [
    {
      label: c.id,
      control: (row) => (
        <Box padding={{ top: "xxs" }} color={row.rule ? "inherit" : "text-body-secondary"}>
          <span className="rule-id">{row.rule?.SecurityGroupRuleId ?? text.newRule}</span>
        </Box>
      ),
    },
    {
      label: c.type,
      control: (row) => (
        <Select
          options={typeOptions}
          selectedOption={typeOptions.find((o) => o.value === row.type) ?? null}
          filteringType="auto"
          filteringPlaceholder={text.findType}
          filteringAriaLabel={text.findType}
          onChange={(e) =>
            edit(row, { type: e.detail.selectedOption.value!, ports: "", protocol: "", icmpType: "-1", icmpCode: "-1" })
          }
          expandToViewport
        />
      ),
    },
    { label: c.protocol, errorText: errors("protocol"), control: (row) => <Protocol {...{ row, edit, touch }} /> },
    { label: c.ports, errorText: errors("ports"), control: (row) => <Ports {...{ row, edit, touch }} /> },
    {
      label: peer,
      errorText: errors("peers"),
      warningText: (row) => told.warning(row),
      control: (row) => (
        <PeersField
          row={row}
          vpcId={props.vpcId}
          names={names}
          offerSelf={props.offerSelf ?? false}
          onChange={(part) => edit(row, part)}
          onTouch={() => touch(row, "peers")}
        />
      ),
    },
    {
      label: c.description,
      errorText: errors("description"),
      control: (row) => (
        <Input
          value={row.description}
          onChange={(e) => edit(row, { description: e.detail.value })}
          onBlur={() => touch(row, "description")}
        />
      ),
    },
  ];
  const attributes = (
    <AttributeEditor<Row>
      ref={editor}
      items={rows}
      definition={definition}
      gridLayout={layouts}
      addButtonText={text.add}
      removeButtonText={text.delete}
      removeButtonAriaLabel={(row) => text.deleteRule(row.rule?.SecurityGroupRuleId ?? summary(row))}
      i18nStrings={{
        itemRemovedAriaLive: text.ruleRemoved,
        errorIconAriaLabel: text.error,
        warningIconAriaLabel: text.warning,
      }}
      empty={props.empty ?? (egress ? text.empty.outbound : text.empty.inbound)}
      onAddButtonClick={() => {
        adding.current = true;
        onChange((now) => [...now, newRow()]);
      }}
      onRemoveButtonClick={(e) => {
        const { itemIndex } = e.detail;
        onChange((now) => now.filter((_, i) => i !== itemIndex));
        requestAnimationFrame(() => {
          if (rows.length > 1) editor.current?.focusRemoveButton(Math.min(itemIndex, rows.length - 2));
          else editor.current?.focusAddButton();
        });
      }}
    />
  );
  return (
    // Enter in a field would save the form, of which the last words were not checked nor shown as a change yet.
    <div
      ref={frame}
      onKeyDown={(e) => {
        if (e.key === "Enter" && e.target instanceof HTMLInputElement) e.preventDefault();
      }}
    >
      {attributes}
    </div>
  );
}

const summary = (row: Row) =>
  [ruleTypes.find((t) => t.id === row.type)?.label, row.ports, ...row.peers].filter(Boolean).join(" ");

interface CellProps {
  row: Row;
  edit: (row: Row, part: RowPart) => void;
  touch: (row: Row, field: Field) => void;
}

const icmpOf = (row: Row) =>
  row.type === "custom-icmp" ? "icmp" : row.type === "custom-icmpv6" ? "icmpv6" : undefined;

function Protocol({ row, edit, touch }: CellProps) {
  const icmp = icmpOf(row);
  if (icmp) {
    const types = icmpTypes(icmp, row.icmpType);
    return (
      <Select
        ariaLabel={text.icmp.type}
        options={types}
        selectedOption={types.find((o) => o.value === row.icmpType) ?? null}
        filteringType="auto"
        onChange={(e) => edit(row, { icmpType: e.detail.selectedOption.value!, icmpCode: "-1" })}
        expandToViewport
      />
    );
  }
  if (row.type === "custom-protocol") {
    return (
      <Input
        value={row.protocol}
        placeholder={text.protocolPlaceholder}
        inputMode="numeric"
        onChange={(e) => edit(row, { protocol: e.detail.value })}
        onBlur={() => touch(row, "protocol")}
      />
    );
  }
  return <Input value={protocolText(shapeOf(row))} disabled />;
}

function Ports({ row, edit, touch }: CellProps) {
  const icmp = icmpOf(row);
  if (icmp) {
    const codes = icmpCodes(icmp, row.icmpType, row.icmpCode);
    return (
      <Select
        ariaLabel={text.icmp.code}
        options={codes}
        selectedOption={codes.find((o) => o.value === row.icmpCode) ?? null}
        disabled={row.icmpType === "-1"}
        onChange={(e) => edit(row, { icmpCode: e.detail.selectedOption.value! })}
        expandToViewport
      />
    );
  }
  if (row.type === "custom-tcp" || row.type === "custom-udp") {
    return (
      <Input
        value={row.ports}
        placeholder={text.portsPlaceholder}
        onChange={(e) => edit(row, { ports: e.detail.value })}
        onBlur={() => touch(row, "ports")}
      />
    );
  }
  return <Input value={portText(shapeOf(row))} disabled />;
}
