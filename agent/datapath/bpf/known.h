/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The short way of a packet with which nothing about its flow changes, as nearly all are: one look at the
 * entry, and it is counted there. Whatever is not as expected takes the long way, which decides alone;
 * this one never drops, and writes nothing before it is sure.
 *
 * What the link layer says of a whole TCP or UDP packet depends on its key and direction, on what the
 * agent has written for this epoch, and on whether the frame is for many. A packet that has passed there
 * leaves a stamp in the entry, and for those that follow all that was looked at is the same as long as
 * the stamp is.
 */
#ifndef SALLYPORT_KNOWN_H
#define SALLYPORT_KNOWN_H

/* Drawn when the programs are loaded: others may look at other things. */
const volatile __u32 generation;

/* What an entry with this tag is stamped with in the packet's epoch; 0: it cannot be. One that is written
 * late, into what came to stand there meanwhile, is good for nobody.
 */
static __always_inline __u32 stamp_of(const struct packet *p, __u64 tag)
{
	return generation + (__u32)p->epoch + (__u32)((tag >> 16) * 0x9e3779b97f4a7c15ULL >> 32);
}

/* What stands above holds for the packet. */
static __always_inline bool is_plain(const struct packet *p)
{
	return (p->key.protocol == IPPROTO_TCP || p->key.protocol == IPPROTO_UDP) &&
	       p->part == PART_WHOLE && !p->group_mac;
}

/* The packet has passed the link layer. */
static __always_inline void stamp(const struct packet *p, bool from_guest)
{
	const struct flow *f = &p->flow;
	enum direction d = from_guest ? DIRECTION_EGRESS : DIRECTION_INGRESS;
	__u32 now = stamp_of(p, f->said.tag);

	if (!p->overflowed && is_plain(p) && f->connection->stamp[d] != now)
		f->connection->stamp[d] = now;
}

/* Of the flags of an entry, those that say what it is. */
#define CONNECTION_KIND                                                                          \
	(CONNECTION_TRACKED | CONNECTION_UNTRACKED | CONNECTION_OBSERVED | CONNECTION_FIN_BOTH | \
	 CONNECTION_RST | CONNECTION_CUT | CONNECTION_BUSY | CONNECTION_CHANGING)

/* Why a plain packet passes, if nothing but its coming is new; else REASON_NONE. See entry.h for how an entry
 * is read: all goes into what the second look at the tag waits for.
 */
static __always_inline enum reason go_on(struct packet *p, bool from_guest)
{
	enum direction d = from_guest ? DIRECTION_EGRESS : DIRECTION_INGRESS;
	enum direction other = from_guest ? DIRECTION_INGRESS : DIRECTION_EGRESS;
	const bool is_tcp = p->key.protocol == IPPROTO_TCP;
	__u64 hash = p->hash = hash_of(p), was, by, read, other_way, all;
	struct bucket *b = bucket_of(p, hash);
	struct connection *c;
	__u32 at, seen, timeout;
	__u64 *tag;
	bool reply, stream;

	if (!b)
		return REASON_NONE;
	at = home_of(hash >> 32);
	if (read_word(&b->tags[at]) >> 32 != hash >> 32) {
		at = candidates(b, hash >> 32);
		if (!at) {
			p->looked = !weak_order; /* else they are to be looked at in their order */
			p->flow.bucket = b;
			return REASON_NONE;
		}
		at = lowest(at); /* if it is another's, the long way looks at the next */
	}
	if (is_tcp && (p->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK)) != TCP_ACK)
		return REASON_NONE;
	tag = &b->tags[at];
	was = read_word(tag);
	c = (void *)&b->ways[at] + after(was);
	all = difference(c, &p->key);
	if (all)
		return REASON_NONE;
	barrier_var(all);
	/* The entry has all flags that the packet would add. */
	if (is_tcp && !(was & (from_guest ? CONNECTION_NEXT_INGRESS : CONNECTION_NEXT_EGRESS)))
		return REASON_NONE;
	reply = is_reply(was, from_guest);
	if (reply && !(was & CONNECTION_ANSWERED))
		return REASON_NONE;
	read = *(volatile __u32 *)&c->stamp[d];
	if (!read || read != stamp_of(p, was))
		return REASON_NONE;
	all ^= read;
	switch (was & CONNECTION_KIND) {
	case CONNECTION_TRACKED:
		if (!(was & CONNECTION_ESTABLISHED) && (is_tcp || reply))
			return REASON_NONE; /* it may become an established one */
		by = read_word(&c->by);
		break;
	case CONNECTION_UNTRACKED:
		by = read_word(reply ? &c->answer : &c->by);
		read = read_word(&c->tables);
		if (read != p->tables || !(__u32)by)
			return REASON_NONE;
		all ^= read;
		break;
	default:
		return REASON_NONE;
	}
	seen = *(volatile __u32 *)&c->seen;
	read = read_word(&c->counts[0]);
	other_way = read_word(&c->counts[1]);
	stream = is_stream(was, read, other_way);
	all ^= read ^ other_way ^ seen ^ by;
	timeout = timeout_of(&p->config->timeouts, was, p->key.protocol, stream);
	if (age_of(seen, p->now) > timeout)
		return REASON_NONE;
	if (read_word((void *)tag + after(all)) != was)
		return REASON_NONE;

	count_packet(c, tag, was, p, d);
	if (seen != (__u32)p->now) {
		see(c, seen, p->now);
		if (!(was & CONNECTION_ESTABLISHED))
			note_end(&b->times[at], p->now, timeout);
	}
	if (is_tcp && c->next[other] != p->tcp_acknowledged)
		c->next[other] = p->tcp_acknowledged;
	p->rule = (__u32)by;
	p->counter = by >> 32;
	return was & CONNECTION_TRACKED ? REASON_TRACKED : REASON_RULE;
}

#endif
