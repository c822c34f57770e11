/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The ways of a bucket, which a hash of the key chooses: where entries stand, and which of them gives way.
 *
 * Two packets that begin a flow at once, on two CPUs, may both publish it. Each looks again afterwards,
 * and whoever sees both takes one out: an established one stays, else the one in the higher way. Readers
 * go upwards, and look twice before they say that there is none, so they meet one of the two. An exchange
 * of a tag that succeeds, or returns the old value, is a full barrier, so that of two that publish at least
 * one sees the other.
 */
#ifndef SALLYPORT_BUCKET_H
#define SALLYPORT_BUCKET_H

#define MAX_CLAIMS 4

#define NO_WAY		    0xffULL
#define CLAIMED_ESTABLISHED 0x80

#define PAST_ITS_END (1ULL << 32) /* beside an age: before all others */

/* A word's part of a hash: both halves go into one product, so that none waits for another word's. */
static __always_inline __u64 product(__u64 word, __u64 secret)
{
	return (__u64)((__u32)word + (__u32)secret) * ((__u32)(word >> 32) + (__u32)(secret >> 32));
}

/* Its low bits choose the bucket, its high ones are the fingerprint. The sum is NH of UMAC (RFC 4418): without
 * the ENI's secrets nobody finds keys with the same one.
 */
static __always_inline __u64 hash_of(const struct packet *p)
{
	const word *key = (const word *)&p->key;
	const __u64 *secret = p->eni->secrets;
	__u64 hash = product(key[0], secret[0]);

	if (p->key.family == FAMILY_IPV6)
		hash += product(key[1], secret[1]) + product(key[2], secret[2]) +
			product(key[3], secret[3]) + product(key[4], secret[4]);
	else
		hash += product((__u64)p->key.local.words[0] << 32 | p->key.remote.words[0],
				secret[1]);
	hash = (hash ^ hash >> 32) * 0x9e3779b97f4a7c15ULL; /* 2^64 over the golden ratio */
	return hash ^ hash >> 32;
}

/* The bucket of a key with this hash; NULL: the slot has no connections at all. */
static __always_inline struct bucket *bucket_of(const struct packet *p, __u64 hash)
{
	__u32 mask = p->eni->bucket_mask, at = (__u32)hash & mask;
	__u32 chunk = p->slot * MAX_FLOW_CHUNKS;
	void *map;

	/* Where there is one chunk alone the CPU finds it before it has the hash. */
	if (mask >= CHUNK_BUCKETS)
		chunk += at / CHUNK_BUCKETS;
	map = bpf_map_lookup_elem(&flows, &chunk);
	at %= CHUNK_BUCKETS;
	return map ? bpf_map_lookup_elem(map, &at) : NULL;
}

static __always_inline __u32 fingerprint_of(const struct packet *p)
{
	return p->hash >> 32;
}

/* The way that a new entry takes if it is empty. Whoever looks there first finds most without a look at the
 * others' tags, and the CPU foresees it: it reads the entry while it still waits for the tags.
 */
static __always_inline __u32 home_of(__u64 fingerprint)
{
	return fingerprint & (WAYS - 1);
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

/* Looks for a key in its bucket: its way, and what stands there; or NO_WAY. A global function, which the
 * verifier walks once; so are some that follow.
 */
__noinline __u64 find_way(struct bucket *b, struct connection_key *key, struct entry *said,
			  __u32 fingerprint)
{
	if (!b || !key || !said)
		return NO_WAY;
	/* One look alone shows nothing: of two entries the one ahead may have gone, and its way be another flow's, when
	 * the other has come up behind.
	 */
	for (int reads = 0; reads < MAX_READS; reads++) {
		__u32 left;

		if (weak_order && reads)
			full_barrier(); /* all of the look before is over */
		left = weak_order ? candidates_in_order(b, fingerprint) :
				    candidates(b, fingerprint);
		if (!left && reads)
			break;
		for (int i = 0; i < WAYS && left; i++) {
			__u32 way = lowest(left);
			const struct connection *c = &b->ways[way];
			__u64 was = read_word(&b->tags[way]), differs;

			left &= left - 1;
			if (was >> 32 != fingerprint || !is_live(was))
				continue;
			differs = difference((void *)c + after(was), key);
			if (differs)
				continue;
			barrier_var(differs);
			if (read_entry(c, &b->tags[way], was, differs, said))
				return way;
		}
	}
	return NO_WAY;
}

static __always_inline __u32 established_in(const struct bucket *b)
{
	__u32 n = 0;

#pragma unroll
	for (int i = 0; i < WAYS; i++)
		n += !!(read_word(&b->tags[i]) & CONNECTION_ESTABLISHED);
	return n;
}

/* Notes when an entry that says this of itself is past its end, for whoever looks for a way that may be taken: the
 * entries themselves are too many cache lines. Of an established one it is not noted again with each of its packets,
 * so that it may only be later; and as a CPU may be delayed, it may be what stood there before. Half-open ones give
 * way at any time. Of an established one the entry has the last word.
 */
static __always_inline void note_end(__u64 *times, __u32 seen, __u32 timeout)
{
	*(volatile __u64 *)times = seen | (__u64)(__u32)(seen + timeout) << 32;
}

/* An established connection's place is free: RECLAIM_MARGIN past its end, or at once if it is closed, since its
 * packets do not put that off. If not, notes when it will be.
 */
__noinline bool is_over(struct bucket *b, __u32 way, __u64 tag, struct timeouts *t, __u32 now)
{
	struct connection *c;
	__u32 end, seen;

	if (!b || !t)
		return false;
	way &= WAYS - 1;
	c = (void *)&b->ways[way] + after(tag);
	seen = *(volatile __u32 *)&c->seen;
	end = timeout_of(t, tag, protocol_of(c), is_stream(tag, c->counts[0], c->counts[1]));
	if (!is_closed(tag))
		end += RECLAIM_MARGIN * ticks_per_second;
	if (age_of(seen, now) > end)
		return true;
	note_end(&b->times[way], seen, end);
	return false;
}

/* The way of a full bucket that a new entry is to have: one past its end, also of those that are established if
 * they may, else the half-open one that was not seen for the longest time; as its number, below what its tag has
 * besides the fingerprint; or NO_WAY. Where several are as good the search begins at from.
 */
__noinline __u64 choose_way(struct bucket *b, __u32 now, __u32 from, bool established_may)
{
	__u64 chosen = NO_WAY, best = 0, established = NO_WAY;

	if (!b)
		return NO_WAY;
	for (__u32 i = 0; i < WAYS; i++) {
		__u32 way = (from + i) & (WAYS - 1);
		__u64 tag = read_word(&b->tags[way]), times = read_word(&b->times[way]);
		__u64 rank = age_of(times, now) + 1ULL;

		if ((__s32)(now - (__u32)(times >> 32)) > 0)
			rank |= PAST_ITS_END;
		if (tag & (CONNECTION_BUSY | CONNECTION_CHANGING))
			continue;
		tag = (tag & 0xffffffff) << 8 | way;
		if (tag >> 8 & CONNECTION_ESTABLISHED) {
			if (rank & PAST_ITS_END)
				established = tag;
		} else if (rank > best) {
			best = rank;
			chosen = tag;
		}
	}
	return established_may && established != NO_WAY && !(best & PAST_ITS_END) ? established :
										    chosen;
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
			way = empty >> home_of(fingerprint) & 1 ? home_of(fingerprint) :
								  lowest(empty);
			was = read_word(&b->tags[way]);
			if (was & TAG_FLAGS)
				continue;
		} else {
			__u64 chosen = choose_way(b, now, fingerprint, true);

			/* An established one's end is a hint: the entry itself has the last word. */
			if (chosen != NO_WAY && (chosen >> 8 & CONNECTION_ESTABLISHED) &&
			    !is_over(b, chosen, chosen >> 8, t, now))
				chosen = choose_way(b, now, fingerprint, false);
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

/* After an entry was published in a way with this tag: another CPU may have done the same for its key. Returns how
 * many established ones it took out.
 */
__noinline __u32 drop_twins(struct bucket *b, struct connection_key *key, __u32 way, __u64 mine)
{
	__u32 left, gone = 0;

	if (!b || !key)
		return 0;
	way &= WAYS - 1;
	left = candidates(b, mine >> 32) & ~(1U << way);
	for (int i = 0; i < WAYS + MAX_MARKS && left; i++) {
		__u32 other = lowest(left), out;
		__u64 was = read_word(&b->tags[other]), own = read_word(&b->tags[way]), tag;
		bool stays; /* ours */

		left &= left - 1;
		if (was >> 32 != mine >> 32 || !is_live(was) ||
		    difference((void *)&b->ways[other] + after(was), key))
			continue;
		if (!is_same_entry(own, mine) || !is_live(own))
			break;
		if ((was ^ own) & CONNECTION_ESTABLISHED)
			stays = own & CONNECTION_ESTABLISHED;
		else if ((was ^ own) & CONNECTION_CHANGING)
			stays = own & CONNECTION_CHANGING;
		else
			stays = other < way;
		tag = stays ? was : own;
		out = stays ? other : way;
		if (tag & CONNECTION_CHANGING) /* whoever writes it looks afterwards, too */
			continue;
		if (!exchange(&b->tags[out], tag, tag & ~TAG_FLAGS))
			left |= 1U << other;
		else if (tag & CONNECTION_ESTABLISHED)
			gone++;
	}
	return gone;
}

/* The key stands beside the buckets: takes each entry that it has out of its bucket, established ones only if all shall
 * go. Returns how many of these went, << 16, and below that the flags that the one in that way had, if it still was
 * the one with this tag; CONNECTION_ESTABLISHED also if one was left.
 */
__noinline __u64 take_out(struct bucket *b, struct connection_key *key, __u32 way, __u64 tag,
			  bool all)
{
	__u64 out = 0;
	__u32 left;

	if (!b || !key)
		return 0;
	left = candidates(b, tag >> 32);
	for (int i = 0; i < WAYS + MAX_MARKS && left; i++) {
		__u32 at = lowest(left);
		__u64 was = read_word(&b->tags[at]);

		/* Or parts of them are on the stack all the time. */
		barrier_var(key);
		barrier_var(tag);
		barrier_var(b);
		left &= left - 1;
		if (was >> 32 != tag >> 32 || !is_live(was) || (was & CONNECTION_CHANGING) ||
		    difference((void *)&b->ways[at] + after(was), key))
			continue;
		if (!all && (was & CONNECTION_ESTABLISHED)) {
			out |= CONNECTION_ESTABLISHED;
			continue;
		}
		if (!exchange(&b->tags[at], was, was & ~TAG_FLAGS)) {
			left |= 1U << at;
			continue;
		}
		out += (__u64) !!(was & CONNECTION_ESTABLISHED) << 16;
		if (at == way && is_same_entry(was, tag))
			out |= was & TAG_FLAGS;
	}
	return out;
}

#endif
