import { Box, CopyToClipboard, ExpandableSection, SegmentedControl, SpaceBetween } from "@cloudscape-design/components";
import { useMemo, useState } from "react";
import { text } from "../text/show-as-code";
import { awsCli } from "./code/aws-cli";
import { boto3 } from "./code/boto3";
import type { CodeCall } from "./code/call";
import { terraform } from "./code/terraform";

export { codeCall, resultOf, type CodeCall } from "./code/call";

const tools = [
  { id: "cli", text: text.tools.cli, write: awsCli },
  { id: "terraform", text: text.tools.terraform, write: terraform },
  { id: "boto3", text: text.tools.boto3, write: boto3 },
];

export interface ShowAsCodeProps {
  /** The calls of EC2 that saving the form would make, in their order: `codeCall(new CreateSecurityGroupCommand(…))`.
   * Where a later one needs what an earlier one answers, its input has `resultOf(0, "GroupId")` there. Of a further
   * action, which no other tool knows, give the calls of EC2 that do the same. Empty: there is nothing to do yet. */
  calls: CodeCall[];
  defaultExpanded?: boolean;
}

/** ShowAsCode shows what a form would do as lines for the aws CLI, as Terraform's resources and as a program for boto3. */
export function ShowAsCode({ calls, defaultExpanded = false }: ShowAsCodeProps) {
  const [expanded, setExpanded] = useState(defaultExpanded);
  const [chosen, setChosen] = useState(tools[0]!.id);
  const tool = tools.find((t) => t.id === chosen)!;
  const code = useMemo(() => (expanded && calls.length ? tool.write(calls) : ""), [expanded, calls, tool]);
  return (
    <ExpandableSection
      variant="container"
      headerText={text.title}
      expanded={expanded}
      onChange={(e) => setExpanded(e.detail.expanded)}
    >
      {expanded && (
        <SpaceBetween size="s">
          <Box color="text-body-secondary">{text.about}</Box>
          <SpaceBetween direction="horizontal" size="s">
            <SegmentedControl
              label={text.choose}
              options={tools}
              selectedId={chosen}
              onChange={(e) => setChosen(e.detail.selectedId)}
            />
            {code && (
              <CopyToClipboard
                copyButtonText={text.copy}
                copySuccessText={text.copied}
                copyErrorText={text.notCopied}
                textToCopy={code}
              />
            )}
          </SpaceBetween>
          {code ? (
            <pre
              role="region"
              aria-label={text.code(tool.text)}
              tabIndex={0}
              style={{ margin: 0, overflowX: "auto", lineHeight: 1.5 }}
            >
              <code>{code}</code>
            </pre>
          ) : (
            <Box color="text-body-secondary">{text.nothing}</Box>
          )}
        </SpaceBetween>
      )}
    </ExpandableSection>
  );
}
