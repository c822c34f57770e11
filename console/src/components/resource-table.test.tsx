import { I18nProvider } from "@cloudscape-design/components/i18n";
import messages from "@cloudscape-design/components/i18n/messages/all.en";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { HashRouter } from "react-router";
import { beforeEach, expect, test, vi } from "vitest";
import { Refusal } from "../api/errors";
import * as sallyport from "../api/sallyport";
import type { SelectResourcesRequest } from "../api/sallyport_gen";
import { ResourceTable, type Column } from "./resource-table";

interface Thing {
  id: string;
  size: number;
}

const columns: Column<Thing>[] = [
  { id: "id", header: "ID", cell: (t) => t.id, property: "vpc-id" },
  { id: "size", header: "Size", cell: (t) => t.size, property: "subnet-count", numeric: true },
  { id: "more", header: "More", cell: () => "more", hidden: true },
];

// What the server has, and what it was asked.
let ids: string[] = [];
let asked: SelectResourcesRequest[] = [];
let fails: Refusal | undefined;

vi.mock("../api/sallyport");

beforeEach(() => {
  ids = Array.from({ length: 60 }, (_, n) => `vpc-${n}`);
  asked = [];
  fails = undefined;
  location.hash = "#/Vpcs";
  vi.mocked(sallyport.call).mockImplementation((action, request) => {
    if (fails) return Promise.reject(fails);
    if (action === "DescribeResourceValues")
      return Promise.resolve({ output: { Values: [{ Value: "prod" }] }, revision: 1 } as never);
    const r = request as SelectResourcesRequest;
    asked.push(r);
    const matched = r.Filters?.length ? ids.slice(0, 1) : ids;
    return Promise.resolve({
      output: {
        ResourceIds: matched.slice(r.Offset, r.Offset! + r.MaxResults!),
        MatchedCount: matched.length,
        TotalCount: ids.length,
      },
      revision: 1,
    } as never);
  });
});

const describe = (wanted: string[]) => {
  const gone = wanted.find((id) => id === "vpc-gone");
  if (gone) {
    return Promise.reject(new Refusal("InvalidVpcID.NotFound", `The vpc ID '${gone}' does not exist`, 400));
  }
  return Promise.resolve(wanted.map((id) => ({ id, size: Number(id.slice(4)) })).reverse());
};
const idOf = (t: Thing) => t.id;

function List({ onItem = () => {} }: { onItem?: (id: string) => void }) {
  const [selected, setSelected] = useState<Thing[]>([]);
  return (
    <I18nProvider locale="en" messages={[messages]}>
      <QueryClientProvider client={new QueryClient({ defaultOptions: { queries: { retry: false } } })}>
        <HashRouter>
          <ResourceTable
            name="Things"
            title="Things"
            type="vpc"
            columns={columns}
            describe={describe}
            idOf={idOf}
            labelOf={(t) => t.id}
            selected={selected}
            onSelect={setSelected}
            menu={{ label: "Actions", items: [{ id: "delete", text: "Delete" }], onItem }}
            empty="No things"
          />
          <output>{selected.map((t) => t.id).join(" ")}</output>
        </HashRouter>
      </QueryClientProvider>
    </I18nProvider>
  );
}

const rows = () => screen.getAllByRole("row").slice(1);

test("a page is what the server selected, in its order", async () => {
  render(<List />);
  expect(await screen.findByText("vpc-0")).toBeTruthy();
  expect(rows()).toHaveLength(50);
  expect(within(rows()[1]!).getByText("vpc-1")).toBeTruthy();
  expect(screen.getByText("(60)")).toBeTruthy();
  expect(screen.queryByText("More")).toBeNull();
  expect(asked[0]).toMatchObject({ ResourceType: "vpc", Offset: 0, MaxResults: 50, Filters: [], Operation: "and" });
});

test("what went between the two calls is left out", async () => {
  ids = ["vpc-1", "vpc-gone", "vpc-2"];
  render(<List />);
  expect(await screen.findByText("vpc-2")).toBeTruthy();
  expect(rows()).toHaveLength(2);
});

test("the selection survives paging", async () => {
  const user = userEvent.setup();
  render(<List />);
  await screen.findByText("vpc-0");
  await user.click(screen.getByRole("checkbox", { name: "vpc-3" }));
  await user.click(screen.getByRole("button", { name: /next page/i }));
  await screen.findByText("vpc-55");
  await user.click(screen.getByRole("checkbox", { name: "vpc-55" }));
  expect(screen.getByRole("status").textContent).toBe("vpc-3 vpc-55");
  expect(screen.getByText("(2/60)")).toBeTruthy();
  expect(asked.at(-1)).toMatchObject({ Offset: 50 });
});

test("a click on a heading sorts at the server", async () => {
  const user = userEvent.setup();
  render(<List />);
  await screen.findByText("vpc-0");
  await user.click(screen.getAllByText("Size")[0]!);
  await waitFor(() => expect(asked.at(-1)).toMatchObject({ SortBy: "subnet-count", Descending: false, Offset: 0 }));
});

test("a filter of the address is asked for, and can be cleared", async () => {
  location.hash = "#/Vpcs?tag:Name=^pro&q=x&or";
  const user = userEvent.setup();
  render(<List />);
  expect(await screen.findAllByText("1 match")).not.toHaveLength(0);
  expect(asked.at(-1)).toMatchObject({
    Operation: "or",
    Filters: [
      { PropertyKey: "tag:Name", Operator: "^", Value: "pro" },
      { Operator: ":", Value: "x" },
    ],
  });
  await user.click(screen.getByRole("button", { name: /clear filter/i }));
  await waitFor(() => expect(asked.at(-1)).toMatchObject({ Filters: [] }));
  expect(location.hash).toBe("#/Vpcs");
});

test("an error is told in the server's words, and can be tried again", async () => {
  fails = new Refusal("UnauthorizedOperation", "You are not authorized to perform this operation.", 403);
  const user = userEvent.setup();
  render(<List />);
  expect(await screen.findByText(/You are not authorized/)).toBeTruthy();
  fails = undefined;
  await user.click(screen.getByRole("button", { name: "Try again" }));
  expect(await screen.findByText("vpc-0")).toBeTruthy();
});

test("nothing at all", async () => {
  ids = [];
  render(<List />);
  expect(await screen.findByText("No things")).toBeTruthy();
});
