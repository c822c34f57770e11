/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * ICMP errors: destination unreachable, with "fragmentation needed", packet too big, time exceeded,
 * parameter problem. One passes if it goes to the sender of the packet that it quotes, and that one
 * belongs to a connection, or is untracked and its rules let it pass. Source quench and redirects
 * do not: nobody needs them, and they steer the receiver.
 *
 * An error opens no connection and keeps none alive.
 */
#ifndef SALLYPORT_ICMP_ERROR_H
#define SALLYPORT_ICMP_ERROR_H

/* An error that can belong to a connection. */
static __always_inline bool is_about_packet(const struct packet *p)
{
	if (p->key.family == FAMILY_IPV6)
		return p->icmp_type >= 1 && p->icmp_type <= 4;
	return p->icmp_type == 3 || p->icmp_type == 11 || p->icmp_type == 12;
}

/* Where the protocol's header of the quoted packet is, and what it is. False if it cannot be told: a
 * later fragment has none.
 */
static __always_inline bool find_quoted_header(const struct packet *p, struct chain *chain)
{
	__u8 ip[10];

	if (bpf_skb_load_bytes(p->skb, chain->at, ip, sizeof(ip)) < 0)
		return false;
	if (p->key.family == FAMILY_IPV4) {
		__u32 header = (ip[0] & 0xf) << 2;

		if (ip[0] >> 4 != 4 || header < sizeof(struct iphdr) || (ip[6] & 0x1f) || ip[7])
			return false;
		chain->next = ip[9];
		chain->at += header;
		return chain->at <= chain->end;
	}
	if (ip[0] >> 4 != 6)
		return false;
	chain->next = ip[6];
	chain->at += sizeof(struct ipv6hdr);
	return chain->at <= chain->end && walk_extensions(p->skb, chain) == REASON_NONE &&
	       !(chain->payload && (chain->offset & IPV6_OFFSET));
}

/* Makes the packet's key and port those of the packet that it quotes, whose sender gets the error and
 * whose header chain says where. False if that one belongs to nothing: an error about an error must
 * not be.
 */
static __noinline bool read_quote(struct packet *p, const struct chain *chain, bool from_guest)
{
	const bool ipv4 = p->key.family == FAMILY_IPV4;
	const __u32 size = ipv4 ? 4 : 16; /* of an address */
	const __u32 source = p->l4 + sizeof(struct icmp) + (ipv4 ? 12 : 8);
	struct address to = {};
	__be16 l4[4] = {}; /* ports, or ICMP's type with code, checksum, id */
	bool answer = false;
	__u8 request;

	if (bpf_skb_load_bytes(p->skb, source, &to, size) < 0 ||
	    !is_same(&to, from_guest ? &p->key.remote : &p->key.local))
		return false;
	switch (chain->next) {
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
	case IPPROTO_TCP:
	case IPPROTO_UDP:
		if (chain->at + sizeof(l4) > chain->end ||
		    bpf_skb_load_bytes(p->skb, chain->at, l4, sizeof(l4)) < 0)
			return false;
	}
	if (chain->next == IPPROTO_ICMP || chain->next == IPPROTO_ICMPV6) {
		if (chain->next != p->key.protocol || (bpf_ntohs(l4[0]) & 0xff))
			return false;
		request = query_request(p->key.family, bpf_ntohs(l4[0]) >> 8, &answer);
		if (request == 255)
			return false;
		/* The quoted packet went the other way. */
		p->key.query = from_guest != answer ? QUERY_BY_REMOTE : QUERY_BY_GUEST;
		p->key.local_port = l4[2];
		p->key.remote_port = bpf_htons(request);
	} else {
		p->key.local_port = from_guest ? l4[1] : l4[0];
		p->key.remote_port = from_guest ? l4[0] : l4[1];
	}
	p->port = (__u32)chain->next << 16 | bpf_ntohs(l4[1]);
	p->key.protocol = chain->next;
	return bpf_skb_load_bytes(p->skb, source + size,
				  from_guest ? &p->key.local : &p->key.remote, size) == 0;
}

/* The packet's own key and port again; its destination is the quoted source and has not changed. */
static __always_inline void forget_quote(struct packet *p, bool from_guest)
{
	struct address *source = from_guest ? &p->key.local : &p->key.remote;

	p->key.local_port = p->key.remote_port = 0;
	p->key.query = QUERY_NONE;
	if (p->key.family == FAMILY_IPV4) {
		p->key.protocol = IPPROTO_ICMP;
		bpf_skb_load_bytes(p->skb, ETH_HLEN + offsetof(struct iphdr, saddr), source, 4);
	} else {
		p->key.protocol = IPPROTO_ICMPV6;
		bpf_skb_load_bytes(p->skb, ETH_HLEN + offsetof(struct ipv6hdr, saddr), source,
				   sizeof(*source));
	}
	p->port = (__u32)p->key.protocol << 16 | (__u32)p->icmp_type << 8 | p->icmp_code;
}

/* Finds the entry of the flow that the key names, if it is alive. */
static __always_inline bool find_quoted(struct packet *p)
{
	find_flow(p);
	return p->flow.connection && !is_expired(p);
}

/* What lets the quoted packet of a flow without an entry through, if the flow would be untracked,
 * whichever side began it.
 */
static __always_inline allowance judge_untracked(const struct packet *p, allowance own,
						 bool by_guest)
{
	if (is_link_local(p->key.family, &p->key.remote) ||
	    ((p->config->flags & ENI_SOURCE_DEST_CHECK) &&
	     !is_own(p, p->key.family, &p->key.local)))
		return 0;
	if (is_for_everyone(own) && is_open(p, !by_guest))
		return own;
	return is_open(p, by_guest) && is_for_everyone(judge_first(p, !by_guest)) ? own : 0;
}

/* REASON_TRACKED, REASON_RULE if what it quotes is untracked, or REASON_NONE: the rules for ICMP
 * decide.
 */
static __always_inline enum reason related(struct packet *p, bool from_guest)
{
	struct chain chain = {
		.at = p->l4 + sizeof(struct icmp),
		.end = p->l4 + p->l4_length,
	};
	enum reason reason = REASON_NONE;
	const struct entry *said = &p->flow.said;
	allowance own = 0;

	if (!is_about_packet(p) || !find_quoted_header(p, &chain))
		return REASON_NONE;
	if (read_quote(p, &chain, from_guest)) {
		bool known;

		forget(p);
		known = find_quoted(p);
		forget(p);
		if (known && (said->tag & CONNECTION_TRACKED)) {
			admit(p);
			reason = REASON_TRACKED;
		} else if (!known || (said->tag & CONNECTION_UNTRACKED) || !is_observing(p)) {
			own = judge(p, p->port, !from_guest);
			if (own && !known)
				own = judge_untracked(p, own, !from_guest);
		}
	}
	forget(p);
	if (own) {
		p->rule = rule_of(own);
		p->counter = counter_of(p, p->rule);
		reason = REASON_RULE;
	}
	p->flow.connection = NULL;
	forget_quote(p, from_guest);
	return reason;
}

#endif
