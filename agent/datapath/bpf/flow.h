/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The flow of a packet: its entry is found, begun, amended, published and established, wherever it stands. See
 * entry.h for what an entry is, bucket.h and overflow.h for where.
 */
#ifndef SALLYPORT_FLOW_H
#define SALLYPORT_FLOW_H

/* Looks for the entry of the packet's key. If there is none connection is NULL; bucket is, if the slot
 * has no connections at all.
 */
static __always_inline void find_flow(struct packet *p)
{
	struct flow *f = &p->flow;
	struct occupancy *o;
	struct overflow *found;
	void *map;

	f->connection = NULL;
	if (!p->looked) {
		p->hash = hash_of(p);
		f->bucket = bucket_of(p, p->hash);
	}
	if (!f->bucket)
		return;
	if (!p->looked || candidates(f->bucket, fingerprint_of(p))) {
		__u64 way = find_way(f->bucket, &p->key, &f->said, fingerprint_of(p));
		if (way < WAYS) {
			f->tag = &f->bucket->tags[way];
			f->connection = &f->bucket->ways[way];
			p->overflowed = false;
			return;
		}
	}
	if (weak_order)
		full_barrier(); /* that way comes last */
	o = occupancy_of(p);
	if (!o || !(__u32)read_word(&o->overflowed))
		return;
	map = bpf_map_lookup_elem(&connections, &p->slot);
	found = map ? bpf_map_lookup_elem(map, &p->key) : NULL;
	if (!found || !read_overflow(found, &p->key, &f->said))
		return;
	f->tag = &found->tag;
	f->connection = &found->connection;
	p->overflowed = true;
}

/* Notes when the entry, seen now, is past its end, if it stands in a bucket. */
static __always_inline void note(const struct packet *p, __u64 flags)
{
	const struct flow *f = &p->flow;
	__u32 way;

	if (p->overflowed || !f->bucket)
		return;
	way = (f->tag - f->bucket->tags) & (WAYS - 1);
	note_end(&f->bucket->times[way], p->now,
		 timeout_of(&p->config->timeouts, flags, p->key.protocol, f->said.stream));
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
		note(p, f->said.tag);
		/* Others may have done the same at this moment. */
		if (p->overflowed || established_in(f->bucket) <= MAX_ESTABLISHED_WAYS)
			return true;
	}
	return move_out(p, marked);
}

/* Takes a way for the packet's key. False: all are established. */
static __always_inline bool claim(struct packet *p)
{
	struct flow *f = &p->flow;
	__u64 claimed;
	__u32 way;

	if (!f->bucket)
		return false;
	claimed = claim_way(f->bucket, &p->config->timeouts, p->now, fingerprint_of(p));
	if (claimed == NO_WAY)
		return false;
	if (claimed & CLAIMED_ESTABLISHED)
		give_quota(p);
	way = claimed & (WAYS - 1);
	f->said.tag = (__u64)fingerprint_of(p) << 32 | claimed >> 8;
	f->tag = &f->bucket->tags[way];
	f->connection = &f->bucket->ways[way];
	f->said.stream = false;
	p->overflowed = false;
	return true;
}

static __always_inline bool amend(struct packet *p, __u64 kept, __u64 flags)
{
	struct flow *f = &p->flow;
	__u64 was;

	flags |= CONNECTION_UNTRACKED | CONNECTION_CHANGING;
	was = change(f->tag, f->said.tag, kept, flags);
	if (!was)
		return false;
	if (was & CONNECTION_ESTABLISHED)
		give_quota(p);
	f->said.tag = (next_version(was) & ~TAG_FLAGS) | (was & kept) | flags;
	return true;
}

/* The entry that was claimed or amended is whole, with these flags. */
static __always_inline void publish(struct packet *p, __u64 flags)
{
	struct flow *f = &p->flow;
	struct occupancy *o = occupancy_of(p);
	__u32 way, twins;

	/* What an upgrade has put beside the buckets gets its fingerprint now. */
	f->said.tag = (__u64)fingerprint_of(p) << 32 | (f->said.tag & TAG_VERSION) | flags;
	note(p, flags);
	__sync_lock_test_and_set(f->tag, f->said.tag);
	if (!o || !f->bucket)
		return;
	if (p->overflowed) {
		take_over(p);
		return;
	}
	if (!*(volatile __u32 *)&o->touched)
		*(volatile __u32 *)&o->touched = 1;
	way = (f->tag - f->bucket->tags) & (WAYS - 1);
	twins = 0;
	if (candidates(f->bucket, fingerprint_of(p)) & ~(1U << way))
		twins = drop_twins(f->bucket, &p->key, way, f->said.tag);
	if (twins)
		__sync_fetch_and_add(&o->established, ONE_LESS * twins);
	if ((__u32)read_word(&o->overflowed))
		yield(p);
}

#endif
