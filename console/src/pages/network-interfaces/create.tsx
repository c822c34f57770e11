import { CreateNetworkInterfaceCommand, DescribeSubnetsCommand } from "@aws-sdk/client-ec2";
import { Container, FormField, Header, Input, RadioGroup, Select, SpaceBetween } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useNavigate, useSearchParams } from "react-router";
import { useDryRun } from "../../api/dry-run";
import { query, send } from "../../api/ec2";
import { messageOf } from "../../api/errors";
import type { Group } from "../../api/interface-groups";
import { labelOf } from "../../api/network";
import { queryClient } from "../../api/query";
import { tagSpecifications } from "../../api/tags";
import { FormPage, useFieldErrors, type FieldPatterns } from "../../components/form-page";
import { useNameAndTags } from "../../components/name-and-tags";
import { SecurityGroupPicker } from "../../components/security-group-picker";
import { codeCall } from "../../components/show-as-code";
import { TagsSection } from "../../components/tags-editor";
import { useNotify } from "../../shell/notifications";
import { text as forms } from "../../text/forms";
import { text } from "../../text/network-interfaces";

const t = text.create;

const patterns: FieldPatterns<"subnet" | "address" | "more" | "ipv6" | "description" | "groups"> = [
  [/description/i, "description"],
  [/ipv6/i, "ipv6"],
  [/secondaryPrivateIpAddressCount|PrivateIpAddressLimit/i, "more"],
  [/subnetId|InvalidSubnetID|InsufficientFreeAddresses/i, "subnet"],
  [/address/i, "address"],
  [/group/i, "groups"],
];

export default function CreateNetworkInterfacePage() {
  const navigate = useNavigate();
  const notify = useNotify();
  const [parameters] = useSearchParams();
  const [description, setDescription] = useState("");
  const [subnetId, setSubnetId] = useState(parameters.get("subnet") ?? "");
  const [custom, setCustom] = useState(false);
  const [address, setAddress] = useState("");
  const [more, setMore] = useState("");
  const [count6, setCount6] = useState("");
  const [groups, setGroups] = useState<Group[]>([]);
  const named = useNameAndTags();
  const answer = useQuery(query(new DescribeSubnetsCommand({})));
  const subnets = answer.data?.Subnets ?? [];
  const subnet = subnets.find((s) => s.SubnetId === subnetId);
  const has6 = (subnet?.Ipv6CidrBlockAssociationSet ?? []).length > 0;
  const options = subnets.map((s) => ({
    value: s.SubnetId!,
    label: labelOf(s.SubnetId, s),
    description: [s.CidrBlock, s.AvailabilityZone, s.VpcId].join(", "),
  }));
  const make = (DryRun: boolean) =>
    new CreateNetworkInterfaceCommand({
      DryRun: DryRun || undefined,
      SubnetId: subnetId || undefined,
      Description: description || undefined,
      PrivateIpAddress: (custom && address.trim()) || undefined,
      SecondaryPrivateIpAddressCount: Number(more) || undefined,
      Ipv6AddressCount: (has6 && Number(count6)) || undefined,
      Groups: groups.length ? groups.map((g) => g.id) : undefined,
      TagSpecifications: tagSpecifications("network-interface", named.tags),
    });
  const live = useDryRun((dryRun) => (subnetId ? make(dryRun) : undefined));
  const errors = useFieldErrors(patterns, JSON.stringify(make(false).input), live);
  const create = async () => {
    const id = (await send(make(false))).output.NetworkInterface!.NetworkInterfaceId!;
    notify({ type: "success", content: t.done(id) });
    void queryClient.invalidateQueries();
    await navigate(`/NetworkInterfaces/${id}`);
  };
  return (
    <FormPage
      title={t.title}
      description={t.description}
      list={{ text: text.title, href: "#/NetworkInterfaces" }}
      submit={t.submit}
      disabled={!named.valid}
      error={errors.whole}
      calls={[codeCall(make(false))]}
      onSubmit={() => errors.submit(create)}
    >
      <Container header={<Header variant="h2">{t.details}</Header>}>
        <SpaceBetween size="l">
          <FormField label={`${t.descriptionLabel} - ${forms.optional}`} errorText={errors.of("description")}>
            <Input value={description} autoComplete={false} onChange={(e) => setDescription(e.detail.value)} />
          </FormField>
          <FormField label={t.subnet} description={t.subnetHint} errorText={errors.of("subnet")}>
            <Select
              placeholder={t.chooseSubnet}
              options={options}
              selectedOption={options.find((o) => o.value === subnetId) ?? null}
              filteringType="auto"
              filteringAriaLabel={t.chooseSubnet}
              statusType={answer.isPending ? "loading" : answer.error ? "error" : "finished"}
              loadingText={forms.loading}
              errorText={answer.error ? messageOf(answer.error) : ""}
              onChange={(e) => {
                setSubnetId(e.detail.selectedOption.value ?? "");
                setGroups([]);
              }}
            />
          </FormField>
          <FormField label={t.ipv4}>
            <RadioGroup
              value={custom ? "custom" : "auto"}
              items={[
                { value: "auto", label: t.auto },
                { value: "custom", label: t.custom },
              ]}
              onChange={(e) => setCustom(e.detail.value === "custom")}
            />
          </FormField>
          {custom && (
            <FormField
              label={t.address}
              errorText={errors.of("address")}
              {...(subnet ? { constraintText: t.addressHint(subnet.CidrBlock!) } : {})}
            >
              <Input value={address} autoComplete={false} onChange={(e) => setAddress(e.detail.value)} />
            </FormField>
          )}
          <FormField label={`${t.more} - ${forms.optional}`} description={t.moreHint} errorText={errors.of("more")}>
            <Input type="number" inputMode="numeric" value={more} onChange={(e) => setMore(e.detail.value)} />
          </FormField>
          {has6 && (
            <FormField label={`${t.ipv6} - ${forms.optional}`} description={t.ipv6Hint} errorText={errors.of("ipv6")}>
              <Input type="number" inputMode="numeric" value={count6} onChange={(e) => setCount6(e.detail.value)} />
            </FormField>
          )}
        </SpaceBetween>
      </Container>
      {subnet && (
        <Container
          header={
            <Header variant="h2" description={t.groupsHint}>
              {t.groups}
            </Header>
          }
        >
          <SecurityGroupPicker
            vpcId={subnet.VpcId!}
            groups={groups}
            onChange={setGroups}
            errorText={errors.of("groups")}
          />
        </Container>
      )}
      <TagsSection tags={named.tags} onChange={named.setTags} />
    </FormPage>
  );
}
