import { expect, test } from "vitest";
import { readQuery, writeQuery } from "./table-query";

test("a filter survives the address", () => {
  const query = {
    operation: "or" as const,
    tokens: [
      { propertyKey: "group-id", operator: "=", value: "sg-1" },
      { propertyKey: "tag:Name", operator: "!:", value: "a & b = c" },
      { propertyKey: "rule-count", operator: ">=", value: "3" },
      { operator: ":", value: "text" },
    ],
  };
  expect(readQuery(new URLSearchParams(writeQuery(query).toString()))).toEqual(query);
});

test("a link needs no operator", () => {
  expect(readQuery(new URLSearchParams("group-id=sg-1&q=web"))).toEqual({
    operation: "and",
    tokens: [
      { propertyKey: "group-id", operator: "=", value: "sg-1" },
      { operator: ":", value: "web" },
    ],
  });
});
