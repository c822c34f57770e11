import { QueryClient } from "@tanstack/react-query";
import { refusal } from "./errors";

/** One cache for all pages. A refusal (a code that starts with 4) is final; what went wrong on the way is tried again. */
export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      retry: (failures, error) => failures < 2 && refusal(error) === undefined,
    },
  },
});
