import type { ServiceInputTypes, ServiceOutputTypes } from "@aws-sdk/client-ec2";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { actionOf } from "./action";
import { send } from "./ec2";
import { refusal, type Refusal } from "./errors";

type Command = Parameters<typeof send<ServiceInputTypes, ServiceOutputTypes>>[0];

const pause = 350; // ms without a keystroke

/** useSettled returns a text as it was when it had not changed for a while. */
export function useSettled(text: string): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), pause);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}

/**
 * useDryRun asks the server, while one types, what it would say to a call. make returns the call, with DryRun set as it
 * is told; undefined: there is nothing to ask yet. The refusal is that of the last answer, until the next one.
 */
export function useDryRun(make: (dryRun: boolean) => object | undefined): Refusal | undefined {
  const command = make(true) as Command | undefined;
  const settled = useSettled(command ? JSON.stringify(command.input) : "");
  const answer = useQuery({
    queryKey: ["dry-run", command && actionOf(command), settled],
    enabled: command !== undefined && settled === JSON.stringify(command.input),
    placeholderData: (previous: { refused: Refusal | undefined } | undefined) => previous,
    queryFn: async () => {
      try {
        await send(command!);
        return { refused: undefined };
      } catch (error) {
        const refused = refusal(error);
        if (!refused) throw error;
        return { refused: refused.code === "DryRunOperation" ? undefined : refused };
      }
    },
  });
  return command ? answer.data?.refused : undefined;
}
