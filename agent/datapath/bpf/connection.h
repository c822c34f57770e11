/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Connection tracking: what a tracked connection started may come back, whatever the rules of the
 * other direction say.
 *
 * A connection starts half-open: then another that opens may have its place. Once answered it is an established
 * one, which nothing displaces: it only expires. UDP, ICMP and the rest are answered
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

/* Whether what no rule allows passes. */
static __always_inline bool is_observing(const struct packet *p)
{
	return p->now < p->config->observe_until;
}

static __always_inline bool is_expired(const struct packet *p)
{
	const struct entry *said = &p->flow.said;

	return age_of(said->seen, p->now) >
	       timeout_of(&p->config->timeouts, said->tag, p->key.protocol, said->stream);
}

/* The packet passes by what let the first packet through. */
static __always_inline void admit(struct packet *p)
{
	const struct entry *said = &p->flow.said;

	p->rule = said->by.rule;
	p->counter = said->by.counter;
}

/* A packet that does not belong to the end that has come, or begun: a SYN, or what is no FIN, RST or
 * ACK. It starts a connection that happens to have the same ports, if the rules let it.
 */
static __always_inline bool is_reopened(__u64 flags, const struct packet *p)
{
	if (p->key.protocol != IPPROTO_TCP)
		return false;
	if (is_closed(flags))
		return (p->tcp_flags & TCP_SYN) || !(p->tcp_flags & (TCP_FIN | TCP_RST | TCP_ACK));
	return (flags & CONNECTION_FIN_BOTH) && (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
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
static __always_inline __u64 end_of(const struct connection *c, __u64 has, const struct packet *p,
				    bool from_guest)
{
	enum direction d = from_guest ? DIRECTION_EGRESS : DIRECTION_INGRESS;
	enum direction other = from_guest ? DIRECTION_INGRESS : DIRECTION_EGRESS;
	/* Without numbers of both sides there is nothing to compare. */
	bool any = !is_settled(has) || (has & CONNECTION_NEXT_BOTH) != CONNECTION_NEXT_BOTH;
	__u64 flags = 0;

	if ((p->tcp_flags & TCP_FIN) && (any || is_in_window(c, p, d, other, FIN_WINDOW)))
		flags |= from_guest ? CONNECTION_FIN_EGRESS : CONNECTION_FIN_INGRESS;
	if ((p->tcp_flags & TCP_RST) &&
	    (any || p->tcp_sequence == c->next[d] || is_in_window(c, p, d, other, RST_WINDOW)))
		flags |= CONNECTION_RST;
	return flags;
}

/* Counts the packet in an entry with these flags, in which others may count, too. */
static __always_inline void count_in(struct connection *c, __u64 *tag, __u64 has, struct packet *p,
				     enum direction d)
{
	count_packet(c, tag, has, p, d);
	/* What comes after the end does not put it off. */
	if (!(p->key.protocol == IPPROTO_TCP && is_closed(has)))
		see(c, c->seen, p->now);
}

/* The flags that the packet adds to an entry with these flags, which remembers its numbers. */
static __always_inline __u64 flags_in(struct connection *c, __u64 has, const struct packet *p,
				      bool from_guest)
{
	enum direction other = from_guest ? DIRECTION_INGRESS : DIRECTION_EGRESS;
	bool reply = is_reply(has, from_guest);
	__u64 flags = reply ? CONNECTION_ANSWERED : 0;

	flags |= end_of(c, has, p, from_guest);
	if ((p->tcp_flags & (TCP_ACK | TCP_RST)) == TCP_ACK) {
		if (c->next[other] != p->tcp_acknowledged)
			c->next[other] = p->tcp_acknowledged;
		flags |= from_guest ? CONNECTION_NEXT_INGRESS : CONNECTION_NEXT_EGRESS;
	}
	return flags;
}

/* Counts the packet in the entry that was found, if it still is. Should this CPU be delayed after that look,
 * it counts in what came there meanwhile: a packet too many, seen now, and a number that the next packet
 * of that connection corrects. A flag is never set there: mark looks again.
 */
static __always_inline void account(struct packet *p, bool from_guest)
{
	const struct flow *f = &p->flow;
	__u64 flags;

	if (!is_there(f))
		return;
	count_in(f->connection, f->tag, f->said.tag, p,
		 from_guest ? DIRECTION_EGRESS : DIRECTION_INGRESS);
	flags = flags_in(f->connection, f->said.tag, p, from_guest) | any_number(p);
	if ((f->said.tag & flags) != flags)
		mark(f->tag, f->said.tag, flags);
	flags |= f->said.tag;
	/* Of an established one where it comes nearer. */
	if (!is_closed(f->said.tag) &&
	    (!(flags & CONNECTION_ESTABLISHED) ||
	     ((flags ^ f->said.tag) & (CONNECTION_FIN_BOTH | CONNECTION_RST))))
		note(p, flags);
}

static __always_inline bool is_answered(__u64 flags, const struct packet *p, bool from_guest)
{
	bool reply = is_reply(flags, from_guest);

	if (p->key.protocol != IPPROTO_TCP)
		return reply;
	return !reply && (flags & CONNECTION_ANSWERED) &&
	       (p->tcp_flags & (TCP_ACK | TCP_SYN | TCP_RST)) == TCP_ACK;
}

/* The packet asks for a connection. */
static __always_inline bool is_syn(const struct packet *p)
{
	return (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* Why the packet passes, if the entry of its flow says so; a reason to drop; or REASON_NONE: the rules
 * decide, and p->flow is the entry if it is known.
 */
static __always_inline enum reason track(struct packet *p, bool from_guest)
{
	struct entry *said = &p->flow.said;
	enum reason reason = REASON_TRACKED;
	bool answers = false;

	find_flow(p);
	if (!p->flow.bucket)
		return REASON_CONNECTION_LIMIT;
	if (!p->flow.connection || is_expired(p) || is_reopened(said->tag, p))
		return REASON_NONE;
	p->known = true;
	stamp(p, from_guest);
	if (said->tag & CONNECTION_TRACKED) {
		/* A SYN may be another connection's, after an end that nobody saw here: that one must be
		 * allowed by today's rules. The entry stays, since whoever knows the ports can send one.
		 */
		if ((said->tag & CONNECTION_ESTABLISHED) && is_syn(p))
			return REASON_NONE;
		answers = !(said->tag & CONNECTION_ESTABLISHED) &&
			  is_answered(said->tag, p, from_guest);
		if (answers) {
			if (!take_quota(p))
				return REASON_CONNECTION_LIMIT;
			/* The packet is counted as one of it. */
			said->tag |= CONNECTION_ESTABLISHED;
		}
		admit(p);
	} else if (said->tag & CONNECTION_OBSERVED) {
		if (!is_observing(p))
			return REASON_NONE;
		p->observed = true;
		reason = REASON_NO_RULE;
	} else {
		const struct admission *by =
			is_reply(said->tag, from_guest) ? &said->answer : &said->by;

		if (said->tables != p->tables || !by->rule)
			return REASON_NONE;
		p->rule = by->rule;
		p->counter = by->counter;
		reason = REASON_RULE;
	}
	account(p, from_guest);
	if (answers && !establish(p))
		return REASON_CONNECTION_LIMIT;
	return reason;
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

/* Begins to write the entry of the packet's flow: the one that was found, else a new one. False: there
 * is no room. p->known says whether it has counted packets of this flow before.
 */
static __always_inline bool begin_entry(struct packet *p, enum direction d, bool by_guest)
{
	struct flow *f = &p->flow;
	struct connection *c;

	if (!f->connection ||
	    !amend(p, p->known ? CONNECTION_KEPT : 0, by_guest ? CONNECTION_BY_GUEST : 0)) {
		p->known = false;
		if (!claim(p))
			return false;
		set_key(f->connection, &p->key);
	}
	if (p->known)
		return true;
	c = f->connection;
	c->seen = c->created = p->now;
	c->stamp[0] = c->stamp[1] = 0;
	/* Nobody else counts here yet, and what locks waits for all that was written. */
	c->counts[d] = counted(p);
	c->counts[!d] = 0;
	return true;
}

/* Of the tables that the packet is judged by. */
static __always_inline __u64 revision_of(const struct packet *p)
{
	__u32 zero = 0;
	const struct state *global = bpf_map_lookup_elem(&state, &zero);

	return global ? global->revision[index_of(p->epoch)] : 0;
}

/* A new entry, or one in place of p->flow, for a flow that its first packet's rule, first, lets through;
 * without one it is observed.
 */
static __always_inline enum reason put_flow(struct packet *p, allowance first, bool by_guest,
					    bool from_guest)
{
	enum direction d = from_guest ? DIRECTION_EGRESS : DIRECTION_INGRESS;
	bool untracked = is_for_everyone(first) && is_open(p, !by_guest);
	struct admission own = {.rule = p->rule, .counter = p->counter}, by = own, none = {};
	bool answers = by_guest != from_guest;
	__u64 flags = untracked ? CONNECTION_UNTRACKED :
		      first	? CONNECTION_TRACKED :
				  CONNECTION_OBSERVED;
	struct connection *c;

	forget(p);
	if (answers) {
		by.rule = rule_of(first);
		by.counter = counter_of(p, by.rule);
	}
	p->opened = !p->known;
	p->tracked = flags & CONNECTION_TRACKED;
	if (!begin_entry(p, d, by_guest))
		return p->tracked ? REASON_CONNECTION_LIMIT : REASON_RULE;
	c = p->flow.connection;
	*revision_in(c, p->key.protocol) = revision_of(p);
	c->by = by;
	if (untracked) {
		c->tables = p->tables;
		c->answer = answers ? own : none;
	}
	flags |= by_guest ? CONNECTION_BY_GUEST : 0;
	flags |= p->known ? p->flow.said.tag & CONNECTION_KEPT : 0;
	if (p->known)
		count_in(c, p->flow.tag, p->flow.said.tag, p, d);
	flags |= flags_in(c, flags, p, from_guest) | any_number(p);
	publish(p, flags);
	return REASON_RULE;
}

/* What lets the first packet of a flow through, which went the other way. */
static __always_inline allowance judge_first(const struct packet *p, bool by_guest)
{
	__be16 port = by_guest ? p->key.remote_port : p->key.local_port;

	return judge(p, (__u32)p->key.protocol << 16 | bpf_ntohs(port), by_guest);
}

/* flow is the packet's entry. */
static __always_inline bool is_known(const struct packet *p)
{
	return p->known && p->flow.connection;
}

/* The first answer of an untracked flow: its rule lets through those that follow. */
static __always_inline void answer(struct packet *p, bool from_guest)
{
	struct flow *f = &p->flow;

	if (amend(p, CONNECTION_KEPT, f->said.tag & CONNECTION_BY_GUEST)) {
		f->connection->answer = (struct admission){.rule = p->rule, .counter = p->counter};
		publish(p, f->said.tag & TAG_FLAGS & ~CONNECTION_CHANGING);
	}
	account(p, from_guest);
}

/* The rules let the packet through: what becomes of its flow. */
static __always_inline enum reason decide_flow(struct packet *p, allowance own, bool from_guest)
{
	const struct entry *said = &p->flow.said;
	bool by_guest = from_guest;
	allowance first = own;

	if (is_known(p) && (said->tag & CONNECTION_TRACKED)) {
		account(p, from_guest);
		return REASON_RULE;
	}
	if (is_known(p) && is_reply(said->tag, from_guest)) {
		if (said->tables == p->tables && said->by.rule) {
			answer(p, from_guest);
			return REASON_RULE;
		}
		by_guest = !from_guest;
		first = judge_first(p, by_guest);
		if (!first) {
			account(p, from_guest);
			return REASON_RULE;
		}
	} else if (!p->known && p->key.protocol == IPPROTO_TCP && !is_syn(p) &&
		   is_for_everyone(own) && is_open(p, from_guest) && !is_open(p, !from_guest)) {
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
	if (p->stateless || (p->known && (p->flow.said.tag & CONNECTION_TRACKED)))
		return;
	if (p->known)
		by_guest = p->flow.said.tag & CONNECTION_BY_GUEST;
	p->known = false;
	put_flow(p, 0, by_guest, from_guest);
}

#endif
