// Package scenariotest reads rule scenarios – small text files that say who may talk to whom – and
// plays them on an Engine: the evaluator, the compiled tables, the BPF programs, real packets.
//
// # Files
//
// A file is a txtar archive; each section is a scenario of its own. A # begins a comment.
//
//	except packets: why          that engine does not play this one
//	vpc vpc-b 10.0.0.0/16 fd00:1:2:200::/56
//	group sg-web in vpc-b        without "in": vpc-main, 10.0.0.0/16 and fd00:1:2:100::/56
//	  ingress tcp 80-90 from 0.0.0.0/0
//	  ingress icmp 8/all from sg-web
//	  egress none                without a word on egress: EC2's default rules, all to everywhere
//	eni eni-a 10.0.0.11 10.0.0.12 fd00:1:2:200::11 sg-web sg-ssh
//	outside internet 198.51.100.1 2001:db8:ffff::1
//
// Protocols of rules are tcp and udp with a port, a range or all; icmp and icmpv6 with type/code,
// type/all or all; a number; all. Rules are called sg-web/1, sg-web/2 … in the order written, those
// authorized later included, and EC2's default ones sg-web/default4 and sg-web/default6. Addresses
// are such as EC2 gives out: not the first four or the last of a /24.
//
// Then steps, in order:
//
//	allow eni-a -> eni-b tcp 80 egress sg-web/default4 ingress sg-db/1
//	drop  internet -> eni-a@10.0.0.12 icmp 0/0 ingress no-rule
//	drop  eni-a -> eni-b ipv6 udp 53
//	open sql: eni-a -> eni-b tcp 5432
//	allow reply sql egress tracked ingress tracked
//	allow send sql
//	authorize sg-web ingress tcp 443 from 0.0.0.0/0
//	revoke sg-web/1
//	groups eni-a sg-web sg-db
//	eni eni-c 10.0.0.13 sg-web
//
// A packet goes between the first IPv4 addresses, with ipv6 or icmpv6 the first IPv6 ones, or those
// after an @. It meets the egress gate of its sender and, if that lets it pass, the ingress gate of
// its receiver. What a gate must say is the label of the rule that allows, or the word of a Reason;
// a gate that the line does not mention may say anything that leads to the same end.
package scenariotest
