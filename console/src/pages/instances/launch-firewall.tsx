import {
  Alert,
  Checkbox,
  ColumnLayout,
  Container,
  FormField,
  Header,
  Input,
  Select,
  SpaceBetween,
  Tiles,
} from "@cloudscape-design/components";
import { SecurityGroupPicker } from "../../components/security-group-picker";
import { text } from "../../text/launch-instance";
import { services, type LaunchForm, type Service, type Source } from "./launch-form";
import type { PartProps } from "./launch-network";

const t = text.firewall;

/** Firewall is the part of the launch form that makes a group or chooses some. */
export function Firewall(props: PartProps & { mine: string[]; message: string | undefined }) {
  const { form, change, mine, message, errorText } = props;
  const open = services.some((s) => form.sources[s].allowed && form.sources[s].kind === "anywhere");
  return (
    <Container
      header={
        <Header variant="h2" description={t.about}>
          {t.title}
        </Header>
      }
    >
      <SpaceBetween size="m">
        <Tiles
          value={form.firewall}
          onChange={(e) => change({ firewall: e.detail.value as LaunchForm["firewall"] })}
          ariaLabel={t.title}
          items={[
            { value: "create", label: t.create },
            { value: "existing", label: t.existing },
          ]}
        />
        {form.firewall === "existing" ? (
          <SecurityGroupPicker
            vpcId={form.vpcId}
            groups={form.groups}
            onChange={(groups) => change({ groups })}
            errorText={errorText}
          />
        ) : (
          <>
            <ColumnLayout columns={2}>
              <FormField label={t.groupName} {...(errorText ? { errorText } : {})}>
                <Input value={form.groupName} onChange={(e) => change({ groupName: e.detail.value })} />
              </FormField>
              <FormField label={t.description}>
                <Input
                  value={form.groupDescription}
                  placeholder={t.defaultDescription(form.groupName)}
                  onChange={(e) => change({ groupDescription: e.detail.value })}
                />
              </FormField>
            </ColumnLayout>
            {services.map((service) => (
              <Allow
                key={service}
                service={service}
                source={form.sources[service]}
                mine={mine}
                message={message}
                onChange={(source) => change({ sources: { ...form.sources, [service]: source } })}
              />
            ))}
            {open && <Alert type="warning">{t.open}</Alert>}
            {t.more}
          </>
        )}
      </SpaceBetween>
    </Container>
  );
}

interface AllowProps {
  service: Service;
  source: Source;
  mine: string[];
  message: string | undefined;
  onChange: (source: Source) => void;
}

function Allow({ service, source, mine, message, onChange }: AllowProps) {
  const name = t.labels[service];
  const options = [
    { value: "anywhere", label: t.sources.anywhere, description: "0.0.0.0/0, ::/0" },
    {
      value: "mine",
      label: t.sources.mine,
      description: mine.length ? t.mine(mine) : (message ?? t.noAddress),
      disabled: mine.length === 0,
    },
    { value: "custom", label: t.sources.custom },
  ];
  return (
    <ColumnLayout columns={3}>
      <Checkbox checked={source.allowed} onChange={(e) => onChange({ ...source, allowed: e.detail.checked })}>
        {t.allow} {t.rules[service]}
      </Checkbox>
      <Select
        ariaLabel={t.sourceOf(name)}
        disabled={!source.allowed}
        options={options}
        selectedOption={options.find((o) => o.value === source.kind) ?? null}
        onChange={(e) => onChange({ ...source, kind: e.detail.selectedOption.value as Source["kind"] })}
        triggerVariant="option"
      />
      {source.allowed && source.kind === "custom" && (
        <FormField constraintText={t.custom}>
          <Input
            ariaLabel={t.customOf(name)}
            value={source.custom}
            onChange={(e) => onChange({ ...source, custom: e.detail.value })}
          />
        </FormField>
      )}
    </ColumnLayout>
  );
}
