import { QueryClientProvider } from "@tanstack/react-query";
import { render } from "@testing-library/react";
import type { ReactElement } from "react";
import { MemoryRouter, Route, Routes } from "react-router";
import { queryClient } from "../../api/query";
import type { SecurityGroupUses } from "../../api/sallyport_gen";
import { NotificationsProvider, useNotifications } from "../../shell/notifications";

// A server for tests: what it answers by action, and what it was asked.

type Answer = (input: Record<string, unknown>) => unknown;

export const answers: Record<string, Answer> = {};
export const asked: { action: string; input: Record<string, unknown> }[] = [];

/** askedFor returns the requests of one action. */
export const askedFor = (action: string) => asked.filter((a) => a.action === action).map((a) => a.input);

function ask(action: string, input: object) {
  asked.push({ action, input: input as Record<string, unknown> });
  const answer = answers[action];
  if (!answer) return Promise.reject(new Error(`nothing is asked of ${action} here`));
  return Promise.resolve({ output: answer(input as Record<string, unknown>), revision: 1 });
}

interface Command {
  input: object;
  constructor: { name: string };
}

const actionOf = (c: Command) => c.constructor.name.replace(/Command$/, "");

/** In place of src/api/ec2.ts. */
export const ec2 = {
  send: (c: Command) => ask(actionOf(c), c.input),
  query: (c: Command) => ({
    queryKey: [actionOf(c), c.input],
    queryFn: async () => (await ask(actionOf(c), c.input)).output,
  }),
};

/** In place of src/api/sallyport.ts. */
export const sallyport = {
  call: ask,
  further: (action: string, input: object) => ({
    queryKey: [action, input],
    queryFn: async () => (await ask(action, input)).output,
  }),
};

function Messages() {
  return useNotifications().map((n) => (
    <div key={n.id} role="status">
      {n.header} {n.content}
    </div>
  ));
}

/** show renders a page of the path; other pages are their addresses. */
export function show(page: ReactElement, path = "/", address = path) {
  queryClient.clear();
  return render(
    <QueryClientProvider client={queryClient}>
      <NotificationsProvider>
        <Messages />
        <MemoryRouter initialEntries={[address]}>
          <Routes>
            <Route path={path} element={page} />
            <Route path="*" element={<p>elsewhere</p>} />
          </Routes>
        </MemoryRouter>
      </NotificationsProvider>
    </QueryClientProvider>,
  );
}

/** reset forgets what was asked and answered. */
export function reset() {
  for (const name of Object.keys(answers)) delete answers[name];
  asked.length = 0;
}

/** refused is what the SDK throws. */
export const refused = (name: string, message: string) =>
  Object.assign(new Error(message), { name, $metadata: { httpStatusCode: 400 } });

/** unused is a group that nothing uses. */
export const unused = (id: string, name: string): SecurityGroupUses => ({
  GroupId: id,
  GroupName: name,
  VpcId: "vpc-1",
  Deletable: true,
  Blockers: [],
  NetworkInterfaces: [],
  NetworkInterfaceCount: 0,
  Rules: [],
  RuleCount: 0,
  VpcAssociations: [],
});

/** inUse is the group web: eni-1 carries it, and the rule sgr-1 of db names it, as does its own, sgr-2. */
export const inUse = (): SecurityGroupUses => {
  const rule = (id: string, group: string, name: string, blocks: boolean) => ({
    Blocks: blocks,
    Stale: false,
    GroupName: name,
    VpcId: "vpc-1",
    Rule: {
      GroupId: group,
      SecurityGroupRuleId: id,
      IsEgress: false,
      IpProtocol: "tcp",
      FromPort: 5432,
      ToPort: 5432,
      ReferencedGroupInfo: { GroupId: "sg-web" },
      Tags: [],
    },
  });
  const refusal = { Code: "DependencyViolation", Message: "resource sg-web has a dependent object", Count: 1 };
  return {
    ...unused("sg-web", "web"),
    Deletable: false,
    Blockers: [
      { ...refusal, Type: "network-interface", ResourceIds: ["eni-1"] },
      { ...refusal, Type: "security-group-rule", ResourceIds: ["sgr-1"] },
    ],
    NetworkInterfaces: [
      {
        NetworkInterfaceId: "eni-1",
        InstanceId: "i-1",
        InstanceName: "front",
        Groups: [{ GroupId: "sg-web", GroupName: "web" }],
      },
    ],
    NetworkInterfaceCount: 1,
    Rules: [rule("sgr-1", "sg-db", "db", true), rule("sgr-2", "sg-web", "web", false)],
    RuleCount: 2,
  };
};
