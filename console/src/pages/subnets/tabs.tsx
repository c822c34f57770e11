import type { Subnet } from "@aws-sdk/client-ec2";
import type { TabsProps } from "@cloudscape-design/components";
import { TagsTab } from "../../components/tags-editor";
import { text as forms } from "../../text/forms";
import { text } from "../../text/subnets";
import { InterfacesTable } from "../vpcs/tabs";

/** subnetTabs are the tabs of a subnet, on its page and in the panel below the list. */
export function subnetTabs(subnet: Subnet): TabsProps.Tab[] {
  const id = subnet.SubnetId!;
  return [
    { id: "interfaces", label: text.interfaces, content: <InterfacesTable property="subnet-id" value={id} /> },
    { id: "tags", label: forms.tags, content: <TagsTab resourceId={id} /> },
  ];
}
