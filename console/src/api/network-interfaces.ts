import { DescribeNetworkInterfacesCommand } from "@aws-sdk/client-ec2";
import { useQuery } from "@tanstack/react-query";
import { query } from "./ec2";
import { further } from "./sallyport";

/** For useQuery: one interface. */
export const interfaceQuery = (id: string) =>
  query(new DescribeNetworkInterfacesCommand({ NetworkInterfaceIds: [id] }));

const reported = 5_000; // ms; hosts report so often

/** useEnforcement is what one interface has in force, asked again as long as it is looked at. */
export function useEnforcement(id: string) {
  const answer = useQuery({
    ...further("DescribeEnforcement", { NetworkInterfaceIds: [id] }),
    refetchInterval: reported,
    enabled: id !== "",
  });
  return answer.data?.Enforcements[0];
}

/** useDrops is what one interface dropped. */
export const useDrops = (id: string) =>
  useQuery({
    ...further("DescribeDrops", { NetworkInterfaceIds: [id] }),
    refetchInterval: reported,
    enabled: id !== "",
  });

/** Of an answer: enough to look at. */
export const connectionsShown = 1000;

/** useConnections is what hosts track for one interface. */
export const useConnections = (id: string) =>
  useQuery({
    ...further("DescribeConnections", { NetworkInterfaceIds: [id], MaxResults: connectionsShown }),
    refetchInterval: reported,
  });
