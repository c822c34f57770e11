import { Sha256 } from "@aws-crypto/sha256-js";
import { HttpRequest } from "@smithy/protocol-http";
import { SignatureV4 } from "@smithy/signature-v4";
import { queryOptions } from "@tanstack/react-query";
import type { Answer } from "./ec2";
import { Refusal } from "./errors";
import { shapes, Version, type Operations } from "./sallyport_gen";
import { region, signed, signingDate, type Keys } from "./session";

/** call makes one further action, signed as an EC2 call is. A refusal is thrown as a Refusal. */
export async function call<K extends keyof Operations>(
  action: K,
  request: Operations[K]["request"],
): Promise<Answer<Operations[K]["result"]>> {
  const form = new URLSearchParams({ Action: action, Version });
  putMembers(form, "", `${action}Request`, request as Values);
  const response = await signed((keys) => post(form.toString(), keys));
  return {
    output: readMembers(response.document.documentElement, `${action}Result`),
    revision: response.revision,
  };
}

async function post(body: string, keys: Keys) {
  const signer = new SignatureV4({ service: "ec2", region: region(), credentials: keys, sha256: Sha256 });
  const request = await signer.sign(
    new HttpRequest({
      method: "POST",
      protocol: location.protocol,
      hostname: location.hostname,
      port: location.port ? Number(location.port) : undefined,
      path: "/",
      headers: {
        host: location.host,
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
      },
      body,
    }),
    { signingDate: signingDate() },
  );
  const headers = { ...request.headers };
  delete headers.host; // the browser writes it itself
  const response = await fetch("/", { method: "POST", headers, body });
  const document = new DOMParser().parseFromString(await response.text(), "text/xml");
  if (!response.ok) {
    const textOf = (name: string) => document.getElementsByTagName(name)[0]?.textContent ?? "";
    throw new Refusal(
      textOf("Code") || `HTTP ${response.status}`,
      textOf("Message") || response.statusText,
      response.status,
      response.headers.get("x-amzn-RequestId") ?? undefined,
    );
  }
  return { document, revision: Number(response.headers.get("x-sallyport-revision") ?? 0) };
}

/** further is what useQuery needs for a reading action: `useQuery(further("DescribeQuotas", {}))`. */
export function further<K extends keyof Operations>(action: K, request: Operations[K]["request"]) {
  return queryOptions({ queryKey: [action, request], queryFn: async () => (await call(action, request)).output });
}

type Values = Record<string, unknown>;

function putMembers(form: URLSearchParams, prefix: string, type: string, values: Values) {
  for (const [member, kind, name] of shapes[type] ?? []) {
    if (name && values[member] !== undefined) put(form, prefix + name, kind, values[member]);
  }
}

function put(form: URLSearchParams, name: string, kind: string, value: unknown) {
  if (kind.startsWith("[]")) {
    (value as unknown[]).forEach((v, i) => put(form, `${name}.${i + 1}`, kind.slice(2), v));
  } else if (kind in shapes) {
    putMembers(form, `${name}.`, kind, value as Values);
  } else {
    form.append(name, value instanceof Date ? value.toISOString() : String(value));
  }
}

function readMembers(element: Element, type: string): Values {
  const values: Values = {};
  const members = new Map((shapes[type] ?? []).filter((m) => m[3]).map((m) => [m[3], m]));
  for (const [member, kind] of members.values()) if (kind.startsWith("[]")) values[member] = [];
  for (const child of element.children) {
    const found = members.get(child.localName);
    if (found) values[found[0]] = read(child, found[1]);
  }
  return values;
}

function read(element: Element, kind: string): unknown {
  if (kind.startsWith("[]")) return Array.from(element.children, (entry) => read(entry, kind.slice(2)));
  if (kind in shapes) return readMembers(element, kind);
  const text = element.textContent ?? "";
  switch (kind) {
    case "n":
      return Number(text);
    case "b":
      return text === "true";
    case "t":
      return new Date(text);
    default:
      return text;
  }
}
