/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Which rule lets a new flow through: the longest prefix that holds the remote address, then the set
 * of prefix lists that hold it, then the member set of whoever has it. The cost depends neither on
 * rules nor on the length of lists nor on members.
 * The twin of ruleset.Table.Judge.
 */
#ifndef SALLYPORT_TABLE_H
#define SALLYPORT_TABLE_H

/* What lets a packet through: the number of the rule, and enum interval_flag above it; 0: nothing. */
typedef __u64 allowance;

static __always_inline __u32 rule_of(allowance a)
{
	return (__u32)a;
}

/* The rule is for everybody. */
static __always_inline bool is_for_everyone(allowance a)
{
	return a >> 32 & INTERVAL_EVERYONE;
}

/* The interval that holds port. A global function of plain numbers: the verifier walks it once,
 * whoever calls it. Without branches on the data, so that no packet can choose the cost.
 */
__noinline allowance find_port(__u32 first, __u32 count, __u32 port)
{
	struct interval *interval;
	__u32 at;

	if (count == 0 || count > MAX_BLOCK)
		return 0;
	for (int step = 0; step < MAX_SEARCH_STEPS; step++) {
		__u32 half = count >> 1;
		__u64 before;

		if (half == 0)
			break;
		at = first + half;
		interval = bpf_map_lookup_elem(&intervals, &at);
		if (!interval)
			return 0;
		/* 1 if interval->from <= port: the sign of the difference */
		before = ((__u64)interval->from - port - 1) >> 63;
		barrier_var(before);
		first += half * (__u32)before;
		count -= half;
	}
	interval = bpf_map_lookup_elem(&intervals, &first);
	if (!interval || port < interval->from || port > interval->to)
		return 0;
	return interval->rule | (__u64)interval->flags << 32;
}

static __always_inline allowance of_prefix(const struct packet *p, __u32 table, __u32 port)
{
	struct prefix_key key = {
		.bits = PREFIX_BITS + (p->key.family == FAMILY_IPV4 ? 32 : 128),
		.table = table,
		.family = p->key.family,
		.address = p->key.remote,
	};
	struct ports *ports = bpf_map_lookup_elem(&prefixes, &key);

	return ports ? find_port(ports->first, ports->count, port) : 0;
}

/* What a table allows a set. */
static __always_inline allowance of_set(__u32 table, __u32 set, __u32 port)
{
	struct set_key key = {.table = table, .set = set};
	struct ports *ports = bpf_map_lookup_elem(&set_ports, &key);

	return ports ? find_port(ports->first, ports->count, port) : 0;
}

static __always_inline allowance of_list(const struct packet *p, __u32 table, __u32 port)
{
	struct list_key key = {
		.bits = LIST_BITS + (p->key.family == FAMILY_IPV4 ? 32 : 128),
		.family = p->key.family,
		.address = p->key.remote,
	};
	struct list_sets *sets;

	if (!(p->config->flags & ENI_LISTS))
		return 0;
	sets = bpf_map_lookup_elem(&lists, &key);
	if (!sets || !sets->of[index_of(p->epoch)])
		return 0;
	return of_set(table, sets->of[index_of(p->epoch)], port);
}

static __always_inline allowance of_member(const struct packet *p, __u32 table, __u32 port)
{
	struct address_key key = {
		.scope = p->config->domain,
		.family = p->key.family,
		.address = p->key.remote,
	};
	__u32 member, set;

	member = value_of(p, bpf_map_lookup_elem(&members, &key));
	if (!member && (p->config->flags & ENI_MEMBER_PREFIXES)) {
		mask_to_delegated(&key);
		member = value_of(p, bpf_map_lookup_elem(&members, &key));
	}
	if (!member)
		return 0;
	set = value_of(p, bpf_map_lookup_elem(&member_sets, &member));
	return set ? of_set(table, set, port) : 0;
}

/* What lets packets from or to the remote address through in a direction. Not inlined: it is asked
 * of both directions.
 */
static __noinline allowance judge(const struct packet *p, __u32 port, bool from_guest)
{
	__u32 table = from_guest ? (__u32)p->tables : (__u32)(p->tables >> 32);
	allowance a = of_prefix(p, table, port);

	if (!a)
		a = of_list(p, table, port);
	return a ? a : of_member(p, table, port);
}

#endif
