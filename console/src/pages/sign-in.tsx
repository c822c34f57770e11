import {
  Alert,
  Box,
  Button,
  Container,
  CopyToClipboard,
  Form,
  FormField,
  Header,
  Input,
  type InputProps,
  LiveRegion,
  Modal,
  SpaceBetween,
} from "@cloudscape-design/components";
import { useEffect, useRef, useState } from "react";
import { signIn, signOut, whyNot, type Person } from "../api/session";
import { text } from "../text/sign-in";

/** useSignIn is the two fields and what came of them. */
function useSignIn(userName: string) {
  const [user, setUser] = useState(userName);
  const [password, setPassword] = useState("");
  const [error, setError] = useState<string>();
  const [tried, setTried] = useState(false);
  const [busy, setBusy] = useState(false);
  const userInput = useRef<InputProps.Ref>(null);
  const passwordInput = useRef<InputProps.Ref>(null);

  async function submit() {
    setTried(true);
    setError(undefined);
    if (user === "") return userInput.current?.focus();
    if (password === "") return passwordInput.current?.focus();
    setBusy(true);
    try {
      await signIn({ UserName: user, Password: password }); // shows other things than this
    } catch (e) {
      setError(whyNot(e));
      setPassword("");
      setTried(false);
      passwordInput.current?.focus();
    } finally {
      setBusy(false);
    }
  }

  const fields = (
    <SpaceBetween size="m">
      <FormField label={text.userName} errorText={tried && user === "" ? text.missing.userName : undefined}>
        <Input
          ref={userInput}
          name="username"
          value={user}
          autoComplete="username"
          disableBrowserAutocorrect
          autoFocus={userName === ""}
          onChange={(e) => setUser(e.detail.value)}
        />
      </FormField>
      <FormField label={text.password} errorText={tried && password === "" ? text.missing.password : undefined}>
        <Input
          ref={passwordInput}
          name="password"
          type="password"
          autoComplete="current-password"
          value={password}
          onChange={(e) => setPassword(e.detail.value)}
        />
      </FormField>
    </SpaceBetween>
  );
  return { fields, submit, busy, error, passwordInput };
}

/** What is wrong, said to who does not see it, too. */
function Wrong({ message }: { message: string }) {
  return (
    <LiveRegion assertive>
      <Alert type="error" statusIconAriaLabel="Error">
        {message}
      </Alert>
    </LiveRegion>
  );
}

function Link({ how }: { how: string }) {
  return (
    <Box color="text-body-secondary">
      {how}
      <br />
      <CopyToClipboard
        variant="inline"
        textToCopy={text.command}
        textToDisplay={text.command}
        copyButtonAriaLabel="Copy"
        copySuccessText="Copied"
        copyErrorText="Not copied"
      />
    </Box>
  );
}

/** The page of who is not signed in. why says what happened, if there is something to say. */
export function SignInPage({ why }: { why?: string | undefined }) {
  const { fields, submit, busy, error } = useSignIn("");
  const wrong = error ?? why;
  useEffect(() => {
    document.title = text.tab;
  }, []);
  return (
    <main style={{ maxWidth: 480, margin: "10vh auto", padding: "0 16px" }}>
      <form
        noValidate
        onSubmit={(e) => {
          e.preventDefault();
          void submit();
        }}
      >
        <Container header={<Header variant="h1">{text.title}</Header>}>
          <Form
            actions={
              <Button variant="primary" loading={busy} formAction="submit">
                {text.submit}
              </Button>
            }
          >
            <SpaceBetween size="l">
              {wrong && <Wrong key={wrong} message={wrong} />}
              {fields}
              <Link how={text.link} />
            </SpaceBetween>
          </Form>
        </Container>
      </form>
    </main>
  );
}

const formId = "sign-in-again";

/** The dialog over a page whose session has ended: nothing of the page is lost. */
export function SignInAgain({ person, why }: { person: Person; why: string }) {
  const { fields, submit, busy, error, passwordInput } = useSignIn(person.UserName);
  useEffect(() => {
    const timer = setTimeout(() => passwordInput.current?.focus()); // after the dialog has taken the focus
    return () => clearTimeout(timer);
  }, [passwordInput]);
  return (
    <Modal
      visible
      header={text.again.title}
      closeAriaLabel={text.again.leave}
      onDismiss={({ detail }) => {
        if (detail.reason === "closeButton") void signOut(); // not by a click beside it, or Escape
      }}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={() => void signOut()}>
              {text.again.leave}
            </Button>
            <Button variant="primary" loading={busy} form={formId} formAction="submit">
              {text.submit}
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <form
        id={formId}
        noValidate
        onSubmit={(e) => {
          e.preventDefault();
          void submit();
        }}
      >
        <SpaceBetween size="l">
          {error && <Wrong key={error} message={error} />}
          <Box>
            {why} {text.again.kept}
          </Box>
          {fields}
          <Link how={text.again.link} />
        </SpaceBetween>
      </form>
    </Modal>
  );
}
