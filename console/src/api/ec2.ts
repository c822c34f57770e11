import {
  EC2Client,
  type EC2ClientResolvedConfig,
  type ServiceInputTypes,
  type ServiceOutputTypes,
} from "@aws-sdk/client-ec2";
import { queryOptions, type QueryKey } from "@tanstack/react-query";
import { actionOf } from "./action";
import { region, signed, systemClockOffset, type Keys } from "./session";

/** Of a call that was answered: the result, and the revision of the state that it shows or made. */
export interface Answer<Output> {
  output: Output;
  revision: number;
}

// Typed as any of the SDK's commands; the single classes are imported where they are used, so that only those are bundled.
type Command<In extends ServiceInputTypes, Out extends ServiceOutputTypes> = Parameters<
  typeof EC2Client.prototype.send<In, Out>
>[0];

let client: EC2Client | undefined;
let clientKeys: Keys | undefined;

// A client for each set of keys: one that is given a function keeps what it returned until it expires, also when the
// server has ended it.
function ec2(keys: Keys): EC2Client {
  if (clientKeys !== keys) client = undefined;
  clientKeys = keys;
  client ??= new EC2Client({
    region: region(),
    endpoint: location.origin,
    credentials: keys,
    systemClockOffset: systemClockOffset(),
    maxAttempts: 3,
  });
  return client;
}

const revisions = new WeakMap<object, number>();

/** send makes one EC2 call, signed with the session's keys. It throws what the SDK throws: see errors.ts. */
export async function send<In extends ServiceInputTypes, Out extends ServiceOutputTypes>(
  command: Command<In, Out>,
): Promise<Answer<Out>> {
  command.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      const headers = (result.response as { headers?: Record<string, string> }).headers;
      revisions.set(result.output as object, Number(headers?.["x-sallyport-revision"] ?? 0));
      return result;
    },
    { step: "deserialize", priority: "high", name: "revision", override: true },
  );
  const output = await signed((keys) => ec2(keys).send(command));
  return { output, revision: revisions.get(output) ?? 0 };
}

/** query is what useQuery needs for a reading call: `useQuery(query(new DescribeVpcsCommand({})))`. */
export function query<In extends ServiceInputTypes, Out extends ServiceOutputTypes>(command: Command<In, Out>) {
  const key: QueryKey = [actionOf(command), command.input];
  return queryOptions({ queryKey: key, queryFn: async () => (await send(command)).output });
}

export type { EC2ClientResolvedConfig };
