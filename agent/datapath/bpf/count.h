/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is counted and told of verdicts: packets by reason. No packet waits for it, and none is judged by it.
 */
#ifndef SALLYPORT_COUNT_H
#define SALLYPORT_COUNT_H

/* One more packet with that verdict. */
static __always_inline void count(const struct packet *p, enum reason reason, bool from_guest)
{
	__u32 at = p->slot * 2 + (from_guest ? DIRECTION_EGRESS : DIRECTION_INGRESS);
	struct counts *counts = bpf_map_lookup_elem(&counters, &at);

	if (counts)
		counts->packets[reason & 31]++;
}

#endif
