import type { SecurityGroupRule } from "@aws-sdk/client-ec2";
import createWrapper from "@cloudscape-design/components/test-utils/dom";
import { QueryClientProvider } from "@tanstack/react-query";
import { act, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { MemoryRouter, Route, Routes } from "react-router";
import { beforeEach, expect, test, vi } from "vitest";
import { Refusal } from "../../api/errors";
import { queryClient } from "../../api/query";
import type {
  EditSecurityGroupRulesRequest,
  EditSecurityGroupRulesResult,
  SecurityGroupRuleProblem,
} from "../../api/sallyport_gen";
import { EditInboundRulesPage } from "./edit";

const ssh: SecurityGroupRule = {
  SecurityGroupRuleId: "sgr-1",
  GroupId: "sg-1",
  IsEgress: false,
  IpProtocol: "tcp",
  FromPort: 22,
  ToPort: 22,
  CidrIpv4: "10.0.0.0/8",
};

// The server: what is there, what it says of previews, what was saved.
let rules: SecurityGroupRule[];
let revision: number;
let problems: (r: EditSecurityGroupRulesRequest) => SecurityGroupRuleProblem[];
let refuse: Refusal | undefined;
let unseen: Refusal | undefined; // what previews are refused with
let saved: EditSecurityGroupRulesRequest[];

vi.mock("../../api/ec2", () => {
  const send = (command: { constructor: { name: string } }) => {
    switch (command.constructor.name) {
      case "DescribeSecurityGroupsCommand":
        return Promise.resolve({
          output: { SecurityGroups: [{ GroupId: "sg-1", GroupName: "web", VpcId: "vpc-1" }] },
          revision,
        });
      case "DescribeSecurityGroupRulesCommand":
        return Promise.resolve({ output: { SecurityGroupRules: rules }, revision });
      case "DescribeManagedPrefixListsCommand":
        return Promise.resolve({ output: { PrefixLists: [] }, revision });
      default:
        return Promise.reject(new Error(command.constructor.name));
    }
  };
  const query = (command: { constructor: { name: string }; input: unknown }) => ({
    queryKey: [command.constructor.name, command.input],
    queryFn: async () => (await send(command)).output,
  });
  return { send, query };
});

vi.mock("../../api/sallyport", () => {
  const call = (action: string, request: EditSecurityGroupRulesRequest) => {
    switch (action) {
      case "EditSecurityGroupRules": {
        if (request.Preview) {
          if (unseen) return Promise.reject(unseen);
        } else {
          saved.push(request);
          if (refuse) return Promise.reject(refuse);
        }
        const output: EditSecurityGroupRulesResult = {
          Changes: [],
          Problems: problems(request),
          Rules: [],
          Warnings: [],
        };
        return Promise.resolve({ output, revision });
      }
      case "DescribeCallerAddress":
        return Promise.resolve({ output: { Ipv4Address: "203.0.113.7", Ipv6Address: "2001:db8::7" }, revision });
      case "DescribeAuditRecords":
        return Promise.resolve({ output: { AuditRecords: [{ UserName: "ann", Revision: revision }] }, revision });
      case "SelectResources":
        return Promise.resolve({ output: { ResourceIds: [] }, revision });
      default:
        return Promise.reject(new Error(action));
    }
  };
  const further = (action: string, request: EditSecurityGroupRulesRequest) => ({
    queryKey: [action, request],
    queryFn: async () => (await call(action, request)).output,
  });
  return { call, further };
});

// jsdom has none. The page is wide.
vi.stubGlobal("matchMedia", () => ({ matches: true, addEventListener() {}, removeEventListener() {} }));

beforeEach(() => {
  rules = [ssh];
  revision = 7;
  problems = () => [];
  refuse = undefined;
  unseen = undefined;
  saved = [];
  queryClient.clear();
});

async function open() {
  render(
    <QueryClientProvider client={queryClient}>
      <MemoryRouter initialEntries={["/SecurityGroups/sg-1/inbound"]}>
        <Routes>
          <Route path="/SecurityGroups/:id/inbound" element={<EditInboundRulesPage />} />
          <Route path="/SecurityGroups/:id" element={<p>the group</p>} />
        </Routes>
      </MemoryRouter>
    </QueryClientProvider>,
  );
  await screen.findByText("sgr-1");
}

// By the library's own utilities: looking for roles takes seconds in jsdom.
const field = (row: number, column: number) =>
  createWrapper().findAttributeEditor()!.findRow(row)!.findField(column)!.findControl()!;
const column = { ports: 4, source: 5, description: 6 };
const describe = (row: number, text: string) =>
  act(() => field(row, column.description).findInput()!.setInputValue(text));
const typePorts = (row: number, text: string) => act(() => field(row, column.ports).findInput()!.setInputValue(text));
const typeSource = (row: number, text: string) =>
  act(() => field(row, column.source).findAutosuggest()!.setInputValue(text));
const click = (text: string) => fireEvent.click(screen.getByText(text));
const add = () => act(() => createWrapper().findAttributeEditor()!.findAddButton().click());

test("what is edited, added and removed is saved in one call, on what was looked at", async () => {
  rules = [ssh, { ...ssh, SecurityGroupRuleId: "sgr-2", CidrIpv4: "11.0.0.0/8" }];
  await open();
  describe(1, "home");
  fireEvent.click(screen.getByLabelText("Delete rule sgr-2"));
  add();
  typePorts(2, "8000-8080");
  typeSource(2, "12.0.0.0/8");
  click("Save rules");
  await screen.findByText("the group");
  expect(saved).toEqual([
    {
      GroupId: "sg-1",
      Revision: 7,
      AddRules: [expect.objectContaining({ FromPort: 8000, ToPort: 8080, CidrIpv4: "12.0.0.0/8", IsEgress: false })],
      ModifyRules: [
        {
          SecurityGroupRuleId: "sgr-1",
          SecurityGroupRule: expect.objectContaining({ Description: "home" }) as unknown,
        },
      ],
      RemoveRuleIds: ["sgr-2"],
    },
  ]);
});

test("the server's words stand beside the row as one types, and not before", async () => {
  problems = (r) =>
    (r.AddRules ?? []).map((a, i) =>
      a.CidrIpv4
        ? {
            Row: `AddRule.${i + 1}`,
            Member: "CidrIpv4",
            Code: "InvalidParameterValue",
            Message: `CIDR block ${a.CidrIpv4} is malformed`,
          }
        : {
            Row: `AddRule.${i + 1}`,
            Code: "MissingParameter",
            Message: "The request must contain exactly one of them",
          },
    );
  await open();
  add();
  await act(() => new Promise((done) => setTimeout(done, 600)));
  expect(screen.queryByText(/must contain/)).toBeNull();
  typeSource(2, "10.1");
  expect(await screen.findByText("CIDR block 10.1 is malformed")).toBeTruthy();
  typeSource(2, "");
  refuse = new Refusal("MissingParameter", "The request must contain exactly one of them", 400);
  click("Save rules");
  expect(await screen.findByText(/must contain/)).toBeTruthy();
  expect(screen.queryByText("the group")).toBeNull();
});

test("a save tells nothing of a cell that is of what stood there before", async () => {
  problems = (r) =>
    (r.AddRules ?? []).map((a, i) => ({
      Row: `AddRule.${i + 1}`,
      Member: "FromPort",
      Code: "InvalidParameterValue",
      Message: a.FromPort === undefined ? "Invalid value for portRange" : `port (${a.FromPort}) out of range`,
    }));
  refuse = new Refusal("InvalidParameterValue", "something is wrong", 400);
  await open();
  add();
  await act(() => new Promise((done) => setTimeout(done, 600))); // the server has said that ports are missing
  typePorts(2, "70000");
  click("Save rules");
  expect(screen.queryByText(/portRange/)).toBeNull();
  expect(await screen.findByText("port (70000) out of range")).toBeTruthy();
});

test("several blocks that are pasted are several rules", async () => {
  await open();
  add();
  fireEvent.paste(field(2, column.source).findAutosuggest()!.findNativeInput().getElement(), {
    clipboardData: { getData: () => "10.1.0.0/16\n10.2.0.0/16, fd00::/8" },
  });
  click("Save rules");
  await screen.findByText("the group");
  expect(saved[0]?.AddRules?.map((a) => a.CidrIpv4 ?? a.CidrIpv6)).toEqual(["10.1.0.0/16", "10.2.0.0/16", "fd00::/8"]);
});

test("My IP is what the server sees, in both families", async () => {
  await open();
  add();
  const kind = field(2, column.source).findSelect()!;
  act(() => kind.openDropdown());
  act(() => kind.selectOptionByValue("mine", { expandToViewport: true }));
  await screen.findByText("203.0.113.7/32");
  click("Save rules");
  await screen.findByText("the group");
  expect(saved[0]?.AddRules?.map((a) => a.CidrIpv4 ?? a.CidrIpv6)).toEqual(["203.0.113.7/32", "2001:db8::7/128"]);
});

test("who edits what another changed sees it, and loses nothing", async () => {
  await open();
  describe(1, "mine");
  rules = [{ ...ssh, FromPort: 2222, ToPort: 2222 }];
  revision = 9;
  refuse = new Refusal("SecurityGroupRevisionMismatch", "The security group rule 'sgr-1' was changed", 400);
  click("Save rules");
  expect(await screen.findByText("ann changed this group since you opened it")).toBeTruthy();
  expect(screen.getByText(/was changed \(SecurityGroupRevisionMismatch\)/)).toBeTruthy();
  refuse = undefined;
  click("Put my edits on top of theirs");
  await waitFor(() => expect(screen.queryByText(/SecurityGroupRevisionMismatch/)).toBeNull());
  click("Save rules");
  await screen.findByText("the group");
  expect(saved[1]).toMatchObject({
    Revision: 9,
    ModifyRules: [{ SecurityGroupRule: { FromPort: 2222, Description: "mine" } }],
  });
});

test("a preview that is refused is not still awaited", async () => {
  unseen = new Refusal("UnauthorizedOperation", "You are not authorized to perform this operation.", 403);
  await open();
  describe(1, "home");
  await screen.findByText(/You are not authorized/);
  await waitFor(() => expect(screen.queryByText("Asking the server")).toBeNull());
});

test("Enter in a field of a rule saves nothing", async () => {
  await open();
  describe(1, "home");
  const input = field(1, column.description).findInput()!.findNativeInput().getElement();
  const unprevented = fireEvent.keyDown(input, { key: "Enter", keyCode: 13 }); // a browser would submit the form
  expect(unprevented).toBe(false);
  expect(saved).toEqual([]);
});
