import { DescribeSecurityGroupsCommand, type SecurityGroup } from "@aws-sdk/client-ec2";
import { Box, Button, SpaceBetween } from "@cloudscape-design/components";
import type { PropertyFilterProps } from "@cloudscape-design/components";
import { lazy, Suspense, useState } from "react";
import { useNavigate, useSearchParams } from "react-router";
import { send } from "../../api/ec2";
import { messageOf } from "../../api/errors";
import { selectResources } from "../../api/resources";
import { ResourceTable } from "../../components/resource-table";
import { readQuery } from "../../components/table-query";
import { useNotify } from "../../shell/notifications";
import { Page } from "../../shell/page";
import { text } from "../../text/security-groups";
import { useGroupActions } from "./actions";
import { columns, properties } from "./columns";
import { csvOf, download } from "./csv";

// Not before somebody selects a group: the list is there sooner.
const GroupPanel = lazy(() => import("./panel"));

async function describe(ids: string[]) {
  return (await send(new DescribeSecurityGroupsCommand({ GroupIds: ids }))).output.SecurityGroups ?? [];
}

const idOf = (g: SecurityGroup) => g.GroupId!;
const exportPage = 1000; // groups of one call

/** matched asks for all groups that pass a filter, on whatever page of the list they are. */
async function matched(filter: PropertyFilterProps.Query): Promise<SecurityGroup[]> {
  const groups: SecurityGroup[] = [];
  for (;;) {
    const part = await selectResources(
      { type: "security-group", scope: [], filter, descending: false, offset: groups.length, limit: exportPage },
      describe,
      idOf,
    );
    groups.push(...part.items);
    if (groups.length >= part.matched || part.items.length === 0) return groups;
  }
}

export default function SecurityGroupsPage() {
  const notify = useNotify();
  const navigate = useNavigate();
  const [parameters] = useSearchParams();
  const [selected, setSelected] = useState<SecurityGroup[]>([]);
  const [panelOpen, setPanelOpen] = useState(true);
  const [tab, setTab] = useState("details");
  const [exporting, setExporting] = useState(false);
  const { menu, dialogs, open } = useGroupActions(selected, (gone) =>
    setSelected((old) => old.filter((g) => !gone.includes(idOf(g)))),
  );
  async function exportCsv() {
    setExporting(true);
    try {
      const groups = await matched(readQuery(parameters));
      download(text.csv.file, csvOf(columns, groups));
      notify({ type: "success", content: text.csv.done(groups.length) });
    } catch (e) {
      notify({ type: "error", header: text.csv.failed, content: messageOf(e) });
    } finally {
      setExporting(false);
    }
  }
  return (
    <Page
      title={text.title}
      breadcrumbs={[{ text: text.title, href: "#/SecurityGroups" }]}
      contentType="table"
      splitPanelOpen={panelOpen && selected.length > 0}
      onSplitPanelToggle={setPanelOpen}
      splitPanel={
        selected.length > 0 ? (
          <Suspense fallback={null}>
            <GroupPanel groups={selected} active={tab} onChange={setTab} onDelete={() => open("delete")} />
          </Suspense>
        ) : undefined
      }
    >
      <ResourceTable
        name="SecurityGroups"
        title={text.title}
        columns={columns}
        properties={properties}
        type="security-group"
        describe={describe}
        idOf={idOf}
        labelOf={(g) => text.select(`${g.GroupId} ${g.GroupName}`)}
        selected={selected}
        onSelect={setSelected}
        menu={menu}
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <Button loading={exporting} loadingText={text.csv.loading} onClick={() => void exportCsv()}>
              {text.csv.button}
            </Button>
            <Button variant="primary" onClick={() => void navigate("/CreateSecurityGroup")}>
              {text.create}
            </Button>
          </SpaceBetween>
        }
        empty={
          <SpaceBetween size="xs">
            <b>{text.empty.title}</b>
            <Box color="text-body-secondary">{text.empty.body}</Box>
            <Button onClick={() => void navigate("/CreateSecurityGroup")}>{text.empty.create}</Button>
          </SpaceBetween>
        }
      />
      {dialogs}
    </Page>
  );
}
