import {
  AssociateSecurityGroupVpcCommand,
  DescribeSecurityGroupVpcAssociationsCommand,
  DescribeVpcsCommand,
  DisassociateSecurityGroupVpcCommand,
  type SecurityGroup,
  type SecurityGroupVpcAssociation,
} from "@aws-sdk/client-ec2";
import {
  Alert,
  Box,
  Button,
  FormField,
  Header,
  Link,
  Modal,
  Select,
  SpaceBetween,
  StatusIndicator,
  Table,
} from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { query, send } from "../../api/ec2";
import { messageOf } from "../../api/errors";
import { queryClient } from "../../api/query";
import { nameOf } from "../../api/tags";
import { codeCall, ShowAsCode } from "../../components/show-as-code";
import { useNotify } from "../../shell/notifications";
import { text } from "../../text/security-groups";

const t = text.associations;

const associationsOf = (group: string) =>
  query(new DescribeSecurityGroupVpcAssociationsCommand({ Filters: [{ Name: "group-id", Values: [group] }] }));

/** ConfirmModal asks before something is done that can be refused; run's refusal is shown in it. */
export function ConfirmModal(props: {
  title: string;
  action: string;
  failed: string;
  run: () => Promise<void>;
  onClose: () => void;
  children: ReactNode;
  disabled?: boolean;
  /** That run would make. */
  calls: { input: object }[];
}) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string>();
  async function run() {
    setBusy(true);
    setError(undefined);
    try {
      await props.run();
      props.onClose();
    } catch (e) {
      setError(messageOf(e));
      setBusy(false);
    }
  }
  return (
    <Modal
      visible
      header={props.title}
      closeAriaLabel={text.close}
      onDismiss={props.onClose}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={props.onClose}>
              {text.cancel}
            </Button>
            <Button variant="primary" loading={busy} disabled={props.disabled ?? false} onClick={() => void run()}>
              {props.action}
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <SpaceBetween size="m">
        {error && (
          <Alert type="error" header={props.failed}>
            {error}
          </Alert>
        )}
        <div>{props.children}</div>
        <ShowAsCode calls={props.calls.map(codeCall)} />
      </SpaceBetween>
    </Modal>
  );
}

/** AssociateModal lets interfaces of a further VPC carry a group. */
export function AssociateModal({ group, onClose }: { group: SecurityGroup; onClose: () => void }) {
  const notify = useNotify();
  const vpcs = useQuery(query(new DescribeVpcsCommand({})));
  const [chosen, setChosen] = useState<string>();
  const options = (vpcs.data?.Vpcs ?? [])
    .filter((v) => v.VpcId !== group.VpcId)
    .map((v) => ({ value: v.VpcId!, label: v.VpcId!, description: nameOf(v), tags: [v.CidrBlock ?? ""] }));
  const command = chosen && new AssociateSecurityGroupVpcCommand({ GroupId: group.GroupId, VpcId: chosen });
  return (
    <ConfirmModal
      title={t.associate}
      action={t.associate}
      failed={t.failed}
      disabled={!chosen}
      onClose={onClose}
      calls={command ? [command] : []}
      run={async () => {
        if (!command) return;
        await send(command);
        await queryClient.invalidateQueries();
        notify({ type: "success", content: t.associated(group.GroupName!, chosen) });
      }}
    >
      <FormField label={t.vpc} description={t.about}>
        <Select
          selectedOption={options.find((o) => o.value === chosen) ?? null}
          options={options}
          placeholder={t.choose}
          filteringType="auto"
          filteringPlaceholder={t.find}
          statusType={vpcs.isPending ? "loading" : vpcs.error ? "error" : "finished"}
          {...(vpcs.error ? { errorText: messageOf(vpcs.error) } : {})}
          empty={t.noVpc}
          onChange={(e) => setChosen(e.detail.selectedOption.value)}
        />
      </FormField>
    </ConfirmModal>
  );
}

/** AssociationsTab shows the further VPCs whose interfaces may carry a group. */
export function AssociationsTab({ group }: { group: SecurityGroup }) {
  const notify = useNotify();
  const answer = useQuery(associationsOf(group.GroupId!));
  const [selected, setSelected] = useState<SecurityGroupVpcAssociation[]>([]);
  const [open, setOpen] = useState<"associate" | "disassociate">();
  const items = answer.data?.SecurityGroupVpcAssociations ?? [];
  const one = selected[0];
  return (
    <>
      <Table<SecurityGroupVpcAssociation>
        items={items}
        trackBy="VpcId"
        loading={answer.isPending}
        loadingText={text.loading}
        selectionType="single"
        selectedItems={selected}
        isItemDisabled={(a) => a.State !== "associated"}
        onSelectionChange={(e) => setSelected(e.detail.selectedItems)}
        ariaLabels={{
          tableLabel: t.title,
          selectionGroupLabel: t.title,
          itemSelectionLabel: (_, a) => text.select(a.VpcId ?? ""),
        }}
        columnDefinitions={[
          {
            id: "vpc",
            header: t.vpc,
            cell: (a) => <Link href={`#/Vpcs/${a.VpcId}`}>{a.VpcId}</Link>,
            isRowHeader: true,
          },
          {
            id: "state",
            header: t.state,
            cell: (a) => (
              <StatusIndicator type={a.State === "associated" ? "success" : "stopped"}>{a.State}</StatusIndicator>
            ),
          },
          { id: "owner", header: t.owner, cell: (a) => a.VpcOwnerId },
        ]}
        header={
          <Header
            variant="h2"
            counter={`(${items.length})`}
            description={t.about}
            actions={
              <SpaceBetween direction="horizontal" size="xs">
                <Button disabled={!one} onClick={() => setOpen("disassociate")}>
                  {t.disassociate}
                </Button>
                <Button onClick={() => setOpen("associate")}>{t.associate}</Button>
              </SpaceBetween>
            }
          >
            {t.title}
          </Header>
        }
        empty={answer.error ? <Box color="text-status-error">{messageOf(answer.error)}</Box> : t.none}
      />
      {open === "associate" && <AssociateModal group={group} onClose={() => setOpen(undefined)} />}
      {open === "disassociate" && one && (
        <ConfirmModal
          title={t.confirmTitle(one.VpcId!)}
          action={t.disassociate}
          failed={t.failed}
          onClose={() => setOpen(undefined)}
          calls={[new DisassociateSecurityGroupVpcCommand({ GroupId: group.GroupId, VpcId: one.VpcId })]}
          run={async () => {
            await send(new DisassociateSecurityGroupVpcCommand({ GroupId: group.GroupId, VpcId: one.VpcId }));
            setSelected([]);
            await queryClient.invalidateQueries();
            notify({ type: "success", content: t.disassociated(group.GroupName!, one.VpcId!) });
          }}
        >
          {t.confirm(group.GroupName!, one.VpcId!)}
        </ConfirmModal>
      )}
    </>
  );
}
