import type { Instance } from "@aws-sdk/client-ec2";
import { CopyToClipboard, Link, StatusIndicator, type StatusIndicatorProps } from "@cloudscape-design/components";
import { text } from "../../text/instances";

const stateTypes: Record<string, StatusIndicatorProps.Type> = {
  pending: "pending",
  running: "success",
  stopping: "in-progress",
  stopped: "stopped",
  "shutting-down": "in-progress",
  terminated: "stopped",
};

/** StateCell shows an instance's state with its icon; the reason why it does not run is its title. */
export function StateCell({ instance }: { instance: Instance }) {
  const name = instance.State?.Name ?? "";
  const failed = instance.StateReason?.Code === "Server.InternalError";
  return (
    <span title={instance.StateReason?.Message ?? ""}>
      <StatusIndicator type={failed ? "error" : (stateTypes[name] ?? "info")} wrapText={false}>
        {text.states[name as keyof typeof text.states] ?? name}
      </StatusIndicator>
    </span>
  );
}

/** StatusCell shows what DescribeInstanceStatus says of an instance. */
export function StatusCell({ status }: { status: string | undefined }) {
  if (status === "ok") return <StatusIndicator type="success">{text.status.ok}</StatusIndicator>;
  if (status === "insufficient-data") return <StatusIndicator type="warning">{text.status[status]}</StatusIndicator>;
  return text.none;
}

/** Links is a list of links, one in a line. */
export function Links({ items }: { items: { href: string; text: string }[] }) {
  if (items.length === 0) return text.none;
  return (
    <>
      {items.map((i) => (
        <div key={i.href}>
          <Link href={i.href}>{i.text}</Link>
        </div>
      ))}
    </>
  );
}

/** Copyable shows a value with a button that copies it; nothing: a dash. */
export function Copyable({ value, label }: { value?: string | undefined; label: string }) {
  if (!value) return text.none;
  return (
    <CopyToClipboard
      variant="inline"
      copyButtonAriaLabel={text.detail.copy(label)}
      copySuccessText={text.detail.copied}
      copyErrorText={text.detail.notCopied}
      textToCopy={value}
    />
  );
}

/** timeOf shows a time as EC2's console does, with the zone. */
export const timeOf = (at: Date | undefined) =>
  at?.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" }) ?? text.none;
