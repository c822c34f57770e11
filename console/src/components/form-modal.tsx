import { Alert, Box, Button, Form, Modal, SpaceBetween } from "@cloudscape-design/components";
import { useState, type ReactNode } from "react";
import { messageOf } from "../api/errors";
import { text } from "../text/forms";
import { ShowAsCode, type CodeCall } from "./show-as-code";

export interface FormModalProps {
  title: string;
  submit: string;
  /** What is done; then the window closes, unless the answer is false. What is thrown is shown in the window. */
  onSubmit: () => Promise<boolean | void>;
  onClose: () => void;
  disabled?: boolean;
  size?: "small" | "medium" | "large" | "max";
  /** What it would send, for ShowAsCode. */
  calls?: CodeCall[];
  children?: ReactNode;
}

/** FormModal is a small form in a window: what it holds, cancel, submit. It is there while it is rendered. */
export function FormModal({
  title,
  submit,
  onSubmit,
  onClose,
  disabled = false,
  size,
  calls,
  children,
}: FormModalProps) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  async function run() {
    if (busy || disabled) return;
    setBusy(true);
    setError(undefined);
    try {
      if ((await onSubmit()) !== false) {
        onClose();
        return;
      }
    } catch (e) {
      setError(e);
    }
    setBusy(false);
  }
  return (
    <Modal
      visible
      header={title}
      closeAriaLabel={text.close}
      onDismiss={onClose}
      {...(size ? { size } : {})}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={onClose}>
              {text.cancel}
            </Button>
            <Button variant="primary" loading={busy} disabled={disabled} onClick={() => void run()}>
              {submit}
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void run();
        }}
      >
        <Form>
          <SpaceBetween size="m">
            {error !== undefined && <Alert type="error">{messageOf(error)}</Alert>}
            {children}
            {calls && <ShowAsCode calls={calls} />}
          </SpaceBetween>
        </Form>
      </form>
    </Modal>
  );
}
