import {
  CreateTagsCommand,
  DeleteTagsCommand,
  DescribeTagsCommand,
  type Filter,
  type ResourceType,
  type Tag,
  type TagDescription,
  type TagSpecification,
} from "@aws-sdk/client-ec2";
import { queryOptions } from "@tanstack/react-query";
import { send } from "./ec2";
import { queryClient } from "./query";

/** A tag with both its parts. */
export interface KeyValue {
  key: string;
  value: string;
}

interface Tagged {
  Tags?: Tag[] | undefined;
}

/** tagOf returns the value of a resource's tag; undefined: it has none of that key. */
export const tagOf = (resource: Tagged, key: string) => resource.Tags?.find((t) => t.Key === key)?.Value;

/** nameOf returns a resource's tag Name, "" if it has none. */
export const nameOf = (resource: Tagged) => tagOf(resource, "Name") ?? "";

const filterValues = 200; // of one filter, as EC2 takes them

async function describeTags(filters: Filter[]): Promise<TagDescription[]> {
  const tags: TagDescription[] = [];
  for (let token: string | undefined; ;) {
    const { output } = await send(new DescribeTagsCommand({ Filters: filters, MaxResults: 1000, NextToken: token }));
    tags.push(...(output.Tags ?? []));
    token = output.NextToken;
    if (!token) return tags;
  }
}

/** tagsQuery is for useQuery: the tags of these resources. */
export const tagsQuery = (resourceIds: string[]) =>
  queryOptions({
    queryKey: ["DescribeTags", resourceIds],
    queryFn: async () => {
      const tags: TagDescription[] = [];
      for (let i = 0; i < resourceIds.length; i += filterValues) {
        tags.push(...(await describeTags([{ Name: "resource-id", Values: resourceIds.slice(i, i + filterValues) }])));
      }
      return tags;
    },
  });

/** tagKeys and tagValues return what other resources use, for completion: a first page of it. */
export const tagKeys = (start: string) => distinct("Key", start ? [starting("key", start)] : []);
export const tagValues = (key: string, start: string) =>
  distinct("Value", [{ Name: "key", Values: [literal(key)] }, ...(start ? [starting("value", start)] : [])]);

const literal = (text: string) => text.replace(/[\\*?]/g, "\\$&");
const starting = (name: string, text: string): Filter => ({ Name: name, Values: [`${literal(text)}*`] });

async function distinct(part: "Key" | "Value", filters: Filter[]): Promise<string[]> {
  const { output } = await send(new DescribeTagsCommand({ Filters: filters, MaxResults: 1000 }));
  const values = (output.Tags ?? []).map((t) => t[part] ?? "");
  return [...new Set(values)].filter((v) => v !== "" && !v.startsWith("aws:")).sort();
}

/** tagCalls returns the calls that make before into after on each of the resources: what is set comes first, so that a
 * refusal leaves all as it was. */
export function tagCalls(
  resourceIds: string[],
  before: KeyValue[],
  after: KeyValue[],
): (CreateTagsCommand | DeleteTagsCommand)[] {
  const had = new Map(before.map((t) => [t.key, t.value]));
  const has = new Set(after.map((t) => t.key));
  const set = after.filter((t) => had.get(t.key) !== t.value);
  const gone = before.filter((t) => !has.has(t.key));
  return [
    ...(set.length
      ? [new CreateTagsCommand({ Resources: resourceIds, Tags: set.map((t) => ({ Key: t.key, Value: t.value })) })]
      : []),
    ...(gone.length
      ? [new DeleteTagsCommand({ Resources: resourceIds, Tags: gone.map((t) => ({ Key: t.key })) })]
      : []),
  ];
}

/** saveTags makes the calls of tagCalls. Lists show names, so all that is shown is asked for again. */
export async function saveTags(calls: (CreateTagsCommand | DeleteTagsCommand)[]): Promise<void> {
  try {
    for (const command of calls) {
      await (command instanceof CreateTagsCommand ? send(command) : send(command));
    }
  } finally {
    if (calls.length) await queryClient.invalidateQueries();
  }
}

/** tagSpecifications is the member TagSpecifications of a call that creates; undefined: without tags. */
export function tagSpecifications(type: ResourceType, tags: readonly KeyValue[]): TagSpecification[] | undefined {
  const set = tags.filter((t) => t.key !== "");
  if (!set.length) return undefined;
  return [{ ResourceType: type, Tags: set.map((t) => ({ Key: t.key, Value: t.value })) }];
}
