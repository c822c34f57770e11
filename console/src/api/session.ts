// Who is signed in, and the keys that calls are signed with. The keys are in this module's memory and nowhere else; a
// cookie that scripts cannot read lets the page have fresh ones.

import { text } from "../text/sign-in";
import { Refusal, refusal } from "./errors";

/** What POST /session answers. */
export interface Session {
  AccessKeyId: string;
  SecretAccessKey: string;
  SessionToken: string;
  /** Of the keys. */
  Expiration: string;
  /** When the session ends, however often its keys are renewed. */
  SessionExpiration: string;
  UserName: string;
  Role: string;
  Region: string;
  Account: string;
}

/** What one signs in with; with nothing, by the cookie. */
export type Proof = { UserName: string; Password: string } | { Token: string } | Record<string, never>;

/** Who is signed in, as far as pages need to know: the keys are not in it. */
export type Person = Pick<Session, "UserName" | "Role" | "Region" | "Account">;

export type State =
  /** The page has just been loaded. */
  | { phase: "asking" }
  /** It was loaded, and the server does not answer. */
  | { phase: "unreachable" }
  /** Nobody is signed in. why: what to say of it. */
  | { phase: "out"; why?: string }
  | { phase: "in"; person: Person }
  /** The session has ended; what the page shows is kept, and calls wait, until its person signs in again or leaves. */
  | { phase: "ended"; person: Person; why: string };

/** What calls are signed with. */
export interface Keys {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string;
}

const renewBefore = 2 * 60_000; // ms
const idleAfter = 2 * 3600_000; // ms without anybody at the page: the session ends
const tellAfter = 60_000; // ms between notes to other tabs that somebody is there

let state: State = { phase: "asking" };
let keys: (Keys & { renewAt: number }) | undefined;
let clockOffset = 0; // ms that the server's clock is ahead
let renewing: Promise<void> | undefined;
let waiting: { go: () => void; give: (why: Error) => void }[] = [];
let lastInput = Date.now();
let lastTold = 0;
const listeners = new Set<() => void>();
const forgetters = new Set<() => void>();

/** For useSyncExternalStore. */
export const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};
export const current = () => state;

/** onForget registers what throws away all that a person saw. It is called before another person may see it. */
export const onForget = (forget: () => void) => void forgetters.add(forget);

/** region is where the server says that it is. */
export const region = () => ("person" in state ? state.person.Region : "us-east-1");

/** signingDate is the time by the server's clock: the browser's may be wrong. */
export const signingDate = () => new Date(Date.now() + clockOffset);
export const systemClockOffset = () => clockOffset;

function become(next: State) {
  state = next;
  listeners.forEach((listener) => listener());
}

/** Other tabs of this browser have the same cookie. What they tell each other holds no secret. */
type Note = "in" | "out" | "active";
const tabs = typeof BroadcastChannel === "undefined" ? undefined : new BroadcastChannel("sallyport");

async function ask(proof: Proof): Promise<Session> {
  let response: Response, body: unknown;
  try {
    response = await fetch("/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(proof),
      credentials: "same-origin",
      cache: "no-store",
    });
    body = await response.json();
  } catch {
    throw new Error(text.unreachable);
  }
  if (!response.ok) {
    const refused = body as { Code: string; Message: string };
    throw new Refusal(refused.Code, refused.Message, response.status);
  }
  const now = Date.parse(response.headers.get("Date") ?? "");
  clockOffset = Number.isNaN(now) ? 0 : now - Date.now();
  return body as Session;
}

/** ended reports whether an error says that nobody is signed in, and not that something went wrong. */
const ended = (error: unknown) => error instanceof Refusal && error.status === 401;

function accept(s: Session) {
  const before = "person" in state ? state.person : undefined;
  const person: Person = { UserName: s.UserName, Role: s.Role, Region: s.Region, Account: s.Account };
  const another = before && (before.UserName !== person.UserName || before.Account !== person.Account);
  const until = Date.parse(s.Expiration) - clockOffset;
  keys = {
    accessKeyId: s.AccessKeyId,
    secretAccessKey: s.SecretAccessKey,
    sessionToken: s.SessionToken,
    renewAt: until - Math.min(renewBefore, (until - Date.now()) / 4), // the last ones of a session are good for less
  };
  if (another) forget(); // nothing of what one person began is done as another
  const same = state.phase === "in" && !another && state.person.Role === person.Role;
  if (!same) become({ phase: "in", person });
  const going = waiting;
  waiting = [];
  going.forEach((w) => w.go());
}

function forget() {
  forgetters.forEach((f) => f());
  const left = waiting;
  waiting = [];
  left.forEach((w) => w.give(new Error(text.notDone)));
}

function leave(why?: string) {
  keys = undefined;
  forget();
  become({ phase: "out", why });
}

/** wait is done when the person of a session that has ended signs in again; it fails when they leave. */
function wait(why: string): Promise<void> {
  keys = undefined;
  if (state.phase === "in") become({ phase: "ended", person: state.person, why });
  if (state.phase !== "ended") return Promise.reject(new Error(text.notDone));
  return new Promise((go, give) => waiting.push({ go, give }));
}

async function renew(): Promise<void> {
  if (state.phase === "ended") return wait(state.why);
  if (state.phase === "in" && Date.now() - lastInput > idleAfter) {
    void fetch("/session", { method: "DELETE" }).catch(() => {}); // if it does not arrive, it ends there by itself
    return wait(text.idle);
  }
  try {
    accept(await ask({}));
  } catch (error) {
    if (!ended(error)) throw error;
    if (state.phase === "in") return wait(text.ended);
    throw error;
  }
}

/** credentials returns keys that are good for a while: those at hand, or fresh ones. If the session has ended it waits
 * until its person has signed in again. It fails if the server does not answer, or they leave. */
export async function credentials(): Promise<Keys> {
  if (!keys || Date.now() >= keys.renewAt) {
    renewing ??= renew().finally(() => (renewing = undefined));
    await renewing;
  }
  if (!keys) throw new Error(text.notDone);
  return keys;
}

/** signed makes a call that is signed with the session's keys. Keys that the server does not take any more are
 * exchanged, once: it has done nothing then. */
export async function signed<T>(attempt: (keys: Keys) => Promise<T>): Promise<T> {
  const used = await credentials();
  try {
    return await attempt(used);
  } catch (error) {
    const code = refusal(error)?.code;
    if (code !== "AuthFailure" && code !== "RequestExpired") throw error;
    if (keys?.accessKeyId === used.accessKeyId) keys = undefined;
    return await attempt(await credentials());
  }
}

/** start finds out who is signed in when the page is loaded: by the token of a link, or by the cookie. */
export async function start() {
  token = takeToken() ?? token;
  try {
    if (token) await signIn({ Token: token });
    else accept(await ask({}));
    token = undefined;
  } catch (error) {
    if (!(error instanceof Refusal)) return become({ phase: "unreachable" }); // start again: the token is not used up
    become({ phase: "out", why: token || error.status !== 401 ? whyNot(error) : undefined });
    token = undefined;
  }
}

let token: string | undefined; // of the link that the page was opened with

/** signIn begins a session, or throws why not. */
export async function signIn(proof: Proof) {
  accept(await ask(proof));
  active();
  tell("in");
}

/** whyNot returns what to say to who could not sign in. */
export function whyNot(error: unknown): string {
  if (!(error instanceof Refusal)) return error instanceof Error ? error.message : String(error);
  return error.code === "RequestLimitExceeded" ? text.tooMany : error.message;
}

/** signOut ends the session with its keys, in all tabs. */
export async function signOut() {
  let why: string | undefined;
  try {
    const response = await fetch("/session", { method: "DELETE" });
    if (!response.ok) why = text.notSignedOut;
  } catch {
    why = text.notSignedOut;
  }
  leave(why);
  tell("out");
}

// A link holds its token behind the #, which no server sees. It leaves the address bar, and the history, before
// anything else happens.
function takeToken(): string | undefined {
  const token = /^#token=(.+)$/.exec(location.hash)?.[1];
  if (token) history.replaceState(history.state, "", location.pathname);
  return token;
}

let inPlace: string | undefined;

// Into the address bar of a page that is there already, a link goes without a new page. Its router need not see it:
// the address is again what it was.
function linkInPlace(event: PopStateEvent | HashChangeEvent) {
  inPlace = takeToken() ?? inPlace;
  if (!inPlace) return;
  event.stopImmediatePropagation();
  if (!("oldURL" in event)) return; // a hashchange follows
  history.replaceState(history.state, "", event.oldURL);
  const token = inPlace;
  inPlace = undefined;
  signIn({ Token: token }).catch((error) => {
    if (state.phase === "out") become({ phase: "out", why: whyNot(error) });
    else if (state.phase === "ended") become({ ...state, why: whyNot(error) });
  });
}

function tell(note: Note) {
  tabs?.postMessage(note);
}

/** active notes that somebody is at the page. */
function active() {
  lastInput = Date.now();
  if (lastInput - lastTold < tellAfter) return;
  lastTold = lastInput;
  tell("active");
}

function heard({ data }: MessageEvent<Note>) {
  lastInput = Date.now();
  if (data === "out" && (state.phase === "in" || state.phase === "ended")) leave(text.elsewhere);
  // Another tab has another session now: if it is of the same person, this one goes on with it.
  if (data === "in" && state.phase !== "asking") ask({}).then(accept, () => {});
}

addEventListener("popstate", linkInPlace);
addEventListener("hashchange", linkInPlace);
addEventListener("pointerdown", active, { capture: true, passive: true });
addEventListener("keydown", active, { capture: true, passive: true });
tabs?.addEventListener("message", heard);
