import { fireEvent, render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";
import { ContextMenu } from "./action-menu";

const items = [
  { id: "view", text: "View details" },
  { id: "state", text: "Instance state", items: [{ id: "stop", text: "Stop instance" }] },
];

test("a menu opens at once, and its choice closes it and gives the focus back", async () => {
  const user = userEvent.setup();
  const onItem = vi.fn();
  const onClose = vi.fn();
  render(<button>row</button>);
  screen.getByText("row").focus();
  render(<ContextMenu menu={{ label: "Actions", items, onItem }} at={{ x: 10, y: 20 }} onClose={onClose} />);
  await user.click(await screen.findByText("Instance state"));
  await user.click(await screen.findByText("Stop instance"));
  expect(onItem).toHaveBeenCalledExactlyOnceWith("stop");
  await waitFor(() => expect(onClose).toHaveBeenCalled());
  expect(document.activeElement).toBe(screen.getByText("row"));
});

test("Escape closes a menu without a choice", async () => {
  const onItem = vi.fn();
  const onClose = vi.fn();
  render(<ContextMenu menu={{ label: "Actions", items, onItem }} at={{ x: 10, y: 20 }} onClose={onClose} />);
  await screen.findByText("View details");
  fireEvent.keyDown(document.activeElement!, { keyCode: 27 }); // user-event sends a key without the code that the menu reads
  await waitFor(() => expect(onClose).toHaveBeenCalled());
  expect(onItem).not.toHaveBeenCalled();
});
