import type { Instance } from "@aws-sdk/client-ec2";
import {
  Alert,
  Box,
  Button,
  Container,
  Header,
  KeyValuePairs,
  SpaceBetween,
  Spinner,
} from "@cloudscape-design/components";
import { useParams } from "react-router";
import { messageOf } from "../../api/errors";
import { groupsOf, useImageNames, useInstance } from "../../api/instances";
import { ActionsButton } from "../../components/action-menu";
import { Page } from "../../shell/page";
import { text } from "../../text/instances";
import { useInstanceActions } from "./actions";
import { Copyable, Links, StateCell } from "./cells";
import { nameOf } from "../../api/tags";
import { imageName } from "./columns";
import { InstanceTabs } from "./tabs";

const t = text.detail;
const c = text.columns;

export default function InstancePage() {
  const id = useParams().id!;
  const { data: instance, error, refetch, dataUpdatedAt } = useInstance(id);
  return (
    <Page
      title={id}
      breadcrumbs={[
        { text: text.title, href: "#/Instances" },
        { text: id, href: `#/Instances/${id}` },
      ]}
    >
      {instance ? (
        <Summary instance={instance} updated={new Date(dataUpdatedAt)} onRefresh={() => void refetch()} />
      ) : instance === null ? (
        <Alert type="warning" header={t.gone(id)} />
      ) : error ? (
        <Alert type="error">{messageOf(error)}</Alert>
      ) : (
        <Box textAlign="center" padding="xxl">
          <Spinner size="large" />
        </Box>
      )}
    </Page>
  );
}

function Summary({ instance, updated, onRefresh }: { instance: Instance; updated: Date; onRefresh: () => void }) {
  const images = useImageNames();
  const actions = useInstanceActions([instance], { detail: true });
  const link = (page: string, id: string | undefined) => (id ? [{ href: `#/${page}/${id}`, text: id }] : []);
  return (
    <SpaceBetween size="l">
      <Container
        header={
          <Header
            variant="h1"
            description={t.updated(updated)}
            actions={
              <SpaceBetween direction="horizontal" size="xs">
                <Button iconName="refresh" ariaLabel={t.refresh} onClick={onRefresh} />
                <ActionsButton menu={actions.state} />
                <ActionsButton menu={actions.all} />
              </SpaceBetween>
            }
          >
            {t.summary(instance.InstanceId!, nameOf(instance))}
          </Header>
        }
      >
        <KeyValuePairs
          columns={3}
          items={[
            { label: c.id, value: <Copyable value={instance.InstanceId} label={c.id} /> },
            { label: c.state, value: <StateCell instance={instance} /> },
            { label: c.privateIPv4, value: <Copyable value={instance.PrivateIpAddress} label={c.privateIPv4} /> },
            { label: c.vpc, value: <Links items={link("Vpcs", instance.VpcId)} /> },
            { label: c.subnet, value: <Links items={link("Subnets", instance.SubnetId)} /> },
            { label: c.ipv6, value: <Copyable value={instance.Ipv6Address} label={c.ipv6} /> },
            {
              label: text.security.groups,
              value: (
                <Links
                  items={groupsOf(instance).map((g) => ({
                    href: `#/SecurityGroups/${g.GroupId}`,
                    text: `${g.GroupId} (${g.GroupName})`,
                  }))}
                />
              ),
            },
            { label: c.image, value: imageName(images.get(instance.ImageId ?? ""), instance.ImageId) },
            { label: c.privateDNS, value: <Copyable value={instance.PrivateDnsName} label={c.privateDNS} /> },
          ]}
        />
      </Container>
      <InstanceTabs instance={instance} inAddress />
      {actions.dialog}
    </SpaceBetween>
  );
}
