import { DescribeInstancesCommand } from "@aws-sdk/client-ec2";
import { Autosuggest, type AutosuggestProps } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { query } from "../../api/ec2";
import { further } from "../../api/sallyport";
import { nameOf } from "../../api/tags";
import { text } from "../../text/why";

const offered = 30;

/** EndPicker takes an end of a way: what one types is completed by what the server finds under a name, an id or an
 * address; before anything is typed there is one's own address, and the first instances. */
export function EndPicker(props: {
  value: string;
  onChange: (value: string) => void;
  controlId: string;
  invalid: boolean;
}) {
  const [typed, setTyped] = useState("");
  const me = useQuery(further("DescribeCallerAddress", {}));
  const first = useQuery({ ...query(new DescribeInstancesCommand({ MaxResults: offered })), enabled: !typed });
  const found = useQuery({
    ...further("SearchResources", {
      Query: typed,
      MaxResults: offered,
      ResourceTypes: ["instance", "network-interface"],
    }),
    enabled: typed !== "",
  });
  const looked = typed.toLowerCase();
  const own = [me.data?.Ipv4Address, me.data?.Ipv6Address]
    .filter((a) => a !== undefined)
    .filter((a) => a.includes(looked) || text.me.toLowerCase().includes(looked));
  const hits = (type: string): AutosuggestProps.Option[] =>
    (found.data?.Hits ?? [])
      .filter((h) => h.ResourceType === type)
      .map((h) => ({ value: h.ResourceId!, ...(h.Name ? { label: h.ResourceId!, description: h.Name } : {}) }));
  const instances: AutosuggestProps.Option[] = typed
    ? hits("instance")
    : (first.data?.Reservations ?? [])
        .flatMap((r) => r.Instances ?? [])
        .map((i) => ({
          value: i.InstanceId!,
          description: [nameOf(i), i.PrivateIpAddress].filter(Boolean).join(", "),
        }));
  const groups = [
    { label: text.addresses, options: own.map((value) => ({ value, description: text.me })) },
    { label: text.instances, options: instances },
    { label: text.interfaces, options: typed ? hits("network-interface") : [] },
  ].filter((g) => g.options.length);
  const asked = typed ? found : first;
  return (
    <Autosuggest
      controlId={props.controlId}
      value={props.value}
      onChange={(e) => props.onChange(e.detail.value)}
      onLoadItems={(e) => setTyped(e.detail.filteringText.trim())}
      filteringType="manual"
      options={groups}
      placeholder={text.endPlaceholder}
      enteredTextLabel={text.use}
      statusType={asked.isFetching ? "loading" : asked.error ? "error" : "finished"}
      loadingText={text.searching}
      errorText={text.searchFailed}
      empty={text.notFound}
      invalid={props.invalid}
      clearAriaLabel={text.clear}
      selectedAriaLabel={text.use(props.value)}
    />
  );
}
