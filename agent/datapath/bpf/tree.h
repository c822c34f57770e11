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

/* The value of x in a tree; 0 as well if a line is not there. Children are nearly always in the chunk of their
 * parent: where the next line is does not wait for a look at the pool.
 */
__noinline __u32 tree_value(__u32 tree, __u32 x)
{
	__u32 levels = tree & ((1 << TREE_LEVELS_BITS) - 1), number = tree >> TREE_LEVELS_BITS;
	__u32 even, odd, i;
	struct tree_node *node;
	struct tree_leaf *leaf;
	struct line *chunk;

	if (!levels)
		return 0;
	chunk = chunk_of(number);
	if (!chunk)
		return 0;
	for (int level = 1; level < MAX_TREE_LEVELS && level < levels; level++) {
		node = (void *)&chunk[number % CHUNK_LINES];
		even = node->child;
		odd = 0;
#pragma unroll
		for (i = 0; i < 14; i += 2) {
			even += is_below32(node->ends[i], x);
			odd += is_below32(node->ends[i + 1], x);
		}
		even += is_below32(node->ends[14], x) + odd;
		if (even / CHUNK_LINES != number / CHUNK_LINES) {
			chunk = chunk_of(even);
			if (!chunk)
				return 0;
		}
		number = even;
	}
	leaf = (void *)&chunk[number % CHUNK_LINES];
	number = 0;
#pragma unroll
	for (i = 0; i < 7; i++)
		number += is_below32(leaf->ends[i], x);
	return leaf->values[number & 7];
}

/* The value of an address. */
static __always_inline __u32 address_value(const struct address_trees *trees, __u8 family,
					   const struct address *address)
{
	__u32 value;

	if (family == FAMILY_IPV4)
		return tree_value(trees->ipv4, bpf_ntohl(address->words[0]));
	value = tree_value(trees->ipv6, bpf_ntohl(address->words[0]));
	for (int i = 1; i < 4 && value & NEXT_WORD; i++)
		value = tree_value(value & ~NEXT_WORD, bpf_ntohl(address->words[i]));
	return value;
}

#endif
