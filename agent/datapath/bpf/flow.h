/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Where the connections of an ENI stand: in the ways of the bucket that a hash of the key chooses, and
 * some of the established ones in a kernel map besides, where their bucket had no room.
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
 *	remove	live -> empty
 *	cut	live -> live, by the agent: it says nothing of rules any more
 *
 * Only who made an entry busy or changing makes it live again, and until then nobody else has a
 * transition from there. The agent makes none busy or changing: it may die at any moment.
 *
 * Who reads takes the tag, then the entry, then the tag again: with the same identity all of it was so at
 * one moment. What a busy entry says nobody sees; of one that is changing key and flags count alone.
 *
 * Two packets that begin a flow at once, on two CPUs, may both publish it. Each looks again afterwards,
 * and whoever sees both takes one out: an established one stays, else the one in the higher way. Readers
 * go upwards, so they meet one of the two. An exchange of a tag that succeeds, or returns the old value,
 * is a full barrier, so that of two that publish at least one sees the other.
 *
 * A connection moves out of its bucket when more than MAX_ESTABLISHED_WAYS are established there: it is put into
 * the kernel's map, then each entry of its key is taken out of the bucket. Readers look in this order, too.
 * Nothing ever moves the other way. Who begins a flow in the bucket looks into that map after publishing it.
 *
 * A packet takes an entry that is past its timeout for none. Others claim or sweep an established one RECLAIM_MARGIN
 * later alone: else they might judge it by a time at which a packet of it just passes.
 *
 * What is not guarded are counters, the time when it was last seen, and TCP's next numbers: a packet that
 * was delayed between its look at the tag and its write may write them into what came to stand there
 * meanwhile. None of them decides a verdict by itself: see account in connection.h.
 */
#ifndef SALLYPORT_FLOW_H
#define SALLYPORT_FLOW_H

#define TAG_FLAGS   0xffffULL
#define TAG_VERSION 0xffff0000ULL
#define ONE_VERSION 0x10000ULL

#define MAX_READS  3 /* of what changes at the same time */
#define MAX_CLAIMS 4
#define MAX_MARKS  8 /* who loses has seen another flag come, and there are seven */

#define NO_WAY		    0xffULL
#define CLAIMED_ESTABLISHED 0x80

#define PAST_ITS_END (1ULL << 32) /* beside an age: before all others */

/* Of struct occupancy. */
#define ONE_MORE ((1ULL << 32) + 1)
#define ONE_LESS ((1ULL << 32) - 1)

/* The CPU reads out of order what does not depend on each other. The agent says so; where it does not, the
 * verifier removes what this asks for.
 */
const volatile bool weak_order;

typedef __u64 __attribute__((may_alias)) word;

static __always_inline __u64 read_word(const void *at)
{
	return *(const volatile word *)at;
}

/* 0, and the CPU does not know before it has the value: what is read from an address that this went into
 * is read later. arm64 keeps to that; x86 reads in order anyway.
 */
static __always_inline __u64 after(__u64 value)
{
	asm volatile("%0 &= 0" : "+r"(value));
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

static __always_inline __u64 mix(__u64 hash, __u64 value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL; /* 2^64 over the golden ratio */
	return hash ^ hash >> 32;
}

/* Its low bits choose the bucket, its high ones are the fingerprint. The seed is the ENI's secret. */
static __always_inline __u64 hash_of(const struct packet *p)
{
	const word *key = (const word *)&p->key;
	__u64 hash = mix(p->eni->seed, key[0]);

	if (p->key.family == FAMILY_IPV6) {
		hash = mix(hash, key[1]);
		hash = mix(hash, key[2]);
		hash = mix(hash, key[3]);
		hash = mix(hash, key[4]);
	} else {
		hash = mix(hash, (__u64)p->key.local.words[0] << 32 | p->key.remote.words[0]);
	}
	return mix(hash, 0);
}

/* 0: they are the same. */
static __always_inline __u64 difference(const struct connection_key *a,
					const struct connection_key *b)
{
	const word *x = (const word *)a, *y = (const word *)b;

	return (x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4]);
}

/* The ways of a bucket that have a fingerprint, as bits. Without a branch: nobody can predict which it is. */
static __always_inline __u32 candidates(const struct bucket *b, __u64 fingerprint)
{
	__u32 ways = 0;

#pragma unroll
	for (int i = 0; i < WAYS; i++) {
		__u64 differs = read_word(&b->tags[i]) >> 32 ^ fingerprint;

		barrier_var(differs);
		ways |= (differs - 1) >> 63 << i;
	}
	return ways;
}

/* The same, read from the first to the last whatever the CPU is, as flows move. */
__noinline __u32 candidates_in_order(struct bucket *b, __u32 fingerprint)
{
	__u32 ways = 0;

	if (!b)
		return 0;
	for (int i = 0; i < WAYS; i++) {
		__u64 tag = read_word(&b->tags[i]);

		b = (void *)b + after(tag);
		ways |= (tag >> 32 == fingerprint) << i;
	}
	return ways;
}

/* The empty ways of a bucket, as bits. */
static __always_inline __u32 empty_ways(const struct bucket *b)
{
	__u32 ways = 0;

#pragma unroll
	for (int i = 0; i < WAYS; i++) {
		__u64 flags = read_word(&b->tags[i]) & TAG_FLAGS;

		barrier_var(flags);
		ways |= (flags - 1) >> 63 << i;
	}
	return ways;
}

/* The lowest of up to 8 bits: each of them, times a de Bruijn sequence, has other bits on top. */
static __always_inline __u32 lowest(__u32 bits)
{
	bits = (bits & -bits) * 0x17 >> 5 & 7;
	return 0x56374210 >> (bits * 4) & 7;
}

static __always_inline struct occupancy *occupancy_of(const struct packet *p)
{
	return bpf_map_lookup_elem(&occupancies, &p->slot);
}

/* Reads what an entry says whose tag was read as was, and whose key was found to differ by differs. False:
 * it became something else meanwhile.
 */
static __always_inline bool read_entry(const struct connection *c, const __u64 *tag, __u64 was,
				       __u64 differs, struct entry *said)
{
	__u64 packets[2], by[2], tables, now;
	__u32 seen;

	c = (void *)c + after(was);
	seen = *(volatile __u32 *)&c->seen;
	tables = read_word(&c->tables);
	packets[0] = read_word(&c->packets[0]);
	packets[1] = read_word(&c->packets[1]);
	by[0] = read_word(&c->by[0]);
	by[1] = read_word(&c->by[1]);
	now = read_word((void *)tag +
			after(differs ^ seen ^ tables ^ packets[0] ^ packets[1] ^ by[0] ^ by[1]));
	said->tag = now;
	if (now & (CONNECTION_CHANGING | CONNECTION_CUT))
		tables = by[0] = by[1] = 0;
	said->tables = tables;
	*(word *)&said->by[0] = by[0];
	*(word *)&said->by[1] = by[1];
	said->seen = seen;
	said->stream = packets[0] > 1 && packets[1] > 1;
	return is_same_entry(now, was) && is_live(now) && !((now ^ was) & CONNECTION_CHANGING);
}

/* Looks for a key in its bucket: its way, and what stands there; or NO_WAY. A global function, which the
 * verifier walks once; so are some that follow.
 */
__noinline __u64 find_way(struct bucket *b, struct connection_key *key, struct entry *said,
			  __u32 fingerprint)
{
	if (!b || !key || !said)
		return NO_WAY;
	for (int reads = 0; reads < MAX_READS; reads++) {
		bool changed = false;
		__u32 left = weak_order ? candidates_in_order(b, fingerprint) :
					  candidates(b, fingerprint);

		for (int i = 0; i < WAYS && left; i++) {
			__u32 way = lowest(left);
			const struct connection *c = &b->ways[way];
			__u64 was = read_word(&b->tags[way]), differs;

			left &= left - 1;
			if (was >> 32 != fingerprint || !is_live(was)) {
				/* Gone: its twin may have come up behind the look at all tags. */
				changed |= !(was & CONNECTION_BUSY);
				continue;
			}
			differs = difference((void *)c + after(was), key);
			if (differs)
				continue;
			barrier_var(differs);
			if (read_entry(c, &b->tags[way], was, differs, said))
				return way;
			changed = true;
		}
		if (!changed)
			break;
	}
	return NO_WAY;
}

/* Reads an entry that stands beside the buckets. */
__noinline bool read_overflow(struct overflow *o, struct entry *said)
{
	if (!o || !said)
		return false;
	for (int reads = 0; reads < MAX_READS; reads++) {
		__u64 was = read_word(&o->tag);

		if (!is_live(was))
			return false;
		if (read_entry(&o->connection, &o->tag, was, 0, said))
			return true;
	}
	return false;
}

/* Looks for the entry of the packet's key. If there is none connection is NULL; bucket is, if the slot
 * has no connections at all.
 */
static __always_inline void find_flow(struct packet *p)
{
	struct flow *f = &p->flow;
	__u64 hash = hash_of(p), way;
	__u32 at = (__u32)hash & p->eni->bucket_mask;
	void *map = bpf_map_lookup_elem(&flows, &p->slot);
	struct occupancy *o;
	struct overflow *found;

	f->connection = NULL;
	f->bucket = map ? bpf_map_lookup_elem(map, &at) : NULL;
	if (!f->bucket)
		return;
	p->fingerprint = hash >> 32;
	way = find_way(f->bucket, &p->key, &f->said, p->fingerprint);
	if (way < WAYS) {
		f->tag = &f->bucket->tags[way];
		f->connection = &f->bucket->ways[way];
		p->overflowed = false;
		return;
	}
	if (weak_order)
		full_barrier(); /* that way comes last */
	o = occupancy_of(p);
	if (!o || !(__u32)read_word(&o->overflowed))
		return;
	map = bpf_map_lookup_elem(&connections, &p->slot);
	found = map ? bpf_map_lookup_elem(map, &p->key) : NULL;
	if (!found || !read_overflow(found, &f->said))
		return;
	f->tag = &found->tag;
	f->connection = &found->connection;
	p->overflowed = true;
}

/* Whether the entry is still the one that was found. */
static __always_inline bool is_there(const struct flow *f)
{
	__u64 tag = read_word(f->tag);

	return is_same_entry(tag, f->said.tag) && is_live(tag);
}

/* Adds flags to an entry whose tag was read as was. False: it had all of them, or became another one. */
__noinline bool mark(__u64 *at, __u64 was, __u64 flags)
{
	__u64 tag;

	if (!at)
		return false;
	tag = read_word(at);
	for (int i = 0; i < MAX_MARKS; i++) {
		__u64 found;

		if (!is_same_entry(tag, was) || !is_live(tag) || (tag & CONNECTION_CHANGING) ||
		    (tag & flags) == flags)
			return false;
		found = __sync_val_compare_and_swap(at, tag, tag | flags);
		if (found == tag)
			return true;
		tag = found;
	}
	return false;
}

/* Takes out the entry whose tag was read as was. Returns its tag; 0: it became another one. */
__noinline __u64 remove(__u64 *at, __u64 was)
{
	__u64 tag;

	if (!at)
		return 0;
	tag = read_word(at);
	for (int i = 0; i < MAX_MARKS; i++) {
		__u64 found;

		if (!is_same_entry(tag, was) || !is_live(tag) || (tag & CONNECTION_CHANGING))
			return 0;
		found = __sync_val_compare_and_swap(at, tag, tag & ~TAG_FLAGS);
		if (found == tag)
			return tag;
		tag = found;
	}
	return 0;
}

/* One more established connection, unless the ENI has as many as it may. */
static __always_inline bool take_quota(const struct packet *p)
{
	struct occupancy *o = occupancy_of(p);

	if (!o)
		return false;
	if ((__s32)__sync_fetch_and_add(&o->established, ONE_MORE) < (__s32)p->eni->quota)
		return true;
	__sync_fetch_and_add(&o->established, ONE_LESS);
	return false;
}

/* An established connection less. */
static __always_inline void give_quota(const struct packet *p)
{
	struct occupancy *o = occupancy_of(p);

	if (o)
		__sync_fetch_and_add(&o->established, ONE_LESS);
}

static __always_inline __u32 established_in(const struct bucket *b)
{
	__u32 n = 0;

#pragma unroll
	for (int i = 0; i < WAYS; i++)
		n += !!(read_word(&b->tags[i]) & CONNECTION_ESTABLISHED);
	return n;
}

/* What the kernel's map gets before it gets the connection. */
static const struct overflow busy_overflow = {.tag = CONNECTION_BUSY};

/* Puts a copy of the connection that was found beside the buckets, established. 0; -ENOENT if it is not there any
 * more; or the kernel's error.
 */
static __always_inline int copy_out(const struct packet *p, void *map, struct overflow **copy)
{
	const struct flow *f = &p->flow;
	struct overflow *to;
	__u64 was;
	int err = bpf_map_update_elem(map, &p->key, &busy_overflow, BPF_NOEXIST);

	if (err)
		return err;
	to = bpf_map_lookup_elem(map, &p->key);
	if (!to)
		return -ENOENT;
	was = read_word(f->tag);
	to->connection = *(struct connection *)((void *)f->connection + after(was));
	full_barrier();
	if (!is_same_entry(was, f->said.tag) || !is_live(was) || !is_there(f)) {
		bpf_map_delete_elem(map, &p->key);
		return -ENOENT;
	}
	__sync_lock_test_and_set(&to->tag, was | CONNECTION_ESTABLISHED);
	*copy = to;
	return 0;
}

/* The key stands beside the buckets: takes each entry that it has out of its bucket. Returns how many of them were
 * established, << 16, and below that the flags that the one in that way had, if it still was the one with this tag.
 */
__noinline __u64 take_out(struct bucket *b, struct connection_key *key, __u32 way, __u64 tag)
{
	__u64 flags = 0, gone = 0;
	__u32 left;

	if (!b || !key)
		return 0;
	left = candidates(b, tag >> 32);
	for (int i = 0; i < WAYS + MAX_MARKS && left; i++) {
		__u32 at = lowest(left);
		__u64 was = read_word(&b->tags[at]);

		left &= left - 1;
		if (was >> 32 != tag >> 32 || !is_live(was) || (was & CONNECTION_CHANGING) ||
		    difference((void *)&b->ways[at] + after(was), key))
			continue;
		if (!exchange(&b->tags[at], was, was & ~TAG_FLAGS)) {
			left |= 1U << at;
			continue;
		}
		gone += !!(was & CONNECTION_ESTABLISHED);
		if (at == way && is_same_entry(was, tag))
			flags = was & TAG_FLAGS;
	}
	return gone << 16 | flags;
}

/* Moves a connection that has its quota out of its bucket. marked: it stands there as an established one.
 * False: there is no room. What other CPUs count in the bucket meanwhile is lost, but no flag.
 */
static __noinline bool move_out(const struct packet *p, bool marked)
{
	const struct flow *f = &p->flow;
	struct occupancy *o = occupancy_of(p);
	void *map = bpf_map_lookup_elem(&connections, &p->slot);
	struct overflow *copy = NULL;
	__u64 out;
	int err;

	if (!o || !map || !f->connection)
		return false;
	__sync_fetch_and_add(&o->overflowed, ONE_MORE); /* before anybody can look for it */
	err = copy_out(p, map, &copy);
	if (err) {
		__sync_fetch_and_add(&o->overflowed, ONE_LESS);
		if (!marked)
			give_quota(p);
		/* Another CPU moves it; it was displaced, or cut; or it stays where it is. */
		return err == -EEXIST || err == -ENOENT || marked;
	}
	/* From here on a packet finds it in both, and what another CPU begins of it sees the copy, or is seen: to
	 * publish that was a full barrier.
	 */
	out = take_out(f->bucket, (struct connection_key *)&p->key, f->tag - f->bucket->tags,
		       f->said.tag);
	if (copy)
		mark(&copy->tag, f->said.tag, out & TAG_FLAGS);
	/* What was taken out had a quota each, the copy has the one that it came with. */
	__sync_fetch_and_add(&o->established, ONE_MORE * marked + ONE_LESS * (out >> 16));
	return true;
}

/* Makes the connection that was found an established one, which has its quota. False: there is no room. */
static __always_inline bool establish(const struct packet *p)
{
	const struct flow *f = &p->flow;
	bool marked = p->overflowed || established_in(f->bucket) < MAX_ESTABLISHED_WAYS;

	if (marked) {
		if (!mark(f->tag, f->said.tag, CONNECTION_ESTABLISHED)) {
			give_quota(p); /* another CPU did; or it is gone */
			return true;
		}
		/* Others may have done the same at this moment. */
		if (p->overflowed || established_in(f->bucket) <= MAX_ESTABLISHED_WAYS)
			return true;
	}
	return move_out(p, marked);
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
	bool settled = (flags & CONNECTION_ESTABLISHED) ||
		       (flags & (CONNECTION_TRACKED | CONNECTION_ANSWERED)) == CONNECTION_ANSWERED;

	switch (protocol) {
	case IPPROTO_TCP:
		if (is_closed(flags))
			return t->tcp_closed;
		if (flags & CONNECTION_FIN_BOTH)
			return t->tcp_closing;
		return settled ? t->tcp_established : t->tcp_syn;
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

/* How good the place of an entry with this tag is for another one: its age and one, with PAST_ITS_END; 0: it stays.
 * An established one keeps its place for RECLAIM_MARGIN, unless it is closed: its packets do not put that off.
 */
__noinline __u64 rank_of(struct connection *c, __u64 tag, struct timeouts *t, __u32 now)
{
	__u64 age, end;

	if (!c || !t || (tag & (CONNECTION_BUSY | CONNECTION_CHANGING)))
		return 0;
	age = age_of(c->seen, now);
	end = timeout_of(t, tag, c->key.protocol, c->packets[0] > 1 && c->packets[1] > 1);
	if (!(tag & CONNECTION_ESTABLISHED))
		return age > end ? PAST_ITS_END | (age + 1) : age + 1;
	if (!is_closed(tag))
		end += RECLAIM_MARGIN * ticks_per_second;
	return age > end ? PAST_ITS_END | (age + 1) : 0;
}

/* The way of a full bucket that a new entry is to have: one past its end, else the half-open one that was not
 * seen for the longest time; as its number, below what its tag has besides the fingerprint; or NO_WAY.
 * Where several are as good the search begins at from.
 */
static __always_inline __u64 choose_way(struct bucket *b, struct timeouts *t, __u32 now, __u32 from)
{
	__u64 chosen = NO_WAY, best = 0;

	for (__u32 i = 0; i < WAYS; i++) {
		__u32 way = (from + i) & (WAYS - 1);
		__u64 tag = read_word(&b->tags[way]);
		__u64 rank = rank_of(&b->ways[way], tag, t, now);

		if (rank > best) {
			best = rank;
			chosen = (tag & 0xffffffff) << 8 | way;
		}
	}
	return chosen;
}

/* Takes a way for a new entry: as its number, with CLAIMED_ESTABLISHED if an established one was there, below
 * what its tag is now besides the fingerprint; or NO_WAY. What stands there is the program's to write until
 * it publishes it.
 */
__noinline __u64 claim_way(struct bucket *b, struct timeouts *t, __u32 now, __u32 fingerprint)
{
	if (!b || !t)
		return NO_WAY;
	for (int i = 0; i < MAX_CLAIMS; i++) {
		__u32 empty = empty_ways(b), way;
		__u64 was, busy;

		if (empty) {
			way = lowest(empty);
			was = read_word(&b->tags[way]);
			if (was & TAG_FLAGS)
				continue;
		} else {
			__u64 chosen = choose_way(b, t, now, fingerprint);

			if (chosen == NO_WAY)
				return NO_WAY;
			way = chosen & (WAYS - 1);
			was = read_word(&b->tags[way]);
			if ((__u32)was != chosen >> 8)
				continue;
		}
		busy = (next_version(was) & TAG_VERSION) | CONNECTION_BUSY;
		if (exchange(&b->tags[way], was, busy | (__u64)fingerprint << 32))
			return busy << 8 | way |
			       (was & CONNECTION_ESTABLISHED ? CLAIMED_ESTABLISHED : 0);
	}
	return NO_WAY;
}

/* Takes a way for the packet's key. False: all are established. */
static __always_inline bool claim(struct packet *p)
{
	struct flow *f = &p->flow;
	__u64 claimed;
	__u32 way;

	if (!f->bucket)
		return false;
	claimed = claim_way(f->bucket, &p->config->timeouts, p->now, p->fingerprint);
	if (claimed == NO_WAY)
		return false;
	if (claimed & CLAIMED_ESTABLISHED)
		give_quota(p);
	way = claimed & (WAYS - 1);
	f->said.tag = (__u64)p->fingerprint << 32 | claimed >> 8;
	f->tag = &f->bucket->tags[way];
	f->connection = &f->bucket->ways[way];
	p->overflowed = false;
	return true;
}

/* Makes the entry whose tag was read as was the program's to write, but for its key: meanwhile it has those of
 * its flags that are kept, and these, and says nothing of rules. Returns its tag before; 0: it is gone, or
 * another CPU does the same.
 */
__noinline __u64 amend_tag(__u64 *at, __u64 was, __u64 kept, __u64 flags)
{
	__u64 tag;

	if (!at)
		return 0;
	tag = read_word(at);
	for (int i = 0; i < MAX_MARKS; i++) {
		__u64 found;

		if (!is_same_entry(tag, was) || !is_live(tag) || (tag & CONNECTION_CHANGING))
			return 0;
		/* Another CPU has established meanwhile what was to be begun anew. */
		if (tag & ~was & CONNECTION_ESTABLISHED)
			return 0;
		found = __sync_val_compare_and_swap(
			at, tag, (next_version(tag) & ~TAG_FLAGS) | (tag & kept) | flags);
		if (found == tag)
			return tag;
		tag = found;
	}
	return 0;
}

static __always_inline bool amend(struct packet *p, __u64 kept, __u64 flags)
{
	struct flow *f = &p->flow;
	__u64 was;

	flags |= CONNECTION_UNTRACKED | CONNECTION_CHANGING;
	was = amend_tag(f->tag, f->said.tag, kept, flags);
	if (!was)
		return false;
	if (was & CONNECTION_ESTABLISHED)
		give_quota(p);
	f->said.tag = (next_version(was) & ~TAG_FLAGS) | (was & kept) | flags;
	return true;
}

/* After an entry was published with this tag: another CPU may have done the same for its key. Returns how
 * many established ones it took out.
 */
__noinline __u32 drop_twins(struct bucket *b, struct connection_key *key, __u32 way, __u64 mine)
{
	__u32 left, gone = 0;

	if (!b || !key)
		return 0;
	way &= WAYS - 1;
	left = candidates(b, mine >> 32) & ~(1U << way);
	for (int i = 0; i < WAYS && left; i++) {
		__u32 other = lowest(left), out;
		__u64 was = read_word(&b->tags[other]), own = read_word(&b->tags[way]), tag;
		bool stays; /* ours */

		left &= left - 1;
		if (was >> 32 != mine >> 32 || !is_live(was) ||
		    difference((void *)&b->ways[other] + after(was), key))
			continue;
		if (!is_same_entry(own, mine) || !is_live(own))
			break;
		if ((was ^ own) & CONNECTION_CHANGING)
			stays = own & CONNECTION_CHANGING;
		else if ((was ^ own) & CONNECTION_ESTABLISHED)
			stays = own & CONNECTION_ESTABLISHED;
		else
			stays = other < way;
		tag = stays ? was : own;
		out = stays ? other : way;
		if (tag & CONNECTION_CHANGING)
			break;
		if (!exchange(&b->tags[out], tag, tag & ~TAG_FLAGS))
			left |= 1U << other;
		else if (tag & CONNECTION_ESTABLISHED)
			gone++;
	}
	return gone;
}

/* Whether an entry beside the buckets says what becomes of its flow. */
__noinline bool lives(struct overflow *o, struct timeouts *t, __u32 now)
{
	const struct connection *c;
	__u64 tag;

	if (!o || !t)
		return false;
	tag = read_word(&o->tag);
	if (!is_live(tag) || (tag & CONNECTION_CUT) || is_closed(tag))
		return false;
	if (tag & CONNECTION_CHANGING) /* it begins anew */
		return true;
	c = (void *)&o->connection + after(tag);
	return age_of(c->seen, now) <=
	       timeout_of(t, tag, c->key.protocol, c->packets[0] > 1 && c->packets[1] > 1);
}

/* After an entry was published in a bucket: another CPU may have moved its key out meanwhile. Then that one
 * stays. False: nobody has.
 */
static __noinline bool yield(const struct packet *p)
{
	const struct flow *f = &p->flow;
	struct occupancy *o = occupancy_of(p);
	struct overflow *found;
	void *map;

	if (!o || !(__u32)read_word(&o->overflowed))
		return false;
	map = bpf_map_lookup_elem(&connections, &p->slot);
	found = map ? bpf_map_lookup_elem(map, &p->key) : NULL;
	if (!found || !lives(found, &p->config->timeouts, p->now))
		return false;
	if (remove(f->tag, f->said.tag) & CONNECTION_ESTABLISHED)
		give_quota(p);
	return true;
}

/* The entry that was claimed or amended is whole, with these flags. */
static __always_inline void publish(struct packet *p, __u64 flags)
{
	struct flow *f = &p->flow;
	struct occupancy *o;
	__u32 twins;

	f->said.tag = (f->said.tag & ~TAG_FLAGS) | flags;
	__sync_lock_test_and_set(f->tag, f->said.tag);
	if (p->overflowed || !f->bucket)
		return;
	o = occupancy_of(p);
	if (!o)
		return;
	if (!*(volatile __u32 *)&o->touched)
		*(volatile __u32 *)&o->touched = 1;
	twins = drop_twins(f->bucket, &p->key, f->tag - f->bucket->tags, f->said.tag);
	if (twins)
		__sync_fetch_and_add(&o->established, ONE_LESS * twins);
	yield(p);
}

#endif
