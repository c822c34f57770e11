/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Fragments. The first one has the ports and is judged as any packet; the others have the same fate.
 * One that comes before its first is dropped, as nobody knows yet what it belongs to.
 *
 * What was judged cannot be exchanged afterwards: a first fragment holds all headers whole (RFC 1858,
 * RFC 7112), and no other may begin before their end. The protocol's header comes first in it: were
 * there IPv6 headers before that, another first fragment of the same id, without them, would let a
 * later one stand where the protocol's header is.
 */
#ifndef SALLYPORT_FRAGMENT_H
#define SALLYPORT_FRAGMENT_H

#define FRAGMENT_SECONDS 30 /* as long as Linux waits for the others */

/* IPv6 reassembles by addresses and id alone. */
static __always_inline void fragment_key_of(struct fragment_key *key, const struct packet *p,
					    bool from_guest)
{
	key->id = p->fragment_id;
	key->direction = from_guest ? DIRECTION_EGRESS : DIRECTION_INGRESS;
	key->protocol = p->key.family == FAMILY_IPV6 ? IPPROTO_FRAGMENT : p->key.protocol;
	key->family = p->key.family;
	key->pad = 0;
	key->local = p->key.local;
	key->remote = p->key.remote;
}

/* What became of the first fragment, if this one may follow it; else NULL. */
static __noinline const struct fragment *first_of(const struct packet *p, bool from_guest)
{
	struct fragment_key key;
	const struct fragment *first;
	void *of_slot = bpf_map_lookup_elem(&fragments, &p->slot);

	if (!of_slot)
		return NULL;
	fragment_key_of(&key, p, from_guest);
	first = bpf_map_lookup_elem(of_slot, &key);
	if (!first || (__s64)(p->now - first->seen) > (__s64)FRAGMENT_SECONDS * ticks_per_second)
		return NULL;
	if (p->before < first->header || p->before + p->l4_length > 0xffff)
		return NULL;
	if (first->observed && p->now >= p->config->observe_until)
		return NULL;
	return first;
}

/* The first fragment's verdict, or REASON_NONE: the rules have changed, and decide again. */
static __always_inline enum reason follow(struct packet *p, const struct fragment *first)
{
	p->stateless = true;
	if (!first)
		return REASON_FRAGMENT;
	if (first->change && first->change != p->epoch + 1) {
		p->port = first->port;
		return REASON_NONE;
	}
	p->rule = first->by.rule;
	p->counter = first->by.counter;
	p->observed = first->observed;
	return first->reason;
}

/* Leaves a first fragment's verdict for the others. Of one that is dropped nothing stays: whatever had
 * the same id before it is not to be completed.
 */
static __noinline void lead(const struct packet *p, enum reason reason, bool from_guest)
{
	struct fragment_key key;
	struct fragment first = {
		.seen = p->now,
		.by = {.rule = p->rule, .counter = p->counter},
		.header = p->l4 + p->l4_header - p->payload,
		.port = p->port,
		.reason = reason,
		.observed = p->observed,
	};
	void *of_slot = bpf_map_lookup_elem(&fragments, &p->slot);

	if (!of_slot)
		return;
	fragment_key_of(&key, p, from_guest);
	/* No connection stands for it. */
	if (reason == REASON_RULE && !p->tracked)
		first.change = p->epoch + 1;
	if (allowed(reason) || p->observed)
		bpf_map_update_elem(of_slot, &key, &first, BPF_ANY);
	else
		bpf_map_delete_elem(of_slot, &key);
}

#endif
