package sallyport_test

// bpfMutants are mistakes in the BPF programs, by file.
var bpfMutants = map[string][]mutant{
	programs + "/count.h": {
		{
			"an event flood has no bounds", "TestPromise11Events",
			`return next - at <= (__u64)EVENT_BURST * ticks_per_second &&`, `return true ||`,
		},
		{
			"one slot's events are another's", "TestPromise11Events",
			`	__u32 slot = p->slot;
`, `	__u32 slot = 0;
`,
		},
		{
			"all rules count in one place", "TestRuleCounts",
			`return word & ((1 << RULE_LINE_BITS) - 1);`, `return 0;`,
		},
		{
			"a rule counts at the place of another one in its line", "TestRuleCountersOfOneLine",
			`if (!((word ^ x << RULE_LINE_BITS) >> RULE_LINE_BITS))`, `if (word)`,
		},
		{
			"nobody says how many events were not made", "TestPromise11Events",
			`		counts->lost++;
`, `		;
`,
		},
		{
			"each packet begins a flow", "TestRuleCounts",
			`count->connections += p->opened;`, `count->connections++;`,
		},
		{
			"what is observed counts as dropped", "TestObservedCounts",
			`	if (p->observed)
`, `	if (false)
`,
		},
		{
			"a packet that is yet to be cut counts once", "TestRuleCountsSegments",
			`	if (p->skb->gso_size)
`, `	if (false)
`,
		},
	},
	programs + "/guest.bpf.c": {
		{
			"a high ifindex has no slot", "TestHighIndex",
			`	if (!slot) /* it is beyond the array */`, `	if (false)`,
		},
		{
			"headers in pages are not looked for", "TestHeadersInPages",
			`end - data < p->skb->len &&`, `false &&`,
		},
		{
			"a fragmented IPv6 packet has headers before its protocol", "TestHostileTricks",
			`if (p->part == PART_FIRST && p->l4 != p->payload)`, `if (false)`,
		},
		{
			"a checksum may be written over an ARP message", "TestHostileTricks",
			`return p->checksum ? REASON_MALFORMED : arp(p, from_guest);`, `return arp(p, from_guest);`,
		},
		{
			"a device without tables passes everything", "TestPromise01ClosedByDefault",
			`return REASON_NO_TABLE;`, `return REASON_LINK;`,
		},
		{
			"what no rule allows passes", "TestPromise01ClosedByDefault",
			`return p->icmp_error ? REASON_ICMP_ERROR : REASON_NO_RULE;`, `return p->icmp_error ? REASON_ICMP_ERROR : REASON_RULE;`,
		},
		{
			"VLAN tags pass that the kernel took out of the frame", "TestFramesOnTheWire",
			`if (p->skb->vlan_present)`, `if (false)`,
		},
		{
			"unknown Ethernet types pass", "TestVerdicts",
			`	default:
		return REASON_ETHER_TYPE;`, `	default:
		return REASON_LINK;`,
		},
		{
			"the source MAC is not looked at", "TestPromise05Spoofing",
			`if (from_guest && !same_mac(eth->h_source, p->config->mac))`, `if (false)`,
		},
		{
			"the tables of the idle epoch count", "TestReclaim",
			`p.config = &p.eni->config[index_of(p.epoch)];`, `p.config = &p.eni->config[index_of(p.epoch + 1)];`,
		},
		{
			"a guest may speak to itself over the wire", "TestImpossibleAddresses",
			`	reason = check_not_self(p, from_guest);
	if (reason != REASON_NONE)
		return reason;
`, ``,
		},
		{
			"an ICMP answer opens a connection", "TestConnections/an_echo_reply_opens_nothing",
			`if (p->stateless || probe)`, `if (probe)`,
		},
		{
			"a probe opens a connection", "TestProbe",
			`if (p->stateless || probe)`, `if (p->stateless)`,
		},
		{
			"a probe is answered by connections", "TestProbeIgnoresConnections",
			`else if (!probe && !p->icmp_error)`, `else if (!p->icmp_error)`,
		},
		{
			"a probe is counted", "TestProbeIgnoresConnections",
			`	if (!probe) {
		if (p.part`, `	if (true) {
		if (p.part`,
		},
	},
	programs + "/reason.h": {
		{
			"a packet without a rule is let through at the end", "TestPromise01ClosedByDefault",
			`reason <= REASON_PLATFORM`, `reason <= REASON_NO_RULE`,
		},
	},
	programs + "/table.h": {
		{
			"the two gates are swapped", "TestConnections/TCP",
			`from_guest ? (__u32)config->roots : (__u32)(config->roots >> 32)`, `from_guest ? (__u32)(config->roots >> 32) : (__u32)config->roots`,
		},
		{
			"a set has what its neighbour is allowed", "TestTableGrows",
			`word_at(root + 1, set)`, `word_at(root + 1, set + 1)`,
		},
		{
			"the prefix lists are those of the idle epoch", "TestLists",
			`&global->lists[index_of(epoch)]`, `&global->lists[index_of(epoch + 1)]`,
		},
		{
			"the rule of a list is named before that of a CIDR", "TestScenarios/lists/which_rule_is_named",
			`	a = of_cidr(key, table, port);
	if (!a && (config->flags & ENI_LISTS))
		a = of_list(key, epoch, root, table, port);`, `	a = of_list(key, epoch, root, table, port);
	if (!a)
		a = of_cidr(key, table, port);`,
		},
	},
	programs + "/members.h": {
		{
			"members have no delegated prefixes", "TestDelegatedPrefixes",
			`key.words[0] &= bpf_htonl(0xfffffff0);`, `key.words[0] = 0;`,
		},
		{
			"a member's set is that of the idle epoch", "TestReclaim",
			`find_member4(domain, a->words[0], epoch)`, `find_member4(domain, a->words[0], epoch + 1)`,
		},
		{
			"nobody looks into the stash", "TestMembersFound",
			`if (number || !table->stash)`, `if (true)`,
		},
		{
			"a member is looked for in one bucket", "TestMembersFound",
			`	number |= number_in(other, key, ipv6, epoch);
`, ``,
		},
		{
			"the last place of a line is not read", "TestMembersFound",
			`for (int i = 0; i < 5; i++)`, `for (int i = 0; i < 4; i++)`,
		},
		{
			"the last place of a line of IPv6 is not read", "TestMembersFound",
			`for (int i = 0; i < 3; i++)`, `for (int i = 0; i < 2; i++)`,
		},
		{
			"a member is told by half of its address", "TestMembersFound",
			`(m->keys[i][1] ^ key.words[1])`, `0`,
		},
	},
	programs + "/tree.h": {
		{
			"the last number of a range is not in it", "TestTree",
			`__u64 difference = (__u64)a - b;`, `__u64 difference = (__u64)a - b - 1;`,
		},
		{
			"the last child of a node is not found", "TestTree",
			`		even += is_below32(node->ends[14], x) + odd;`, `		even += odd;`,
		},
		{
			"a tree of many levels ends early", "TestTree",
			`level < MAX_TREE_LEVELS && level < levels`, `level < 3 && level < levels`,
		},
		{
			"children are in the chunk of their parent", "TestTree",
			`if (even / CHUNK_LINES != number / CHUNK_LINES) {`, `if (false) {`,
		},
		{
			"an address ends with its first words", "TestLists",
			`for (int i = 1; i < 4 && value & NEXT_WORD; i++)`, `for (int i = 1; i < 3 && value & NEXT_WORD; i++)`,
		},
	},
	programs + "/pool.h": {
		{
			"all chunks are one", "TestTree",
			`if (number >= CHUNK_LINES) {`, `if (false) {`,
		},
	},
	programs + "/link.h": {
		{
			"the end of a MAC is not looked at", "TestVerdicts",
			` | (x[2] ^ y[2]));`, `);`,
		},
		{
			"who has no address has 0.0.0.0", "TestZeroIsNobody",
			`	if (is_zero(address))
		return false;
`, ``,
		},
		{
			"an ENI has one address of each family", "TestVerdicts",
			`return (config->flags & (ENI_OWN_OTHERS | ENI_OWN_PREFIXES)) &&`, `return false &&`,
		},
		{
			"an IPv6 address is told by its first half", "TestPromise05Spoofing",
			`is_same(address, &config->own6))`, `address->words[0] == config->own6.words[0])`,
		},
		{
			"ARP may name another MAC than the frame", "TestVerdicts",
			`if (!same_mac(arp->sender_mac, ((struct ethhdr *)data)->h_source))`, `if (false)`,
		},
		{
			"ARP may claim any address", "TestPromise05Spoofing",
			`return is_own(p, FAMILY_IPV4, &sender) ? REASON_LINK : REASON_ARP;`, `return REASON_LINK;`,
		},
		{
			"ARP may claim the router's address", "TestPromise05Spoofing",
			`return is_own(p, FAMILY_IPV4, &sender) ? REASON_LINK : REASON_ARP;`,
			`return role_of(p, FAMILY_IPV4, &sender) ? REASON_LINK : REASON_ARP;`,
		},
		{
			"an ARP answer from 0.0.0.0 passes", "TestVerdicts",
			`		if (arp->operation != bpf_htons(1))
			return REASON_ARP;
`, ``,
		},
		{
			"ARP carries data behind it", "TestLinkCarriesNothing",
			`if (p->skb->len > MIN_FRAME)`, `if (false)`,
		},
		{
			"any fe80 address is the guest's own", "TestVerdicts",
			`return is_own_fe80(p, a);
	return is_own`, `return true;
	return is_own`,
		},
		{
			"a guest may advertise any neighbour", "TestPromise05Spoofing",
			`if (!is_own_ipv6(p, &p->key.local) || !is_own_ipv6(p, &target))`, `if (!is_own_ipv6(p, &p->key.local))`,
		},
		{
			"a guest may advertise a router", "TestVerdicts",
			`	default: /* advertising a router, redirecting and asking for reports is the router's */
		return REASON_ND;`, `	default: /* advertising a router, redirecting and asking for reports is the router's */
		return REASON_LINK;`,
		},
		{
			"anybody may advertise a router to a guest", "TestVerdicts",
			`		if (role_of(p, FAMILY_IPV6, &p->key.remote) != ROLE_ROUTER)
			return REASON_ND;
		break;`, `		break;`,
		},
		{
			"neighbour discovery may come from far", "TestVerdicts",
			`	if (p->router_alert || p->hop_limit != ND_HOP_LIMIT || p->icmp_code != 0)
		return REASON_ND;
	switch (p->icmp_type) {
	case ND_ROUTER_ADVERT:`, `	if (p->router_alert || p->icmp_code != 0)
		return REASON_ND;
	switch (p->icmp_type) {
	case ND_ROUTER_ADVERT:`,
		},
		{
			"an option may name another MAC", "TestPromise05Spoofing",
			`if (length != 8 || (from_guest && !same_mac(option + 2, p->config->mac)))`, `if (length != 8)`,
		},
		{
			"unknown options of neighbour discovery pass", "TestLinkCarriesNothing",
			`		default:
			return false;
		}
		left -= length;`, `		default:
			break;
		}
		left -= length;`,
		},
		{
			"reports of listeners may be longer than their records", "TestLinkCarriesNothing",
			` || p->l4_length > 8 + 20 * (__u32)bpf_ntohs(records)`, ``,
		},
		{
			"a guest may answer DHCP", "TestVerdicts",
			`if (k->local_port == bpf_htons(67) || k->remote_port == bpf_htons(68))`, `if (false)`,
		},
		{
			"anybody may answer DHCP to a guest", "TestLinkCarriesNothing",
			`		if (role_of(p, FAMILY_IPV4, &k->remote) != ROLE_ROUTER)
			return REASON_NONE; /* another server: the rules decide */
		if (k->local.words[0]`, `		if (k->local.words[0]`,
		},
		{
			"DHCP may be about another MAC", "TestVerdicts",
			` &&
	       same_mac(mac, p->config->mac);`, `;`,
		},
		{
			"a reserved source is possible", "TestImpossibleAddresses",
			`(bpf_ntohl(a->words[3]) <= 1)`, `(bpf_ntohl(a->words[3]) < 1)`,
		},
		{
			"an IPv4 address in IPv6's clothes is a destination", "TestImpossibleAddresses",
			`if (is_mapped(k->family, destination) ||`, `if (false ||`,
		},
		{
			"a translator's prefix is a destination", "TestImpossibleAddresses",
			`a->words[0] == bpf_htonl(0x0064ff9b)`, `a->words[0] == bpf_htonl(0x0064ff9a)`,
		},
		{
			"the host's metadata service can be reached", "TestVerdicts",
			`(a->words[0] & bpf_htonl(0xffff0000)) == bpf_htonl(0xa9fe0000)`, `a->words[0] == bpf_htonl(0xa9fe0000)`,
		},
		{
			"a guest may send from any address", "TestPromise05Spoofing",
			`		if ((p->config->flags & ENI_SOURCE_DEST_CHECK) && !is_own(p, k->family, &k->local))
			return REASON_SOURCE_ADDRESS;
`, ``,
		},
		{
			"the source is checked where it shall not be", "TestSourceDestCheckOff",
			`if ((p->config->flags & ENI_SOURCE_DEST_CHECK) && !is_own(p, k->family, &k->local))
			return REASON_SOURCE_ADDRESS;`, `if (!is_own(p, k->family, &k->local))
			return REASON_SOURCE_ADDRESS;`,
		},
		{
			"multicast goes by the rules", "TestVerdicts",
			`if (p->group_mac || is_multicast(k->family, destination))`, `if (false)`,
		},
		{
			"a delegated prefix is one bit too wide", "TestDelegatedPrefixes",
			`key->address.words[0] &= bpf_htonl(0xfffffff0);`, `key->address.words[0] &= bpf_htonl(0xffffffe0);`,
		},
	},
	programs + "/checksum.h": {
		{
			"a checksum may be written over a port", "TestUnwrittenChecksum",
			`		return p->checksum >= p->l4 + sizeof(struct tcphdr);`, `		return p->checksum >= p->l4;`,
		},
		{
			"no checksum is unwritten", "TestHostileTricks",
			`BPF_CORE_READ_BITFIELD(skb, ip_summed) != CHECKSUM_PARTIAL`, `true`,
		},
		{
			"no checksum is unwritten where the kernel is old", "TestUnwrittenChecksum",
			`BPF_CORE_READ_BITFIELD_PROBED(skb, ip_summed) != CHECKSUM_PARTIAL`, `true`,
		},
		{
			"where the sum begins is not looked at", "TestUnwrittenChecksum",
			`start = skb->csum_start;`, `start = 0;`,
		},
		{
			"a checksum may be written over the quotation of an ICMP error", "TestHostileTricks",
			`		return false; /* an error's quotation is judged too */`, `		return true;`,
		},
	},
	programs + "/fragment.h": {
		{
			"a fragment may begin in the header of its first", "TestFragments",
			`if (p->before < first->header || p->before`, `if (p->before`,
		},
		{
			"a fragment may end behind the end of any packet", "TestFragments",
			` || p->before + p->l4_length > 0xffff)`, `)`,
		},
		{
			"a first fragment that is refused leaves the one before it", "TestFragments",
			`		bpf_map_delete_elem(of_slot, &key);`, `		return;`,
		},
		{
			"fragments follow one of another protocol", "TestFragments",
			`key->protocol = p->key.family == FAMILY_IPV6 ? IPPROTO_FRAGMENT : p->key.protocol;`, `key->protocol = IPPROTO_FRAGMENT;`,
		},
		{
			"later fragments need no first", "TestFragments",
			`	if (!first)
		return REASON_FRAGMENT;
`, `	if (!first)
		return REASON_RULE;
`,
		},
		{
			"the first fragment counts for ever", "TestFragments",
			`if (!first || (__s64)(p->now - first->seen) > (__s64)FRAGMENT_SECONDS * ticks_per_second)`, `if (!first)`,
		},
		{
			"an id means the same in both directions", "TestFragments",
			`key->direction = from_guest ? DIRECTION_EGRESS : DIRECTION_INGRESS;`, `key->direction = DIRECTION_INGRESS;`,
		},
		{
			"fragments pass by rules that are gone", "TestFragmentsAfterAChange",
			`if (first->change && first->change != p->epoch + 1) {`, `if (false) {`,
		},
		{
			"the fragments of a refused first one pass", "TestFragments",
			`if (allowed(reason) || p->observed)
		bpf_map_update_elem`, `first.reason = REASON_RULE;
	if (true)
		bpf_map_update_elem`,
		},
	},
	programs + "/icmp_error.h": {
		{
			"redirects pass for a connection", "TestICMPErrors",
			`return p->icmp_type == 3 || p->icmp_type == 11 || p->icmp_type == 12;`, `return true;`,
		},
		{
			"an error may quote too little", "TestICMPErrors",
			`chain->at + sizeof(l4) > chain->end ||`, `false ||`,
		},
		{
			"a later fragment that is quoted is read as a first one", "TestICMPErrors",
			` || (ip[6] & 0x1f) || ip[7])`, `)`,
		},
		{
			"the ports of a quoted packet are swapped", "TestICMPErrors",
			`p->key.local_port = from_guest ? l4[1] : l4[0];`, `p->key.local_port = from_guest ? l4[0] : l4[1];`,
		},
		{
			"any id of a query that is quoted will do", "TestICMPErrors",
			`p->key.query = from_guest != answer ? QUERY_BY_REMOTE : QUERY_BY_GUEST;`, `p->key.query = from_guest != answer ? QUERY_BY_GUEST : QUERY_BY_REMOTE;`,
		},
		{
			"errors about a connection that is past its end pass", "TestICMPErrors",
			`return p->flow.connection && !is_expired(p);`, `return p->flow.connection;`,
		},
		{
			"an error that belongs to nothing is judged by what it quotes", "TestICMPErrors",
			`	forget_quote(p, from_guest);
	return reason;`, `	return reason;`,
		},
	},
	programs + "/known.h": {
		{
			"a stamp is good for ever", "TestKnownFlows",
			`	return generation + (__u32)p->epoch +`, `	return generation +`,
		},
		{
			"a stamp is not looked at", "TestKnownFlows",
			`	if (!read || read != stamp_of(p, was))
`, `	if (false)
`,
		},
		{
			"a known flow reaches many at once", "TestKnownFlows",
			` && !p->group_mac;`, `;`,
		},
		{
			"a later fragment is a flow's of ports 0", "TestKnownFlowOfPortZero",
			`	       p->part == PART_WHOLE &&`, `	       true &&`,
		},
		{
			"what goes on never ends", "TestKnownFlows",
			`	if (age_of(seen, p->now) > timeout)
`, `	if (false)
`,
		},
		{
			"a known flow goes by the tables of before", "TestKnownFlows",
			`		if (read != p->tables || !(__u32)by)
`, `		if (!(__u32)by)
`,
		},
		{
			"a SYN goes on", "TestKnownConnections",
			`(TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK)) != TCP_ACK)`, `(TCP_FIN | TCP_RST | TCP_ACK)) != TCP_ACK && !(p->tcp_flags & TCP_SYN))`,
		},
		{
			"a FIN goes on", "TestKnownConnections",
			`(TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK)) != TCP_ACK)`, `(TCP_SYN | TCP_RST | TCP_ACK)) != TCP_ACK)`,
		},
		{
			"an RST goes on", "TestKnownConnections",
			`(TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK)) != TCP_ACK)`, `(TCP_SYN | TCP_FIN | TCP_ACK)) != TCP_ACK)`,
		},
		{
			"what comes after an RST puts the end off", "TestKnownConnections",
			`	 CONNECTION_RST | CONNECTION_CUT |`, `	 CONNECTION_CUT |`,
		},
		{
			"what comes after two FINs puts the end off", "TestKnownConnections",
			`CONNECTION_OBSERVED | CONNECTION_FIN_BOTH |`, `CONNECTION_OBSERVED |`,
		},
	},
	programs + "/packet.h": {
		{
			"IPv4's options are not pulled", "TestHeadersInPages",
			`+ ((ip[0] & 0xf) << 2)`, `+ 20`,
		},
		{
			"a routing header may have somewhere to go", "TestExtensionHeaders",
			`if (header[3] != 0)`, `if (false)`,
		},
		{
			"hop-by-hop options may stand anywhere", "TestExtensionHeaders",
			`			if (i != 0)
				return REASON_EXTENSION_HEADER;
`, ``,
		},
		{
			"a home address may stand for the source", "TestExtensionHeaders",
			` || type == IPV6_OPTION_HOME_ADDRESS`, ``,
		},
		{
			"a fragment may be in a fragment", "TestFragmentHeaders",
			`			if (chain->payload)
				return REASON_EXTENSION_HEADER;
`, ``,
		},
		{
			"an extension header may end beyond the packet", "TestExtensionHeaders",
			`		if (at + length > chain->end)
			return REASON_MALFORMED;
`, ``,
		},
		{
			"extension headers may be as long as they like", "TestExtensionHeaders",
			`at + length > limit || `, ``,
		},
		{
			"the ninth extension header may be that of a fragment", "TestExtensionHeaders",
			` || i == MAX_EXTENSIONS)`, `)`,
		},
		{
			"TCP may end before its header does", "TestVerdicts",
			`if (length < sizeof(*tcp) || p->l4_length < length)`, `if (length < sizeof(*tcp))`,
		},
		{
			"a TCP header may be shorter than one is", "TestVerdicts",
			`if (length < sizeof(*tcp) || p->l4_length < length)`, `if (p->l4_length < length)`,
		},
		{
			"ICMPv6 in IPv4 is read as IPv4's", "TestVerdicts",
			`		if (p->key.family != FAMILY_IPV6)
			return REASON_MALFORMED;
`, ``,
		},
		{
			"loose source routes pass", "TestIPv4Options",
			`if (type == IP_OPTION_LSRR || type == IP_OPTION_SSRR)`, `if (type == IP_OPTION_SSRR)`,
		},
		{
			"an option may be longer than the header", "TestIPv4Options",
			`		if (at > end)
			return false;
	}`, `	}`,
		},
		{
			"an echo request opens requests the other way", "TestConnections/an_echo_request_opens_its_reply_and_no_request",
			`p->key.query = from_guest == answer ? QUERY_BY_REMOTE : QUERY_BY_GUEST;`, `p->key.query = QUERY_BY_GUEST;`,
		},
		{
			"an echo reply with a code belongs to the request", "TestConnections/an_echo_request_opens_its_reply_and_no_request",
			`if (request == 255 || icmp->code != 0) {`, `if (request == 255) {`,
		},
		{
			"the family of a packet is not its version's", "TestVerdicts",
			`if (*(__u8 *)ip >> 4 != 6 || length > room)`, `if (length > room)`,
		},
	},
	programs + "/connection.h": {
		{
			"what was observed goes on", "TestObserve",
			`		if (!is_observing(p))
			return REASON_NONE;
		p->observed = true;`, `		p->observed = true;`,
		},
		{
			"who began what was observed is forgotten when that ends", "TestObserveIsNotTurnedRound/never_allowed",
			`		if (!is_observing(p))
			return REASON_NONE;
		p->observed = true;`, `		if (!is_observing(p)) {
			p->known = false;
			return REASON_NONE;
		}
		p->observed = true;`,
		},
		{
			"what is observed becomes established", "TestObserve",
			`	if (said->tag & CONNECTION_TRACKED) {
		/* A SYN`, `	if (said->tag & (CONNECTION_TRACKED | CONNECTION_OBSERVED)) {
		/* A SYN`,
		},
		{
			"an untracked flow that was displaced begins a tracked one", "TestUntrackedQuota",
			`		if (is_for_everyone(first))
			by_guest = !from_guest;
		else
			first = own;`, `		first = own;`,
		},
		{
			"an answer of an untracked flow counts for the rule of its first packet", "TestUntrackedCounts",
			`is_reply(said->tag, from_guest) ? &said->answer : &said->by;`, `&said->by;`,
		},
		{
			"a revoked rule cuts no untracked flow", "TestScenarios/untracked/a_revoked_rule_cuts_at_once",
			`if (said->tables != p->tables || !by->rule)`, `if (!by->rule)`,
		},
		{
			"an answer brings back what was cut", "TestScenarios/untracked/what_the_guest_still_says_does_not_bring_it_back",
			`		if (!first) {
			account(p, from_guest);
			return REASON_RULE;
		}`, `		if (!first) {
			first = own;
			by_guest = from_guest;
		}`,
		},
		{
			"after a change the guest that answers began it", "TestScenarios/untracked/another_rule_changes_nothing",
			`		by_guest = !from_guest;
		first = judge_first(p, by_guest);
`, `		first = own;
`,
		},
		{
			"what is for everybody is untracked whatever the other direction says",
			"TestScenarios/untracked/not_open_to_everybody_the_other_way",
			`bool untracked = is_for_everyone(first) && is_open(p, !by_guest);`, `bool untracked = is_for_everyone(first) && (is_open(p, !by_guest) || p->now);`,
		},
		{
			"a narrow rule makes an untracked flow", "TestScenarios/untracked/a_tracked_connection_stays_tracked",
			`bool untracked = is_for_everyone(first) && is_open(p, !by_guest);`, `bool untracked = first && is_open(p, !by_guest);`,
		},
		{
			"TCP is open where UDP is", "TestScenarios/untracked/not_open_to_everybody_the_other_way",
			`	if (p->key.protocol == IPPROTO_UDP)
		flag <<= 2;
	else if (p->key.protocol != IPPROTO_TCP)`, `	flag <<= 2;
	if (p->key.protocol != IPPROTO_UDP && p->key.protocol != IPPROTO_TCP)`,
		},
		{
			"a SYN amid a connection needs no rule", "TestSYNAmid",
			`		if ((said->tag & CONNECTION_ESTABLISHED) && is_syn(p))
			return REASON_NONE;
`, ``,
		},
		{
			"connections do not expire", "TestTimeouts",
			`	return age_of(said->seen, p->now) >
	       timeout_of(&p->config->timeouts, said->tag, p->key.protocol, said->stream);`, `	return !said;`,
		},
		{
			"a SYN belongs to the connection that ended", "TestTimeouts/established_anew,_not_FIN",
			`		return (p->tcp_flags & TCP_SYN) || !(p->tcp_flags & (TCP_FIN | TCP_RST | TCP_ACK));`,
			`		return !(p->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK));`,
		},
		{
			"a SYN belongs to the connection that is ending", "TestTimeouts/established_anew,_not_one_FIN",
			`return (flags & CONNECTION_FIN_BOTH) && (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;`, `return false;`,
		},
		{
			"whoever knows addresses and ports may reset", "TestClosing/a_blind_RST_ends_nothing",
			`(any || p->tcp_sequence == c->next[d] ||`, `(any || p->tcp_sequence != c->next[d] ||`,
		},
		{
			"whoever knows addresses and ports may end", "TestClosing/a_blind_FIN_ends_nothing",
			`#define FIN_WINDOW (1U << 24)`, `#define FIN_WINDOW 0x7fffffffU`,
		},
		{
			"an RST must be exact", "TestClosing/an_RST_behind_data_that_is_not_acknowledged_ends_it",
			` || is_in_window(c, p, d, other, RST_WINDOW)))`, `))`,
		},
		{
			"the window has no upper end", "TestClosing/a_blind_RST_ends_nothing",
			`bpf_ntohl(number) - bpf_ntohl(next) + window < 2 * window`, `bpf_ntohl(number) - bpf_ntohl(next) + window < 0xffffffff`,
		},
		{
			"what comes after the end puts it off", "TestClosing/what_comes_after_the_end_does_not_put_it_off",
			`if (!(p->key.protocol == IPPROTO_TCP && is_closed(has)))`, `if (true)`,
		},
		{
			"a TCP connection is established by its first answer", "TestFlood",
			`	if (p->key.protocol != IPPROTO_TCP)
		return reply;
`, `	if (true)
		return reply;
`,
		},
		{
			"a flood that nobody answers establishes", "TestFlood",
			`return !reply && (flags & CONNECTION_ANSWERED) &&`, `return !reply &&`,
		},
		{
			"connections are not looked up", "TestPromise04Stateful",
			`	find_flow(p);
`, `	find_flow(p);
	p->flow.connection = NULL;
`,
		},
		{
			"a connection without room is let through", "TestFlood",
			`			if (!take_quota(p))
				return REASON_CONNECTION_LIMIT;
`, `			take_quota(p);
`,
		},
		{
			"a connection that ended hides the new one", "TestTimeouts/established_anew,_not_FIN",
			`	if (!f->connection ||
`, `	if (!p->known || !f->connection ||
`,
		},
		{
			"the first packet of an established connection is one of a half-open one", "TestBlindEndEstablishes",
			`			said->tag |= CONNECTION_ESTABLISHED;
`, ``,
		},
	},
	programs + "/maps.h": {
		{
			"the established ones fill a bucket", "TestFullBucket",
			`MAX_ESTABLISHED_WAYS = 6,`, `MAX_ESTABLISHED_WAYS = 8,`,
		},
	},
	programs + "/entry.h": {
		{
			"an untracked flow is forgotten as a handshake is", "TestUntrackedEntry",
			`return is_settled(flags) ? t->tcp_established : t->tcp_syn;`, `return flags & CONNECTION_ESTABLISHED ? t->tcp_established : t->tcp_syn;`,
		},
		{
			"an established connection expires as a SYN does", "TestTimeouts/established,_not_SYN",
			`return is_settled(flags) ? t->tcp_established : t->tcp_syn;`, `return is_settled(flags) ? t->tcp_syn : t->tcp_syn;`,
		},
		{
			"the time of the last packet goes back", "TestSeenNeverGoesBack",
			`age_of(seen, now); i++) {`, `seen != now; i++) {`,
		},
		{
			"one answer makes a stream of UDP", "TestTimeouts/UDP_asked_twice",
			`ingress >> (COUNTED_BYTES + 1)) &&`, `ingress >> (COUNTED_BYTES + 1)) ||`,
		},
		{
			"counts run over", "TestConnectionCountsGoOn",
			`	if ((n & (MANY_PACKETS | MANY_BYTES)) &&
`, `	if (!n &&
`,
		},
		{
			"what was taken off counts is forgotten the next time", "TestConnectionCountsGoOn",
			`		__sync_fetch_and_add(&c->more[direction], taken);`, `		c->more[direction] = taken;`,
		},
		{
			"what more is counted begins as what was there before", "TestConnectionCountsGoOn",
			`		c->more[direction] = 0;
`, ``,
		},
		{
			"counts are taken off, and no flag says so", "TestConnectionCountsGoOn",
			`		if (!mark(tag, was, flag))
`, `		if (false)
`,
		},
		{
			"two IPv4 addresses of a fingerprint are one flow", "TestSameHash/IPv4",
			`return differs | (c->peer ^ addresses4(key));`, `return differs;`,
		},
		{
			"two remote IPv6 addresses of a fingerprint are one flow", "TestSameHash/IPv6_remote",
			`(c->peer ^ remote[0]) | (c->rest[0] ^ remote[1]) |`, ``,
		},
		{
			"two local IPv6 addresses of a fingerprint are one flow", "TestSameHash/IPv6_local",
			`(c->rest[1] ^ local[0]) | (c->rest[2] ^ local[1])`, `0`,
		},
		{
			"a FIN of one side does not shorten the life", "TestTimeouts/FIN",
			`		if (flags & CONNECTION_FIN_BOTH)
			return t->tcp_closing;
`, ``,
		},
	},
	programs + "/bucket.h": {
		{
			"an established connection gives way to one that opens", "TestCrowd",
			`if (tag >> 8 & CONNECTION_ESTABLISHED) {`, `if (false) {`,
		},
		{
			"a flood displaces what is established", "TestFullBucket",
			`if (tag >> 8 & CONNECTION_ESTABLISHED) {`, `if (false) {`,
		},
		{
			"an established connection is displaced at its timeout", "TestReclaimMargin/displaced",
			`end += RECLAIM_MARGIN * ticks_per_second;`, `;`,
		},
		{
			"a closed connection keeps its place as a live one does", "TestReclaimMargin/displaced,_closed",
			`	if (!is_closed(tag))
		end +=`, `	if (t)
		end +=`,
		},
		{
			"a move leaves the flow's other entry in the bucket", "TestTwins",
			`left = candidates(b, tag >> 32);`, `left = 1U << (way & (WAYS - 1));`,
		},
		{
			"what is past its end stays while there is something older", "TestOldestGoes",
			`			rank |= PAST_ITS_END;
`, `			rank |= 0;
`,
		},
		{
			"the newest goes", "TestOldestGoes",
			`if (rank > best) {`, `if (!best || rank < best) {`,
		},
		{
			"all buckets are in the first chunk", "TestFlowsAreSpread/ports$",
			`if (mask >= CHUNK_BUCKETS)`, `if (false)`,
		},
		{
			"a hash of half an address", "TestFlowsAreSpread/interface_ids",
			` + product(key[4], secret[4])`, ``,
		},
		{
			"a hash without ports", "TestFlowsAreSpread",
			`__u64 hash = product(key[0], secret[0]);`, `__u64 hash = 0;`,
		},
		{
			"an end that was noted is believed", "TestReclaimMargin/displaced",
			`	if (age_of(seen, now) > end)
		return true;
`, `	if (now != seen)
		return true;
`,
		},
	},
	programs + "/overflow.h": {
		{
			"what is past its end beside a bucket keeps its flow there", "TestTakenOver",
			`	if (!is_live(was) || (was & CONNECTION_CHANGING) ||
`, `	if (true ||
`,
		},
	},
	programs + "/flow.h": {
		{
			"a place that an expired connection leaves still counts", "TestReclaimMargin",
			`		give_quota(p);
	way = claimed & (WAYS - 1);`, `		way = 0;
	way = claimed & (WAYS - 1);`,
		},
		{
			"what moved out of its bucket is not found", "TestCrowd",
			`	if (!o || !(__u32)read_word(&o->overflowed))
		return;`, `	return;`,
		},
		{
			"an answer beside another one finds no room", "TestAnswersAtOnce",
			`			give_quota(p); /* another CPU did; or it is gone */
			return true;`, `			give_quota(p);
			return false;`,
		},
		{
			"nobody looks beside the buckets", "TestFullBucket",
			`if (!found || !read_overflow(found, &p->key, &f->said))`, `if (true)`,
		},
		{
			"what begins does not look for its flow in the bucket", "TestTwins",
			`	if (candidates(f->bucket, fingerprint_of(p)) & ~(1U << way))`, `	if (false)`,
		},
		{
			"what begins does not look for its flow beside the buckets", "TestTwins",
			`	if ((__u32)read_word(&o->overflowed))`, `	if (false)`,
		},
	},
}
