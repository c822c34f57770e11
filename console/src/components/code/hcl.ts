/** A value of HCL: what an expression is written as, or what is quoted or listed. */
export type Value = string | number | boolean | Expression | Value[] | { [name: string]: Value };

/** An expression that is written as it stands: aws_security_group.web.id. */
export class Expression {
  constructor(readonly text: string) {}
}

/** A block, or a comment in its place. */
export type Block = { comment: string } | Body;

export interface Body {
  /** resource, or the name of a nested block. */
  type: string;
  labels?: string[];
  /** In their order; what is undefined is left out. */
  attributes: [name: string, value: Value | undefined][];
  blocks?: Body[];
}

/** hcl writes blocks as `terraform fmt` would. */
export const hcl = (blocks: Block[]): string =>
  blocks.map((b) => ("comment" in b ? comment(b.comment) : block(b, ""))).join("\n\n");

const comment = (text: string) =>
  text
    .split("\n")
    .map((l) => `# ${l}`.trimEnd())
    .join("\n");

function block(b: Body, pad: string): string {
  const inner = `${pad}  `;
  const set = b.attributes.filter((a): a is [string, Value] => a[1] !== undefined);
  const lines = aligned(set, inner);
  const nested = (b.blocks ?? []).map((n) => block(n, inner));
  const body = [...(lines.length ? [lines.join("\n")] : []), ...nested].join("\n\n");
  return `${pad}${[b.type, ...(b.labels ?? []).map((l) => JSON.stringify(l))].join(" ")} {\n${body}\n${pad}}`;
}

/** aligned puts the equal signs of attributes below one another, of those that stand together on one line each. */
function aligned(attributes: [string, Value][], pad: string): string[] {
  const shown = attributes.map(([name, value]) => ({ name, text: expression(value, pad) }));
  const runs: (typeof shown)[] = [];
  shown.forEach((a, i) => {
    const alone = a.text.includes("\n") || (i > 0 && shown[i - 1]!.text.includes("\n"));
    if (i === 0 || alone) runs.push([]);
    runs.at(-1)!.push(a);
  });
  return runs.flatMap((run) => {
    const width = Math.max(...run.map((a) => a.name.length));
    return run.map((a) => `${pad}${a.name.padEnd(width)} = ${a.text}`);
  });
}

function expression(value: Value, pad: string): string {
  if (value instanceof Expression) return value.text;
  if (typeof value === "string") return quoted(value);
  if (Array.isArray(value)) return `[${value.map((v) => expression(v, pad)).join(", ")}]`;
  if (typeof value === "object") {
    const keys = Object.entries(value).map(([k, v]): [string, Value] => [
      /^[A-Za-z_][\w-]*$/.test(k) ? k : quoted(k),
      v,
    ]);
    if (!keys.length) return "{}";
    return `{\n${aligned(keys, `${pad}  `).join("\n")}\n${pad}}`;
  }
  return String(value);
}

/** quoted writes a string so that nothing in it is a template. */
const quoted = (text: string) => JSON.stringify(text).replace(/([$%])\{/g, "$1$1{");
