import {
  Alert,
  Box,
  Button,
  Container,
  ContentLayout,
  Header,
  Input,
  KeyValuePairs,
  Link,
  SegmentedControl,
  SpaceBetween,
  Table,
} from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useSearchParams } from "react-router";
import { messageOf } from "../../api/errors";
import { pathOf, searchQuery } from "../../api/search";
import type { SearchHit } from "../../api/sallyport_gen";
import { Page } from "../../shell/page";
import { text } from "../../text/search";

const shown = 500; // hits
const c = text.columns;

export default function SearchPage() {
  const [parameters, setParameters] = useSearchParams();
  const query = parameters.get("q") ?? "";
  return (
    <Page title={text.title} breadcrumbs={[{ text: text.title, href: "#/Search" }]}>
      <ContentLayout header={<Header variant="h1">{query ? text.results(query) : text.title}</Header>}>
        <SpaceBetween size="l">
          <Form key={query} query={query} onSearch={(q) => setParameters({ q })} />
          {query.trim() ? <Results query={query} /> : <Help onTry={(q) => setParameters({ q })} />}
        </SpaceBetween>
      </ContentLayout>
    </Page>
  );
}

function Form({ query, onSearch }: { query: string; onSearch: (query: string) => void }) {
  const [typed, setTyped] = useState(query);
  return (
    <form
      role="search"
      onSubmit={(e) => {
        e.preventDefault();
        onSearch(typed.trim());
      }}
    >
      <div style={{ display: "flex", gap: 8 }}>
        <div style={{ flex: 1 }}>
          <Input
            type="search"
            value={typed}
            placeholder={text.placeholder}
            ariaLabel={text.title}
            onChange={(e) => setTyped(e.detail.value)}
          />
        </div>
        <Button variant="primary" formAction="submit">
          {text.submit}
        </Button>
      </div>
    </form>
  );
}

function Help({ onTry }: { onTry: (query: string) => void }) {
  return (
    <Container header={<Header variant="h2">{text.help.title}</Header>}>
      <KeyValuePairs
        columns={2}
        items={text.help.examples.map((e) => ({
          label: e.means,
          value: (
            <Link
              onFollow={(event) => {
                event.preventDefault();
                onTry(e.query);
              }}
              href={`#/Search?q=${encodeURIComponent(e.query)}`}
            >
              <code>{e.query}</code>
            </Link>
          ),
        }))}
      />
    </Container>
  );
}

function Results({ query }: { query: string }) {
  const [type, setType] = useState("");
  const everything = useQuery(searchQuery(query, shown));
  const answer = useQuery(searchQuery(query, shown, type));
  const counts = everything.data?.Counts ?? [];
  // A type that the words do not find any more is not asked for.
  const chosen = counts.some((n) => n.ResourceType === type) ? type : "";
  if (everything.error) {
    return (
      <Alert
        type="error"
        header={text.failed}
        action={<Button onClick={() => void everything.refetch()}>{text.submit}</Button>}
      >
        {messageOf(everything.error)}
      </Alert>
    );
  }
  const hits = (chosen ? answer.data : everything.data)?.Hits ?? [];
  const all = (chosen ? answer.data : everything.data)?.MatchedCount ?? 0;
  return (
    <SpaceBetween size="m">
      {counts.length > 1 && (
        <SegmentedControl
          label={text.filter}
          selectedId={chosen}
          onChange={(e) => setType(e.detail.selectedId)}
          options={[
            { id: "", text: text.everything(everything.data?.MatchedCount ?? 0) },
            ...counts.map((n) => ({
              id: n.ResourceType!,
              text: text.count(text.types[n.ResourceType!] ?? n.ResourceType!, n.Count ?? 0),
            })),
          ]}
        />
      )}
      <Table
        items={hits}
        trackBy={(h) => h.ResourceId!}
        loading={everything.isLoading}
        loadingText={text.searching}
        wrapLines
        resizableColumns
        ariaLabels={{ tableLabel: text.results(query) }}
        empty={
          <SpaceBetween size="xs">
            <Box variant="strong">{text.nothing}</Box>
            <Box>{text.noneBody}</Box>
          </SpaceBetween>
        }
        footer={all > hits.length ? <Box>{text.first(hits.length, all)}</Box> : undefined}
        columnDefinitions={[
          {
            id: "what",
            header: c.what,
            cell: (h) => <Link href={`#${pathOf(h)}`}>{h.ResourceId}</Link>,
            isRowHeader: true,
            width: 200,
          },
          { id: "type", header: c.type, cell: (h) => text.types[h.ResourceType ?? ""] ?? h.ResourceType, width: 130 },
          { id: "name", header: c.name, cell: (h) => nameOf(h) || text.none, width: 130 },
          { id: "reason", header: c.reason, cell: (h) => h.Reason || text.none, width: 270 },
          {
            id: "vpc",
            header: c.vpc,
            cell: (h) => (h.VpcId ? <Link href={`#/Vpcs/${h.VpcId}`}>{h.VpcId}</Link> : text.none),
            width: 200,
          },
        ]}
      />
    </SpaceBetween>
  );
}

/** Of a rule its group's name: rules have none as a rule. */
const nameOf = (h: SearchHit) => h.SecurityGroupName ?? h.Name;
