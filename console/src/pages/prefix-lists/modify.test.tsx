import {
  DescribeManagedPrefixListsCommand,
  GetManagedPrefixListEntriesCommand,
  ModifyManagedPrefixListCommand,
} from "@aws-sdk/client-ec2";
import { QueryClientProvider } from "@tanstack/react-query";
import { render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { MemoryRouter, Route, Routes } from "react-router";
import { beforeEach, expect, test, vi } from "vitest";
import { send } from "../../api/ec2";
import { Refusal } from "../../api/errors";
import { queryClient } from "../../api/query";
import { text } from "../../text/prefix-lists";
import ModifyPrefixListPage from "./modify";

vi.mock("../../api/ec2", () => ({ send: vi.fn() }));
vi.mock("../../shell/page", () => ({
  Page: ({ children }: { children: React.ReactNode }) => <main>{children}</main>,
  LoadingPage: () => null,
}));

interface Input {
  CurrentVersion?: number;
  DryRun?: boolean;
  AddEntries?: { Cidr: string; Description?: string }[];
  RemoveEntries?: { Cidr: string }[];
}

/** A list as a server would keep it. */
const server = {
  version: 1,
  entries: new Map<string, string>(),
  most: 1000,
  fail: (() => {}) as (input: Input) => void,
};
let writes: Input[] = [];

function answer(command: object): object {
  if (command instanceof DescribeManagedPrefixListsCommand) {
    return {
      PrefixLists: [
        {
          PrefixListId: "pl-1",
          PrefixListName: "offices",
          AddressFamily: "IPv4",
          MaxEntries: server.most,
          Version: server.version,
        },
      ],
    };
  }
  if (command instanceof GetManagedPrefixListEntriesCommand) {
    return { Entries: [...server.entries].map(([Cidr, Description]) => ({ Cidr, Description })) };
  }
  if (command instanceof ModifyManagedPrefixListCommand) {
    const input = command.input as Input;
    server.fail(input);
    if (input.CurrentVersion !== server.version) {
      throw new Refusal("PrefixListVersionMismatch", "The prefix list has the incorrect version number.", 400);
    }
    if (input.DryRun) throw new Refusal("DryRunOperation", "Request would have succeeded", 412);
    writes.push(input);
    for (const r of input.RemoveEntries ?? []) server.entries.delete(r.Cidr);
    for (const a of input.AddEntries ?? []) server.entries.set(a.Cidr, a.Description ?? "");
    return { PrefixList: { PrefixListId: "pl-1", Version: ++server.version } };
  }
  throw new Error(`not expected: ${command.constructor.name}`);
}

beforeEach(() => {
  queryClient.clear();
  writes = [];
  Object.assign(server, { version: 1, entries: new Map([["10.0.0.0/8", "all"]]), fail: () => {} });
  vi.mocked(send as (command: object) => Promise<unknown>).mockImplementation((command) =>
    Promise.resolve()
      .then(() => answer(command))
      .then((output) => ({ output, revision: server.version })),
  );
});

async function open() {
  render(
    <QueryClientProvider client={queryClient}>
      <MemoryRouter initialEntries={["/PrefixLists/pl-1/modify"]}>
        <Routes>
          <Route path="/PrefixLists/:id/modify" element={<ModifyPrefixListPage />} />
          <Route path="/PrefixLists/:id" element={<p>saved</p>} />
        </Routes>
      </MemoryRouter>
    </QueryClientProvider>,
  );
  await screen.findByDisplayValue("10.0.0.0/8");
  return userEvent.setup();
}

const cidr = (row: number) => screen.getByLabelText(text.editor.cidrLabel(row));
const button = (name: string | RegExp) => screen.getByRole("button", { name });

test("what somebody else saved meanwhile is shown, and one's own change put on top", async () => {
  const user = await open();
  await user.click(button(text.editor.add));
  await user.click(cidr(2));
  await user.paste("10.1.0.0/16");
  server.version = 2;
  server.entries.set("10.2.0.0/16", "theirs");
  await user.click(button(text.modify.submit));
  await screen.findByText(text.modify.conflict.title);
  await screen.findByText(text.modify.conflict.added("10.2.0.0/16"));
  expect(writes).toEqual([]);
  expect(cidr(2)).toHaveProperty("value", "10.1.0.0/16");
  await user.click(button(text.modify.conflict.put(2)));
  await waitFor(() => expect(screen.queryByText(text.modify.conflict.title)).toBeNull());
  await user.click(button(text.modify.submit));
  await screen.findByText("saved");
  expect(writes).toMatchObject([{ CurrentVersion: 2, AddEntries: [{ Cidr: "10.1.0.0/16" }] }]);
  expect([...server.entries.keys()]).toEqual(["10.0.0.0/8", "10.2.0.0/16", "10.1.0.0/16"]);
});

test("many entries take many calls, and what is left after an error is still to be saved", async () => {
  const user = await open();
  const lines = Array.from({ length: 250 }, (_, i) => `10.20.${i}.0/24 site ${i}`);
  await user.click(button(text.editor.paste));
  await user.click(screen.getByLabelText(text.paste.label));
  await user.paste(lines.join("\n"));
  await user.click(button(text.paste.submit));
  server.fail = (input) => {
    if (!input.DryRun && server.version === 2) {
      throw new Refusal("RequestLimitExceeded", "Request limit exceeded.", 400);
    }
  };
  await user.click(button(text.modify.submit));
  await screen.findByText(text.modify.partly(2));
  await screen.findByText("Request limit exceeded. (RequestLimitExceeded)");
  expect(server.entries.size).toBe(101);
  server.fail = () => {};
  await user.click(button(text.modify.submit));
  await screen.findByText("saved");
  expect(server.entries.size).toBe(251);
  expect(writes.map((w) => [w.CurrentVersion, w.AddEntries?.length])).toEqual([
    [1, 100],
    [2, 100],
    [3, 50],
  ]);
});

test("a slip in the last line changes nothing, and is shown", async () => {
  const words = "The specified CIDR (10.1.2.3/8) is not valid.";
  server.fail = (input) => {
    if (input.AddEntries?.some((a) => a.Cidr === "10.1.2.3/8")) {
      throw new Refusal("InvalidParameterValue", words, 400);
    }
  };
  const user = await open();
  await user.click(button(text.editor.add));
  await user.click(cidr(2));
  await user.paste("10.1.2.3/8");
  await screen.findByText(words);
  await user.click(button(text.modify.submit));
  await waitFor(() => expect(screen.getAllByText(words)).not.toHaveLength(0));
  expect(writes).toEqual([]);
  expect(server.version).toBe(1);
});
