import { Alert, Box, Container, Header, SpaceBetween, Spinner } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearchParams } from "react-router";
import { messageOf } from "../../api/errors";
import { groupQuery } from "../../api/security-groups";
import { ActionsButton } from "../../components/action-menu";
import { Page } from "../../shell/page";
import { text } from "../../text/security-groups";
import { useGroupActions } from "./actions";
import { GroupDetails, GroupTabs, tabIds } from "./tabs";

export default function SecurityGroupPage() {
  const { id = "" } = useParams();
  const [search, setSearch] = useSearchParams();
  const navigate = useNavigate();
  const answer = useQuery(groupQuery(id));
  const group = answer.data;
  const { menu, dialogs, open } = useGroupActions(group ? [group] : [], () => void navigate("/SecurityGroups"));
  const asked = search.get("tab") ?? "";
  const active = tabIds.includes(asked) ? asked : tabIds[0]!;
  const title = group ? `${group.GroupId} - ${group.GroupName}` : id;
  return (
    <Page
      title={title}
      breadcrumbs={[
        { text: text.title, href: "#/SecurityGroups" },
        { text: title, href: `#/SecurityGroups/${id}` },
      ]}
    >
      {answer.error ? (
        <SpaceBetween size="l">
          <Header variant="h1">{title}</Header>
          <Alert type="error" header={text.detail.gone}>
            {messageOf(answer.error)}
          </Alert>
        </SpaceBetween>
      ) : group ? (
        <SpaceBetween size="l">
          <Header variant="h1" actions={<ActionsButton menu={menu} />}>
            {title}
          </Header>
          <Container header={<Header variant="h2">{text.detail.details}</Header>}>
            <GroupDetails group={group} />
          </Container>
          <GroupTabs
            key={id}
            group={group}
            active={active}
            onChange={(tab) => setSearch({ tab }, { replace: true })}
            onDelete={() => open("delete")}
          />
          {dialogs}
        </SpaceBetween>
      ) : (
        <Box textAlign="center" padding="xxl">
          <Spinner size="large" /> {text.loading}
        </Box>
      )}
    </Page>
  );
}
