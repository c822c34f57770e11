import {
  Alert,
  Button,
  Container,
  ContentLayout,
  CopyToClipboard,
  Header,
  KeyValuePairs,
  type KeyValuePairsProps,
  SpaceBetween,
  Tabs,
  type TabsProps,
} from "@cloudscape-design/components";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useSearchParams } from "react-router";
import { messageOf, refusal } from "../api/errors";
import { LoadingPage, Page } from "../shell/page";
import { text as shell } from "../text/shell";
import { text } from "../text/forms";
import { ActionsButton, type ActionMenu } from "./action-menu";

/** A value that can be copied: ids, addresses. */
export function Copyable({ value, label }: { value: string | undefined; label: string }) {
  if (!value) return text.none;
  return (
    <CopyToClipboard
      variant="inline"
      textToCopy={value}
      textToDisplay={value}
      copyButtonAriaLabel={text.copy(label)}
      copySuccessText={text.copied}
      copyErrorText={text.copyFailed}
    />
  );
}

export type Fact = KeyValuePairsProps.Pair;

/** Facts are the values of one resource. With the navigation open an id has room in three columns, not in four. */
export function Facts({ items, columns = 3 }: { items: Fact[]; columns?: number }) {
  return <KeyValuePairs columns={columns} items={items} />;
}

/** ResourceTabs shows tabs; on a resource's own page the open one is in the address: ?tab=. */
export function ResourceTabs({ tabs, inAddress = false }: { tabs: TabsProps.Tab[]; inAddress?: boolean }) {
  const [parameters, setParameters] = useSearchParams();
  if (!inAddress) return <Tabs tabs={tabs} />;
  const wanted = parameters.get("tab");
  return (
    <Tabs
      tabs={tabs}
      activeTabId={tabs.some((t) => t.id === wanted) ? wanted! : tabs[0]!.id}
      onChange={(e) => setParameters({ tab: e.detail.activeTabId }, { replace: true })}
    />
  );
}

/** detailsTab is the first tab in the panel below a list; a resource's own page shows its facts above the tabs. */
export const detailsTab = (details: ReactNode): TabsProps.Tab => ({
  id: "details",
  label: text.details,
  content: <Container>{details}</Container>,
});

export interface DetailPageProps<T> {
  id: string;
  list: { text: string; href: string };
  /** The object: undefined while it is not known. */
  item: T | undefined;
  answer: Pick<UseQueryResult, "error" | "isPending" | "refetch">;
  title: (item: T) => string;
  menu?: ActionMenu;
  /** Buttons beside the menu. */
  actions?: ReactNode;
  /** Above the facts. */
  notice?: ReactNode;
  /** Its Facts. */
  details: (item: T) => ReactNode;
  tabs: (item: T) => TabsProps.Tab[];
  children?: ReactNode;
}

/** DetailPage is the page of one resource: its facts, and tabs. */
export function DetailPage<T>(props: DetailPageProps<T>) {
  const { id, list, item, answer } = props;
  if (!item && answer.isPending) return <LoadingPage />;
  const heading = item ? props.title(item) : id;
  const again = <Button onClick={() => void answer.refetch()}>{shell.error.again}</Button>;
  return (
    <Page title={heading} breadcrumbs={[list, { text: id, href: `${list.href}/${id}` }]}>
      <ContentLayout
        header={
          <Header
            variant="h1"
            actions={
              item && (
                <SpaceBetween direction="horizontal" size="xs">
                  {props.actions}
                  {props.menu && <ActionsButton menu={props.menu} />}
                </SpaceBetween>
              )
            }
          >
            {heading}
          </Header>
        }
      >
        {item && !refusal(answer.error) ? (
          <SpaceBetween size="l">
            {props.notice}
            <Container header={<Header variant="h2">{text.details}</Header>}>{props.details(item)}</Container>
            <ResourceTabs tabs={props.tabs(item)} inAddress />
          </SpaceBetween>
        ) : (
          <Alert type="error" header={refusal(answer.error) ? text.notFound(id) : shell.error.title} action={again}>
            {messageOf(answer.error)}
          </Alert>
        )}
      </ContentLayout>
      {props.children}
    </Page>
  );
}
