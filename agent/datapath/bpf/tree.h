/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The search in a tree of the pool: one line for each level. Global functions of plain numbers: the
 * verifier walks them once, whoever calls them. Without branches on the data, so that no packet can
 * choose the cost. Their twin is ../tree.go, which builds the trees.
 */
#ifndef SALLYPORT_TREE_H
#define SALLYPORT_TREE_H

/* 1 if a is below b: the sign of a difference of more bits. Before the shift the compiler forgets where
 * it comes from, or it would make a comparison of it again, and a branch.
 */
static __always_inline __u32 is_below32(__u32 a, __u32 b)
{
	__u64 difference = (__u64)a - b;

	barrier_var(difference);
	return difference >> 63;
}

/* The same for 64 bits: the borrow of the difference. */
static __always_inline __u32 is_below64(__u64 a, __u64 b)
{
	__u64 borrow = (~a & b) | ((~a | b) & (a - b));

	barrier_var(borrow);
	return borrow >> 63;
}

/* The value of x in a tree; 0 as well if a line is not there. */
__noinline __u32 tree_value(__u32 tree, __u32 x)
{
	__u32 levels = tree & ((1 << TREE_LEVELS_BITS) - 1), number = tree >> TREE_LEVELS_BITS, i;
	struct tree_node *node;
	struct tree_leaf *leaf;
	struct line *line;

	if (!levels)
		return 0;
	for (int level = 1; level < MAX_TREE_LEVELS && level < levels; level++) {
		line = line_at(number);
		if (!line)
			return 0;
		node = (void *)line;
		number = node->child;
#pragma unroll
		for (i = 0; i < 15; i++)
			number += is_below32(node->ends[i], x);
	}
	line = line_at(number);
	if (!line)
		return 0;
	leaf = (void *)line;
	number = 0;
#pragma unroll
	for (i = 0; i < 7; i++)
		number += is_below32(leaf->ends[i], x);
	return leaf->values[number & 7];
}

/* The same in a tree over numbers of 64 bits. */
__noinline __u32 wide_tree_value(__u32 tree, __u64 x)
{
	__u32 levels = tree & ((1 << TREE_LEVELS_BITS) - 1), number = tree >> TREE_LEVELS_BITS, i;
	struct wide_node *node;
	struct wide_leaf *leaf;
	struct line *line;

	if (!levels)
		return 0;
	for (int level = 1; level < MAX_TREE_LEVELS && level < levels; level++) {
		line = line_at(number);
		if (!line)
			return 0;
		node = (void *)line;
		number = node->child;
#pragma unroll
		for (i = 0; i < 7; i++)
			number += is_below64(node->ends[i], x);
	}
	line = line_at(number);
	if (!line)
		return 0;
	leaf = (void *)line;
	number = 0;
#pragma unroll
	for (i = 0; i < 5; i++)
		number += is_below64(leaf->ends[i], x);
	return number < 6 ? leaf->values[number] : 0;
}

static __always_inline __u64 half_of(const __be32 *words)
{
	return (__u64)bpf_ntohl(words[0]) << 32 | bpf_ntohl(words[1]);
}

/* The value of an address. */
static __always_inline __u32 address_value(const struct address_trees *trees, __u8 family,
					   const struct address *address)
{
	__u32 value;

	if (family == FAMILY_IPV4)
		return tree_value(trees->ipv4, bpf_ntohl(address->words[0]));
	value = wide_tree_value(trees->ipv6, half_of(&address->words[0]));
	if (value & LOWER_HALF)
		value = wide_tree_value(value & ~LOWER_HALF, half_of(&address->words[2]));
	return value;
}

#endif
