/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * An entry of a flow: how it is read, how it changes, and how long it is good for.
 *
 * Each entry has a tag, one word that says what it is:
 *
 *	fingerprint 32 | version 16 | flags 16
 *
 * Fingerprint and version are the identity of what stands there: every transition that makes it mean
 * something else counts the version up. Nobody locks. A transition is one atomic exchange of the tag
 * against the value that it was decided on:
 *
 *	claim	empty, past its end, or half-open -> busy. The program that did it writes all of the entry.
 *	publish	busy -> live
 *	mark	live -> live with more flags, the same identity
 *	amend	live -> changing. Key and who began it stand; the program writes what it says of rules.
 *	settle	changing -> live
 *	remove	live -> empty; beside the buckets live -> busy, and then out of the map
 *	cut	live -> live, by the agent: it says nothing of rules any more
 *
 * Only who made an entry busy or changing makes it live again, and until then nobody else has a
 * transition from there. The agent makes none so but in a program, which ends: itself it may die at any moment.
 *
 * Who reads takes the tag, then the entry, then the tag again: with the same identity all of it was so at
 * one moment. What a busy entry says nobody sees; of one that is changing key and flags count alone.
 *
 * A packet takes an entry that is past its timeout for none. Others claim or sweep an established one RECLAIM_MARGIN
 * later alone: else they might judge it by a time at which a packet of it just passes.
 *
 * What is not guarded are counters, stamps, the time when it was last seen, and TCP's next numbers: a packet that
 * was delayed between its look at the tag and its write may write them into what came to stand there
 * meanwhile. None of them decides a verdict by itself: see account in connection.h.
 */
#ifndef SALLYPORT_ENTRY_H
#define SALLYPORT_ENTRY_H

#define TAG_FLAGS   0xffffULL
#define TAG_VERSION 0xffff0000ULL
#define ONE_VERSION 0x10000ULL

#define MAX_READS 3  /* of what changes at the same time */
#define MAX_MARKS 10 /* who loses has seen another flag come, and there are nine */

/* The CPU reads out of order what does not depend on each other. The agent says so; where it does not, the
 * verifier removes what this asks for.
 */
const volatile bool weak_order;

/* What packets have said of a flow, which stays when the rules decide anew. */
#define CONNECTION_KEPT                                                                      \
	(CONNECTION_ANSWERED | CONNECTION_FIN_BOTH | CONNECTION_RST | CONNECTION_NEXT_BOTH | \
	 CONNECTION_MORE_BOTH)

/* 0, and the compiler does not know before it has the value: what is read from an address that this went into
 * is read later. Nor does the CPU where that takes an address that depends on the value; elsewhere it would wait
 * for one line of memory after the other.
 */
static __always_inline __u64 after(__u64 value)
{
	if (weak_order)
		asm volatile("%0 &= 0" : "+r"(value));
	else
		asm volatile("%0 = 0" : "+r"(value));
	return value;
}

/* What was read before is read before all that follows, on every CPU. */
static __always_inline void full_barrier(void)
{
	__u64 own = 0;

	__sync_val_compare_and_swap(&own, 0, 1);
}

static __always_inline bool is_same_entry(__u64 tag, __u64 other)
{
	return !((tag ^ other) & ~TAG_FLAGS);
}

static __always_inline bool is_live(__u64 tag)
{
	return (tag & TAG_FLAGS) && !(tag & CONNECTION_BUSY);
}

static __always_inline __u64 next_version(__u64 tag)
{
	return (tag & ~TAG_VERSION) | ((tag + ONE_VERSION) & TAG_VERSION);
}

static __always_inline bool exchange(__u64 *tag, __u64 from, __u64 to)
{
	return __sync_val_compare_and_swap(tag, from, to) == from;
}

static __always_inline __u64 addresses4(const struct connection_key *key)
{
	return key->remote.words[0] | (__u64)key->local.words[0] << 32;
}

/* 0: the entry is the key's. */
static __always_inline __u64 difference(const struct connection *c,
					const struct connection_key *key)
{
	const word *remote = (const word *)&key->remote, *local = (const word *)&key->local;
	__u64 differs = c->name ^ *(const word *)key;

	if (differs)
		return differs;
	barrier_var(differs);
	if (key->family == FAMILY_IPV4)
		return differs | (c->peer ^ addresses4(key));
	return differs | (c->peer ^ remote[0]) | (c->rest[0] ^ remote[1]) |
	       (c->rest[1] ^ local[0]) | (c->rest[2] ^ local[1]);
}

static __always_inline void set_key(struct connection *c, const struct connection_key *key)
{
	const word *remote = (const word *)&key->remote, *local = (const word *)&key->local;

	c->name = *(const word *)key;
	if (key->family == FAMILY_IPV4) {
		c->peer = addresses4(key);
		return;
	}
	c->peer = remote[0];
	c->rest[0] = remote[1];
	c->rest[1] = local[0];
	c->rest[2] = local[1];
}

/* Where the revision is that admitted the flow. */
static __always_inline __u64 *revision_in(struct connection *c, __u8 protocol)
{
	return protocol == IPPROTO_TCP ? &c->revision : (__u64 *)c->next;
}

static __always_inline __u8 protocol_of(const struct connection *c)
{
	return c->name >> 8 * offsetof(struct connection_key, protocol);
}

/* Whether a packet goes the other way than the first one of an entry with these flags. */
static __always_inline bool is_reply(__u64 flags, bool from_guest)
{
	return from_guest != !!(flags & CONNECTION_BY_GUEST);
}

/* More than one packet has gone each way. */
static __always_inline bool is_stream(__u64 flags, __u64 ingress, __u64 egress)
{
	return ((flags & CONNECTION_MORE_INGRESS) || ingress >> (COUNTED_BYTES + 1)) &&
	       ((flags & CONNECTION_MORE_EGRESS) || egress >> (COUNTED_BYTES + 1));
}

/* Reads what an entry says whose tag was read as was, and whose key was found to differ by differs. False:
 * it became something else meanwhile.
 */
static __always_inline bool read_entry(const struct connection *c, const __u64 *tag, __u64 was,
				       __u64 differs, struct entry *said)
{
	__u64 counts[2], by, answer = 0, tables = 0, now;
	__u32 seen;

	c = (void *)c + after(was);
	seen = *(volatile __u32 *)&c->seen;
	counts[0] = read_word(&c->counts[0]);
	counts[1] = read_word(&c->counts[1]);
	by = read_word(&c->by);
	if (was & CONNECTION_UNTRACKED) {
		tables = read_word(&c->tables);
		answer = read_word(&c->answer);
	}
	now = read_word((void *)tag +
			after(differs ^ seen ^ tables ^ counts[0] ^ counts[1] ^ by ^ answer));
	said->tag = now;
	if (now & (CONNECTION_CHANGING | CONNECTION_CUT))
		tables = by = answer = 0;
	said->tables = tables;
	*(word *)&said->by = by;
	*(word *)&said->answer = answer;
	said->seen = seen;
	said->stream = is_stream(now, counts[0], counts[1]);
	return is_same_entry(now, was) && is_live(now) && !((now ^ was) & CONNECTION_CHANGING);
}

/* Whether the entry is still the one that was found. */
static __always_inline bool is_there(const struct flow *f)
{
	__u64 tag = read_word(f->tag);

	return is_same_entry(tag, f->said.tag) && is_live(tag);
}

/* Leaves the entry whose tag was read as was those of its flags that are kept, and gives it others. One that is changing
 * from then on is the program's to write, but for its key: see amend. Returns the tag before; 0: it has the flags
 * already, or became another entry, or another CPU writes it.
 */
__noinline __u64 change(__u64 *at, __u64 was, __u64 kept, __u64 flags)
{
	__u64 tag;

	if (!at)
		return 0;
	tag = read_word(at);
	for (int i = 0; i < MAX_MARKS; i++) {
		__u64 to = (tag & (~TAG_FLAGS | kept)) | flags, found;

		if (!is_same_entry(tag, was) || !is_live(tag) || (tag & CONNECTION_CHANGING))
			return 0;
		if (flags & CONNECTION_CHANGING) {
			/* Another CPU has established meanwhile what was to be begun anew. */
			if (tag & ~was & CONNECTION_ESTABLISHED)
				return 0;
			to = next_version(to);
		}
		if (to == tag)
			return 0;
		found = __sync_val_compare_and_swap(at, tag, to);
		if (found == tag)
			return tag;
		tag = found;
	}
	return 0;
}

/* Adds flags to an entry whose tag was read as was. False: it had all of them, or became another one. */
static __always_inline bool mark(__u64 *at, __u64 was, __u64 flags)
{
	return change(at, was, TAG_FLAGS, flags);
}

/* A handshake is over, as far as it was looked at. */
static __always_inline bool is_settled(__u64 flags)
{
	return (flags & CONNECTION_ESTABLISHED) ||
	       (flags & (CONNECTION_TRACKED | CONNECTION_ANSWERED)) == CONNECTION_ANSWERED;
}

/* Both sides have ended it, or one of them at once. */
static __always_inline bool is_closed(__u64 flags)
{
	return (flags & CONNECTION_RST) || (flags & CONNECTION_FIN_BOTH) == CONNECTION_FIN_BOTH;
}

/* How long an entry is good for after it was last seen, in jiffies. */
static __always_inline __u32 timeout_of(const struct timeouts *t, __u64 flags, __u8 protocol,
					bool stream)
{
	switch (protocol) {
	case IPPROTO_TCP:
		if (is_closed(flags))
			return t->tcp_closed;
		if (flags & CONNECTION_FIN_BOTH)
			return t->tcp_closing;
		return is_settled(flags) ? t->tcp_established : t->tcp_syn;
	case IPPROTO_UDP:
		return stream ? t->udp_stream : t->udp;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return t->icmp;
	}
	return t->other;
}

/* seen may be ahead of now by a tick, when another CPU has just written it; or by up to AHEAD when an
 * entry was not looked at for nearly as long as jiffies take to come round.
 */
#define AHEAD (1U << 16)

static __always_inline __u32 age_of(__u32 seen, __u32 now)
{
	__u32 age = now - seen;

	return age > -AHEAD ? 0 : age;
}

/* What a packet adds to counts. */
static __always_inline __u64 counted(struct packet *p)
{
	return (__u64)segments_of(p) << COUNTED_BYTES | p->ip_length;
}

/* The highest bits of what counts holds: they are taken off before there are more. */
#define MANY_PACKETS (1ULL << 63)
#define MANY_BYTES   (1ULL << (COUNTED_BYTES - 1))

/* Takes off counts what has become too many for it. The flag says so before: nobody takes the entry for one that has counted
 * little. If it cannot be set the next packet tries. A CPU that is delayed just before it begins to count more may
 * forget what others have taken off since.
 */
__noinline int take_off(struct connection *c, __u64 *tag, __u64 was, __u32 direction)
{
	__u64 taken, now, flag;

	if (!c || !tag)
		return 0;
	direction &= 1;
	flag = CONNECTION_MORE_INGRESS << direction;
	now = read_word(tag);
	if (!is_same_entry(now, was))
		return 0;
	if (!(now & flag)) {
		c->more[direction] = 0;
		if (!mark(tag, was, flag))
			return 0;
	}
	taken = __sync_fetch_and_and(&c->counts[direction], ~(MANY_PACKETS | MANY_BYTES));
	taken = (__u64) !!(taken & MANY_PACKETS) << 32 | !!(taken & MANY_BYTES);
	if (taken) /* else another CPU did */
		__sync_fetch_and_add(&c->more[direction], taken);
	return 0;
}

/* Counts a packet in an entry whose tag was read as was, in which others may count, too. */
static __always_inline void count_packet(struct connection *c, __u64 *tag, __u64 was,
					 struct packet *p, enum direction d)
{
	__u64 n = counted(p);

	n += __sync_fetch_and_add(&c->counts[d], n);
	if ((n & (MANY_PACKETS | MANY_BYTES)) &&
	    !(was & CONNECTION_CHANGING)) /* or the next packet does it */
		take_off(c, tag, was, d);
}

/* A packet of the entry that was seen then passes now. Never back: who began earlier may write later. */
static __always_inline void see(struct connection *c, __u32 seen, __u32 now)
{
	for (int i = 0; i < MAX_MARKS && age_of(seen, now); i++) {
		__u32 found = __sync_val_compare_and_swap(&c->seen, seen, now);

		if (found == seen)
			return;
		seen = found;
	}
}

#endif
