import { DescribeInstanceAttributeCommand, type Instance } from "@aws-sdk/client-ec2";
import {
  Box,
  ColumnLayout,
  Container,
  ExpandableSection,
  Header,
  KeyValuePairs,
  SpaceBetween,
} from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { query } from "../../api/ec2";
import { labImage, useImageNames, useInstanceStatus } from "../../api/instances";
import { text } from "../../text/instances";
import { Copyable, StatusCell, timeOf } from "./cells";
import { imageName } from "./columns";
import { attributeQuery } from "./dialogs";

const t = text.detail;
const c = text.columns;

/** DetailsTab shows what is the instance's own: image, protection, user data. */
export function DetailsTab({ instance }: { instance: Instance }) {
  const id = instance.InstanceId!;
  const images = useImageNames();
  const status = useInstanceStatus([id]).get(id);
  const termination = useQuery(attributeQuery(id, "termination-protection"));
  const stop = useQuery(attributeQuery(id, "stop-protection"));
  const name = images.get(instance.ImageId ?? "");
  const onOff = (value: boolean | undefined) => (value === undefined ? text.none : value ? t.enabled : t.disabled);
  return (
    <SpaceBetween size="m">
      <Container header={<Header variant="h2">{t.instanceDetails}</Header>}>
        <KeyValuePairs
          columns={3}
          items={[
            { label: c.imageId, value: <Copyable value={instance.ImageId} label={c.imageId} /> },
            { label: c.image, value: imageName(name, instance.ImageId) },
            { label: c.status, value: <StatusCell status={status} /> },
            { label: t.platform, value: t.linux },
            { label: c.type, value: instance.InstanceType },
            { label: c.launched, value: timeOf(instance.LaunchTime) },
            { label: t.terminationProtection, value: onOff(termination.data?.DisableApiTermination?.Value) },
            { label: t.stopProtection, value: onOff(stop.data?.DisableApiStop?.Value) },
            { label: c.launchIndex, value: instance.AmiLaunchIndex },
            { label: c.reason, value: instance.StateTransitionReason || text.none },
            { label: t.stateReason, value: instance.StateReason?.Message ?? text.none },
            { label: c.key, value: instance.KeyName || text.none },
            ...(name === labImage && instance.State?.Name === "running"
              ? [
                  {
                    label: t.lab,
                    value: <Copyable value={`ip netns exec ${id} sh`} label={t.lab} />,
                    info: (
                      <Box variant="small" color="text-body-secondary">
                        {t.labHint}
                      </Box>
                    ),
                  },
                ]
              : []),
          ]}
        />
      </Container>
      {name === labImage && <UserData id={id} />}
    </SpaceBetween>
  );
}

function UserData({ id }: { id: string }) {
  const { data } = useQuery(query(new DescribeInstanceAttributeCommand({ InstanceId: id, Attribute: "userData" })));
  if (!data) return null;
  const script = decode(data.UserData?.Value ?? "");
  return (
    <ExpandableSection variant="container" headerText={t.userData} defaultExpanded={false}>
      <ColumnLayout columns={1}>
        {script ? <Box variant="pre">{script}</Box> : <Box color="text-body-secondary">{t.noUserData}</Box>}
      </ColumnLayout>
    </ExpandableSection>
  );
}

function decode(base64: string): string {
  return new TextDecoder().decode(Uint8Array.from(atob(base64), (ch) => ch.charCodeAt(0)));
}
