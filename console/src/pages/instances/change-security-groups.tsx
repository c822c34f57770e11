import type { Instance } from "@aws-sdk/client-ec2";
import { Alert, ContentLayout, Header } from "@cloudscape-design/components";
import { useParams } from "react-router";
import { messageOf } from "../../api/errors";
import { useInstance } from "../../api/instances";
import type { InterfaceWithGroups } from "../../api/interface-groups";
import { ChangeSecurityGroups } from "../../components/change-security-groups";
import { useBack } from "../../shell/back";
import { LoadingPage, Page } from "../../shell/page";
import { text as instances } from "../../text/instances";
import { change as text } from "../../text/security-group-picker";
import { nameOf } from "../../api/tags";

export default function ChangeInstanceSecurityGroupsPage() {
  const id = useParams().id!;
  const back = useBack(`/Instances/${id}`);
  const { data: instance, error } = useInstance(id);
  const interfaces = instance ? interfacesOf(instance) : [];
  return (
    <Page
      title={text.title}
      contentType="form"
      breadcrumbs={[
        { text: instances.title, href: "#/Instances" },
        { text: id, href: `#/Instances/${id}` },
        { text: text.title, href: `#/Instances/${id}/ChangeSecurityGroups` },
      ]}
    >
      <ContentLayout
        header={
          <Header variant="h1" description={text.description}>
            {text.title}
          </Header>
        }
      >
        {instance && interfaces.length > 0 ? (
          <ChangeSecurityGroups interfaces={interfaces} instance={{ id, name: nameOf(instance) }} onClose={back} />
        ) : instance ? (
          <Alert type="warning">{text.noInterface}</Alert>
        ) : instance === null ? (
          <Alert type="warning">{instances.detail.gone(id)}</Alert>
        ) : error ? (
          <Alert type="error">{messageOf(error)}</Alert>
        ) : (
          <LoadingPage />
        )}
      </ContentLayout>
    </Page>
  );
}

const interfacesOf = (i: Instance): InterfaceWithGroups[] =>
  (i.NetworkInterfaces ?? [])
    .map((e) => ({
      id: e.NetworkInterfaceId!,
      vpcId: e.VpcId!,
      groups: (e.Groups ?? []).map((g) => ({ id: g.GroupId!, name: g.GroupName! })),
      description: e.Description ?? "",
      address: e.PrivateIpAddress ?? "",
      deviceIndex: e.Attachment?.DeviceIndex,
    }))
    .sort((a, b) => (a.deviceIndex ?? 0) - (b.deviceIndex ?? 0));
