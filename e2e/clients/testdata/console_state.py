"""Prints what TestShownCode's session has made, without ids."""

import os

import boto3

ec2 = boto3.client("ec2", endpoint_url=os.environ["AWS_ENDPOINT_URL"])


def tags(o, key="Tags"):
    return ", ".join(sorted(f"{t['Key']}={t['Value']}" for t in o.get(key, [])))


groups = {g["GroupId"]: g for g in ec2.describe_security_groups()["SecurityGroups"] if g["GroupName"] != "default"}
lists = {pl["PrefixListId"]: pl["PrefixListName"] for pl in ec2.describe_managed_prefix_lists()["PrefixLists"]}
out = [f"{g['GroupName']}: {g['Description']} {tags(g)}" for g in groups.values()]
for r in ec2.describe_security_group_rules()["SecurityGroupRules"]:
    if r["GroupId"] not in groups:
        continue
    peer = r.get("CidrIpv4") or r.get("CidrIpv6") or lists.get(r.get("PrefixListId"))
    peer = peer or groups[r["ReferencedGroupInfo"]["GroupId"]]["GroupName"]
    side = "out" if r["IsEgress"] else "in"
    out.append(f"{side} of {groups[r['GroupId']]['GroupName']}: {r['IpProtocol']} {r['FromPort']}-{r['ToPort']} {peer}")
for e in ec2.describe_network_interfaces()["NetworkInterfaces"]:
    names = ",".join(g["GroupName"] for g in e["Groups"])
    out.append(f"{e['PrivateIpAddress']} {e['SourceDestCheck']} {names} {tags(e, 'TagSet')}")
for id, name in lists.items():
    entries = ec2.get_managed_prefix_list_entries(PrefixListId=id)["Entries"]
    out.append(f"{name}: " + ", ".join(sorted(f"{e['Cidr']} {e.get('Description', '')}" for e in entries)))
for v in ec2.describe_vpcs()["Vpcs"]:
    out.append(f"VPC {v['CidrBlock']} {tags(v)}")
for p in ec2.describe_vpc_peering_connections()["VpcPeeringConnections"]:
    ends = p["RequesterVpcInfo"]["CidrBlock"], p["AccepterVpcInfo"]["CidrBlock"]
    out.append(f"{ends[0]} - {ends[1]} {p['Status']['Code']}")
print("\n".join(sorted(out)))
