import { expect, test } from "vitest";
import { columns } from "./columns";
import { csvOf } from "./csv";

test("a file has the list's columns, a line for each group, and no formula", () => {
  const groups = [
    {
      GroupId: "sg-1",
      GroupName: "=cmd()",
      Description: 'a "b", c',
      VpcId: "vpc-1",
      OwnerId: "1",
      Tags: [{ Key: "Name", Value: "web" }],
      IpPermissions: [{ IpRanges: [{ CidrIp: "0.0.0.0/0" }], Ipv6Ranges: [{ CidrIpv6: "::/0" }] }],
      IpPermissionsEgress: [],
    },
  ];
  expect(csvOf(columns, groups)).toBe(
    "Name,Security group ID,Security group name,VPC ID,Description,Owner,Inbound rules count,Outbound rules count\r\n" +
      `web,sg-1,'=cmd(),vpc-1,"a ""b"", c",1,2,0\r\n`,
  );
});
