/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The entries beside the buckets, in the kernel's map, and how many there are.
 *
 * A connection moves out of its bucket when more than MAX_ESTABLISHED_WAYS are established there: it is put into
 * the kernel's map, then each entry of its key is taken out of the bucket. Readers look in this order, too.
 * Nothing ever moves the other way. Who begins a flow in the bucket looks into that map after publishing it.
 */
#ifndef SALLYPORT_OVERFLOW_H
#define SALLYPORT_OVERFLOW_H

/* Of struct occupancy. */
#define ONE_MORE ((1ULL << 32) + 1)
#define ONE_LESS ((1ULL << 32) - 1)

static __always_inline struct occupancy *occupancy_of(const struct packet *p)
{
	return bpf_map_lookup_elem(&occupancies, &p->slot);
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

#endif
