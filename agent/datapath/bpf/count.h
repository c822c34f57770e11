/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What is counted and told of verdicts: packets by reason, what each rule lets through, and events.
 * No packet waits for it, and none is judged by it.
 */
#ifndef SALLYPORT_COUNT_H
#define SALLYPORT_COUNT_H

/* Events of one slot: so many per second, and so many at once. */
#define EVENT_RATE  100
#define EVENT_BURST 200

/* Jiffies per second. The agent sets it: a program cannot know. */
const volatile __u32 ticks_per_second = 250;

/* Where a rule is counted on the packet's ENI; 0 if it found no room. It stays good for as long as a
 * connection says so.
 */
static __always_inline __u32 counter_of(const struct packet *p, __u32 rule)
{
	__u64 x = ((__u64)p->eni->number << 32 | rule) * RULE_FACTOR;
	__u32 at = x >> (64 - RULE_LINE_BITS);
	struct rule_line *line = bpf_map_lookup_elem(&rule_places, &at);

	if (!line)
		return 0;
	for (int i = 0; i < 8; i++) {
		__u64 word = read_word(&line->words[i]);

		if (!((word ^ x << RULE_LINE_BITS) >> RULE_LINE_BITS))
			return word & ((1 << RULE_LINE_BITS) - 1);
	}
	return 0;
}

/* The segments of a packet that a guest has left to be cut. The kernel counts them later, when it has
 * looked whether they make sense.
 */
__noinline __u32 uncounted_segments(struct __sk_buff *skb, __u32 l4, __u32 length, __u32 protocol)
{
	__u32 size = skb->gso_size, header = sizeof(struct udphdr);
	__u8 offset = 0;

	if (!size)
		return 1;
	if (protocol == IPPROTO_TCP) {
		if (bpf_skb_load_bytes(skb, l4 + 12, &offset, sizeof(offset)) < 0)
			return 1;
		header = offset >> 4 << 2;
	}
	return length > header ? (length - header + size - 1) / size : 1;
}

/* A packet that is yet to be cut counts its segments. */
static __always_inline __u32 segments_of(struct packet *p)
{
	if (p->segments)
		return p->segments;
	p->segments = p->skb->gso_segs;
	if (p->segments)
		return p->segments;
	p->segments = 1;
	if (p->skb->gso_size)
		p->segments = uncounted_segments(p->skb, p->l4, p->l4_length, p->key.protocol);
	return p->segments;
}

static __always_inline void count_rule(struct packet *p)
{
	__u32 at = p->counter;
	struct rule_count *count;

	if (!p->rule)
		return;
	count = bpf_map_lookup_elem(&rule_counts, &at);
	if (!count)
		return;
	count->packets += segments_of(p);
	count->bytes += p->ip_length;
	count->connections += p->opened;
	if (!count->first)
		count->first = p->now;
	count->last = p->now;
}

/* Whether the slot may make one more event. The budget is the moment at which it is whole again: each
 * event puts that off, by at most the burst (a generic cell rate algorithm). In units of 1/EVENT_RATE
 * of a jiffy, so that an event costs a whole number of them. Two CPUs at once: one event is lost.
 */
static __always_inline bool may_tell(struct event_budget *budget, __u64 now)
{
	__u64 was = *(volatile __u64 *)&budget->whole_at;
	__u64 at = now * EVENT_RATE, next = was;

	if ((__s64)(next - at) < 0 || next - at > (__u64)EVENT_BURST * ticks_per_second)
		next = at; /* whole again; or the clock is another one */
	next += ticks_per_second;
	return next - at <= (__u64)EVENT_BURST * ticks_per_second &&
	       __sync_val_compare_and_swap(&budget->whole_at, was, next) == was;
}

/* Makes an event of the packet's verdict. False: there is no room for it. */
static __always_inline bool tell(const struct packet *p, enum reason reason, bool from_guest)
{
	__u32 slot = p->slot;
	struct event_budget *budget = bpf_map_lookup_elem(&event_budgets, &slot);
	struct event *event = NULL;

	if (budget && may_tell(budget, p->now))
		event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return false;
	event->at = p->now;
	event->eni = p->eni->number;
	event->rule = p->rule;
	event->length = p->ip_length ? p->ip_length : p->skb->len;
	event->direction = from_guest ? DIRECTION_EGRESS : DIRECTION_INGRESS;
	event->reason = reason;
	event->observed = p->observed;
	event->pad = 0;
	event->key = p->key;
	bpf_ringbuf_submit(event, 0);
	return true;
}

/* One more packet with that verdict. */
static __always_inline void count(struct packet *p, enum reason reason, bool from_guest)
{
	__u32 at = p->slot * 2 + (from_guest ? DIRECTION_EGRESS : DIRECTION_INGRESS);
	struct counts *counts = bpf_map_lookup_elem(&counters, &at);

	if (!counts)
		return;
	if (p->observed)
		counts->observed += segments_of(p);
	else
		counts->packets[reason & 31] += segments_of(p);
	if (reason == REASON_RULE || reason == REASON_TRACKED)
		count_rule(p);
	if ((p->opened || !(allowed(reason) || p->observed)) && !tell(p, reason, from_guest))
		counts->lost++;
}

#endif
