import type { PropertyFilterProps } from "@cloudscape-design/components";
import { call } from "./sallyport";
import type { ResourceFilter, SelectResourcesRequest } from "./sallyport_gen";

export type ResourceType = SelectResourcesRequest["ResourceType"];

/** Which objects a list shows. */
export interface Wanted {
  type: ResourceType;
  /** What holds in any case. */
  scope: ResourceFilter[];
  filter: PropertyFilterProps.Query;
  sortBy?: string;
  descending: boolean;
  offset: number;
  limit: number;
}

export interface Selection<T> {
  items: T[];
  /** How many pass the filter. */
  matched: number;
  /** How many there are. */
  total: number;
}

/** filters are a query of the property filter as the server takes it. */
export function filters(query: PropertyFilterProps.Query): ResourceFilter[] {
  return query.tokens.map((t) => ({
    Operator: t.operator,
    Value: String(t.value ?? ""),
    ...(t.propertyKey ? { PropertyKey: t.propertyKey } : {}),
  }));
}

/** selectResources asks for the ids of a page, and describe for their objects, which come in any order. */
export async function selectResources<T>(
  wanted: Wanted,
  describe: (ids: string[]) => Promise<T[]>,
  idOf: (item: T) => string,
): Promise<Selection<T>> {
  const { output } = await call("SelectResources", {
    ResourceType: wanted.type,
    Scope: wanted.scope,
    Filters: filters(wanted.filter),
    Operation: wanted.filter.operation,
    Descending: wanted.descending,
    Offset: wanted.offset,
    MaxResults: wanted.limit,
    ...(wanted.sortBy ? { SortBy: wanted.sortBy } : {}),
  });
  const ids = output.ResourceIds;
  // Without an id Describe would answer everything.
  const items = ids.length ? await describeThoseLeft(ids, describe) : [];
  const byId = new Map(items.map((item) => [idOf(item), item]));
  return {
    items: ids.flatMap((id) => byId.get(id) ?? []),
    matched: output.MatchedCount ?? 0,
    total: output.TotalCount ?? 0,
  };
}

// Describe refuses a list of ids when one of them went meanwhile, and says which.
async function describeThoseLeft<T>(ids: string[], describe: (ids: string[]) => Promise<T[]>): Promise<T[]> {
  for (let left = ids; ;) {
    try {
      return await describe(left);
    } catch (error) {
      const message = error instanceof Error ? error.message : "";
      const gone = left.filter((id) => message.includes(id));
      left = left.filter((id) => !gone.includes(id));
      if (gone.length === 0) throw error;
      if (left.length === 0) return [];
    }
  }
}

/** resourceValues are the values that a property has and that contain a text, some dozens at most. */
export async function resourceValues(
  type: ResourceType,
  scope: ResourceFilter[],
  property: string,
  contains: string,
): Promise<string[]> {
  const { output } = await call("DescribeResourceValues", {
    ResourceType: type,
    PropertyKey: property,
    Scope: scope,
    MaxResults: 50,
    ...(contains ? { Contains: contains } : {}),
  });
  return output.Values.map((v) => v.Value ?? "");
}
