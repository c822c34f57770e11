// Package scenariotest reads rule scenarios – small text files that say who may talk to whom – and
// plays them on an Engine: the evaluator, the compiled tables, the BPF programs, real packets.
//
// # Files
//
// A file is a txtar archive; each section is a scenario of its own. A # begins a comment.
//
//	except packets: why          that engine does not play this one
//	vpc vpc-b 10.0.0.0/16 fd00:1:2:200::/56
//	peering vpc-main vpc-b       an active peering connection
//	list pl-offices 10.0.0.0/8 198.18.0.0/32*3   a prefix list; *3: this address and the two after it
//	group sg-web in vpc-b        without "in": vpc-main, 10.0.0.0/16 and fd00:1:2:100::/56
//	  ingress tcp 80-90 from 0.0.0.0/0
//	  ingress tcp 443 from pl-offices
//	  ingress icmp 8/all from sg-web
//	  egress none                without a word on egress: EC2's default rules, all to everywhere
//	group sg-all in vpc-b vpc-c  associated with vpc-c
//	eni eni-a 10.0.0.11 10.0.0.12 10.0.0.32/28 fd00:1:2:200::11 sg-web sg-ssh
//	eni eni-c in vpc-c 10.3.0.11 sg-all   without "in": in the VPC of its first group
//	outside internet 198.51.100.1 2001:db8:ffff::1
//
// Protocols of rules are tcp and udp with a port, a range or all; icmp and icmpv6 with type/code,
// type/all or all; a number; all. Rules are called sg-web/1, sg-web/2 … in the order written, those
// authorized later included, and EC2's default ones sg-web/default4 and sg-web/default6. Addresses
// are such as EC2 gives out: not the first four or the last of a /24. A /28 or /80 is a prefix that is
// delegated to the interface.
//
// Then steps, in order:
//
//	allow eni-a -> eni-b tcp 80 egress sg-web/default4 ingress sg-db/1
//	drop  internet -> eni-a@10.0.0.12 icmp 0/0 ingress no-rule
//	drop  eni-a -> eni-b ipv6 udp 53
//	open sql: eni-a -> eni-b tcp 5432
//	allow reply sql egress tracked ingress tracked
//	allow send sql
//	allow error sql egress tracked ingress tracked   the far end says that the first packet was too big
//	drop  eni-a!10.0.0.99 -> eni-b udp 53 egress source-address
//	authorize sg-web ingress tcp 443 from 0.0.0.0/0
//	revoke sg-web/1
//	modify sg-web/1 ingress tcp 8443 from 10.0.0.0/8
//	describe sg-web/1 the office         changes the description alone
//	groups eni-a sg-web sg-db
//	eni eni-c 10.0.0.13 sg-web
//	modify-list pl-offices add 10.1.0.0/16 remove 198.18.0.0/32
//	restore-list pl-offices 1            the version that the file began with
//	create-peering vpc-main vpc-b
//	accept-peering vpc-main vpc-b
//	delete-peering vpc-main vpc-b
//	associate sg-web vpc-c
//	disassociate sg-web vpc-c
//	assign eni-a 10.0.0.14 10.0.0.48/28
//	assign eni-a 10.0.0.15 reassign      from the interface that has it as a secondary address
//	unassign eni-a 10.0.0.14 10.0.0.48/28
//	source-dest-check eni-a off          by ModifyNetworkInterfaceAttribute
//	source-dest-check eni-a on by instance
//	block vpc-main 10.5.0.0/16           a further block of a VPC
//	block vpc-plain fd00:1:2:300::/56    its IPv6 block, and a /64 of it for each subnet
//
//	throughout allow eni-a -> eni-b udp 5000   from here on each such packet passes …
//	throughout drop  eni-c -> eni-b udp 5000   … or is dropped, while the changes below are made
//	throughout end                       what was said of them counts until here; else until the end
//
// A packet goes between the first IPv4 addresses, with ipv6 or icmpv6 the first IPv6 ones, or those
// after an @, which may be in a delegated prefix. After a ! stands an address that is not the
// interface's own. A packet meets the egress gate of its sender and, if that lets it pass, the
// ingress gate of its receiver. What a gate must say is the label of the rule that allows, or the
// word of a Reason; a gate that the line does not mention may say anything that leads to the same end.
//
// The packets of throughout are UDP between interfaces, and each begins a flow. An engine that is a
// Streamer sends them all the time; on others one is played before and after each change.
package scenariotest
