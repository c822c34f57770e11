import { render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";
import { Refusal } from "../api/errors";
import { text } from "../text/forms";
import { DeleteModal } from "./delete-modal";

const held = "The vpc 'vpc-2' has dependencies and cannot be deleted.";

test("nothing is deleted without the word, and what is refused stays with its reason", async () => {
  const user = userEvent.setup();
  const onClose = vi.fn();
  const onDone = vi.fn();
  const deleted: string[] = [];
  let refuse = true;
  render(
    <DeleteModal
      title="Delete 2 VPCs"
      resources={[{ id: "vpc-1", name: "web" }, { id: "vpc-2" }]}
      onDelete={(id) => {
        if (id === "vpc-2" && refuse) return Promise.reject(new Refusal("DependencyViolation", held, 400));
        deleted.push(id);
        return Promise.resolve();
      }}
      usesHref={(id) => `#/Vpcs/${id}`}
      onDone={onDone}
      onClose={onClose}
    />,
  );
  const button = screen.getByRole("button", { name: text.remove.button });
  expect(button).toHaveProperty("disabled", true);
  const field = screen.getByLabelText(text.confirm.label(text.confirm.word));
  await user.type(field, "remove");
  expect(button).toHaveProperty("disabled", true);
  await user.clear(field);
  await user.type(field, "delete");
  await user.click(button);
  await screen.findByText(new RegExp(`${held.replaceAll(".", "\\.")} \\(DependencyViolation\\)`));
  expect(screen.getByRole("link", { name: text.remove.uses }).getAttribute("href")).toBe("#/Vpcs/vpc-2");
  expect(deleted).toEqual(["vpc-1"]);
  expect(screen.queryByText("vpc-1 (web)")).toBeNull();
  expect(onDone).not.toHaveBeenCalled();
  expect(onClose).not.toHaveBeenCalled();
  refuse = false;
  await user.click(button);
  await waitFor(() => expect(onClose).toHaveBeenCalled());
  expect(deleted).toEqual(["vpc-1", "vpc-2"]);
  expect(onDone).toHaveBeenCalledOnce();
});
