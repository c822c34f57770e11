import { Alert, ContentLayout, Header } from "@cloudscape-design/components";
import { useParams } from "react-router";
import { messageOf } from "../../api/errors";
import { useInterface } from "../../api/interface-groups";
import { ChangeSecurityGroups } from "../../components/change-security-groups";
import { useBack } from "../../shell/back";
import { LoadingPage, Page } from "../../shell/page";
import { change as text } from "../../text/security-group-picker";
import { text as shell } from "../../text/shell";

export default function ChangeInterfaceSecurityGroupsPage() {
  const id = useParams().id!;
  const back = useBack(`/NetworkInterfaces/${id}`);
  const { data: eni, error } = useInterface(id);
  return (
    <Page
      title={text.title}
      contentType="form"
      breadcrumbs={[
        { text: shell.navigation.networkInterfaces, href: "#/NetworkInterfaces" },
        { text: id, href: `#/NetworkInterfaces/${id}` },
        { text: text.title, href: `#/NetworkInterfaces/${id}/ChangeSecurityGroups` },
      ]}
    >
      <ContentLayout
        header={
          <Header variant="h1" description={text.description}>
            {text.title}
          </Header>
        }
      >
        {eni ? (
          <ChangeSecurityGroups interfaces={[eni]} onClose={back} />
        ) : eni === null ? (
          <Alert type="warning">{text.gone(id)}</Alert>
        ) : error ? (
          <Alert type="error">{messageOf(error)}</Alert>
        ) : (
          <LoadingPage />
        )}
      </ContentLayout>
    </Page>
  );
}
