import type { ExplainReachabilityRequest } from "../../api/sallyport_gen";

/** What a person asks, as it stands in the address of the page: numbers as they were typed. */
export interface Question {
  from: string;
  to: string;
  /** tcp, udp, icmp, icmpv6 or a number. */
  protocol: string;
  port: string;
  icmpType: string;
  icmpCode: string;
  confirm: boolean;
}

export const hasPort = (protocol: string) => protocol === "tcp" || protocol === "udp";
export const isIcmp = (protocol: string) => protocol === "icmp" || protocol === "icmpv6";

/** read takes a question from the page's address; what is not there is what a new one begins with. */
export function read(params: URLSearchParams): Question {
  const of = (name: string, otherwise = "") => params.get(name) ?? otherwise;
  return {
    from: of("from"),
    to: of("to"),
    protocol: of("protocol", "tcp"),
    port: of("port"),
    icmpType: of("icmpType"),
    icmpCode: of("icmpCode"),
    confirm: of("confirm", "true") === "true",
  };
}

/** write is the inverse of read, without what does not belong to the protocol. */
export function write(q: Question): Record<string, string> {
  return {
    from: q.from.trim(),
    to: q.to.trim(),
    protocol: q.protocol.trim(),
    ...(hasPort(q.protocol) ? { port: q.port.trim() } : {}),
    ...(isIcmp(q.protocol) && q.icmpType.trim() ? { icmpType: q.icmpType.trim() } : {}),
    ...(isIcmp(q.protocol) && q.icmpCode.trim() ? { icmpCode: q.icmpCode.trim() } : {}),
    ...(q.confirm ? {} : { confirm: "false" }),
  };
}

const number = (text: string) => (/^\d+$/.test(text.trim()) ? Number(text) : undefined);

/** request is what the server is asked; undefined while something is missing that the protocol needs. Whether it makes
 * sense is the server's to say. */
export function request(q: Question): ExplainReachabilityRequest | undefined {
  const port = number(q.port);
  if (!q.from.trim() || !q.to.trim() || !q.protocol.trim() || (hasPort(q.protocol) && port === undefined))
    return undefined;
  return {
    Source: q.from.trim(),
    Destination: q.to.trim(),
    Protocol: q.protocol.trim(),
    Port: hasPort(q.protocol) ? port : undefined,
    IcmpType: isIcmp(q.protocol) ? number(q.icmpType) : undefined,
    IcmpCode: isIcmp(q.protocol) ? number(q.icmpCode) : undefined,
    Confirm: q.confirm,
  };
}
