import { decoded, entries, piecesOf, plain, resultsIn, snake, type CodeCall } from "./call";

/** boto3 writes calls as a Python program. */
export function boto3(calls: CodeCall[]): string {
  if (calls.length === 0) return "";
  const names = variables(calls);
  const lines = calls.map((call, i) => {
    const args = entries(call.input).map(([name, value]) => {
      const shown = call.action === "RunInstances" && name === "UserData" ? decoded(value as string) : value;
      return `${name}=${literal(shown, names, 1)}`;
    });
    const inner = args.length ? `\n${args.map((a) => `    ${a},\n`).join("")}` : "";
    const name = names.get(i);
    return `${name ? `${name} = ` : ""}ec2.${snake(call.action)}(${inner})`;
  });
  return ["import boto3", 'ec2 = boto3.client("ec2")', ...lines].join("\n\n");
}

/** variables names the answers that later calls need, by call. */
function variables(calls: CodeCall[]): Map<number, string> {
  const names = new Map<number, string>();
  const taken = new Set(["ec2", "boto3"]);
  for (const { call } of calls.flatMap((c) => resultsIn(plain(c.input)))) {
    if (names.has(call)) continue;
    const name = snake(calls[call]!.action).replace(/^[a-z]+_/, "");
    let free = name;
    for (let n = 2; taken.has(free); n++) free = `${name}_${n}`;
    taken.add(free);
    names.set(call, free);
  }
  return names;
}

/** literal writes a value as Python does, at a depth of four blanks each. */
function literal(value: unknown, names: Map<number, string>, depth: number): string {
  const pad = "    ".repeat(depth);
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value === "number") return String(value);
  if (value instanceof Uint8Array) {
    return `b"${Array.from(value, (b) => `\\x${b.toString(16).padStart(2, "0")}`).join("")}"`;
  }
  if (Array.isArray(value)) {
    const items = value.map((v) => literal(v, names, depth + 1));
    const line = `[${items.join(", ")}]`;
    if (line.length < 90 && !line.includes("\n")) return line;
    return `[\n${items.map((v) => `${pad}    ${v},\n`).join("")}${pad}]`;
  }
  if (value && typeof value === "object" && !(value instanceof Date)) {
    const items = entries(value).map(([k, v]) => `${JSON.stringify(k)}: ${literal(v, names, depth + 1)}`);
    const line = `{${items.join(", ")}}`;
    if (line.length < 90 && !line.includes("\n")) return line;
    return `{\n${items.map((v) => `${pad}    ${v},\n`).join("")}${pad}}`;
  }
  const text = value instanceof Date ? value.toISOString() : (value as string);
  if (text === "") return '""';
  return piecesOf(text)
    .map((p) => (typeof p === "string" ? JSON.stringify(p) : names.get(p.call)! + index(p.path)))
    .join(" + ");
}

/** index is how Python gets at the member of an answer: GroupId is ["GroupId"], Instances[0].InstanceId
 * ["Instances"][0]["InstanceId"]. */
const index = (path: string) =>
  path
    .split(".")
    .map((part) => part.replace(/^[^[]+/, (name) => `["${name}"]`))
    .join("");
