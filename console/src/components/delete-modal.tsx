import { Alert, Box, FormField, Input, Link, SpaceBetween } from "@cloudscape-design/components";
import { useState, type ReactNode } from "react";
import { messageOf, refusal } from "../api/errors";
import { queryClient } from "../api/query";
import { useNotify } from "../shell/notifications";
import { text } from "../text/forms";
import { FormModal } from "./form-modal";

export interface DeleteModalProps {
  title: string;
  /** What becomes of it. */
  children?: ReactNode;
  resources: { id: string; name?: string }[];
  onDelete: (id: string) => Promise<unknown>;
  /** Where one sees what holds a resource that others depend on. */
  usesHref?: (id: string) => string;
  /** All of them are gone. */
  onDone?: () => void;
  onClose: () => void;
}

interface Refused {
  id: string;
  message: string;
  /** Others depend on it. */
  held: boolean;
}

/** DeleteModal deletes once the word delete is typed. Of many, each that is refused is shown with the server's words. */
export function DeleteModal({ title, children, resources, onDelete, usesHref, onDone, onClose }: DeleteModalProps) {
  const notify = useNotify();
  const [typed, setTyped] = useState("");
  const [gone, setGone] = useState<string[]>([]);
  const [refused, setRefused] = useState<Refused[]>([]);
  const left = resources.filter((r) => !gone.includes(r.id));
  async function run() {
    const deleted: string[] = [];
    const errors: Refused[] = [];
    for (const { id } of left) {
      try {
        await onDelete(id);
        deleted.push(id);
      } catch (e) {
        errors.push({ id, message: messageOf(e), held: refusal(e)?.code === "DependencyViolation" });
      }
    }
    setGone([...gone, ...deleted]);
    setRefused(errors);
    if (deleted.length) notify({ type: "success", content: text.remove.done(deleted) });
    if (!errors.length) onDone?.();
    await queryClient.invalidateQueries();
    return errors.length === 0;
  }
  return (
    <FormModal
      title={title}
      submit={text.remove.button}
      disabled={typed.trim().toLowerCase() !== text.confirm.word}
      onSubmit={run}
      onClose={onClose}
    >
      <SpaceBetween size="m">
        {refused.map((r) => (
          <Alert key={r.id} type="error" header={text.remove.failed(r.id)}>
            {r.message} {r.held && usesHref && <Link href={usesHref(r.id)}>{text.remove.uses}</Link>}
          </Alert>
        ))}
        {children && <Box>{children}</Box>}
        <ul>
          {left.map((r) => (
            <li key={r.id}>{r.name ? `${r.id} (${r.name})` : r.id}</li>
          ))}
        </ul>
        <FormField label={text.confirm.label(text.confirm.word)}>
          <Input
            value={typed}
            placeholder={text.confirm.word}
            autoComplete={false}
            onChange={(e) => setTyped(e.detail.value)}
          />
        </FormField>
      </SpaceBetween>
    </FormModal>
  );
}
