import {
  Alert,
  Box,
  Button,
  Container,
  Form,
  FormField,
  Header,
  Input,
  SpaceBetween,
} from "@cloudscape-design/components";
import { useState } from "react";
import { messageOf } from "../api/errors";
import { useSession } from "../session";
import { text } from "../text/shell";

export function SignInPage() {
  const { signIn } = useSession();
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const [error, setError] = useState<string>();
  const [busy, setBusy] = useState(false);
  async function submit() {
    setBusy(true);
    try {
      await signIn(user, password);
    } catch (e) {
      setError(messageOf(e));
    } finally {
      setBusy(false);
    }
  }
  return (
    <main style={{ maxWidth: 480, margin: "10vh auto", padding: "0 16px" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void submit();
        }}
      >
        <Container header={<Header variant="h1">{text.signIn.title}</Header>}>
          <Form
            actions={
              <Button variant="primary" loading={busy} formAction="submit">
                {text.signIn.submit}
              </Button>
            }
          >
            <SpaceBetween size="l">
              {error && <Alert type="error">{error}</Alert>}
              <FormField label={text.signIn.userName}>
                <Input value={user} autoComplete="username" autoFocus onChange={(e) => setUser(e.detail.value)} />
              </FormField>
              <FormField label={text.signIn.password}>
                <Input
                  type="password"
                  autoComplete="current-password"
                  value={password}
                  onChange={(e) => setPassword(e.detail.value)}
                />
              </FormField>
              <Box color="text-body-secondary">{text.signIn.link}</Box>
            </SpaceBetween>
          </Form>
        </Container>
      </form>
    </main>
  );
}
