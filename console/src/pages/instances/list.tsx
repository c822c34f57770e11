import type { Instance } from "@aws-sdk/client-ec2";
import { Box, Button, SplitPanel } from "@cloudscape-design/components";
import { useState } from "react";
import { useNavigate } from "react-router";
import { describeInstances, pollEvery, useLab } from "../../api/instances";
import { ActionsButton } from "../../components/action-menu";
import { ResourceTable } from "../../components/resource-table";
import { Page } from "../../shell/page";
import { text } from "../../text/instances";
import { useInstanceActions } from "./actions";
import { nameOf } from "../../api/tags";
import { columns } from "./columns";
import { whyNotLaunch } from "./lab";
import { InstanceTabs } from "./tabs";

const idOf = (i: Instance) => i.InstanceId!;

export default function InstancesPage() {
  const navigate = useNavigate();
  const lab = useLab();
  const [selected, setSelected] = useState<Instance[]>([]);
  const [open, setOpen] = useState(false);
  const actions = useInstanceActions(selected);
  const why = lab.data && whyNotLaunch(lab.data);
  return (
    <Page
      title={text.title}
      breadcrumbs={[{ text: text.title, href: "#/Instances" }]}
      contentType="table"
      splitPanel={<InstancePanel selected={selected} />}
      splitPanelOpen={open}
      onSplitPanelToggle={setOpen}
    >
      <ResourceTable
        name="Instances"
        title={text.title}
        columns={columns}
        type="instance"
        describe={describeInstances}
        idOf={idOf}
        labelOf={(i) => nameOf(i) || i.InstanceId!}
        refreshEvery={pollEvery}
        selected={selected}
        onSelect={(items) => {
          if (items.length === 1 && selected.length === 0) setOpen(true);
          setSelected(items);
        }}
        menu={actions.all}
        actionsFirst={<ActionsButton menu={actions.state} disabled={selected.length === 0} />}
        actions={
          <Button
            variant="primary"
            disabled={!lab.data || why !== undefined}
            {...(why ? { disabledReason: why } : {})}
            onClick={() => void navigate("/LaunchInstance")}
          >
            {text.actions.launch}
          </Button>
        }
        empty={
          <Box textAlign="center">
            <Box variant="strong">{text.empty.title}</Box>
            <Box variant="p">{text.empty.body}</Box>
          </Box>
        }
      />
      {actions.dialog}
    </Page>
  );
}

function InstancePanel({ selected }: { selected: Instance[] }) {
  const t = text.panel;
  const one = selected.length === 1 ? selected[0] : undefined;
  const header = one ? t.of(one.InstanceId!, nameOf(one)) : selected.length ? t.many(selected.length) : t.select;
  return (
    <SplitPanel header={header} i18nStrings={t.strings}>
      {one ? <InstanceTabs instance={one} /> : selected.length ? t.manyBody : t.selectBody}
    </SplitPanel>
  );
}
