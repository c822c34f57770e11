/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Connection tracking: what a tracked connection started may come back, whatever the rules of the
 * other direction say.
 *
 * A connection starts half-open, where it can only displace and be displaced by others like it. Once
 * answered it moves to the established ones, which only expire. UDP, ICMP and the rest are answered
 * by the first packet the other way; TCP by the end of its handshake, so that a flood of SYNs to an
 * open port, which the guest itself answers, stays half-open.
 *
 * A flow of TCP or UDP that everybody may have, while everybody may have every port the other way,
 * is untracked: the rules alone decide on its packets. Its entry remembers what they said, by direction, for
 * as long as the ENI's tables are the same, and who began it for longer. After a change a packet is
 * judged by the table of its own direction, and the flow as if its first packet came now: it may stay
 * untracked, become a tracked one, or be cut. Then what its rule still lets through opens nothing.
 *
 * What no rule allows passes while the ENI observes. When that ends its entry lets nothing through any
 * more, and says who began it, as that of an untracked flow whose rule is gone. Both stay among the
 * half-open ones.
 *
 * An entry past its timeout is absent for every packet; the agent's sweep only reclaims it.
 */
#ifndef SALLYPORT_CONNECTION_H
#define SALLYPORT_CONNECTION_H

/* A handshake is over, as far as it was looked at. */
static __always_inline bool is_settled(const struct connection *c)
{
	return (c->flags & CONNECTION_ESTABLISHED) ||
	       (c->flags & (CONNECTION_TRACKED | CONNECTION_ANSWERED)) == CONNECTION_ANSWERED;
}

static __always_inline __u32 timeout_of(const struct connection *c, const struct packet *p)
{
	const struct timeouts *t = &p->config->timeouts;

	switch (p->key.protocol) {
	case IPPROTO_TCP:
		if ((c->flags & CONNECTION_RST) ||
		    (c->flags & CONNECTION_FIN_BOTH) == CONNECTION_FIN_BOTH)
			return t->tcp_closed;
		if (c->flags & CONNECTION_FIN_BOTH)
			return t->tcp_closing;
		return is_settled(c) ? t->tcp_established : t->tcp_syn;
	case IPPROTO_UDP:
		return c->packets[0] > 1 && c->packets[1] > 1 ? t->udp_stream : t->udp;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return t->icmp;
	}
	return t->other;
}

/* Whether what no rule allows passes. */
static __always_inline bool is_observing(const struct packet *p)
{
	return p->now < p->config->observe_until;
}

/* seen may be ahead of now by a tick, when another CPU has just written it. */
static __always_inline bool is_expired(const struct connection *c, const struct packet *p,
				       __u64 now)
{
	return (__s64)(now - c->seen) > (__s64)timeout_of(c, p);
}

/* The packet passes by what let the first packet through. */
static __always_inline void admit(struct packet *p, const struct connection *c)
{
	const struct admission *by = c->flags & CONNECTION_BY_GUEST ? &c->by[DIRECTION_EGRESS] :
								      &c->by[DIRECTION_INGRESS];

	p->rule = by->rule;
	p->counter = by->counter;
}

/* Both sides have ended it, or one of them at once. */
static __always_inline bool is_closed(const struct connection *c)
{
	return (c->flags & CONNECTION_RST) ||
	       (c->flags & CONNECTION_FIN_BOTH) == CONNECTION_FIN_BOTH;
}

/* A packet that does not belong to the end that has come, or begun: a SYN, or what is no FIN, RST or
 * ACK. It starts a connection that happens to have the same ports, if the rules let it.
 */
static __always_inline bool is_reopened(const struct connection *c, const struct packet *p)
{
	if (p->key.protocol != IPPROTO_TCP)
		return false;
	if (is_closed(c))
		return (p->tcp_flags & TCP_SYN) || !(p->tcp_flags & (TCP_FIN | TCP_RST | TCP_ACK));
	return (c->flags & CONNECTION_FIN_BOTH) && (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* How far a number in a packet may be from the one that was acknowledged last: an RST follows what
 * the other side has received and not yet acknowledged, a FIN all that is in flight.
 */
#define RST_WINDOW (1U << 17)
#define FIN_WINDOW (1U << 24)

static __always_inline bool is_near(__be32 number, __be32 next, __u32 window)
{
	return bpf_ntohl(number) - bpf_ntohl(next) + window < 2 * window;
}

/* Whoever sends it sees the connection: its numbers are near those of both sides. */
static __always_inline bool is_in_window(const struct connection *c, const struct packet *p,
					 enum direction d, enum direction other, __u32 window)
{
	return (p->tcp_flags & TCP_ACK) && is_near(p->tcp_sequence, c->next[d], window) &&
	       is_near(p->tcp_acknowledged, c->next[other], window);
}

/* The flags that a FIN or RST leaves behind. One whose numbers make no sense passes, since the other
 * side does not believe it (RFC 5961) or asks the sender, whose answer is exact. Were it believed
 * here, whoever knows addresses and ports could end an idle connection.
 */
static __always_inline __u32 end_of(const struct connection *c, const struct packet *p,
				    bool from_guest)
{
	enum direction d = from_guest ? DIRECTION_EGRESS : DIRECTION_INGRESS;
	enum direction other = from_guest ? DIRECTION_INGRESS : DIRECTION_EGRESS;
	/* Without numbers of both sides there is nothing to compare. */
	bool any = !is_settled(c) || (c->flags & CONNECTION_NEXT_BOTH) != CONNECTION_NEXT_BOTH;
	__u32 flags = 0;

	if ((p->tcp_flags & TCP_FIN) && (any || is_in_window(c, p, d, other, FIN_WINDOW)))
		flags |= from_guest ? CONNECTION_FIN_EGRESS : CONNECTION_FIN_INGRESS;
	if ((p->tcp_flags & TCP_RST) &&
	    (any || p->tcp_sequence == c->next[d] || is_in_window(c, p, d, other, RST_WINDOW)))
		flags |= CONNECTION_RST;
	return flags;
}

static __always_inline void account(struct connection *c, const struct packet *p, bool from_guest,
				    __u64 now)
{
	enum direction d = from_guest ? DIRECTION_EGRESS : DIRECTION_INGRESS;
	enum direction other = from_guest ? DIRECTION_INGRESS : DIRECTION_EGRESS;
	bool reply = from_guest != !!(c->flags & CONNECTION_BY_GUEST);
	__u32 flags = 0;

	__sync_fetch_and_add(&c->packets[d], segments_of(p));
	__sync_fetch_and_add(&c->bytes[d], p->ip_length);
	/* What comes after the end does not put it off. */
	if (c->seen != now && !(p->key.protocol == IPPROTO_TCP && is_closed(c)))
		c->seen = now;
	if (reply)
		flags |= CONNECTION_ANSWERED;
	flags |= end_of(c, p, from_guest);
	if ((p->tcp_flags & (TCP_ACK | TCP_RST)) == TCP_ACK) {
		if (c->next[other] != p->tcp_acknowledged)
			c->next[other] = p->tcp_acknowledged;
		flags |= from_guest ? CONNECTION_NEXT_INGRESS : CONNECTION_NEXT_EGRESS;
	}
	if ((c->flags & flags) != flags)
		__sync_fetch_and_or((__u32 *)&c->flags, flags);
}

static __always_inline bool is_answered(const struct connection *c, const struct packet *p,
					bool from_guest)
{
	bool reply = from_guest != !!(c->flags & CONNECTION_BY_GUEST);

	if (p->key.protocol != IPPROTO_TCP)
		return reply;
	return !reply && (c->flags & CONNECTION_ANSWERED) &&
	       (p->tcp_flags & (TCP_ACK | TCP_SYN | TCP_RST)) == TCP_ACK;
}

/* The packet asks for a connection. */
static __always_inline bool is_syn(const struct packet *p)
{
	return (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* Why the packet passes, if the entry of its flow says so; a reason to drop; or REASON_NONE: the rules
 * decide, and p->flow is the entry if there is one.
 */
static __always_inline enum reason track(struct packet *p, bool from_guest)
{
	enum direction d = from_guest ? DIRECTION_EGRESS : DIRECTION_INGRESS;
	__u64 now = p->now;
	struct connection *c, *half = NULL, moved;
	void *established, *opening;

	established = bpf_map_lookup_elem(&connections, &p->slot);
	opening = bpf_map_lookup_elem(&half_open, &p->slot);
	if (!established || !opening)
		return REASON_CONNECTION_LIMIT;
	c = bpf_map_lookup_elem(established, &p->key);
	if (c && (is_expired(c, p, now) || is_reopened(c, p))) {
		p->stale = true;
		c = NULL;
	}
	if (!c) {
		half = bpf_map_lookup_elem(opening, &p->key);
		/* Another CPU may move it at this moment: it is there before it is gone from here. */
		if (!half && !p->stale)
			c = bpf_map_lookup_elem(established, &p->key);
	}
	if (c) {
		/* A SYN may be another connection's, after an end that nobody saw here: that one must be
		 * allowed by today's rules. The entry stays, since whoever knows the ports can send one.
		 */
		if (is_syn(p)) {
			p->flow = c;
			return REASON_NONE;
		}
		account(c, p, from_guest, now);
		admit(p, c);
		return REASON_TRACKED;
	}
	c = half;
	if (!c || is_expired(c, p, now) || is_reopened(c, p))
		return REASON_NONE;
	if (c->flags & CONNECTION_OBSERVED) {
		p->flow = c;
		if (!is_observing(p))
			return REASON_NONE;
		account(c, p, from_guest, now);
		p->observed = true;
		return REASON_NO_RULE;
	}
	if (c->flags & CONNECTION_UNTRACKED) {
		p->flow = c;
		if (c->tables != p->tables || !c->by[d].rule)
			return REASON_NONE;
		account(c, p, from_guest, now);
		p->rule = c->by[d].rule;
		p->counter = c->by[d].counter;
		return REASON_RULE;
	}
	if (is_answered(c, p, from_guest)) {
		moved = *c;
		moved.flags |= CONNECTION_ESTABLISHED;
		account(&moved, p, from_guest, now);
		if (bpf_map_update_elem(established, &p->key, &moved, BPF_ANY) != 0)
			return REASON_CONNECTION_LIMIT;
		admit(p, &moved);
		bpf_map_delete_elem(opening, &p->key);
		return REASON_TRACKED;
	}
	account(c, p, from_guest, now);
	admit(p, c);
	return REASON_TRACKED;
}

/* A direction lets everybody of the packet's family send every port of its protocol. */
static __always_inline bool is_open(const struct packet *p, bool from_guest)
{
	__u32 flag = from_guest ? ENI_OPEN_EGRESS_TCP4 : ENI_OPEN_INGRESS_TCP4;

	if (p->key.protocol == IPPROTO_UDP)
		flag <<= 2;
	else if (p->key.protocol != IPPROTO_TCP)
		return false;
	if (p->key.family == FAMILY_IPV6)
		flag <<= 1;
	return p->config->flags & flag;
}

/* A new entry, or one in place of p->flow, for a flow that its first packet's rule, first, lets through;
 * without one it is observed.
 */
static __always_inline enum reason put_flow(struct packet *p, allowance first, bool by_guest,
					    bool from_guest)
{
	enum direction d = from_guest ? DIRECTION_EGRESS : DIRECTION_INGRESS;
	bool untracked = is_for_everyone(first) && is_open(p, !by_guest);
	struct admission by = {.rule = p->rule, .counter = p->counter};
	struct connection c = {.created = p->now, .seen = p->now};
	void *established = bpf_map_lookup_elem(&connections, &p->slot);
	void *opening = bpf_map_lookup_elem(&half_open, &p->slot);

	if (!established || !opening)
		return REASON_CONNECTION_LIMIT;
	if (p->flow)
		c = *p->flow;
	c.revision = p->revision;
	c.tables = untracked ? p->tables : 0;
	c.by[DIRECTION_INGRESS] = c.by[DIRECTION_EGRESS] = (struct admission){};
	if (untracked)
		c.by[d] = by;
	if (by_guest != from_guest) {
		by.rule = rule_of(first);
		by.counter = counter_of(p, by.rule);
	}
	if (by_guest)
		c.by[DIRECTION_EGRESS] = by;
	else
		c.by[DIRECTION_INGRESS] = by;
	c.flags &=
		CONNECTION_ANSWERED | CONNECTION_FIN_BOTH | CONNECTION_RST | CONNECTION_NEXT_BOTH;
	c.flags |= by_guest ? CONNECTION_BY_GUEST : 0;
	c.flags |= untracked ? CONNECTION_UNTRACKED :
		   first     ? CONNECTION_TRACKED :
			       CONNECTION_OBSERVED;
	account(&c, p, from_guest, p->now);
	if (p->stale) /* it would hide the new one */
		bpf_map_delete_elem(established, &p->key);
	/* Not < 0: before Linux 6.4 an error is an int in a register of 64 bits. */
	if (bpf_map_update_elem(opening, &p->key, &c, BPF_ANY) != 0 &&
	    (c.flags & CONNECTION_TRACKED))
		return REASON_CONNECTION_LIMIT;
	p->opened = !p->flow;
	p->tracked = c.flags & CONNECTION_TRACKED;
	return REASON_RULE;
}

/* What lets the first packet of a flow through, which went the other way. */
static __always_inline allowance judge_first(const struct packet *p, bool by_guest)
{
	__be16 port = by_guest ? p->key.remote_port : p->key.local_port;

	return judge(p, (__u32)p->key.protocol << 16 | bpf_ntohs(port), by_guest);
}

/* The rules let the packet through: what becomes of its flow. */
static __always_inline enum reason decide_flow(struct packet *p, allowance own, bool from_guest)
{
	enum direction d = from_guest ? DIRECTION_EGRESS : DIRECTION_INGRESS;
	enum direction other = from_guest ? DIRECTION_INGRESS : DIRECTION_EGRESS;
	struct connection *flow = p->flow;
	bool by_guest = from_guest;
	allowance first = own;

	if (flow && (flow->flags & CONNECTION_TRACKED)) {
		account(flow, p, from_guest, p->now);
		return REASON_RULE;
	}
	if (flow && from_guest != !!(flow->flags & CONNECTION_BY_GUEST)) {
		if (flow->tables == p->tables && flow->by[other].rule) {
			/* The first answer. */
			flow->by[d].counter = p->counter;
			flow->by[d].rule = p->rule;
			account(flow, p, from_guest, p->now);
			return REASON_RULE;
		}
		by_guest = !from_guest;
		first = judge_first(p, by_guest);
		if (!first) {
			account(flow, p, from_guest, p->now);
			return REASON_RULE;
		}
	} else if (!flow && p->key.protocol == IPPROTO_TCP && !is_syn(p) && is_for_everyone(own) &&
		   is_open(p, from_guest) && !is_open(p, !from_guest)) {
		/* The answer of an untracked flow that is not remembered? It shall not begin another. */
		first = judge_first(p, !from_guest);
		if (is_for_everyone(first))
			by_guest = !from_guest;
		else
			first = own;
	}
	return put_flow(p, first, by_guest, from_guest);
}

/* No rule allows the packet, but the ENI observes: it passes. Reported once for each flow. */
static __always_inline void observe(struct packet *p, bool from_guest)
{
	bool by_guest = from_guest;

	p->observed = true;
	p->opened = true;
	if (p->stateless || (p->flow && (p->flow->flags & CONNECTION_TRACKED)))
		return;
	if (p->flow)
		by_guest = p->flow->flags & CONNECTION_BY_GUEST;
	p->flow = NULL;
	put_flow(p, 0, by_guest, from_guest);
}

#endif
