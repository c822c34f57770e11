import { DescribeSecurityGroupsCommand, type SecurityGroup } from "@aws-sdk/client-ec2";
import { useState } from "react";
import { send } from "../../api/ec2";
import { ResourceTable } from "../../components/resource-table";
import { Page } from "../../shell/page";
import { text } from "../../text/security-groups";
import { columns } from "./columns";

async function describe(ids: string[]) {
  return (await send(new DescribeSecurityGroupsCommand({ GroupIds: ids }))).output.SecurityGroups ?? [];
}

const idOf = (g: SecurityGroup) => g.GroupId!;

export default function SecurityGroupsPage() {
  const [selected, setSelected] = useState<SecurityGroup[]>([]);
  return (
    <Page title={text.title} breadcrumbs={[{ text: text.title, href: "#/SecurityGroups" }]} contentType="table">
      <ResourceTable
        name="SecurityGroups"
        title={text.title}
        columns={columns}
        type="security-group"
        describe={describe}
        idOf={idOf}
        labelOf={(g) => g.GroupName!}
        selected={selected}
        onSelect={setSelected}
        empty={text.title}
      />
    </Page>
  );
}
