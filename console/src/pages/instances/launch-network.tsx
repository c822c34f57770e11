import { DescribeSubnetsCommand, DescribeVpcsCommand, type Subnet } from "@aws-sdk/client-ec2";
import {
  Box,
  Container,
  ExpandableSection,
  FormField,
  Header,
  Input,
  RadioGroup,
  Select,
  SpaceBetween,
} from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { query } from "../../api/ec2";
import { text } from "../../text/launch-instance";
import { nameOf } from "../../api/tags";
import { countOf, type LaunchForm } from "./launch-form";

const t = text.network;

export interface PartProps {
  form: LaunchForm;
  change: (part: Partial<LaunchForm>) => void;
  errorText?: string | undefined;
}

const vpcsQuery = query(new DescribeVpcsCommand({}));
const subnetsOf = (VpcId: string) => ({
  ...query(new DescribeSubnetsCommand({ Filters: [{ Name: "vpc-id", Values: [VpcId] }] })),
  enabled: VpcId !== "",
});

/** useSubnets chooses the VPC, and the subnet where there is no default one, until a person does; vpc is how it is shown. */
export function useSubnets(form: LaunchForm, change: PartProps["change"]) {
  const vpcs = useQuery(vpcsQuery).data?.Vpcs;
  const subnets = useQuery(subnetsOf(form.vpcId)).data?.Subnets;
  const first = vpcs?.find((v) => v.IsDefault) ?? vpcs?.[0];
  const vpc = vpcs?.find((v) => v.VpcId === form.vpcId);
  const chosen = subnets?.find((s) => s.SubnetId === form.subnetId);
  const needed = subnets && !chosen && !subnets.some((s) => s.DefaultForAz) ? subnets[0]?.SubnetId : undefined;
  useEffect(() => {
    if (!form.vpcId && first?.VpcId) change({ vpcId: first.VpcId });
    else if (needed) change({ subnetId: needed });
  });
  return { vpc: vpc && t.option(vpc.VpcId!, nameOf(vpc)), subnet: chosen };
}

/** Network is the part of the launch form that says where, and with which addresses. */
export function Network({ form, change, subnet, errorText }: PartProps & { subnet: Subnet | undefined }) {
  const vpcs = useQuery(vpcsQuery).data?.Vpcs ?? [];
  const subnets = useQuery(subnetsOf(form.vpcId)).data?.Subnets ?? [];
  const vpcOptions = vpcs.map((v) => ({
    value: v.VpcId!,
    label: t.option(v.VpcId!, nameOf(v)),
    description: v.CidrBlock!,
    ...(v.IsDefault ? { labelTag: t.default } : {}),
  }));
  const anySubnet = { value: "", label: t.anySubnet };
  const subnetOptions = [
    ...(subnets.some((s) => s.DefaultForAz) ? [anySubnet] : []),
    ...subnets.map((s) => ({
      value: s.SubnetId!,
      label: t.option(s.SubnetId!, nameOf(s)),
      labelTag: s.AvailabilityZone!,
      description: [s.CidrBlock, ...blocksOf(s)].join(", "),
      tags: [t.free(s.AvailableIpAddressCount ?? 0)],
    })),
  ];
  const addresses = form.primary !== "" || form.ipv6 === "manual"; // then it is more likely about these
  const many = (countOf(form) ?? 1) > 1;
  const hasIPv6 = subnet !== undefined && blocksOf(subnet).length > 0;
  return (
    <Container header={<Header variant="h2">{t.title}</Header>}>
      <SpaceBetween size="m">
        <FormField label={t.vpc} stretch>
          <Select
            options={vpcOptions}
            selectedOption={vpcOptions.find((o) => o.value === form.vpcId) ?? null}
            onChange={(e) =>
              change({ vpcId: e.detail.selectedOption.value!, subnetId: "", groups: [], primary: "", ipv6: "none" })
            }
            filteringType={vpcs.length > 10 ? "auto" : "none"}
          />
        </FormField>
        <FormField
          label={t.subnet}
          description={t.subnetHint}
          stretch
          {...(errorText && !addresses ? { errorText } : {})}
        >
          <Select
            options={subnetOptions}
            selectedOption={subnetOptions.find((o) => o.value === form.subnetId) ?? null}
            onChange={(e) => change({ subnetId: e.detail.selectedOption.value!, ipv6: "none" })}
            filteringType={subnets.length > 10 ? "auto" : "none"}
          />
        </FormField>
        <ExpandableSection headerText={t.advanced}>
          <SpaceBetween size="m">
            <FormField
              {...(errorText && addresses ? { errorText } : {})}
              label={t.primary}
              description={t.primaryHint}
              {...(many ? { constraintText: t.primaryMany } : {})}
            >
              <Input
                value={form.primary}
                disabled={many && !form.primary}
                onChange={(e) => change({ primary: e.detail.value })}
              />
            </FormField>
            <FormField label={t.ipv6}>
              {hasIPv6 ? (
                <RadioGroup
                  value={form.ipv6}
                  onChange={(e) => change({ ipv6: e.detail.value as LaunchForm["ipv6"] })}
                  items={(["none", "auto", "manual"] as const).map((value) => ({
                    value,
                    label: t.ipv6Choices[value],
                    disabled: value === "manual" && many,
                  }))}
                />
              ) : (
                <Box color="text-body-secondary">{t.noIPv6}</Box>
              )}
            </FormField>
            {form.ipv6 === "manual" && (
              <FormField label={t.ipv6Choices.manual} constraintText={t.ipv6Hint}>
                <Input value={form.ipv6Addresses} onChange={(e) => change({ ipv6Addresses: e.detail.value })} />
              </FormField>
            )}
          </SpaceBetween>
        </ExpandableSection>
      </SpaceBetween>
    </Container>
  );
}

const blocksOf = (s: Subnet) => (s.Ipv6CidrBlockAssociationSet ?? []).map((a) => a.Ipv6CidrBlock!);
