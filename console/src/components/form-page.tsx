import { Alert, Button, ContentLayout, Form, Header, SpaceBetween } from "@cloudscape-design/components";
import { useRef, useState, type ReactNode } from "react";
import { useNavigate } from "react-router";
import { messageOf, refusal, type Refusal } from "../api/errors";
import { Page } from "../shell/page";
import { text } from "../text/forms";
import { ShowAsCode, type CodeCall } from "./show-as-code";

export interface FormPageProps {
  title: string;
  description?: ReactNode;
  list: { text: string; href: string };
  submit: string;
  /** Makes the calls and leaves the page; what it throws is shown at the end of the form, or is a refusal of a field. */
  onSubmit: () => Promise<void>;
  /** Where Cancel leads: the list, if absent. */
  cancelPath?: string;
  /** What is wrong, and not with one field. */
  error?: ReactNode;
  disabled?: boolean;
  /** Pages between the list and this one. */
  trail?: { text: string; href: string }[];
  /** The form needs the width of the window. */
  wide?: boolean;
  /** What saving would send, for ShowAsCode. */
  calls?: CodeCall[];
  children: ReactNode;
}

/** FormPage is the page of a form that creates or changes a resource. */
export function FormPage(props: FormPageProps) {
  const navigate = useNavigate();
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  async function submit() {
    if (busy || props.disabled) return;
    setBusy(true);
    try {
      await props.onSubmit();
    } finally {
      setBusy(false);
      // What was refused is above or far below: show the first of it.
      setTimeout(() => form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus(), 50);
    }
  }
  return (
    <Page
      title={props.title}
      breadcrumbs={[props.list, ...(props.trail ?? []), { text: props.title, href: "#" }]}
      contentType={props.wide ? "table" : "form"}
    >
      <ContentLayout
        header={
          <Header variant="h1" description={props.description}>
            {props.title}
          </Header>
        }
      >
        <form
          ref={form}
          noValidate
          onSubmit={(e) => {
            e.preventDefault();
            void submit();
          }}
        >
          <Form
            actions={
              <SpaceBetween direction="horizontal" size="xs">
                <Button
                  formAction="none"
                  variant="link"
                  onClick={() => void navigate(props.cancelPath ?? props.list.href.slice(1))}
                >
                  {text.cancel}
                </Button>
                <Button variant="primary" formAction="submit" loading={busy} disabled={props.disabled ?? false}>
                  {props.submit}
                </Button>
              </SpaceBetween>
            }
          >
            <SpaceBetween size="l">
              {props.children}
              {props.calls && <ShowAsCode calls={props.calls} />}
              {props.error && <Alert type="error">{props.error}</Alert>}
            </SpaceBetween>
          </Form>
        </form>
      </ContentLayout>
    </Page>
  );
}

/** Which field a refusal is about: the first whose pattern its code or words match. */
export type FieldPatterns<F extends string> = [pattern: RegExp, field: F][];

/**
 * useFieldErrors puts a refusal beside its field. live is what the server says while one types (useDryRun); of what a
 * field still lacks nothing is said before one tries to save. request is all that would be sent, as one text: what
 * submit throws is shown until that changes.
 */
export function useFieldErrors<F extends string>(patterns: FieldPatterns<F>, request: string, live?: Refusal) {
  const [tried, setTried] = useState(false);
  const [thrown, setThrown] = useState<{ error: unknown; request: string }>();
  const last = thrown?.request === request ? thrown.error : undefined;
  const early = live && (tried || live.code !== "MissingParameter") ? live : undefined;
  const refused = early ?? refusal(last);
  const field = refused && patterns.find(([p]) => p.test(refused.code) || p.test(refused.message))?.[1];
  const whole = refused ? (field ? undefined : messageOf(refused)) : last !== undefined ? messageOf(last) : undefined;
  return {
    /** For FormField's errorText. */
    of: (name: F): string => (refused && field === name ? refused.message : ""),
    /** What is no field's. */
    whole,
    submit: async (save: () => Promise<void>) => {
      setTried(true);
      setThrown(undefined);
      try {
        await save();
      } catch (error) {
        setThrown({ error, request });
      }
    },
  };
}
