import {
  AssignIpv6AddressesCommand,
  AssignPrivateIpAddressesCommand,
  UnassignIpv6AddressesCommand,
  UnassignPrivateIpAddressesCommand,
} from "@aws-sdk/client-ec2";
import { Box, Button, FormField, Input, SpaceBetween } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { send } from "../../api/ec2";
import { subnetQuery } from "../../api/network";
import { queryClient } from "../../api/query";
import { useApplied } from "../../components/apply-status";
import { FormModal } from "../../components/form-modal";
import { codeCall } from "../../components/show-as-code";
import { text as forms } from "../../text/forms";
import { text } from "../../text/network-interfaces";
import { ipv6, secondary } from "./columns";
import type { InterfaceModalProps } from "./settings";

const t = text.manage;

/** What becomes of the addresses of one family. */
interface Edited {
  gone: string[];
  /** "": the server chooses. */
  added: string[];
}

const untouched: Edited = { gone: [], added: [] };

/** ManageAddressesModal assigns and unassigns secondary addresses. */
export function ManageAddressesModal({ eni, onClose }: InterfaceModalProps) {
  const id = eni.NetworkInterfaceId!;
  const applied = useApplied();
  const [v4, setV4] = useState(untouched);
  const [v6, setV6] = useState(untouched);
  const subnet = useQuery(subnetQuery(eni.SubnetId!)).data?.Subnets?.[0];
  const hasIpv6 = (subnet?.Ipv6CidrBlockAssociationSet ?? []).length > 0;
  const calls = addressCalls(id, v4, v6);
  return (
    <FormModal
      title={t.title(id)}
      submit={forms.save}
      size="medium"
      disabled={calls.length === 0}
      calls={calls.map(codeCall)}
      onClose={onClose}
      onSubmit={async () => {
        let last = 0;
        try {
          for (const command of calls) last = (await send(command)).revision;
        } finally {
          await queryClient.invalidateQueries();
        }
        applied(t.done(id), last, { networkInterfaceIds: [id] });
      }}
    >
      <SpaceBetween size="l">
        <Family
          title={t.ipv4}
          fixed={[eni.PrivateIpAddress!]}
          addresses={secondary(eni)}
          edited={v4}
          onChange={setV4}
          add={t.add4}
          label={t.new4}
          block={subnet?.CidrBlock ?? ""}
        />
        {hasIpv6 || ipv6(eni).length ? (
          <Family
            title={t.ipv6}
            fixed={(eni.Ipv6Addresses ?? []).flatMap((a) => (a.IsPrimaryIpv6 ? [a.Ipv6Address!] : []))}
            addresses={(eni.Ipv6Addresses ?? []).flatMap((a) => (a.IsPrimaryIpv6 ? [] : [a.Ipv6Address!]))}
            edited={v6}
            onChange={setV6}
            add={t.add6}
            label={t.new6}
            block={subnet?.Ipv6CidrBlockAssociationSet?.[0]?.Ipv6CidrBlock ?? ""}
          />
        ) : (
          <Box color="text-body-secondary">{t.noIpv6}</Box>
        )}
      </SpaceBetween>
    </FormModal>
  );
}

function addressCalls(NetworkInterfaceId: string, v4: Edited, v6: Edited) {
  const named = (e: Edited) => e.added.map((a) => a.trim()).filter((a) => a !== "");
  const chosen = (e: Edited) => e.added.filter((a) => a.trim() === "").length;
  // EC2 takes names or a count in one call.
  return [
    ...(v4.gone.length
      ? [new UnassignPrivateIpAddressesCommand({ NetworkInterfaceId, PrivateIpAddresses: v4.gone })]
      : []),
    ...(v6.gone.length ? [new UnassignIpv6AddressesCommand({ NetworkInterfaceId, Ipv6Addresses: v6.gone })] : []),
    ...(named(v4).length
      ? [new AssignPrivateIpAddressesCommand({ NetworkInterfaceId, PrivateIpAddresses: named(v4) })]
      : []),
    ...(chosen(v4)
      ? [new AssignPrivateIpAddressesCommand({ NetworkInterfaceId, SecondaryPrivateIpAddressCount: chosen(v4) })]
      : []),
    ...(named(v6).length ? [new AssignIpv6AddressesCommand({ NetworkInterfaceId, Ipv6Addresses: named(v6) })] : []),
    ...(chosen(v6) ? [new AssignIpv6AddressesCommand({ NetworkInterfaceId, Ipv6AddressCount: chosen(v6) })] : []),
  ];
}

function Family(props: {
  title: string;
  fixed: string[];
  addresses: string[];
  edited: Edited;
  onChange: (e: Edited) => void;
  add: string;
  label: (n: number) => string;
  block: string;
}) {
  const { edited, onChange } = props;
  return (
    <FormField label={props.title} description={t.hint} stretch>
      <SpaceBetween size="xs">
        {props.fixed.map((a) => (
          <Box key={a}>
            {a} ({t.primary})
          </Box>
        ))}
        {props.addresses.map((a) => {
          const gone = edited.gone.includes(a);
          return (
            <SpaceBetween key={a} direction="horizontal" size="xs" alignItems="center">
              <Box>{gone ? <s>{a}</s> : a}</Box>
              <Button
                variant="inline-link"
                formAction="none"
                ariaLabel={gone ? t.undoOf(a) : t.removeOf(a)}
                onClick={() =>
                  onChange({ ...edited, gone: gone ? edited.gone.filter((g) => g !== a) : [...edited.gone, a] })
                }
              >
                {gone ? t.undo : t.remove}
              </Button>
            </SpaceBetween>
          );
        })}
        {edited.added.map((a, i) => (
          <SpaceBetween key={i} direction="horizontal" size="xs" alignItems="center">
            <Input
              value={a}
              placeholder={props.block ? `${t.auto} (${props.block})` : t.auto}
              autoComplete={false}
              ariaLabel={props.label(i + 1)}
              onChange={(e) =>
                onChange({ ...edited, added: edited.added.map((v, k) => (k === i ? e.detail.value : v)) })
              }
            />
            <Button
              variant="inline-link"
              formAction="none"
              ariaLabel={t.removeNewOf(i + 1)}
              onClick={() => onChange({ ...edited, added: edited.added.filter((_, k) => k !== i) })}
            >
              {t.removeNew}
            </Button>
          </SpaceBetween>
        ))}
        <Button
          formAction="none"
          iconName="add-plus"
          onClick={() => onChange({ ...edited, added: [...edited.added, ""] })}
        >
          {props.add}
        </Button>
      </SpaceBetween>
    </FormField>
  );
}
