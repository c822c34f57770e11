/** A call that the server refused: EC2's code and its words. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status: number,
    readonly requestId?: string,
  ) {
    super(message);
    this.name = "Refusal";
  }
}

/** refusal returns the server's code and words if that is what an error is, from either client; undefined: the call did
 * not get through, or went wrong in the server. */
export function refusal(error: unknown): Refusal | undefined {
  if (error instanceof Refusal) return error.status < 500 ? error : undefined;
  if (!(error instanceof Error) || !("$metadata" in error)) return undefined;
  const meta = error.$metadata as { httpStatusCode?: number; requestId?: string };
  if (!meta.httpStatusCode || meta.httpStatusCode >= 500) return undefined;
  return new Refusal(error.name, error.message, meta.httpStatusCode, meta.requestId);
}

/** messageOf returns what to show a person of any error. */
export function messageOf(error: unknown): string {
  const refused = refusal(error);
  if (refused) return `${refused.message} (${refused.code})`;
  return error instanceof Error ? error.message : String(error);
}
