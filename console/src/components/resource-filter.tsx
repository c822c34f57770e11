import { PropertyFilter, type PropertyFilterProps } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { resourceValues, type ResourceType } from "../api/resources";
import type { ResourceFilter } from "../api/sallyport_gen";
import { text } from "../text/resource-table";

/** A property that a list can be filtered by. */
export interface FilterProperty {
  /** Its name at the server. */
  property: string;
  label: string;
  /** It is a number: it can be greater or less. */
  numeric?: boolean;
}

const operators: PropertyFilterProps.FilteringProperty["operators"] = ["=", "!=", ":", "!:", "^", "!^"];
const numeric: PropertyFilterProps.FilteringProperty["operators"] = ["=", "!=", ">", ">=", "<", "<="];

/** ResourceFilterInput is the property filter of a list. The server says which values there are, and which tags. */
export function ResourceFilterInput(props: {
  type: ResourceType;
  scope: ResourceFilter[];
  title: string;
  properties: FilterProperty[];
  query: PropertyFilterProps.Query;
  onChange: (query: PropertyFilterProps.Query) => void;
  /** undefined: not known yet. */
  matched: number | undefined;
}) {
  const [options, setOptions] = useState<PropertyFilterProps.FilteringOption[]>([]);
  const [status, setStatus] = useState<PropertyFilterProps.StatusType>("finished");
  const [touched, setTouched] = useState(false);
  const asked = useRef(0);
  const tags = useQuery({
    queryKey: ["DescribeResourceValues", props.type, "tag-key"],
    queryFn: () => resourceValues(props.type, [], "tag-key", ""),
    enabled: touched || props.query.tokens.some((t) => t.propertyKey?.startsWith("tag:")),
    staleTime: 60_000,
  });
  const load = async ({ filteringProperty, filteringText }: PropertyFilterProps.LoadItemsDetail) => {
    setTouched(true);
    const turn = ++asked.current;
    setOptions([]);
    if (!filteringProperty) {
      setStatus("finished");
      return;
    }
    setStatus("loading");
    try {
      const values = await resourceValues(props.type, props.scope, filteringProperty.key, filteringText);
      if (turn !== asked.current) return; // another question is under way
      setOptions(values.map((value) => ({ propertyKey: filteringProperty.key, value })));
      setStatus("finished");
    } catch {
      if (turn === asked.current) setStatus("error");
    }
  };
  const known = new Set(props.properties.map((p) => p.property));
  const keys = new Set(tags.data ?? []);
  for (const t of props.query.tokens) if (t.propertyKey?.startsWith("tag:")) keys.add(t.propertyKey.slice(4));
  const property = (key: string, label: string, isNumeric?: boolean): PropertyFilterProps.FilteringProperty => ({
    key,
    propertyLabel: label,
    groupValuesLabel: text.filter.values(label),
    operators: isNumeric ? numeric : operators,
  });
  return (
    <PropertyFilter
      query={props.query}
      onChange={(e) => props.onChange(e.detail)}
      filteringProperties={[
        ...props.properties.map((p) => property(p.property, p.label, p.numeric)),
        ...[...keys]
          .filter((k) => !known.has(`tag:${k}`))
          .map((k) => ({ ...property(`tag:${k}`, text.filter.tag(k)), group: "tags" })),
      ]}
      customGroupsText={[{ group: "tags", properties: text.filter.tags, values: text.filter.tagValues }]}
      filteringOptions={options}
      filteringStatusType={status}
      filteringLoadingText={text.filter.loading}
      filteringErrorText={text.filter.error}
      filteringRecoveryText={text.filter.again}
      filteringEmpty={text.filter.empty}
      onLoadItems={(e) => void load(e.detail)}
      filteringPlaceholder={text.filter.find(props.title)}
      filteringAriaLabel={text.filter.find(props.title)}
      expandToViewport
      {...(props.matched !== undefined ? { countText: text.filter.matches(props.matched) } : {})}
    />
  );
}
