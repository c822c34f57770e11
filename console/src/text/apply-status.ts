// What is said of a change on its way to the hosts.

const interfaces = (n: number) => (n === 1 ? "1 interface" : `${n} interfaces`);

export const text = {
  waiting: "Saved. Waiting for the hosts",
  nobody: "Saved. It concerns no interface that a device carries.",
  inForce: (n: number, milliseconds?: number) =>
    `In force on ${n} of ${interfaces(n)}${milliseconds === undefined ? "" : `, ${milliseconds < 1 ? "under 1" : milliseconds} ms`}`,
  late: (n: number, of: number) => `In force on ${n} of ${interfaces(of)} so far`,
  lateOn: (host?: string) => (host ? ` on host ${host}: ` : ": "),
  more: (n: number) => `and ${n} more`,
  unknown: "Saved. Whether it is in force could not be found out:",
};
