import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { HashRouter } from "react-router";
import { beforeEach, expect, test, vi } from "vitest";
import * as sallyport from "../api/sallyport";
import { pathOf } from "../api/search";
import { GlobalSearch } from "./global-search";

vi.mock("../api/sallyport");
vi.setConfig({ testTimeout: 30_000 });

let asked: unknown[] = [];

beforeEach(() => {
  asked = [];
  location.hash = "#/SecurityGroups";
  vi.mocked(sallyport.call).mockImplementation((action, request) => {
    asked.push([action, request]);
    const Hits = [
      { ResourceType: "network-interface", ResourceId: "eni-1", Reason: "it has 10.0.1.5" },
      {
        ResourceType: "security-group-rule",
        ResourceId: "sgr-1",
        SecurityGroupName: "web",
        SecurityGroupRule: { GroupId: "sg-1", IsEgress: true },
        Reason: "lets all traffic out to 0.0.0.0/0",
      },
    ];
    return Promise.resolve({ output: { Hits, Counts: [], MatchedCount: 12 }, revision: 1 } as never);
  });
});

const show = () =>
  render(
    <QueryClientProvider client={new QueryClient()}>
      <HashRouter>
        <GlobalSearch />
      </HashRouter>
    </QueryClientProvider>,
  );

test("the closest hits are suggested, with what matched, and lead to their pages", async () => {
  const user = userEvent.setup();
  show();
  await user.type(screen.getByRole("combobox"), "10.0.1.5");
  expect(await screen.findByText(/it has/)).toBeTruthy();
  expect(asked).toEqual([["SearchResources", { Query: "10.0.1.5", MaxResults: 8 }]]);
  await user.click(screen.getByText("web (sgr-1)"));
  await waitFor(() => expect(location.hash).toBe("#/SecurityGroups/sg-1?tab=outbound"));
});

test("Enter shows all", async () => {
  const user = userEvent.setup();
  show();
  await user.type(screen.getByRole("combobox"), "port:5432 from:world{Enter}");
  await waitFor(() => expect(location.hash).toBe("#/Search?q=port%3A5432+from%3Aworld"));
});

test("nothing is asked without a word", async () => {
  const user = userEvent.setup();
  show();
  await user.type(screen.getByRole("combobox"), "   ");
  await new Promise((done) => setTimeout(done, 500)); // longer than it waits for the next key
  expect(asked).toEqual([]);
});

test("each type has its page", () => {
  expect(pathOf({ ResourceType: "vpc", ResourceId: "vpc-1" })).toBe("/Vpcs/vpc-1");
  expect(pathOf({ ResourceType: "instance", ResourceId: "i-1" })).toBe("/Instances/i-1");
});
