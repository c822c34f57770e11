import { expect, test } from "vitest";
import { portText, protocolText, ruleTypes, typeOf } from "./rule-types";

test.each([
  ["tcp", 22, 22, "SSH", "TCP", "22"],
  ["tcp", 22, 23, "Custom TCP", "TCP", "22 - 23"],
  ["udp", 53, 53, "DNS (UDP)", "UDP", "53"],
  ["tcp", 0, 65535, "All TCP", "TCP", "0 - 65535"],
  ["icmp", -1, -1, "All ICMP - IPv4", "ICMP", "All"],
  ["icmp", 3, -1, "Custom ICMP - IPv4", "ICMP", "Type 3, all codes"],
  ["icmpv6", 128, 0, "Custom ICMP - IPv6", "IPv6 ICMP", "Type 128, code 0"],
  ["-1", -1, -1, "All traffic", "All", "All"],
  ["47", -1, -1, "Custom Protocol", "47", "All"],
])("%s %d to %d is shown as %s", (IpProtocol, FromPort, ToPort, type, protocol, ports) => {
  const rule = { IpProtocol, FromPort, ToPort };
  expect([typeOf(rule).label, protocolText(rule), portText(rule)]).toEqual([type, protocol, ports]);
});

test("every preset is shown as itself", () => {
  for (const t of ruleTypes.filter((t) => t.from !== undefined)) {
    expect(typeOf({ IpProtocol: t.protocol, FromPort: t.from, ToPort: t.to })).toBe(t);
  }
});
