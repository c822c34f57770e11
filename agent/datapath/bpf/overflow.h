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

/* Reads what stands for a key beside the buckets. False: nothing does any more. The kernel may give the memory of an
 * element that was removed to another key at once.
 */
__noinline bool read_overflow(struct overflow *o, struct connection_key *key, struct entry *said)
{
	if (!o || !key || !said)
		return false;
	for (int reads = 0; reads < MAX_READS; reads++) {
		__u64 was = read_word(&o->tag), differs;

		if (!is_live(was))
			return false;
		differs = difference((void *)&o->connection + after(was), key);
		if (differs)
			return false;
		barrier_var(differs);
		if (read_entry(&o->connection, &o->tag, was, differs, said))
			return true;
	}
	return false;
}

/* Whether an entry with this tag, beside the buckets, says what becomes of its flow. */
__noinline bool lives(struct overflow *o, __u64 tag, struct timeouts *t, __u32 now)
{
	const struct connection *c;

	if (!o || !t || !is_live(tag) || (tag & CONNECTION_CUT) || is_closed(tag))
		return false;
	if (tag & CONNECTION_CHANGING) /* it begins anew */
		return true;
	c = (void *)&o->connection + after(tag);
	return age_of(c->seen, now) <=
	       timeout_of(t, tag, protocol_of(c), is_stream(tag, c->counts[0], c->counts[1]));
}

/* Exchanges the tag of an entry beside the buckets. If it is busy from then on it is removed: nobody else does that, or
 * writes it, so that it is this one still which the key has. Returns the tag that it had, whether it was this one or not.
 */
static __always_inline __u64 exchange_overflow(__u32 slot, void *map,
					       const struct connection_key *key, struct overflow *e,
					       __u64 was, __u64 to)
{
	struct occupancy *o = bpf_map_lookup_elem(&occupancies, &slot);
	__u64 found = __sync_val_compare_and_swap(&e->tag, was, to);

	if (found != was)
		return found;
	if (to & CONNECTION_BUSY)
		bpf_map_delete_elem(map, key);
	if (o && (to & CONNECTION_BUSY))
		__sync_fetch_and_add(&o->overflowed, ONE_LESS);
	if (o && (was & ~to & CONNECTION_ESTABLISHED))
		__sync_fetch_and_add(&o->established, ONE_LESS);
	return found;
}

/* Removes the entry of the packet's key that stands beside the buckets, if that is its tag. */
static __always_inline bool remove_overflow(const struct packet *p, void *map, struct overflow *e,
					    __u64 tag)
{
	return exchange_overflow(p->slot, map, &p->key, e, tag,
				 (tag & ~TAG_FLAGS) | CONNECTION_BUSY) == tag;
}

/* What the kernel's map gets before it gets the connection. */
static const struct overflow busy_overflow = {.tag = CONNECTION_BUSY};

/* Takes the place of the packet's key beside the buckets: a new one, or that of an entry which does not live, or is no connection.
 * NULL: err says why. With -EEXIST there is one that lives, or that another CPU writes.
 */
static __always_inline struct overflow *claim_overflow(const struct packet *p, void *map,
						       struct occupancy *o, int *err)
{
	struct overflow *e;
	__u64 was;

	*err = bpf_map_update_elem(map, &p->key, &busy_overflow, BPF_NOEXIST);
	if (*err && *err != -EEXIST)
		return NULL;
	e = bpf_map_lookup_elem(map, &p->key);
	if (!e || !*err)
		return e;
	was = read_word(&e->tag);
	if (!is_live(was) || (was & CONNECTION_CHANGING) ||
	    ((was & CONNECTION_TRACKED) && lives(e, was, &p->config->timeouts, p->now)) ||
	    !exchange(&e->tag, was, (was & ~TAG_FLAGS) | CONNECTION_BUSY))
		return NULL;
	__sync_fetch_and_add(&o->overflowed, ONE_LESS); /* there is no element more */
	if (was & CONNECTION_ESTABLISHED)
		__sync_fetch_and_add(&o->established, ONE_LESS);
	*err = 0;
	return e;
}

/* Puts a copy of the connection that was found beside the buckets, established; its identity is new. 0; -ENOENT if it
 * is not there any more; or the kernel's error.
 */
static __always_inline int copy_out(const struct packet *p, void *map, struct occupancy *o,
				    struct overflow **copy, __u64 *tag)
{
	const struct flow *f = &p->flow;
	/* Before anybody can look for it. */
	__u64 changes = __sync_fetch_and_add(&o->overflowed, ONE_MORE) >> 32, was;
	int err = 0;
	struct overflow *to = claim_overflow(p, map, o, &err);

	if (!to) {
		__sync_fetch_and_add(&o->overflowed, ONE_LESS);
		return err ?: -ENOENT;
	}
	was = read_word(f->tag);
	to->connection = *(struct connection *)((void *)f->connection + after(was));
	full_barrier();
	if (!is_same_entry(was, f->said.tag) || !is_live(was) || !is_there(f)) {
		bpf_map_delete_elem(map, &p->key);
		__sync_fetch_and_add(&o->overflowed, ONE_LESS);
		return -ENOENT;
	}
	*tag = (was & ~TAG_VERSION) | (changes << 16 & TAG_VERSION) | CONNECTION_ESTABLISHED;
	__sync_lock_test_and_set(&to->tag, *tag);
	*copy = to;
	return 0;
}

/* The entry that the packet's key has beside the buckets is an established one from now on, if it lives. Returns its tag;
 * 0: it does not, or another CPU has done the same or writes it.
 */
static __always_inline __u64 establish_beside(const struct packet *p, void *map,
					      struct overflow **found)
{
	struct overflow *e = bpf_map_lookup_elem(map, &p->key);
	__u64 was;

	*found = e;
	if (!e)
		return 0;
	was = read_word(&e->tag);
	if ((was & (CONNECTION_TRACKED | CONNECTION_ESTABLISHED)) != CONNECTION_TRACKED ||
	    difference((void *)&e->connection + after(was), &p->key) ||
	    !lives(e, was, &p->config->timeouts, p->now) ||
	    !exchange(&e->tag, was, was | CONNECTION_ESTABLISHED))
		return 0;
	return was | CONNECTION_ESTABLISHED;
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
	__u64 tag = 0, out;
	int err;

	if (!o || !map || !f->connection)
		return false;
	err = copy_out(p, map, o, &copy, &tag);
	if (err == -EEXIST) {
		/* Another CPU has begun it there. */
		tag = establish_beside(p, map, &copy);
		err = tag ? 0 : -EEXIST;
	}
	if (err) {
		if (!marked)
			give_quota(p);
		/* Another CPU moves it; it was displaced, or cut; or it stays where it is. */
		return err == -EEXIST || err == -ENOENT || marked;
	}
	/* From here on a packet finds it in both, and what another CPU begins of it sees the copy, or is seen: to
	 * publish that was a full barrier.
	 */
	out = take_out(f->bucket, (struct connection_key *)&p->key, f->tag - f->bucket->tags,
		       f->said.tag, true);
	if (copy)
		mark(&copy->tag, tag, out & CONNECTION_KEPT & ~CONNECTION_MORE_BOTH);
	/* What was taken out had a quota each, the copy has the one that it came with. */
	__sync_fetch_and_add(&o->established, ONE_MORE * marked + ONE_LESS * (out >> 16));
	return true;
}

/* After an entry was published in a bucket: its key may have moved out meanwhile, or stand beside the buckets and be past
 * its end. If it lives there that one stays: who has looked at the bucket already looks there next.
 */
static __noinline void yield(const struct packet *p)
{
	const struct flow *f = &p->flow;
	struct occupancy *o = occupancy_of(p);
	struct overflow *found;
	void *map;

	if (!o)
		return;
	map = bpf_map_lookup_elem(&connections, &p->slot);
	found = map ? bpf_map_lookup_elem(map, &p->key) : NULL;
	if (!found)
		return;
	for (int i = 0; i < MAX_MARKS; i++) {
		__u64 own = read_word(f->tag), other = read_word(&found->tag);

		/* Who writes one of them looks for the other one afterwards. What was removed may be another key's. */
		if (!is_same_entry(own, f->said.tag) || !is_live(own) ||
		    (own & CONNECTION_CHANGING) || !is_live(other) ||
		    difference((void *)&found->connection + after(other), &p->key))
			return;
		if ((own & CONNECTION_ESTABLISHED) && (other & CONNECTION_CHANGING))
			return;
		if (!lives(found, other, &p->config->timeouts, p->now) ||
		    ((own & CONNECTION_ESTABLISHED) && !(other & CONNECTION_TRACKED))) {
			if (remove_overflow(p, map, found, other))
				return;
		} else if (own & ~other & CONNECTION_ESTABLISHED) {
			if (exchange(&found->tag, other, other | CONNECTION_ESTABLISHED))
				__sync_fetch_and_add(&o->established, ONE_MORE);
		} else if (exchange(f->tag, own, own & ~TAG_FLAGS)) {
			if (own & CONNECTION_ESTABLISHED)
				give_quota(p);
			return;
		}
	}
}

/* After an entry beside the buckets was begun anew: another CPU may have begun its key in the bucket meanwhile, and even
 * established it. It stays here.
 */
static __noinline void take_over(const struct packet *p)
{
	const struct flow *f = &p->flow;
	struct connection_key *key = (struct connection_key *)&p->key;
	struct occupancy *o = occupancy_of(p);

	if (!o || !(take_out(f->bucket, key, WAYS, f->said.tag, false) & CONNECTION_ESTABLISHED))
		return;
	if (mark(f->tag, f->said.tag, CONNECTION_ESTABLISHED))
		__sync_fetch_and_add(&o->established, ONE_MORE);
	if (is_there(f) && (read_word(f->tag) & CONNECTION_ESTABLISHED))
		__sync_fetch_and_add(
			&o->established,
			ONE_LESS * (take_out(f->bucket, key, WAYS, f->said.tag, true) >> 16));
}

#endif
