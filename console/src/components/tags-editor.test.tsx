import { CreateTagsCommand, DeleteTagsCommand } from "@aws-sdk/client-ec2";
import createWrapper from "@cloudscape-design/components/test-utils/dom";
import { QueryClientProvider } from "@tanstack/react-query";
import { act, render, screen, waitFor } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import { send } from "../api/ec2";
import { Refusal } from "../api/errors";
import { queryClient } from "../api/query";
import { tagCalls, tagSpecifications } from "../api/tags";
import { text } from "../text/tags";
import { ManageTagsModal, sharedTags } from "./tags-editor";

vi.mock("../api/ec2", () => ({ send: vi.fn() }));
const sent = vi.mocked(send as (command: { input: object }) => Promise<unknown>);
afterEach(() => {
  sent.mockReset();
  queryClient.clear();
});

test("tagCalls sets before it removes, and only what differs", () => {
  const before = [
    { key: "Name", value: "web" },
    { key: "env", value: "prod" },
    { key: "old", value: "" },
  ];
  const after = [
    { key: "Name", value: "web" },
    { key: "env", value: "test" },
    { key: "new", value: "" },
  ];
  const calls = tagCalls(["sg-1", "sg-2"], before, after);
  expect(calls.map((c) => [c.constructor, c.input])).toEqual([
    [
      CreateTagsCommand,
      {
        Resources: ["sg-1", "sg-2"],
        Tags: [
          { Key: "env", Value: "test" },
          { Key: "new", Value: "" },
        ],
      },
    ],
    [DeleteTagsCommand, { Resources: ["sg-1", "sg-2"], Tags: [{ Key: "old" }] }],
  ]);
  expect(tagCalls(["sg-1"], before, before)).toEqual([]);
});

test("tagSpecifications leaves out rows without a key", () => {
  expect(tagSpecifications("vpc", [{ key: "", value: "" }])).toBeUndefined();
  expect(tagSpecifications("vpc", [{ key: "a", value: "" }])).toEqual([
    { ResourceType: "vpc", Tags: [{ Key: "a", Value: "" }] },
  ]);
});

test("sharedTags tells what all resources have from what differs", () => {
  const tag = (id: string, Key: string, Value: string) => ({ ResourceId: id, Key, Value });
  const got = sharedTags(
    ["a", "b"],
    [
      tag("a", "env", "prod"),
      tag("b", "env", "prod"),
      tag("a", "Name", "x"),
      tag("b", "Name", "y"),
      tag("a", "one", "1"),
    ],
  );
  expect(got).toEqual({ shared: [{ key: "env", value: "prod" }], different: ["Name", "one"] });
});

function open(onClose = vi.fn()) {
  render(
    <QueryClientProvider client={queryClient}>
      <ManageTagsModal resourceIds={["vpc-1"]} onClose={onClose} />
    </QueryClientProvider>,
  );
  return onClose;
}

const button = (name: string) => screen.getByRole("button", { name });

test("a tag is added, and what the server answers closes the window", async () => {
  sent.mockImplementation((command) =>
    Promise.resolve(
      "Filters" in command.input
        ? { output: { Tags: [{ ResourceId: "vpc-1", Key: "Name", Value: "main" }] }, revision: 1 }
        : { output: {}, revision: 2 },
    ),
  );
  const onClose = open();
  await screen.findByDisplayValue("main");
  const editor = createWrapper().findTagEditor()!;
  expect(button(text.save)).toHaveProperty("disabled", true);
  editor.findAddButton().click();
  const row = () => editor.findRow(2)!;
  row().findField(1)!.findControl()!.findAutosuggest()!.setInputValue("env");
  row().findField(2)!.findControl()!.findAutosuggest()!.setInputValue("prod");
  act(() => button(text.save).click());
  await waitFor(() => expect(onClose).toHaveBeenCalled());
  const creates = sent.mock.calls.map(([c]) => c).filter((c) => c instanceof CreateTagsCommand);
  expect(creates.map((c) => c.input)).toEqual([{ Resources: ["vpc-1"], Tags: [{ Key: "env", Value: "prod" }] }]);
});

test("a refusal stays in the window, in the server's words", async () => {
  sent.mockImplementation((command) =>
    "Filters" in command.input
      ? Promise.resolve({ output: { Tags: [{ ResourceId: "vpc-1", Key: "a", Value: "1" }] }, revision: 1 })
      : Promise.reject(new Refusal("UnauthorizedOperation", "You are not authorized to perform this operation.", 403)),
  );
  const onClose = open();
  await screen.findByDisplayValue("1");
  createWrapper().findTagEditor()!.findRow(1)!.findRemoveButton()!.click();
  act(() => button(text.save).click());
  await screen.findByText("You are not authorized to perform this operation. (UnauthorizedOperation)");
  expect(onClose).not.toHaveBeenCalled();
});
