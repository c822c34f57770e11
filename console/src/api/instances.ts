import {
  DescribeAccountAttributesCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeInstanceStatusCommand,
  type Image,
  type Instance,
  type InstanceNetworkInterface,
} from "@aws-sdk/client-ec2";
import { useQuery } from "@tanstack/react-query";
import { query, send } from "./ec2";

/** The image of lab guests, and that of guests that this server did not start. */
export const labImage = "netns";
export const externalImage = "external";

const live = 1_000; // ms, between two looks at what is about to change
const calm = 15_000;

/** eventual: the instance is on its way to another state. */
export const eventual = (i: Instance) => ["pending", "stopping", "shutting-down"].includes(i.State?.Name ?? "");

/** pollEvery is how soon to look again at instances, in ms. */
export const pollEvery = (instances: Instance[] | undefined) => (instances?.some(eventual) ? live : calm);

/** describeInstances returns the instances with these ids, in any order; an unknown one is a refusal. */
export async function describeInstances(ids: string[]): Promise<Instance[]> {
  const { output } = await send(new DescribeInstancesCommand({ InstanceIds: ids }));
  return (output.Reservations ?? []).flatMap((r) => r.Instances ?? []);
}

/** useInstance is the instance with that id, looked at again while its state changes; null: there is none. */
export function useInstance(id: string) {
  return useQuery({
    queryKey: ["DescribeInstances", id],
    queryFn: async () => {
      const Filters = [{ Name: "instance-id", Values: [id] }]; // an unknown one is no error
      return (await send(new DescribeInstancesCommand({ Filters }))).output.Reservations?.[0]?.Instances?.[0] ?? null;
    },
    refetchInterval: (q) => pollEvery(q.state.data ? [q.state.data] : undefined),
  });
}

/** useImageNames maps an image's id to its name. */
export function useImageNames(): Map<string, string> {
  const { data } = useQuery({ ...query(new DescribeImagesCommand({})), staleTime: Infinity });
  return new Map((data?.Images ?? []).map((i: Image) => [i.ImageId!, i.Name!]));
}

/** What stands for the hosts that run lab guests. */
export interface Lab {
  /** Of the image that is run; undefined: this server has none. */
  imageId: string | undefined;
  /** How many guests all connected lab hosts may run together. */
  room: number;
}

/** useLab says whether lab guests can be launched. */
export function useLab() {
  return useQuery({
    queryKey: ["lab"],
    queryFn: async (): Promise<Lab> => {
      const [images, attributes] = await Promise.all([
        send(new DescribeImagesCommand({ Filters: [{ Name: "name", Values: [labImage] }] })),
        send(new DescribeAccountAttributesCommand({})),
      ]);
      const room = attributes.output.AccountAttributes?.find((a) => a.AttributeName === "max-instances");
      return {
        imageId: images.output.Images?.[0]?.ImageId,
        room: Number(room?.AttributeValues?.[0]?.AttributeValue ?? 0),
      };
    },
  });
}

/** useInstanceStatus maps running instances' ids to whether their host is connected. */
export function useInstanceStatus(ids: string[]): Map<string, string> {
  const { data } = useQuery({
    ...query(
      new DescribeInstanceStatusCommand({
        IncludeAllInstances: true,
        InstanceIds: ids,
      }),
    ),
    enabled: ids.length > 0,
    refetchInterval: calm,
  });
  return new Map((data?.InstanceStatuses ?? []).map((s) => [s.InstanceId!, s.SystemStatus?.Status ?? ""]));
}

/** primaryOf returns an instance's interface of device index 0. */
export const primaryOf = (i: Instance): InstanceNetworkInterface | undefined =>
  i.NetworkInterfaces?.find((e) => e.Attachment?.DeviceIndex === 0) ?? i.NetworkInterfaces?.[0];

/** groupsOf returns the groups of all interfaces of an instance, each once. */
export function groupsOf(i: Instance) {
  const groups = new Map((i.NetworkInterfaces ?? []).flatMap((e) => e.Groups ?? []).map((g) => [g.GroupId!, g]));
  return [...groups.values()];
}
