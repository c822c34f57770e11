import type { ManagedPrefixList, SecurityGroupRule } from "@aws-sdk/client-ec2";
import {
  Button,
  CopyToClipboard,
  FormField,
  Header,
  Link,
  Select,
  SpaceBetween,
  StatusIndicator,
  type TabsProps,
  Toggle,
} from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { describeRules, type NamedRule } from "../../api/network";
import { entriesQuery, type Entry } from "../../api/prefix-lists";
import { nameOf } from "../../api/tags";
import { ResourceTable, type Column } from "../../components/resource-table";
import { TagsTab } from "../../components/tags-editor";
import { text as forms } from "../../text/forms";
import { text } from "../../text/prefix-lists";
import { RestoreModal } from "./actions";
import { EntriesTable, modifyButton } from "./entries-table";
import { compare, useVersions, type Compared } from "./versions";

/** prefixListTabs are the tabs of a list, on its page and in the panel below the lists. */
export function prefixListTabs(list: ManagedPrefixList): TabsProps.Tab[] {
  const id = list.PrefixListId!;
  return [
    { id: "entries", label: text.tabs.entries, content: <EntriesTab list={list} /> },
    { id: "associations", label: text.tabs.associations, content: <AssociationsTab id={id} /> },
    { id: "versions", label: text.tabs.versions, content: <VersionsTab key={list.Version} list={list} /> },
    { id: "tags", label: forms.tags, content: <TagsTab resourceId={id} /> },
  ];
}

const none: Entry[] = [];

function EntriesTab({ list }: { list: ManagedPrefixList }) {
  const t = text.entries;
  const answer = useQuery(entriesQuery(list.PrefixListId!, list.Version!));
  const entries = answer.data ?? none;
  const all = entries.map((e) => (e.description ? `${e.cidr} ${e.description}` : e.cidr)).join("\n");
  return (
    <EntriesTable
      entries={entries}
      loading={answer.isPending}
      error={answer.error}
      label={t.title}
      header={
        <Header
          variant="h2"
          counter={text.editor.counter(entries.length, list.MaxEntries)}
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <CopyToClipboard
                copyButtonText={t.copyAll}
                copySuccessText={t.copied}
                copyErrorText={forms.copyFailed}
                textToCopy={all}
              />
              {modifyButton(list.PrefixListId!)}
            </SpaceBetween>
          }
        >
          {t.title}
        </Header>
      }
    />
  );
}

const portsOf = (r: SecurityGroupRule) => {
  if (r.FromPort === undefined || r.FromPort === -1) return text.associations.all;
  return r.FromPort === r.ToPort ? String(r.FromPort) : `${r.FromPort} – ${r.ToPort}`;
};

const ruleColumns: Column<NamedRule>[] = [
  {
    id: "group",
    header: text.associations.group,
    cell: (r) => (
      <Link href={`#/SecurityGroups/${r.GroupId}?tab=${r.IsEgress ? "outbound" : "inbound"}`}>{r.GroupId}</Link>
    ),
    property: "group-id",
    width: 220,
  },
  {
    id: "rule",
    header: text.associations.rule,
    cell: (r) => r.SecurityGroupRuleId,
    property: "security-group-rule-id",
    width: 230,
  },
  {
    id: "group-name",
    header: text.associations.groupName,
    cell: (r) => r.GroupName ?? "–",
    property: "group-name",
  },
  {
    id: "direction",
    header: text.associations.direction,
    cell: (r) => (r.IsEgress ? text.associations.outbound : text.associations.inbound),
    property: "direction",
    width: 130,
  },
  {
    id: "protocol",
    header: text.associations.protocol,
    cell: (r) => (r.IpProtocol === "-1" ? text.associations.all : r.IpProtocol?.toUpperCase()),
    property: "protocol",
    width: 120,
  },
  { id: "ports", header: text.associations.ports, cell: portsOf, property: "from-port", numeric: true, width: 140 },
  {
    id: "description",
    header: text.associations.description,
    cell: (r) => r.Description || "–",
    property: "description",
  },
];

function AssociationsTab({ id }: { id: string }) {
  const t = text.associations;
  const scope = useMemo(() => [{ PropertyKey: "prefix-list-id", Operator: "=", Value: id }], [id]);
  return (
    <ResourceTable<NamedRule>
      name="PrefixListRules"
      embedded
      title={t.title}
      description={t.about}
      type="security-group-rule"
      scope={scope}
      describe={describeRules}
      columns={ruleColumns}
      idOf={(r) => r.SecurityGroupRuleId!}
      labelOf={(r) => nameOf(r) || r.SecurityGroupRuleId!}
      selectionType={null}
      empty={t.none}
    />
  );
}

function VersionsTab({ list }: { list: ManagedPrefixList }) {
  const t = text.versions;
  const id = list.PrefixListId!;
  const latest = list.Version!;
  const versions = useVersions(list);
  const [version, setVersion] = useState(Math.max(1, latest - 1));
  const [onlyDifferent, setOnlyDifferent] = useState(false);
  const [restoring, setRestoring] = useState(false);
  const here = useQuery(entriesQuery(id, version));
  const there = useQuery(entriesQuery(id, latest));
  const compared = useMemo(() => compare(here.data ?? none, there.data ?? none), [here.data, there.data]);
  const entries = onlyDifferent ? compared.filter((c) => c.difference !== "same") : compared;
  const options = versions.map((v) => ({
    value: String(v),
    label: t.version(v),
    ...(v === latest ? { labelTag: t.current } : {}),
  }));
  return (
    <>
      <EntriesTable<Compared>
        entries={entries}
        loading={here.isPending || there.isPending}
        error={here.error ?? there.error}
        label={t.table(version)}
        empty={onlyDifferent ? t.noDifference : t.none}
        header={
          <Header
            variant="h2"
            counter={`(${here.data?.length ?? 0})`}
            description={t.about}
            actions={
              <Button disabled={version === latest || !here.data} onClick={() => setRestoring(true)}>
                {t.restore}
              </Button>
            }
          >
            {t.version(version)}
          </Header>
        }
        beside={
          <SpaceBetween direction="horizontal" size="l" alignItems="end">
            <FormField label={t.choose}>
              <Select
                options={options}
                selectedOption={options.find((o) => o.value === String(version)) ?? null}
                filteringType={versions.length > 10 ? "auto" : "none"}
                filteringAriaLabel={t.choose}
                virtualScroll={versions.length > 100}
                onChange={(e) => setVersion(Number(e.detail.selectedOption.value))}
              />
            </FormField>
            <Toggle checked={onlyDifferent} onChange={(e) => setOnlyDifferent(e.detail.checked)}>
              {t.differences}
            </Toggle>
          </SpaceBetween>
        }
        more={[
          {
            id: "difference",
            header: t.compare(latest),
            cell: (c) => <Difference entry={c} latest={latest} />,
            sortingField: "difference",
          },
        ]}
      />
      {restoring && <RestoreModal list={list} version={version} onClose={() => setRestoring(false)} />}
    </>
  );
}

function Difference({ entry, latest }: { entry: Compared; latest: number }) {
  const t = text.versions;
  switch (entry.difference) {
    case "same":
      return t.same;
    case "only":
      return <StatusIndicator type="success">{t.only}</StatusIndicator>;
    case "gone":
      return <StatusIndicator type="error">{t.gone(latest)}</StatusIndicator>;
    case "described":
      return <StatusIndicator type="info">{t.described(entry.was)}</StatusIndicator>;
  }
}
