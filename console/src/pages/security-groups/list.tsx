import { DescribeSecurityGroupsCommand, type SecurityGroup } from "@aws-sdk/client-ec2";
import { useState } from "react";
import { send } from "../../api/ec2";
import { ResourceTable, type Selection } from "../../components/resource-table";
import { Page } from "../../shell/page";
import { text } from "../../text/security-groups";
import { columns } from "./columns";

async function select(wanted: Selection) {
  const { output } = await send(new DescribeSecurityGroupsCommand({}));
  const all = output.SecurityGroups ?? [];
  return { items: all.slice(wanted.offset, wanted.offset + wanted.limit), matched: all.length, total: all.length };
}

export default function SecurityGroupsPage() {
  const [selected, setSelected] = useState<SecurityGroup[]>([]);
  return (
    <Page title={text.title} breadcrumbs={[{ text: text.title, href: "#/SecurityGroups" }]} contentType="table">
      <ResourceTable
        name="SecurityGroups"
        title={text.title}
        columns={columns}
        idOf={(g) => g.GroupId!}
        labelOf={(g) => g.GroupName!}
        select={select}
        selected={selected}
        onSelect={setSelected}
        empty={text.title}
      />
    </Page>
  );
}
