import { Alert } from "@cloudscape-design/components";
import { text } from "../../text/rule-editor";
import type { Told } from "./told";

/** WorldAlert says below the rows that some are open to the world; the rows themselves say what that means. */
export function WorldAlert({ told, egress }: { told: Told; egress: boolean }) {
  if (told.severe > 0) {
    return (
      <Alert type="error" header={text.world.severe(told.severe)}>
        {text.world.inbound}
      </Alert>
    );
  }
  if (egress && told.open > 0) return <Alert type="info">{text.world.outbound}</Alert>;
  return null;
}
