import { CreateVpcPeeringConnectionCommand } from "@aws-sdk/client-ec2";
import { Box, Container, FormField, Header, Input, SpaceBetween } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useNavigate, useSearchParams } from "react-router";
import { useDryRun } from "../../api/dry-run";
import { send } from "../../api/ec2";
import { allVpcsQuery, blocksOf, describePeerings } from "../../api/network";
import { queryClient } from "../../api/query";
import { tagSpecifications } from "../../api/tags";
import { FormPage, useFieldErrors, type FieldPatterns } from "../../components/form-page";
import { useNameAndTags } from "../../components/name-and-tags";
import { codeCall } from "../../components/show-as-code";
import { TagsSection } from "../../components/tags-editor";
import { VpcSelect } from "../../components/vpc-select";
import { useNotify } from "../../shell/notifications";
import { text as forms } from "../../text/forms";
import { text } from "../../text/peering-connections";

const t = text.create;
const patterns: FieldPatterns<"requester" | "accepter"> = [
  [/parameter vpcId/i, "requester"],
  [/peerVpcId/i, "accepter"],
];

export default function CreatePeeringConnectionPage() {
  const navigate = useNavigate();
  const notify = useNotify();
  const [parameters] = useSearchParams();
  const [requester, setRequester] = useState(parameters.get("vpc") ?? "");
  const [accepter, setAccepter] = useState("");
  const named = useNameAndTags();
  const make = (DryRun: boolean) =>
    new CreateVpcPeeringConnectionCommand({
      DryRun: DryRun || undefined,
      VpcId: requester || undefined,
      PeerVpcId: accepter || undefined,
      TagSpecifications: tagSpecifications("vpc-peering-connection", named.tags),
    });
  const live = useDryRun((dryRun) => (requester && accepter ? make(dryRun) : undefined));
  const errors = useFieldErrors(patterns, JSON.stringify(make(false).input), live);
  const create = async () => {
    const made = (await send(make(false))).output.VpcPeeringConnection!;
    const id = made.VpcPeeringConnectionId!;
    void queryClient.invalidateQueries();
    // The answer is EC2's first one; whether the blocks overlap shows in the next.
    const now = (await describePeerings([id]))[0]?.Status;
    if (now?.Code === "failed") notify({ type: "error", header: t.failed(id), content: now.Message });
    else if (made.Status?.Code !== "initiating-request") notify({ type: "info", content: t.existing(id) });
    else notify({ type: "success", content: t.done(id) });
    await navigate(`/PeeringConnections/${id}`);
  };
  return (
    <FormPage
      title={t.title}
      description={t.description}
      list={{ text: text.title, href: "#/PeeringConnections" }}
      submit={t.submit}
      disabled={!named.valid}
      error={errors.whole}
      calls={[codeCall(make(false))]}
      onSubmit={() => errors.submit(create)}
    >
      <Container header={<Header variant="h2">{t.settings}</Header>}>
        <SpaceBetween size="l">
          <FormField label={`${t.nameTag} - ${forms.optional}`} description={t.nameHint}>
            <Input value={named.name} placeholder="my-pc-01" onChange={(e) => named.setName(e.detail.value)} />
          </FormField>
          <Box variant="h3">{t.local}</Box>
          <FormField label={t.requester} errorText={errors.of("requester")}>
            <VpcSelect vpcId={requester} onChange={setRequester} placeholder={t.choose} />
          </FormField>
          <Blocks vpcId={requester} />
          <Box variant="h3">{t.other}</Box>
          <FormField label={t.accepter} description={t.otherHint} errorText={errors.of("accepter")}>
            <VpcSelect vpcId={accepter} onChange={setAccepter} placeholder={t.choose} />
          </FormField>
          <Blocks vpcId={accepter} />
        </SpaceBetween>
      </Container>
      <TagsSection tags={named.tags} onChange={named.setTags} />
    </FormPage>
  );
}

function Blocks({ vpcId }: { vpcId: string }) {
  const vpc = useQuery(allVpcsQuery()).data?.find((v) => v.VpcId === vpcId);
  if (!vpc) return null;
  return (
    <div>
      <Box variant="awsui-key-label">{t.blocks(vpcId)}</Box>
      <Box>{blocksOf(vpc).join(", ")}</Box>
    </div>
  );
}
