/* eslint-disable no-restricted-globals -- the test says that nothing is in the stores */
import { act, cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { useState, type ComponentType, type ReactNode } from "react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { text } from "./text/sign-in";

/** A server: what its cookie says, what it knows, and what it was asked. */
const server = {
  user: undefined as string | undefined, // of the cookie
  down: false,
  token: "",
  lifetime: 15 * 60, // seconds, of keys
  renewals: 0,
  keys: new Set<string>(),
  asked: [] as { method: string; url: string; body: string; headers: Headers }[],
};

const json = (status: number, body: unknown) =>
  new Response(JSON.stringify(body), { status, headers: { Date: new Date().toUTCString() } });
const no = (Message: string, status = 401, Code = "AuthFailure") => json(status, { Code, Message });

function session(body: string) {
  const proof = JSON.parse(body) as { UserName?: string; Password?: string; Token?: string };
  if (proof.Password === "guess") return no("Request limit exceeded.", 503, "RequestLimitExceeded");
  if (proof.UserName) {
    if (proof.Password !== "right") return no("The user name or the password is wrong.");
    server.user = proof.UserName;
  } else if (proof.Token) {
    if (proof.Token !== server.token) return no("The link has been used, or it has expired.");
    server.token = "";
    server.user = "ann";
  } else if (!server.user) return no("You are not signed in, or your session has ended.");
  const id = `ASIA${++server.renewals}`;
  server.keys.add(id);
  return json(200, {
    AccessKeyId: id,
    SecretAccessKey: "secret",
    SessionToken: "token",
    Expiration: new Date(Date.now() + server.lifetime * 1000).toISOString(),
    SessionExpiration: new Date(Date.now() + 12 * 3600_000).toISOString(),
    UserName: server.user,
    Role: "administrator",
    Region: "us-east-1",
    Account: "123456789012",
  });
}

/** Every key that the server gave ends, and with it what the cookie was good for. */
function end() {
  server.keys.clear();
  server.user = undefined;
}

const xml = (status: number, body: string) =>
  new Response(body, { status, headers: { "Content-Type": "text/xml", Date: new Date().toUTCString() } });

async function answer(input: RequestInfo | URL, init?: RequestInit) {
  const request = input instanceof Request ? input : new Request(new URL(String(input), location.href), init);
  const { method, headers } = request;
  const url = new URL(request.url);
  const body = await request.text();
  server.asked.push({ method, url: request.url, body, headers });
  if (server.down) throw new TypeError("Failed to fetch");
  if (url.pathname === "/session" && method === "DELETE") {
    end();
    return new Response(null, { status: 204 });
  }
  if (url.pathname === "/session") return session(body);
  const key = /Credential=([^/]+)/.exec(headers.get("Authorization") ?? "")?.[1] ?? "";
  if (!server.keys.has(key))
    return xml(
      401,
      "<Response><Errors><Error><Code>AuthFailure</Code><Message>no</Message></Error></Errors><RequestID>r</RequestID></Response>",
    );
  return xml(
    200,
    "<DescribeQuotasResponse><requestId>r</requestId><quotaSet><item><quotaName>vpcs</quotaName></item></quotaSet></DescribeQuotasResponse>",
  );
}

let api: typeof import("./api/session");
let sallyport: typeof import("./api/sallyport");
let Gate: ComponentType<{ children: ReactNode }>;

/** load is a new page: modules anew, as the address bar says. */
async function load(hash = "") {
  cleanup();
  history.replaceState(null, "", `/${hash}`);
  vi.resetModules();
  api = await import("./api/session");
  sallyport = await import("./api/sallyport");
  Gate = (await import("./session")).SessionGate;
  render(
    <Gate>
      <Work />
    </Gate>,
  );
}

/** A form whose button makes a call. */
function Work() {
  const [value, setValue] = useState("");
  const [done, setDone] = useState("");
  return (
    <>
      <h1>Work</h1>
      <input aria-label="What" value={value} onChange={(e) => setValue(e.target.value)} />
      <button
        onClick={() =>
          sallyport.call("DescribeQuotas", {}).then(
            (a) => setDone(`done: ${a.output.Quotas[0]?.QuotaName}`),
            (e: Error) => setDone(`not done: ${e.message}`),
          )
        }
      >
        Save
      </button>
      <p>{done}</p>
    </>
  );
}

const type = (label: string, value: string) =>
  fireEvent.change(screen.getByLabelText(label, { selector: "input" }), { target: { value } });
const press = (name: string) => fireEvent.click(screen.getByRole("button", { name }));
const shown = (what: string | RegExp) => screen.findByText(what);
const made = (action: string) => server.asked.filter((a) => a.body.includes(`Action=${action}`)).length;
const renewed = () => server.asked.filter((a) => a.method === "POST" && a.body === "{}").length;

beforeEach(() => {
  Object.assign(server, { user: undefined, down: false, token: "", lifetime: 15 * 60, renewals: 0, asked: [] });
  server.keys.clear();
  localStorage.clear();
  sessionStorage.clear();
  vi.stubGlobal("fetch", answer);
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

vi.setConfig({ testTimeout: 30_000 });

test("who has no cookie signs in by name and password", async () => {
  await load();
  await shown(text.title);
  expect(document.activeElement).toBe(screen.getByLabelText(text.userName));
  press(text.submit);
  await shown(text.missing.userName);
  type(text.userName, "ann");
  press(text.submit);
  await shown(text.missing.password);
  expect(document.activeElement).toBe(screen.getByLabelText(text.password));
  type(text.password, "wrong");
  press(text.submit);
  await shown("The user name or the password is wrong.");
  const password = screen.getByLabelText<HTMLInputElement>(text.password);
  expect(password.value).toBe("");
  expect(document.activeElement).toBe(password);
  type(text.password, "guess");
  press(text.submit);
  await shown(text.tooMany);
  type(text.password, "right");
  press(text.submit);
  await shown("Work");
});

test("a link signs in, once, and leaves nothing behind", async () => {
  server.token = "T1";
  await load("#token=T1");
  await shown("Work");
  press("Save");
  await shown("done: vpcs");
  expect(location.href).not.toContain("T1");
  expect(JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])).not.toMatch(/T1|ASIA|secret/);
  expect(server.asked.some((a) => a.url.includes("T1"))).toBe(false);
  end();
  await load("#token=T1");
  await shown("The link has been used, or it has expired.");
  expect(location.hash).toBe("");
});

test("a link opened in a page that is there leaves it where it was", async () => {
  server.user = "ann";
  await load("#/CreateVpc");
  await shown("Work");
  type("What", "kept");
  server.token = "T2";
  location.hash = "#token=T2";
  await waitFor(() => expect(server.token).toBe(""));
  await waitFor(() => expect(location.hash).toBe("#/CreateVpc"));
  expect(screen.getByLabelText<HTMLInputElement>("What").value).toBe("kept");
});

test("a reload goes on by the cookie", async () => {
  server.user = "ann";
  await load("#/Vpcs");
  await shown("Work");
  expect(location.hash).toBe("#/Vpcs");
});

test("calls at once ask for keys once, and again shortly before they expire", async () => {
  server.user = "ann";
  await load();
  await shown("Work");
  expect(renewed()).toBe(1);
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(Date.now() + 12 * 60_000);
  await Promise.all([1, 2, 3].map(() => sallyport.call("DescribeQuotas", {})));
  expect(renewed()).toBe(1);
  vi.setSystemTime(Date.now() + 90_000);
  await Promise.all([1, 2, 3].map(() => sallyport.call("DescribeQuotas", {})));
  expect(renewed()).toBe(2);
});

test("the last keys of a session, which are good for a moment, are used", async () => {
  server.user = "ann";
  server.lifetime = 20;
  await load();
  await shown("Work");
  await sallyport.call("DescribeQuotas", {});
  expect(renewed()).toBe(1);
});

test("keys that the server has ended are exchanged, and the call is made again, once", async () => {
  server.user = "ann";
  await load();
  await shown("Work");
  server.keys.clear();
  press("Save");
  await shown("done: vpcs");
  expect(made("DescribeQuotas")).toBe(2);
  expect(renewed()).toBe(2);
});

test("a session that ends in the middle of a form keeps it, and the save goes on", async () => {
  server.user = "ann";
  await load();
  await shown("Work");
  type("What", "kept");
  end();
  press("Save");
  await shown(text.again.title);
  await waitFor(() => expect(document.activeElement).toBe(screen.getByLabelText(text.password)));
  expect(screen.getByLabelText<HTMLInputElement>(text.userName).value).toBe("ann");
  type(text.password, "wrong");
  press(text.submit);
  await shown("The user name or the password is wrong.");
  type(text.password, "right");
  press(text.submit);
  await shown("done: vpcs");
  expect(screen.queryByText(text.again.title)).toBeNull();
  expect(screen.getByLabelText<HTMLInputElement>("What").value).toBe("kept");
});

test("who leaves loses the form, and nothing is done", async () => {
  server.user = "ann";
  await load();
  await shown("Work");
  type("What", "lost");
  end();
  const call = sallyport.call("DescribeQuotas", {});
  const failed = expect(call).rejects.toThrow(text.notDone);
  await shown(text.again.title);
  fireEvent.click(screen.getAllByRole("button", { name: text.again.leave }).at(-1)!); // the first one is the dialog's ×
  await shown(text.title);
  await failed;
  type(text.userName, "ann");
  type(text.password, "right");
  press(text.submit);
  await shown("Work");
  expect(screen.getByLabelText<HTMLInputElement>("What").value).toBe("");
});

test("another person neither sees nor does what the one before began", async () => {
  server.user = "ann";
  await load();
  const { queryClient } = await import("./api/query");
  await shown("Work");
  queryClient.setQueryData(["seen"], "by ann");
  type("What", "of ann");
  end();
  const failed = expect(sallyport.call("DescribeQuotas", {})).rejects.toThrow(text.notDone);
  await shown(text.again.title);
  type(text.userName, "bob");
  type(text.password, "right");
  press(text.submit);
  await failed;
  await waitFor(() => expect(screen.queryByText(text.again.title)).toBeNull());
  expect(screen.getByLabelText<HTMLInputElement>("What").value).toBe("");
  expect(queryClient.getQueryData(["seen"])).toBeUndefined();
});

test("signing out ends the session, and throws away what was seen", async () => {
  server.user = "ann";
  await load();
  const { queryClient } = await import("./api/query");
  await shown("Work");
  queryClient.setQueryData(["seen"], "by ann");
  await act(() => api.signOut());
  await shown(text.title);
  expect(server.user).toBeUndefined();
  expect(server.asked.at(-1)?.method).toBe("DELETE");
  expect(queryClient.getQueryData(["seen"])).toBeUndefined();
  await expect(api.credentials()).rejects.toThrow();
});

test("who signs out of a server that is away is told what that means", async () => {
  server.user = "ann";
  await load();
  await shown("Work");
  server.down = true;
  await act(() => api.signOut());
  await shown(text.notSignedOut);
});

test("other tabs sign out, and in again, with this one", async () => {
  server.user = "ann";
  await load();
  await shown("Work");
  const other = new BroadcastChannel("sallyport");
  end();
  other.postMessage("out");
  await shown(text.elsewhere);
  server.user = "ann";
  other.postMessage("in");
  await shown("Work");
  end();
  press("Save");
  await shown(text.again.title);
  server.user = "ann";
  other.postMessage("in");
  await shown("done: vpcs");
  other.close();
});

test("nobody at the page for two hours ends the session", async () => {
  server.user = "ann";
  await load();
  await shown("Work");
  type("What", "kept");
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(Date.now() + 119 * 60_000);
  await sallyport.call("DescribeQuotas", {});
  vi.setSystemTime(Date.now() + 16 * 60_000);
  const call = sallyport.call("DescribeQuotas", {});
  await shown(new RegExp(text.idle));
  await waitFor(() => expect(server.user).toBeUndefined());
  type(text.password, "right");
  press(text.submit);
  await call;
  expect(screen.getByLabelText<HTMLInputElement>("What").value).toBe("kept");
});

test("a page that finds no server tries again, with the link that it was opened with", async () => {
  server.token = "T3";
  server.down = true;
  await load("#token=T3");
  await shown(text.waiting.title);
  expect(location.href).not.toContain("T3");
  server.down = false;
  press(text.waiting.again);
  await shown("Work");
});

test("a server that is away in the middle signs nobody out", async () => {
  server.user = "ann";
  await load();
  await shown("Work");
  server.keys.clear(); // it was restarted, say, and does not answer yet
  await expect(
    (async () => {
      const call = sallyport.call("DescribeQuotas", {});
      server.down = true;
      await call;
    })(),
  ).rejects.toThrow();
  expect(screen.queryByText(text.again.title)).toBeNull();
  server.down = false;
  press("Save");
  await shown("done: vpcs");
});
