import type { FlashbarProps } from "@cloudscape-design/components";
import { createContext, useCallback, useContext, useMemo, useState, type ReactNode } from "react";
import { text } from "../text/shell";

export type Notification = Pick<
  FlashbarProps.MessageDefinition,
  "type" | "header" | "content" | "loading" | "action"
> & {
  /** A later one with the same id takes its place. */
  id?: string;
};

interface State {
  items: FlashbarProps.MessageDefinition[];
  notify: (n: Notification) => void;
}

const Items = createContext<State["items"]>([]);
const Notify = createContext<State["notify"]>(() => {});

/** useNotify returns what shows a message above every page until it is dismissed. */
export const useNotify = () => useContext(Notify);
export const useNotifications = () => useContext(Items);

let last = 0;

export function NotificationsProvider({ children }: { children: ReactNode }) {
  const [items, setItems] = useState<State["items"]>([]);
  const notify = useCallback((n: Notification) => {
    const id = n.id ?? `notification-${++last}`;
    const item: FlashbarProps.MessageDefinition = {
      dismissible: true,
      dismissLabel: text.notifications.dismiss,
      ...n,
      id,
      onDismiss: () => setItems((old) => old.filter((o) => o.id !== id)),
    };
    setItems((old) => [item, ...old.filter((o) => o.id !== id)].slice(0, 8));
  }, []);
  return (
    <Notify value={notify}>
      <Items value={useMemo(() => items, [items])}>{children}</Items>
    </Notify>
  );
}
