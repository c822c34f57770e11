// What is said about the code that does what a form does.

const list = (ids: string[]) => ids.join(", ");
type Attributes = Record<string, unknown>;

export const text = {
  title: "Show as code",
  about:
    "What saving this would do, as others would say it. `sallyport env` prints the settings that these tools need.",
  nothing: "There is nothing to do yet.",
  tools: { cli: "aws CLI", terraform: "Terraform", boto3: "boto3" },
  choose: "Tool",
  copy: "Copy",
  copied: "Copied",
  notCopied: "Could not be copied",
  code: (tool: string) => `Code for ${tool}`,
  terraform: {
    removed: (ids: string[]) => `Remove the resource of ${list(ids)} from the configuration.`,
    none: (action: string) => `Terraform has no resource for ${action}: use the aws CLI.`,
    revoked: (egress: boolean, group: string, ids: string[]) =>
      ids.length
        ? `Remove the resources of ${ids.length === 1 ? "this rule" : "these rules"} from the configuration:\n${ids.join("\n")}`
        : `Remove the resources of these ${egress ? "outbound" : "inbound"} rules of ${group} from the configuration.`,
    entriesRemoved: (cidrs: string[]) => `Remove these entries from the configuration: ${list(cidrs)}`,
    groups: (id: string) =>
      `Instead of those that ${id} has now. Where the configuration has it as an aws_network_interface, or an\naws_instance whose primary one it is, say so there: security_groups, vpc_security_group_ids.`,
    untagged: (keys: string[], ids: string[]) =>
      `Remove these tags of ${list(ids)} from the configuration: ${list(keys)}`,
    set: (id: string, attributes: Attributes) =>
      `In the resource of ${id}:\n${Object.entries(attributes)
        .map(([name, value]) => `  ${name} = ${JSON.stringify(value)}`)
        .join("\n")}`,
  },
};
