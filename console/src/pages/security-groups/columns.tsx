import type { SecurityGroup } from "@aws-sdk/client-ec2";
import { Link } from "@cloudscape-design/components";
import type { Column } from "../../components/resource-table";
import { text } from "../../text/security-groups";

export const nameOf = (r: { Tags?: { Key?: string | undefined; Value?: string | undefined }[] | undefined }) =>
  r.Tags?.find((t) => t.Key === "Name")?.Value ?? "";

export const columns: Column<SecurityGroup>[] = [
  { id: "name", header: text.name, cell: (g) => nameOf(g) || "–", property: "tag:Name" },
  {
    id: "id",
    header: text.id,
    cell: (g) => <Link href={`#/SecurityGroups/${g.GroupId}`}>{g.GroupId}</Link>,
    property: "group-id",
    width: 220,
  },
  { id: "group-name", header: text.groupName, cell: (g) => g.GroupName, property: "group-name" },
  {
    id: "vpc",
    header: text.vpc,
    cell: (g) => <Link href={`#/Vpcs/${g.VpcId}`}>{g.VpcId}</Link>,
    property: "vpc-id",
  },
  { id: "description", header: text.description, cell: (g) => g.Description, property: "description" },
  { id: "owner", header: text.owner, cell: (g) => g.OwnerId, property: "owner-id" },
  { id: "inbound", header: text.inboundCount, cell: (g) => g.IpPermissions?.length ?? 0 },
  { id: "outbound", header: text.outboundCount, cell: (g) => g.IpPermissionsEgress?.length ?? 0 },
];
