import type { PropertyFilterProps } from "@cloudscape-design/components";

/*
 * A list's filter in the address, so that a link can name one, and Back shows it again:
 * #/NetworkInterfaces?group-id==sg-1&tag:Name=^web&q=:text&or. The name is a property, or q for free text; the value
 * begins with an operator, and without one it is to be equal.
 */

const operators = ["!=", "!:", "!^", ">=", "<=", "=", ":", "^", ">", "<"] as const;
const freeText = "q";
const or = "or";

/** readQuery is the inverse of writeQuery; what it cannot read it leaves out. */
export function readQuery(parameters: URLSearchParams): PropertyFilterProps.Query {
  const tokens: PropertyFilterProps.Token[] = [];
  for (const [name, given] of parameters) {
    if (name === or && given === "") continue;
    const operator = operators.find((o) => given.startsWith(o));
    const value = given.slice(operator?.length ?? 0);
    if (name === freeText) tokens.push({ operator: operator ?? ":", value });
    else tokens.push({ propertyKey: name, operator: operator ?? "=", value });
  }
  return { tokens, operation: parameters.get(or) === "" ? "or" : "and" };
}

export function writeQuery(query: PropertyFilterProps.Query): URLSearchParams {
  const parameters = new URLSearchParams();
  for (const t of query.tokens) parameters.append(t.propertyKey ?? freeText, t.operator + String(t.value ?? ""));
  if (query.operation === "or" && query.tokens.length > 1) parameters.append(or, "");
  return parameters;
}
