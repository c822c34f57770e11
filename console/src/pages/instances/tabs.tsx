import type { Instance } from "@aws-sdk/client-ec2";
import { Tabs } from "@cloudscape-design/components";
import { useState } from "react";
import { TagsTab } from "../../components/tags-editor";
import { text } from "../../text/instances";
import { DetailsTab } from "./details-tab";
import { NetworkingTab } from "./networking-tab";
import { SecurityTab } from "./security-tab";

const t = text.detail.tabs;

/** InstanceTabs is what is known of one instance: below its summary, and in the list's panel. */
export function InstanceTabs({ instance }: { instance: Instance }) {
  const [active, setActive] = useState("details");
  return (
    <Tabs
      activeTabId={active}
      onChange={(e) => setActive(e.detail.activeTabId)}
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
