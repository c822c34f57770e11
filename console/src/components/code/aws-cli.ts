import { decoded, entries, piecesOf, plain, resultsIn, snake, type CodeCall } from "./call";

const kebab = (name: string) => snake(name).replaceAll("_", "-");

/** awsCli writes calls as lines for a POSIX shell with the aws CLI, version 1 or 2. What a later call needs of an earlier
 * one's answer is kept in a variable. */
export function awsCli(calls: CodeCall[]): string {
  const variables = names(calls);
  return calls
    .map((call, i) => {
      const options = optionsOf(call).map(([name, value]) => {
        const words = value.map((v) => quote(v, variables)).join(" ");
        const minus = value[0]?.startsWith("-"); // else it is taken for an option
        return words ? `--${name}${minus ? "=" : " "}${words}` : `--${name}`;
      });
      const kept = [...variables].filter(([key]) => key.startsWith(`${i}:`));
      if (kept.length === 1)
        options.push(`--query ${quote(kept[0]![0].replace(/^\d+:/, ""), variables)}`, "--output text");
      const line = `aws ec2 ${kebab(call.action)}${wrap(options)}`;
      if (kept.length === 0) return line;
      if (kept.length === 1) return `${kept[0]![1]}=$(${line})`;
      // More than one: all of them, by tabs.
      const paths = kept.map(([key]) => key.replace(/^\d+:/, ""));
      const all = `aws ec2 ${kebab(call.action)}${wrap([...options, `--query ${quote(`[${paths.join(",")}]`, variables)}`, "--output text"])}`;
      return `read -r ${kept.map(([, name]) => name).join(" ")} <<END\n$(${all})\nEND`;
    })
    .join("\n\n");
}

/** names gives each result that a call needs a variable of its own, by call and path. */
function names(calls: CodeCall[]): Map<string, string> {
  const byResult = new Map<string, string>();
  const taken = new Set<string>();
  for (const { call, path } of calls.flatMap((c) => resultsIn(plain(c.input)))) {
    if (byResult.has(`${call}:${path}`)) continue;
    const name = snake(path.replace(/^.*[.\]]/, ""));
    let free = name;
    for (let n = 2; taken.has(free); n++) free = `${name}_${n}`;
    taken.add(free);
    byResult.set(`${call}:${path}`, free);
  }
  return byResult;
}

function wrap(options: string[]): string {
  const line = options.map((o) => ` ${o}`).join("");
  return options.length < 3 && line.length < 80 ? line : options.map((o) => ` \\\n    ${o}`).join("");
}

/** optionsOf returns the options of a call with their words, which are not quoted yet. Structures are JSON, which every
 * version reads alike. */
function optionsOf({ action, input }: CodeCall): [string, string[]][] {
  const options: [string, string[]][] = [];
  for (const [member, value] of entries(input)) {
    const name = kebab(member);
    if (action === "RunInstances" && member === "MinCount") continue;
    if (action === "RunInstances" && member === "MaxCount") {
      const least = (input as { MinCount?: number }).MinCount ?? 1;
      options.push(["count", [least === value ? `${least}` : `${least}:${value as number}`]]);
    } else if (action === "RunInstances" && member === "UserData") {
      options.push([name, [decoded(value as string)]]);
    } else if (typeof value === "boolean") {
      options.push([value ? name : `no-${name}`, []]);
    } else if (Array.isArray(value) && value.every((v) => typeof v !== "object")) {
      options.push([name, value.map(String)]);
    } else if (typeof value === "object" && !(value instanceof Date) && !(value instanceof Uint8Array)) {
      options.push([name, [JSON.stringify(plain(value))]]);
    } else {
      options.push([name, [String(plain(value))]]);
    }
  }
  return options;
}

/** quote writes one word for a POSIX shell. */
function quote(word: string, variables: Map<string, string>): string {
  if (word === "") return "''";
  return piecesOf(word)
    .map((p) => {
      if (typeof p !== "string") return `"$${variables.get(`${p.call}:${p.path}`)}"`;
      return /^[\w@%+=:,./-]+$/.test(p) ? p : `'${p.replaceAll("'", "'\\''")}'`;
    })
    .join("");
}
