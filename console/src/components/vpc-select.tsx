import { Select } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { messageOf } from "../api/errors";
import { allVpcsQuery, blocksOf, labelOf } from "../api/network";
import { text } from "../text/forms";

export interface VpcSelectProps {
  /** "": none yet. */
  vpcId: string;
  onChange: (vpcId: string) => void;
  placeholder: string;
}

/** VpcSelect chooses one of the VPCs, by id, name or block. */
export function VpcSelect({ vpcId, onChange, placeholder }: VpcSelectProps) {
  const answer = useQuery(allVpcsQuery());
  const options = (answer.data ?? []).map((v) => ({
    value: v.VpcId!,
    label: labelOf(v.VpcId, v),
    description: blocksOf(v).join(", "),
    ...(v.IsDefault ? { labelTag: text.default } : {}),
  }));
  return (
    <Select
      placeholder={placeholder}
      options={options}
      selectedOption={options.find((o) => o.value === vpcId) ?? null}
      filteringType="auto"
      filteringAriaLabel={placeholder}
      statusType={answer.isPending ? "loading" : answer.error ? "error" : "finished"}
      loadingText={text.loading}
      errorText={answer.error ? messageOf(answer.error) : ""}
      onChange={(e) => onChange(e.detail.selectedOption.value ?? "")}
    />
  );
}
