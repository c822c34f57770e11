import {
  Alert,
  Box,
  Button,
  Container,
  Form,
  FormField,
  Header,
  KeyValuePairs,
  Link,
  Select,
  SpaceBetween,
} from "@cloudscape-design/components";
import { useState } from "react";
import { messageOf } from "../api/errors";
import {
  groupsCall,
  interfaceWithGroups,
  saveGroups,
  type Group,
  type InterfaceWithGroups,
} from "../api/interface-groups";
import { change as text } from "../text/security-group-picker";
import { useApplied } from "./apply-status";
import { SecurityGroupPicker } from "./security-group-picker";
import { codeCall, ShowAsCode } from "./show-as-code";

export interface ChangeSecurityGroupsProps {
  /** One of them is changed at a time; the first one at first. */
  interfaces: InterfaceWithGroups[];
  /** Whose they are; absent: of no instance. */
  instance?: { id: string; name: string };
  /** Saved or not. */
  onClose: () => void;
}

/** ChangeSecurityGroups is the form that gives one network interface another set of groups. */
export function ChangeSecurityGroups({ interfaces, instance, onClose }: ChangeSecurityGroupsProps) {
  const [chosen, setChosen] = useState(interfaces[0]!.id);
  const eni = interfaces.find((e) => e.id === chosen) ?? interfaces[0]!;
  const options = interfaces.map((e) => ({
    value: e.id,
    label: text.option(e.id, e.deviceIndex),
    description: [e.address, e.description].filter(Boolean).join(", "),
    ...(e.deviceIndex === 0 ? { tags: [text.primary] } : {}),
  }));
  return (
    <SpaceBetween size="l">
      <Container header={<Header variant="h2">{instance ? text.instance : text.interfaceDetails}</Header>}>
        <KeyValuePairs
          columns={2}
          items={[
            ...(instance
              ? [
                  {
                    label: text.instanceId,
                    value: (
                      <>
                        <Link href={`#/Instances/${instance.id}`}>{instance.id}</Link>
                        {instance.name && ` (${instance.name})`}
                      </>
                    ),
                  },
                ]
              : []),
            {
              label: text.interface,
              value:
                interfaces.length > 1 ? (
                  <FormField stretch>
                    <Select
                      selectedOption={options.find((o) => o.value === eni.id) ?? null}
                      options={options}
                      onChange={(e) => setChosen(e.detail.selectedOption.value!)}
                      ariaLabel={text.interface}
                      triggerVariant="option"
                    />
                  </FormField>
                ) : (
                  <Link href={`#/NetworkInterfaces/${eni.id}`}>{eni.id}</Link>
                ),
            },
          ]}
        />
      </Container>
      <GroupsForm key={eni.id} eni={eni} onClose={onClose} />
    </SpaceBetween>
  );
}

const without = (groups: Group[], others: Group[]) => groups.filter((g) => !others.some((o) => o.id === g.id));

function GroupsForm({ eni, onClose }: { eni: InterfaceWithGroups; onClose: () => void }) {
  const applied = useApplied();
  const [before, setBefore] = useState(eni.groups);
  const [groups, setGroups] = useState(eni.groups);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const [meanwhile, setMeanwhile] = useState(false);
  const added = without(groups, before);
  const removed = without(before, groups);
  const changed = added.length + removed.length > 0;
  const save = async () => {
    setBusy(true);
    setError(undefined);
    try {
      const now = await interfaceWithGroups(eni.id);
      if (!now) throw new Error(text.gone(eni.id));
      if (without(now.groups, before).length + without(before, now.groups).length > 0) {
        // The call sets the whole list: what somebody else did meanwhile would be undone unseen.
        setBefore(now.groups);
        setGroups([...without(now.groups, removed), ...without(added, now.groups)]);
        setMeanwhile(true);
        setBusy(false);
        return;
      }
      const revision = await saveGroups(eni.id, groups);
      applied(text.saved(eni.id), revision, { networkInterfaceIds: [eni.id] });
      onClose();
    } catch (e) {
      setError(e);
      setBusy(false);
    }
  };
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
      }}
    >
      <Form
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" formAction="none" onClick={onClose}>
              {text.cancel}
            </Button>
            <Button
              variant="primary"
              formAction="none"
              loading={busy}
              disabled={!changed || groups.length === 0}
              onClick={() => void save()}
            >
              {text.save}
            </Button>
          </SpaceBetween>
        }
        {...(error === undefined
          ? {}
          : {
              errorText: (
                <>
                  {text.failed}: {messageOf(error)}
                </>
              ),
            })}
      >
        <SpaceBetween size="l">
          {meanwhile && (
            <Alert type="warning" header={text.meanwhile.title}>
              {text.meanwhile.body}
            </Alert>
          )}
          <Container
            header={
              <Header variant="h2" description={text.associatedHint}>
                {text.associated}
              </Header>
            }
          >
            <SpaceBetween size="m">
              <SecurityGroupPicker
                vpcId={eni.vpcId}
                groups={groups}
                before={before}
                onChange={setGroups}
                errorText={groups.length === 0 ? text.atLeastOne : undefined}
              />
              {removed.length > 0 && (
                <div>
                  <Box variant="awsui-key-label">{text.willRemove}</Box>
                  {removed.map((g) => (
                    <div key={g.id}>
                      {g.name} ({g.id}){" "}
                      <Button
                        variant="inline-link"
                        formAction="none"
                        ariaLabel={text.undoOf(g.name)}
                        onClick={() => setGroups([...groups, g])}
                      >
                        {text.undo}
                      </Button>
                    </div>
                  ))}
                </div>
              )}
            </SpaceBetween>
          </Container>
          <ShowAsCode calls={changed && groups.length ? [codeCall(groupsCall(eni.id, groups))] : []} />
        </SpaceBetween>
      </Form>
    </form>
  );
}
