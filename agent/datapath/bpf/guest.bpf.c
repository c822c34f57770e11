/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Security groups at the host side of a guest's NIC.
 *
 * from_guest hangs on the device's ingress hook, where the guest's packets leave it, and to_guest on
 * its egress hook: directions are EC2's, seen from the guest. The agent attaches them through tcx
 * (Linux 6.6), or as direct-action filters of clsact; they need nothing newer than Linux 6.1.
 *
 * A packet that is allowed goes on to whatever comes next in the chain; one that is not is dropped
 * here, in silence. What is not understood is dropped.
 *
 * What they keep: connections and counters. What they read: everything else in maps.h.
 */
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#ifndef barrier_var
#define barrier_var(var) asm volatile("" : "+r"(var))
#endif

#include "reason.h"
#include "maps.h"
#include "pool.h"
#include "tree.h"
#include "packet.h"
#include "checksum.h"
#include "link.h"
#include "members.h"
#include "table.h"
#include "count.h"
#include "entry.h"
#include "bucket.h"
#include "overflow.h"
#include "flow.h"
#include "known.h"
#include "connection.h"
#include "fragment.h"
#include "icmp_error.h"

/* Keeps these in the BTF from which the Go twins are made. */
const volatile struct {
	enum reason reason;
	enum limit limit;
	enum role role;
	struct event event;
	/* Those are not seen in the definition of a map of maps. */
	struct connection_key connection_key;
	enum connection_flag connection_flag;
	struct bucket bucket;
	struct overflow overflow;
	struct overflow_exchange overflow_exchange;
	struct fragment_key fragment_key;
	struct fragment fragment;
	struct line line;
	struct tree_node tree_node;
	struct tree_leaf tree_leaf;
	struct table table;
} twins;

/* For tests: the verdict goes into the packet's control block. The verifier removes it elsewhere. */
const volatile bool show_verdicts;

/* For tests, and removed elsewhere as well: nothing is dropped for the reasons in state.test_excused. */
const volatile bool test_excuses;

/* For tests: the clock is state.test_clock. */
const volatile bool test_clock;

/* A probe asks the rules alone: connections are neither looked for nor opened. */
static __always_inline enum reason verdict(struct packet *p, bool from_guest, bool probe)
{
	const struct fragment *first = NULL;
	void *data, *end;
	struct ethhdr *eth;
	enum reason reason;
	allowance own;

	if (p->eni->number == 0)
		return REASON_UNBOUND;
	if (p->tables == 0)
		return REASON_NO_TABLE;
	if (p->skb->vlan_present)
		return REASON_ETHER_TYPE;
	data = (void *)(long)p->skb->data;
	end = (void *)(long)p->skb->data_end;
	/* Not more than is needed: the data of a segmented packet is elsewhere, and shared. */
	if (data + HEADERS_LENGTH > end && end - data < p->skb->len &&
	    pull_headers(p->skb, headers_length(data, end)) < 0)
		return REASON_MALFORMED;
	data = (void *)(long)p->skb->data;
	end = (void *)(long)p->skb->data_end;
	eth = data;
	if ((void *)(eth + 1) > end)
		return REASON_MALFORMED;
	if (from_guest && !same_mac(eth->h_source, p->config->mac))
		return REASON_SOURCE_MAC;
	p->group_mac = eth->h_dest[0] & 1;
	p->checksum = unwritten_checksum(p->skb);

	switch (eth->h_proto) {
	case bpf_htons(ETH_P_ARP):
		return p->checksum ? REASON_MALFORMED : arp(p, from_guest);
	case bpf_htons(ETH_P_IP):
		reason = parse_ipv4(p, from_guest);
		break;
	case bpf_htons(ETH_P_IPV6):
		reason = parse_ipv6(p, from_guest);
		break;
	default:
		return REASON_ETHER_TYPE;
	}
	if (reason == REASON_MALFORMED && p->part == PART_FIRST)
		return REASON_FRAGMENT; /* headers that go on in the next */
	if (reason != REASON_NONE)
		return reason;
	if (p->part == PART_FIRST && p->l4 != p->payload)
		return REASON_FRAGMENT; /* where later ones could stand */
	if (!is_checksum_sound(p))
		return REASON_MALFORMED;
	if (!probe && is_plain(p)) {
		forget(p);
		reason = go_on(p, from_guest);
		if (reason != REASON_NONE)
			return reason;
	}
	blur((struct facts *)&p->key);

	if (p->part == PART_LATER) {
		first = first_of(p, from_guest);
		p->platform = first && first->reason == REASON_PLATFORM;
	}
	reason = link_layer(p, from_guest);
	if (reason != REASON_NONE)
		return reason;

	blur((struct facts *)&p->key);
	if (p->part == PART_LATER)
		reason = follow(p, first);
	else if (!probe && !p->icmp_error)
		reason = track(p, from_guest);
	if (reason != REASON_NONE)
		return reason;

	reason = check_not_self(p, from_guest);
	if (reason != REASON_NONE)
		return reason;
	if (is_platform(p))
		return REASON_PLATFORM;
	if (!probe && p->icmp_error) {
		forget(p);
		reason = related(p, from_guest);
		if (reason != REASON_NONE)
			return reason;
	}
	forget(p);
	own = judge(p, p->port, from_guest);
	if (!own) {
		if (probe)
			p->observed = is_observing(p);
		else if (is_observing(p))
			observe(p, from_guest);
		return p->icmp_error ? REASON_ICMP_ERROR : REASON_NO_RULE;
	}
	forget(p);
	p->rule = rule_of(own);
	p->counter = counter_of(p, p->rule);
	if (p->stateless || probe)
		return REASON_RULE;
	return decide_flow(p, own, from_guest);
}

static __always_inline int filter(struct __sk_buff *skb, bool from_guest, bool probe)
{
	struct packet p = {.skb = skb};
	__u32 ifindex = skb->ifindex, zero = 0, *slot;
	struct state *global;
	enum reason reason;

	slot = bpf_map_lookup_elem(&slots, &ifindex);
	if (!slot) /* it is beyond the array */
		slot = bpf_map_lookup_elem(&high_slots, &ifindex);
	p.slot = slot ? *slot : 0;
	p.eni = bpf_map_lookup_elem(&enis, &p.slot);
	global = bpf_map_lookup_elem(&state, &zero);
	if (!p.eni || !global)
		return TC_ACT_SHOT;
	/* Once per packet: all that follows belongs to this epoch. */
	p.now = test_clock ? global->test_clock : bpf_jiffies64();
	p.epoch = *(volatile __u64 *)&global->epoch;
	p.config = &p.eni->config[index_of(p.epoch)];
	p.tables = *(volatile __u64 *)&p.config->tables;

	reason = verdict(&p, from_guest, probe);
	if (!probe) {
		if (p.part == PART_FIRST) {
			forget(&p);
			lead(&p, reason, from_guest);
		}
		count(&p, reason, from_guest);
	}
	if (probe || show_verdicts) {
		skb->cb[0] = reason;
		skb->cb[1] = p.rule;
	}
	if (test_excuses && (global->test_excused >> reason & 1))
		return TC_ACT_UNSPEC;
	return allowed(reason) || p.observed ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

SEC("tc")
int from_guest(struct __sk_buff *skb)
{
	return filter(skb, true, false);
}

SEC("tc")
int to_guest(struct __sk_buff *skb)
{
	return filter(skb, false, false);
}

/* The same for a frame of the agent's own, whose verdict it wants to know: run by it, and attached to
 * nothing, so that no packet gets here. Nothing is written but the verdict.
 */
SEC("tc")
int probe_from_guest(struct __sk_buff *skb)
{
	return filter(skb, true, true);
}

SEC("tc")
int probe_to_guest(struct __sk_buff *skb)
{
	return filter(skb, false, true);
}

/* Run by the agent on a frame of its own: the programs' clock into its first 8 bytes. */
SEC("tc")
int read_clock(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;

	if (data + sizeof(__u64) > end)
		return TC_ACT_SHOT;
	*(__u64 *)data = bpf_jiffies64();
	return TC_ACT_OK;
}

/* Run by the agent on a frame of its own, a struct overflow_exchange, for what it has no memory of. */
SEC("tc")
int change_overflow(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *map;
	struct overflow_exchange *of = data, wanted;
	struct overflow *e;

	if ((void *)(of + 1) > (void *)(long)skb->data_end)
		return TC_ACT_SHOT;
	wanted = *of;
	of->tag = 0;
	map = bpf_map_lookup_elem(&connections, &wanted.slot);
	e = map ? bpf_map_lookup_elem(map, &wanted.key) : NULL;
	if (e)
		of->tag =
			exchange_overflow(wanted.slot, map, &wanted.key, e, wanted.tag, wanted.to);
	return TC_ACT_OK;
}

/* Either license; the kernel knows the second one only, without which it lends no look at struct sk_buff. */
char _license[] SEC("license") = "GPL";
