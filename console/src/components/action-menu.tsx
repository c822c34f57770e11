import { ButtonDropdown, type ButtonDropdownProps } from "@cloudscape-design/components";
import { useEffect, useRef } from "react";
import { createPortal } from "react-dom";

/** What can be done with what is selected: the Actions button and the right-click menu show the same. */
export interface ActionMenu {
  label: string;
  items: ButtonDropdownProps.ItemOrGroup[];
  /** An item was chosen; those with an href are followed without asking. */
  onItem: (id: string) => void;
}

/** ActionsButton shows a menu under a button with its label. */
export function ActionsButton({ menu, disabled }: { menu: ActionMenu; disabled?: boolean }) {
  return (
    <ButtonDropdown
      items={menu.items}
      onItemClick={(e) => menu.onItem(e.detail.id)}
      expandableGroups
      disabled={disabled ?? false}
    >
      {menu.label}
    </ButtonDropdown>
  );
}

/** Where a right click was, in CSS pixels of the window. */
export interface Point {
  x: number;
  y: number;
}

/**
 * ContextMenu shows a menu at a point, open, and calls onClose when it closed; who had the focus has it again then. It is
 * the library's own menu below a button that nobody sees, so it has the library's keyboard and its place on a small
 * screen.
 */
export function ContextMenu({ menu, at, onClose }: { menu: ActionMenu; at: Point; onClose: () => void }) {
  const anchor = useRef<HTMLDivElement>(null);
  const close = useRef(onClose);
  useEffect(() => {
    close.current = onClose;
  });
  useEffect(() => {
    const trigger = anchor.current?.querySelector("button");
    if (!trigger) return;
    const before = document.activeElement;
    const observer = new MutationObserver(() => {
      if (trigger.getAttribute("aria-expanded") === "true") return;
      if (document.activeElement === trigger && before instanceof HTMLElement) before.focus({ preventScroll: true });
      close.current();
    });
    trigger.focus({ preventScroll: true });
    trigger.click();
    observer.observe(trigger, { attributes: true, attributeFilter: ["aria-expanded"] });
    return () => observer.disconnect();
  }, []);
  return createPortal(
    <div
      ref={anchor}
      style={{
        position: "fixed",
        left: at.x,
        top: at.y,
        transform: "translateY(-100%)",
        opacity: 0,
        pointerEvents: "none",
      }}
    >
      <ButtonDropdown
        variant="icon"
        ariaLabel={menu.label}
        items={menu.items}
        onItemClick={(e) => menu.onItem(e.detail.id)}
        expandableGroups
        expandToViewport
      />
    </div>,
    document.body,
  );
}
