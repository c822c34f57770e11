import { DescribeVpcsCommand } from "@aws-sdk/client-ec2";
import { expect, test } from "vitest";
import { actionOf } from "./action";

test("actionOf does not depend on the class's name", () => {
  class a extends DescribeVpcsCommand {}
  expect(actionOf(new a({}))).toBe("DescribeVpcs");
});
