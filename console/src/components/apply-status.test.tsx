import { QueryClientProvider } from "@tanstack/react-query";
import { render, screen } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import { queryClient } from "../api/query";
import { call } from "../api/sallyport";
import type { DescribeEnforcementResult } from "../api/sallyport_gen";
import { Refusal } from "../api/errors";
import { ApplyStatus } from "./apply-status";

vi.mock("../api/sallyport", () => ({ call: vi.fn() }));
const called = vi.mocked(call as (action: string, request: object) => Promise<unknown>);
afterEach(() => {
  called.mockReset();
  queryClient.clear();
});

const answer = (output: Partial<DescribeEnforcementResult>) =>
  Promise.resolve({ output: { Enforcements: [], ...output }, revision: 9 });
const late = (id: string, Message: string) => ({ NetworkInterfaceId: id, HostId: "h1", InForce: false, Message });

const show = (props: Omit<Parameters<typeof ApplyStatus>[0], "revision"> = {}) =>
  render(
    <QueryClientProvider client={queryClient}>
      <ApplyStatus revision={7} {...props} />
    </QueryClientProvider>,
  );

test("what is in force is said with its time, and not asked for again", async () => {
  called.mockReturnValue(answer({ InForce: true, InForceCount: 3, InterfaceCount: 3, TookMilliseconds: 12 }));
  show({ securityGroupIds: ["sg-1"] });
  await screen.findByText("In force on 3 of 3 interfaces, 12 ms");
  await new Promise((done) => setTimeout(done, 20));
  expect(called.mock.calls).toEqual([
    ["DescribeEnforcement", { Revision: 7, SecurityGroupIds: ["sg-1"], MaxResults: 100, WaitTimeSeconds: 1 }],
  ]);
});

test("what is late is named, until it is in force", async () => {
  let arrive: (v: unknown) => void = () => {};
  called.mockReturnValueOnce(
    answer({
      InForce: false,
      InForceCount: 1,
      InterfaceCount: 2,
      Enforcements: [{ NetworkInterfaceId: "eni-1", InForce: true }, late("eni-2", "The host is not connected.")],
    }),
  );
  called.mockReturnValueOnce(new Promise((resolve) => (arrive = resolve)));
  show();
  await screen.findByText("In force on 1 of 2 interfaces so far");
  expect(screen.getByRole("link", { name: "eni-2" }).getAttribute("href")).toBe("#/NetworkInterfaces/eni-2");
  expect(screen.getByText(/on host h1: The host is not connected\./)).toBeTruthy();
  await vi.waitFor(() => expect(called).toHaveBeenCalledTimes(2));
  expect(called.mock.calls[1]![1]).toMatchObject({ WaitTimeSeconds: 10 });
  arrive(await answer({ InForce: true, InForceCount: 2, InterfaceCount: 2 }));
  await screen.findByText("In force on 2 of 2 interfaces");
});

test("a change that concerns nobody says so, and a refusal does not look like one of the change", async () => {
  called.mockReturnValueOnce(answer({ InForce: true, InForceCount: 0, InterfaceCount: 0 }));
  const first = show();
  await screen.findByText(/concerns no interface/);
  first.unmount();
  queryClient.clear();
  called.mockRejectedValueOnce(new Refusal("InvalidGroup.NotFound", "It is gone.", 400));
  show();
  await screen.findByText(/could not be found out:\s+It is gone\. \(InvalidGroup\.NotFound\)/);
});
