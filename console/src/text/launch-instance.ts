const several = (n: number, one: string) => (n === 1 ? `1 ${one}` : `${n} ${one}s`);

export const text = {
  title: "Launch an instance",
  description:
    "A lab guest is a network namespace on this host, filtered as any other guest. It is for trying and tests.",
  noImage: "This server has no image named netns, so it cannot run lab guests.",
  noHost: "No host runs lab guests: there are some in `sallyport dev`, or where an agent was started with --lab.",
  cannot: "Instances cannot be launched here",

  name: {
    title: "Name and tags",
    label: "Name",
    placeholder: "e.g. My Web Server",
    tags: "Add additional tags",
  },
  image: { title: "Image", name: "netns", about: "A lab guest: a network namespace on a host that runs with --lab" },
  network: {
    title: "Network settings",
    vpc: "VPC",
    subnet: "Subnet",
    subnetHint: "Its addresses are those of the instances.",
    anySubnet: "No preference (a default subnet)",
    default: "(default)",
    option: (id: string, name: string) => (name ? `${id} (${name})` : id),
    free: (n: number) => `${n} addresses free`,
    advanced: "Advanced network configuration",
    primary: "Primary IP",
    primaryHint: "Of the subnet's block. Empty: any that is free.",
    primaryMany: "Only for one instance",
    ipv6: "IPv6 IPs",
    ipv6Choices: { none: "Do not assign", auto: "Automatically assign one", manual: "These" },
    ipv6Hint: "Separated by commas",
    noIPv6: "The subnet has no IPv6 block.",
  },
  firewall: {
    title: "Firewall (security groups)",
    about: "A security group is a set of rules that control the traffic for your instance.",
    create: "Create security group",
    existing: "Select existing security group",
    groupName: "Security group name",
    description: "Description",
    defaultDescription: (name: string) => `${name} made by the launch of an instance`,
    allow: "Allow",
    rules: {
      ssh: "SSH traffic from",
      https: "HTTPS traffic from",
      http: "HTTP traffic from",
      ping: "ping (ICMP echo) from",
    },
    labels: { ssh: "SSH", https: "HTTPS", http: "HTTP", ping: "Ping" },
    sourceOf: (what: string) => `Source of ${what}`,
    sources: { anywhere: "Anywhere", mine: "My IP", custom: "Custom" },
    custom: "CIDR blocks, separated by commas",
    customOf: (what: string) => `CIDR blocks that may use ${what}`,
    mine: (addresses: string[]) => addresses.join(", "),
    noAddress: "Your address is not known",
    open: "Rules with source 0.0.0.0/0 or ::/0 let everybody in. Name only the addresses that you know, where you can.",
    more: "More rules, of any kind, can be added to the group afterwards.",
    made: (name: string, id: string) => `The security group ${name} (${id}) was made; a second try uses it.`,
    none: "Choose at least one security group.",
  },
  userData: {
    title: "User data",
    label: "User data",
    hint: "A script that starts with #! and runs in the guest, at each of its starts. At most 16 KB.",
    example: "Example",
    choose: "Choose an example",
    output: "What it prints is in console.log, below /run/sallyport/lab on the host.",
    size: (bytes: number) => `${bytes} of 16384 bytes`,
    examples: [
      {
        id: "web",
        name: "Web server on port 80",
        script: "#!/bin/sh\ncd /tmp && hostname >index.html && exec python3 -m http.server 80 --bind ::\n",
      },
      {
        id: "tcp",
        name: "TCP server on port 5432, in the place of a database",
        script: `#!/usr/bin/env python3
import socket, socketserver


class Answer(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(f"{socket.gethostname()}: hello {self.client_address[0]}\\n".encode())


class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6  # and IPv4
    allow_reuse_address = True


Server(("::", 5432), Answer).serve_forever()
`,
      },
      {
        id: "udp",
        name: "UDP echo on port 53",
        script: `#!/usr/bin/env python3
import socket

s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)  # and IPv4
s.bind(("::", 53))
while True:
    data, peer = s.recvfrom(65535)
    s.sendto(data, peer)
`,
      },
      {
        id: "client",
        name: "Client that asks a web server every second",
        script:
          "#!/bin/sh\n# The address of another instance:\nserver=172.31.0.10\nwhile sleep 1; do\n  curl --silent --show-error --max-time 2 http://$server/ || true\ndone\n",
      },
    ],
  },
  summary: {
    title: "Summary",
    count: "Number of instances",
    countError: "A whole number from 1 to 1000",
    image: "Image",
    vpc: "VPC",
    subnet: "Subnet",
    firewall: "Firewall (security group)",
    newGroup: "New security group",
    userData: "User data",
    lines: (n: number) => several(n, "line"),
    none: "–",
    ok: "The server would launch it",
    cancel: "Cancel",
    launch: "Launch instance",
    launchMany: (n: number) => `Launch ${several(n, "instance")}`,
  },
  launched: (ids: string[]) =>
    ids.length === 1 ? `Launched ${ids[0]}` : `Launched ${several(ids.length, "instance")}`,
  failed: "The instance was not launched",
  refused: "The server would refuse this",
};
