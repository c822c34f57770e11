vpc_id=$(aws ec2 create-vpc \
    --cidr-block 10.7.0.0/16 \
    --tag-specifications '[{"ResourceType":"vpc","Tags":[{"Key":"Name","Value":"shop"}]}]' \
    --query Vpc.VpcId \
    --output text)

subnet_id=$(aws ec2 create-subnet \
    --vpc-id "$vpc_id" \
    --cidr-block 10.7.1.0/24 \
    --query Subnet.SubnetId \
    --output text)

group_id=$(aws ec2 create-security-group \
    --group-name web \
    --description 'Web servers: 1 & 2 $HOME' \
    --vpc-id "$vpc_id" \
    --tag-specifications '[{"ResourceType":"security-group","Tags":[{"Key":"Name","Value":"it'\''s web"},{"Key":"team","Value":"${shop} %{if} \"a\\b\""}]}]' \
    --query GroupId \
    --output text)

read -r security_group_rule_id security_group_rule_id_2 <<END
$(aws ec2 authorize-security-group-ingress \
    --group-id "$group_id" \
    --ip-permissions '[{"IpProtocol":"tcp","FromPort":443,"ToPort":443,"IpRanges":[{"CidrIp":"0.0.0.0/0","Description":"everybody"}],"Ipv6Ranges":[{"CidrIpv6":"::/0"}]},{"IpProtocol":"icmp","FromPort":8,"ToPort":-1,"IpRanges":[{"CidrIp":"192.0.2.0/24"}]}]' \
    --query '[SecurityGroupRules[0].SecurityGroupRuleId,SecurityGroupRules[2].SecurityGroupRuleId]' \
    --output text)
END

group_id_2=$(aws ec2 create-security-group \
    --group-name db \
    --description='- databases' \
    --vpc-id "$vpc_id" \
    --query GroupId \
    --output text)

aws ec2 revoke-security-group-egress \
    --group-id "$group_id_2" \
    --ip-permissions '[{"IpProtocol":"-1","IpRanges":[{"CidrIp":"0.0.0.0/0"}]}]'

aws ec2 authorize-security-group-ingress \
    --group-id "$group_id_2" \
    --ip-permissions '[{"IpProtocol":"tcp","FromPort":5432,"ToPort":5440,"UserIdGroupPairs":[{"GroupId":"'"$group_id"'"}]}]'

prefix_list_id=$(aws ec2 create-managed-prefix-list \
    --prefix-list-name offices \
    --address-family IPv4 \
    --max-entries 5 \
    --entries '[{"Cidr":"203.0.113.0/24","Description":"Hamburg"},{"Cidr":"198.51.100.0/25"}]' \
    --query PrefixList.PrefixListId \
    --output text)

aws ec2 authorize-security-group-egress \
    --group-id "$group_id_2" \
    --ip-permissions '[{"IpProtocol":"udp","FromPort":53,"ToPort":53,"PrefixListIds":[{"PrefixListId":"'"$prefix_list_id"'"}]}]'

aws ec2 modify-managed-prefix-list \
    --prefix-list-id "$prefix_list_id" \
    --current-version 1 \
    --add-entries '[{"Cidr":"192.0.2.128/25","Description":"Porto"}]' \
    --remove-entries '[{"Cidr":"198.51.100.0/25"}]'

network_interface_id=$(aws ec2 create-network-interface \
    --subnet-id "$subnet_id" \
    --description 'the first' \
    --groups "$group_id" "$group_id_2" \
    --private-ip-address 10.7.1.10 \
    --query NetworkInterface.NetworkInterfaceId \
    --output text)

aws ec2 modify-network-interface-attribute --network-interface-id "$network_interface_id" --groups "$group_id"

aws ec2 modify-network-interface-attribute \
    --network-interface-id "$network_interface_id" \
    --source-dest-check '{"Value":false}'

aws ec2 create-tags \
    --resources "$network_interface_id" "$group_id_2" \
    --tags '[{"Key":"env","Value":"prod"},{"Key":"old","Value":""}]'

aws ec2 delete-tags --resources "$network_interface_id" --tags '[{"Key":"old"}]'

vpc_id_2=$(aws ec2 create-vpc \
    --cidr-block 10.8.0.0/16 \
    --amazon-provided-ipv6-cidr-block \
    --query Vpc.VpcId \
    --output text)

aws ec2 modify-vpc-attribute --vpc-id "$vpc_id_2" --enable-dns-hostnames '{"Value":true}'

vpc_peering_connection_id=$(aws ec2 create-vpc-peering-connection \
    --vpc-id "$vpc_id" \
    --peer-vpc-id "$vpc_id_2" \
    --query VpcPeeringConnection.VpcPeeringConnectionId \
    --output text)

aws ec2 accept-vpc-peering-connection --vpc-peering-connection-id "$vpc_peering_connection_id"

group_id_3=$(aws ec2 create-security-group \
    --group-name gone \
    --description 'for a moment' \
    --vpc-id "$vpc_id" \
    --query GroupId \
    --output text)

aws ec2 delete-security-group --group-id "$group_id_3"

aws ec2 modify-security-group-rules \
    --group-id "$group_id" \
    --security-group-rules '[{"SecurityGroupRuleId":"'"$security_group_rule_id"'","SecurityGroupRule":{"IpProtocol":"tcp","FromPort":80,"ToPort":80,"CidrIpv4":"0.0.0.0/0","Description":""}}]'

aws ec2 revoke-security-group-ingress --group-id "$group_id" --security-group-rule-ids "$security_group_rule_id_2"

aws ec2 run-instances \
    --image-id ami-0000000000000a1ab \
    --instance-type m1.small \
    --count 2 \
    --subnet-id "$subnet_id" \
    --security-group-ids "$group_id" \
    --user-data '#!/bin/sh
echo '\''hello'\''
' \
    --tag-specifications '[{"ResourceType":"instance","Tags":[{"Key":"Name","Value":"web"}]}]'
