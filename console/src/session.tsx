import { Box, Button, SpaceBetween, Spinner } from "@cloudscape-design/components";
import { Fragment, useEffect, useState, useSyncExternalStore, type ReactNode } from "react";
import { queryClient } from "./api/query";
import * as api from "./api/session";
import { SignInAgain, SignInPage } from "./pages/sign-in";
import { LoadingPage } from "./shell/page";
import { text } from "./text/sign-in";

api.onForget(() => queryClient.clear());

/** useSession returns who is signed in, undefined if nobody is, and how to sign out. */
export function useSession() {
  const state = useSyncExternalStore(api.subscribe, api.current);
  return { session: "person" in state ? state.person : undefined, signOut: api.signOut };
}

let started = false;

/** Shows what it holds to who is signed in, else the page to sign in with. When a session ends what is shown stays, under
 * a dialog to sign in again with. */
export function SessionGate({ children }: { children: ReactNode }) {
  const state = useSyncExternalStore(api.subscribe, api.current);
  useEffect(() => {
    if (!started) void api.start();
    started = true;
  }, []);
  switch (state.phase) {
    case "asking":
      return <LoadingPage />;
    case "unreachable":
      return <Unreachable />;
    case "out":
      return <SignInPage why={state.why} />;
    case "in":
    case "ended":
      return (
        <>
          <Fragment key={`${state.person.Account}/${state.person.UserName}`}>{children}</Fragment>
          {state.phase === "ended" && <SignInAgain person={state.person} why={state.why} />}
        </>
      );
  }
}

const tryAgain = 3_000; // ms

function Unreachable() {
  const [asking, setAsking] = useState(false);
  const ask = () => {
    setAsking(true);
    void api.start().finally(() => setAsking(false));
  };
  useEffect(() => {
    if (asking) return;
    const timer = setTimeout(ask, tryAgain);
    return () => clearTimeout(timer);
  }, [asking]);
  return (
    <main>
      <Box textAlign="center" padding="xxl">
        <SpaceBetween size="m" alignItems="center">
          <Box variant="h1">{text.waiting.title}</Box>
          <div role="status">
            <Spinner /> {text.waiting.body}
          </div>
          <Button loading={asking} onClick={ask}>
            {text.waiting.again}
          </Button>
        </SpaceBetween>
      </Box>
    </main>
  );
}
