import { CreateSubnetCommand } from "@aws-sdk/client-ec2";
import { Box, Container, FormField, Header, Input, Select, SpaceBetween } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useNavigate, useSearchParams } from "react-router";
import { useDryRun } from "../../api/dry-run";
import { send } from "../../api/ec2";
import { allVpcsQuery, blocksOf, zonesQuery } from "../../api/network";
import { queryClient } from "../../api/query";
import { tagSpecifications } from "../../api/tags";
import { FormPage, useFieldErrors, type FieldPatterns } from "../../components/form-page";
import { useNameAndTags } from "../../components/name-and-tags";
import { codeCall } from "../../components/show-as-code";
import { TagsSection } from "../../components/tags-editor";
import { VpcSelect } from "../../components/vpc-select";
import { useNotify } from "../../shell/notifications";
import { text as forms } from "../../text/forms";
import { text } from "../../text/subnets";
import { exampleIpv6 } from "./actions";

const t = text.create;
const anyZone = { value: "", label: t.noPreference };

// The codes are the same for both families: a block with colons is the other field's.
const patterns: FieldPatterns<"vpc" | "cidr" | "cidr6" | "zone"> = [
  [/vpcId|InvalidVpcID/i, "vpc"],
  [/ipv6CidrBlock|CIDR '[^']*:[^']*'/i, "cidr6"],
  [/cidrBlock|InvalidSubnet\.(Range|Conflict)/i, "cidr"],
  [/availabilityZone/i, "zone"],
];

export default function CreateSubnetPage() {
  const navigate = useNavigate();
  const notify = useNotify();
  const [parameters] = useSearchParams();
  const [vpcId, setVpcId] = useState(parameters.get("vpc") ?? "");
  const [zone, setZone] = useState("");
  const [cidr, setCidr] = useState("");
  const [cidr6, setCidr6] = useState("");
  const named = useNameAndTags();
  const vpc = useQuery(allVpcsQuery()).data?.find((v) => v.VpcId === vpcId);
  const vpcBlock6 = vpc?.Ipv6CidrBlockAssociationSet?.[0]?.Ipv6CidrBlock;
  const zones = (useQuery(zonesQuery()).data?.AvailabilityZones ?? []).map((z) => ({
    value: z.ZoneName!,
    label: z.ZoneName!,
    description: z.ZoneId!,
  }));
  const make = (DryRun: boolean) =>
    new CreateSubnetCommand({
      DryRun: DryRun || undefined,
      VpcId: vpcId || undefined,
      CidrBlock: cidr.trim() || undefined,
      Ipv6CidrBlock: (vpcBlock6 && cidr6.trim()) || undefined,
      AvailabilityZone: zone || undefined,
      TagSpecifications: tagSpecifications("subnet", named.tags),
    });
  const live = useDryRun((dryRun) => (vpcId ? make(dryRun) : undefined));
  const errors = useFieldErrors(patterns, JSON.stringify(make(false).input), live);
  const create = async () => {
    const id = (await send(make(false))).output.Subnet!.SubnetId!;
    notify({ type: "success", content: t.done(id) });
    void queryClient.invalidateQueries();
    await navigate(`/Subnets/${id}`);
  };
  return (
    <FormPage
      title={t.title}
      list={{ text: text.title, href: "#/Subnets" }}
      submit={t.submit}
      disabled={!named.valid}
      error={errors.whole}
      calls={[codeCall(make(false))]}
      onSubmit={() => errors.submit(create)}
    >
      <Container header={<Header variant="h2">{text.vpc}</Header>}>
        <SpaceBetween size="l">
          <FormField label={t.vpc} description={t.vpcHint} errorText={errors.of("vpc")}>
            <VpcSelect vpcId={vpcId} onChange={setVpcId} placeholder={t.choose} />
          </FormField>
          {vpc && (
            <div>
              <Box variant="awsui-key-label">{t.vpcBlocks}</Box>
              <Box>{blocksOf(vpc).join(", ")}</Box>
            </div>
          )}
        </SpaceBetween>
      </Container>
      <Container header={<Header variant="h2">{t.settings}</Header>}>
        <SpaceBetween size="l">
          <FormField label={`${t.nameTag} - ${forms.optional}`} description={t.nameHint}>
            <Input value={named.name} placeholder="my-subnet-01" onChange={(e) => named.setName(e.detail.value)} />
          </FormField>
          <FormField label={t.zone} errorText={errors.of("zone")}>
            <Select
              options={[anyZone, ...zones]}
              selectedOption={zones.find((z) => z.value === zone) ?? anyZone}
              onChange={(e) => setZone(e.detail.selectedOption.value ?? "")}
            />
          </FormField>
          <FormField label={t.cidr} constraintText={t.cidrHint} errorText={errors.of("cidr")}>
            <Input
              value={cidr}
              placeholder={vpc?.CidrBlock ?? "10.0.0.0/24"}
              autoComplete={false}
              onChange={(e) => setCidr(e.detail.value)}
            />
          </FormField>
          {vpcBlock6 && (
            <FormField
              label={`${t.cidr6} - ${forms.optional}`}
              constraintText={text.ipv6.hint}
              errorText={errors.of("cidr6")}
            >
              <Input
                value={cidr6}
                placeholder={exampleIpv6(vpcBlock6, 0)}
                autoComplete={false}
                onChange={(e) => setCidr6(e.detail.value)}
              />
            </FormField>
          )}
        </SpaceBetween>
      </Container>
      <TagsSection tags={named.tags} onChange={named.setTags} />
    </FormPage>
  );
}
