import { Container, FormField, Header, Select, SpaceBetween, Textarea } from "@cloudscape-design/components";
import { text } from "../../text/launch-instance";

const t = text.userData;

export interface UserDataProps {
  value: string;
  onChange: (script: string) => void;
  errorText?: string | undefined;
}

/** UserData is the script of a guest, with examples to begin with. */
export function UserData({ value, onChange, errorText }: UserDataProps) {
  const examples = t.examples.map((e) => ({ value: e.id, label: e.name }));
  const chosen = t.examples.find((e) => e.script === value)?.id;
  return (
    <Container header={<Header variant="h2">{t.title}</Header>}>
      <SpaceBetween size="m">
        <FormField label={t.example} stretch>
          <Select
            placeholder={t.choose}
            options={examples}
            selectedOption={examples.find((e) => e.value === chosen) ?? null}
            onChange={(e) => onChange(t.examples.find((x) => x.id === e.detail.selectedOption.value)?.script ?? "")}
          />
        </FormField>
        <FormField
          label={t.label}
          description={t.hint}
          constraintText={`${t.size(new TextEncoder().encode(value).length)}. ${t.output}`}
          stretch
          {...(errorText ? { errorText } : {})}
        >
          <Textarea
            value={value}
            rows={value ? Math.min(20, value.split("\n").length + 1) : 4}
            spellcheck={false}
            onChange={(e) => onChange(e.detail.value)}
          />
        </FormField>
      </SpaceBetween>
    </Container>
  );
}
