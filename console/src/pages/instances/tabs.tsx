import type { Instance } from "@aws-sdk/client-ec2";
import { Tabs } from "@cloudscape-design/components";
import { useState } from "react";
import { useSearchParams } from "react-router";
import { TagsTab } from "../../components/tags-editor";
import { text } from "../../text/instances";
import { DetailsTab } from "./details-tab";
import { NetworkingTab } from "./networking-tab";
import { SecurityTab } from "./security-tab";

const t = text.detail.tabs;

const ids = ["details", "security", "networking", "tags"];

export interface InstanceTabsProps {
  instance: Instance;
  /** The tab is in the page's address. */
  inAddress?: boolean;
}

/** InstanceTabs is what is known of one instance: below its summary, and in the list's panel. */
export function InstanceTabs({ instance, inAddress = false }: InstanceTabsProps) {
  const [params, setParams] = useSearchParams();
  const [chosen, setChosen] = useState(ids[0]!);
  const asked = inAddress ? (params.get("tab") ?? "") : chosen;
  return (
    <Tabs
      activeTabId={ids.includes(asked) ? asked : ids[0]!}
      onChange={({ detail: { activeTabId } }) =>
        inAddress ? setParams({ tab: activeTabId }, { replace: true }) : setChosen(activeTabId)
      }
      ariaLabel={text.panel.label}
      tabs={[
        { id: "details", label: t.details, content: <DetailsTab instance={instance} /> },
        { id: "security", label: t.security, content: <SecurityTab instance={instance} /> },
        { id: "networking", label: t.networking, content: <NetworkingTab instance={instance} /> },
        { id: "tags", label: t.tags, content: <TagsTab resourceId={instance.InstanceId!} /> },
      ]}
    />
  );
}
