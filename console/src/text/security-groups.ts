export const text = {
  title: "Security groups",
  name: "Name",
  id: "Security group ID",
  groupName: "Security group name",
  vpc: "VPC ID",
  description: "Description",
  owner: "Owner",
  inboundCount: "Inbound rules count",
  outboundCount: "Outbound rules count",
};
