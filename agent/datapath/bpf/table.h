/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Which rule lets a new flow through: the longest prefix that holds the remote address, then the set
 * of prefix lists that hold it, then the member set of whoever has it. The cost depends neither on
 * rules nor on the length of lists nor on members.
 * The twin of ruleset.Table.Judge.
 */
#ifndef SALLYPORT_TABLE_H
#define SALLYPORT_TABLE_H

/* What lets a packet through: the number of the rule, with FOR_EVERYONE; 0: nothing. */
typedef __u32 allowance;

static __always_inline __u32 rule_of(allowance a)
{
	return a & ~FOR_EVERYONE;
}

static __always_inline bool is_for_everyone(allowance a)
{
	return a & FOR_EVERYONE;
}

static __always_inline allowance of_cidr(const struct connection_key *key,
					 const struct table *table, __u32 port)
{
	return tree_value(address_value(&table->cidrs, key->family, &key->remote), port);
}

/* What the table at a line allows a set of groups or of prefix lists. */
static __always_inline allowance of_set(__u32 root, const struct table *table, __u32 set,
					__u32 port)
{
	return set < table->sets ? tree_value(word_at(root + 1, set), port) : 0;
}

static __always_inline allowance of_list(const struct connection_key *key, __u64 epoch, __u32 root,
					 const struct table *table, __u32 port)
{
	struct state *global;
	__u32 zero = 0, set;

	global = bpf_map_lookup_elem(&state, &zero);
	if (!global)
		return 0;
	set = address_value(&global->lists[index_of(epoch)], key->family, &key->remote);
	return set ? of_set(root, table, set, port) : 0;
}

/* What lets packets from or to a key's remote address through in a direction. A global function, which the
 * verifier walks once, whatever the packet.
 */
__noinline allowance judge_key(struct connection_key *key, struct eni_config *config, __u64 epoch,
			       __u32 port, bool from_guest)
{
	const struct table *table;
	allowance a;
	__u32 root, set;

	if (!key || !config)
		return 0;
	root = from_guest ? (__u32)config->roots : (__u32)(config->roots >> 32);
	table = (void *)line_at(root);
	if (!table)
		return 0;
	a = of_cidr(key, table, port);
	if (!a && (config->flags & ENI_LISTS))
		a = of_list(key, epoch, root, table, port);
	if (a)
		return a;
	set = find_member(key, config->domain, epoch);
	return set ? of_set(root, table, set, port) : 0;
}

static __always_inline allowance judge(const struct packet *p, __u32 port, bool from_guest)
{
	return judge_key((struct connection_key *)&p->key, p->config, p->epoch, port, from_guest);
}

#endif
