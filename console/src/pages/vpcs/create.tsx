import { CreateVpcCommand } from "@aws-sdk/client-ec2";
import { Container, FormField, Header, Input, RadioGroup, SpaceBetween } from "@cloudscape-design/components";
import { useState } from "react";
import { useNavigate } from "react-router";
import { useDryRun } from "../../api/dry-run";
import { send } from "../../api/ec2";
import { queryClient } from "../../api/query";
import { tagSpecifications } from "../../api/tags";
import { FormPage, useFieldErrors } from "../../components/form-page";
import { useNameAndTags } from "../../components/name-and-tags";
import { codeCall } from "../../components/show-as-code";
import { TagsSection } from "../../components/tags-editor";
import { useNotify } from "../../shell/notifications";
import { text as forms } from "../../text/forms";
import { text } from "../../text/vpcs";

const t = text.create;

export default function CreateVpcPage() {
  const navigate = useNavigate();
  const notify = useNotify();
  const [cidr, setCidr] = useState("");
  const [family, setFamily] = useState("none");
  const named = useNameAndTags();
  const make = (DryRun: boolean) =>
    new CreateVpcCommand({
      DryRun: DryRun || undefined,
      CidrBlock: cidr.trim() || undefined,
      AmazonProvidedIpv6CidrBlock: family === "provided" || undefined,
      TagSpecifications: tagSpecifications("vpc", named.tags),
    });
  const errors = useFieldErrors(
    [[/cidrBlock|InvalidVpc.Range/i, "cidr"]],
    JSON.stringify(make(false).input),
    useDryRun(make),
  );
  const create = async () => {
    const id = (await send(make(false))).output.Vpc!.VpcId!;
    notify({ type: "success", content: t.done(id) });
    void queryClient.invalidateQueries();
    await navigate(`/Vpcs/${id}`);
  };
  return (
    <FormPage
      title={t.title}
      description={t.description}
      list={{ text: text.title, href: "#/Vpcs" }}
      submit={t.submit}
      disabled={!named.valid}
      error={errors.whole}
      calls={[codeCall(make(false))]}
      onSubmit={() => errors.submit(create)}
    >
      <Container header={<Header variant="h2">{t.settings}</Header>}>
        <SpaceBetween size="l">
          <FormField label={`${t.nameTag} - ${forms.optional}`} description={t.nameHint}>
            <Input value={named.name} placeholder="my-vpc-01" onChange={(e) => named.setName(e.detail.value)} />
          </FormField>
          <FormField label={t.cidr} constraintText={t.cidrHint} errorText={errors.of("cidr")}>
            <Input
              value={cidr}
              placeholder="10.0.0.0/24"
              autoComplete={false}
              onChange={(e) => setCidr(e.detail.value)}
            />
          </FormField>
          <FormField label={t.cidr6}>
            <RadioGroup
              value={family}
              onChange={(e) => setFamily(e.detail.value)}
              items={[
                { value: "none", label: t.cidr6None },
                { value: "provided", label: t.cidr6Provided, description: t.cidr6ProvidedHint },
              ]}
            />
          </FormField>
        </SpaceBetween>
      </Container>
      <TagsSection tags={named.tags} onChange={named.setTags} />
    </FormPage>
  );
}
