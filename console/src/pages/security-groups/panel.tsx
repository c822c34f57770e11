import type { SecurityGroup } from "@aws-sdk/client-ec2";
import { SplitPanel } from "@cloudscape-design/components";
import { text } from "../../text/security-groups";
import { GroupTabs } from "./tabs";

interface PanelProps {
  /** The selected ones. */
  groups: SecurityGroup[];
  active: string;
  onChange: (tab: string) => void;
  onDelete: () => void;
}

/** GroupPanel shows what is selected in the list, below it. */
export default function GroupPanel({ groups, active, onChange, onDelete }: PanelProps) {
  const one = groups.length === 1 ? groups[0] : undefined;
  return (
    <SplitPanel
      header={one ? `${one.GroupId} - ${one.GroupName}` : text.panel.many(groups.length)}
      hidePreferencesButton
      closeBehavior="collapse"
    >
      {one ? (
        <GroupTabs key={one.GroupId} group={one} active={active} onChange={onChange} onDelete={onDelete} withDetails />
      ) : (
        <ul>
          {groups.map((g) => (
            <li key={g.GroupId}>
              {g.GroupId} / {g.GroupName}
            </li>
          ))}
        </ul>
      )}
    </SplitPanel>
  );
}
