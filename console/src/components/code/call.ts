import { actionOf } from "../../api/action";

/** A call of EC2 as it is shown: a form gives what it would send. */
export interface CodeCall {
  action: string;
  input: object;
  /** Of ModifySecurityGroupRules, which does not say it: of which direction the rules are. */
  egress?: boolean;
}

/** codeCall makes one of a command of the SDK. */
export const codeCall = (command: { input: object }): CodeCall => ({ action: actionOf(command), input: command.input });

// Characters that no text of a form holds: for private use, in Unicode.
const open = "\ue000";
const close = "\ue001";
const reference = new RegExp(`${open}(\\d+):([^${close}]*)${close}`, "g");

/** resultOf stands, in the input of a later call, for what an earlier one answers: resultOf(0, "GroupId") is the member
 * GroupId of the first call's result, resultOf(0, "Instances[0].InstanceId") that of a member in a list. */
export const resultOf = (call: number, path: string): string => `${open}${call}:${path}${close}`;

/** A piece of a text: characters, or the result of an earlier call. */
export type Piece = string | { call: number; path: string };

/** piecesOf parts a text at the results that stand in it. */
export function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = [];
  let end = 0;
  for (const m of text.matchAll(reference)) {
    if (m.index > end) pieces.push(text.slice(end, m.index));
    pieces.push({ call: Number(m[1]), path: m[2]! });
    end = m.index + m[0].length;
  }
  if (end < text.length) pieces.push(text.slice(end));
  return pieces;
}

/** resultsIn returns the results of earlier calls that stand in a value, each once. */
export function resultsIn(value: unknown): { call: number; path: string }[] {
  const found = new Map<string, { call: number; path: string }>();
  for (const p of piecesOf(JSON.stringify(value) ?? "")) {
    if (typeof p !== "string") found.set(`${p.call}:${p.path}`, p);
  }
  return [...found.values()];
}

/** snake is botocore's spelling of a name: VpcPeeringConnectionId is vpc_peering_connection_id. */
export const snake = (name: string) =>
  name
    .replace(/(.)([A-Z][a-z]+)/g, "$1_$2")
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toLowerCase();

/** entries are the members of an input that are there, without empty lists. */
export const entries = (input: object): [string, unknown][] =>
  Object.entries(input).filter(([, v]) => v !== undefined && v !== null && !(Array.isArray(v) && v.length === 0));

/** plain returns a value as JSON knows it, without what is absent: bytes are in base64, times as ISO 8601 has them. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return btoa(String.fromCharCode(...value));
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === "object") return Object.fromEntries(entries(value).map(([k, v]) => [k, plain(v)]));
  return value;
}

/** decoded returns the text that a form had put into base64: tools do that themselves. */
export const decoded = (base64: string) =>
  new TextDecoder().decode(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
