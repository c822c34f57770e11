import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from "react";
import { queryClient } from "./api/query";
import { LoadingPage } from "./shell/page";
import { SignInPage } from "./pages/sign-in";

/** What POST /session answers. The keys stay in this page's memory. */
export interface Session {
  AccessKeyId: string;
  SecretAccessKey: string;
  SessionToken: string;
  Expiration: string;
  UserName: string;
  Role: string;
  Region: string;
  Account: string;
}

/** Why there is no session. */
export interface SignInError {
  Code: string;
  Message: string;
}

type Proof = { UserName: string; Password: string } | { Token: string } | Record<string, never>;

const renewBefore = 2 * 60 * 1000; // ms

let current: Session | undefined;
let asking: Promise<Session> | undefined;
let told: (s: Session | undefined) => void = () => {};

async function ask(proof: Proof): Promise<Session> {
  const response = await fetch("/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(proof),
    credentials: "same-origin",
  });
  const body: unknown = await response.json();
  if (!response.ok) {
    current = undefined;
    told(undefined);
    const refused = body as SignInError;
    throw Object.assign(new Error(refused.Message), { name: refused.Code });
  }
  current = body as Session;
  told(current);
  return current;
}

/** credentials are for the clients: the keys, fresh ones when those at hand are about to expire. */
export async function credentials() {
  if (!current || Date.parse(current.Expiration) - Date.now() < renewBefore) {
    asking ??= ask({}).finally(() => (asking = undefined));
    await asking;
  }
  const s = current!;
  return {
    accessKeyId: s.AccessKeyId,
    secretAccessKey: s.SecretAccessKey,
    sessionToken: s.SessionToken,
    expiration: new Date(s.Expiration),
  };
}

/** region is where the server says that it is. */
export const region = () => current?.Region ?? "us-east-1";

interface SessionState {
  session: Session | undefined;
  signIn: (userName: string, password: string) => Promise<void>;
  signOut: () => Promise<void>;
}

const Context = createContext<SessionState | undefined>(undefined);

export function useSession(): SessionState {
  return useContext(Context)!;
}

// A link holds its token behind the #, which no server sees; it leaves the address bar before anything else happens.
function takeToken(): string | undefined {
  const token = /^#token=(.+)$/.exec(location.hash)?.[1];
  if (token) history.replaceState(null, "", location.pathname);
  return token;
}

const token = takeToken();

export function SessionProvider({ children }: { children: ReactNode }) {
  const [session, setSession] = useState<Session>();
  const [known, setKnown] = useState(false);
  useEffect(() => {
    told = setSession;
    asking ??= ask(token ? { Token: token } : {}).finally(() => (asking = undefined));
    asking.catch(() => {}).finally(() => setKnown(true));
  }, []);
  const state = useMemo<SessionState>(
    () => ({
      session,
      async signIn(UserName, Password) {
        await ask({ UserName, Password });
      },
      async signOut() {
        await fetch("/session", { method: "DELETE" });
        current = undefined;
        queryClient.clear();
        setSession(undefined);
      },
    }),
    [session],
  );
  return <Context value={state}>{known ? children : <LoadingPage />}</Context>;
}

/** Shows what it holds to who is signed in, else the page to sign in with. */
export function SessionGate({ children }: { children: ReactNode }) {
  return useSession().session ? children : <SignInPage />;
}
