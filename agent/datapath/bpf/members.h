/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Which set of groups the owner of an address is in: one hash table in the pool for each domain and
 * form of address, which ../buckets.go writes and says how. Two lines are read, whether the address is
 * there or not, and one more if it is not and the table has a stash. Nothing branches on what they
 * hold before all of it was looked at.
 */
#ifndef SALLYPORT_MEMBERS_H
#define SALLYPORT_MEMBERS_H

/* The line of a domain, for each form of address. */
enum member_form {
	MEMBERS_IPV4,
	MEMBERS_IPV6,
	MEMBERS_IPV4_DELEGATED, /* a /28 */
	MEMBERS_IPV6_DELEGATED, /* a /80 */
};

struct member_table {
	__u32 first; /* bucket: a line each; 0: there is nobody */
	__u32 buckets;
	__u32 seed;
	__u32 stash; /* line; 0: none */
};
_Static_assert(4 * sizeof(struct member_table) == sizeof(struct line), "one for each form");

/* How lines hold keys and their numbers by epoch. */
struct members4 {
	__be32 keys[5];
	__u32 numbers[2][5];
	__u32 pad;
};
_Static_assert(sizeof(struct members4) == sizeof(struct line), "one line");

struct members6 {
	__u64 keys[3][2];
	__u64 numbers[2]; /* of MEMBER_BITS each, the first key's lowest */
};
_Static_assert(sizeof(struct members6) == sizeof(struct line), "one line");
#define MEMBER_BITS 21

/* All ones if x is 0, else 0. The compiler would see that, and branch, if it saw all of it. */
static __always_inline __u64 all_if_zero(__u64 x)
{
	x |= -x;
	barrier_var(x);
	return (x >> 63) - 1;
}

/* An address as lines have it. */
struct member_key {
	__u64 words[2]; /* of an IPv4 address only the first */
};

static __always_inline __u32 number_in(const struct line *line, struct member_key key, bool ipv6,
				       __u64 epoch)
{
	__u64 number = 0;

	if (ipv6) {
		const struct members6 *m = (const void *)line;
		__u64 numbers = m->numbers[epoch];

		for (int i = 0; i < 3; i++)
			number |= numbers >> MEMBER_BITS * i & ((1 << MEMBER_BITS) - 1) &
				  all_if_zero((m->keys[i][0] ^ key.words[0]) |
					      (m->keys[i][1] ^ key.words[1]));
	} else {
		const struct members4 *m = (const void *)line;

		for (int i = 0; i < 5; i++)
			number |= m->numbers[epoch][i] & all_if_zero(m->keys[i] ^ key.words[0]);
	}
	return number;
}

/* The number of an address in one table of a domain; 0: it is nobody's. */
static __always_inline __u32 number_of(const struct member_table *table, struct member_key key,
				       bool ipv6, __u64 epoch)
{
	const struct line *one, *other, *stash;
	__u32 number;
	__u64 x;

	if (!table->first)
		return 0;
	x = key.words[0] ^ table->seed * 0x9e3779b97f4a7c15ull;
	if (ipv6) {
		x *= 0xd6e8feb86659fd93ull;
		x ^= x >> 32 ^ key.words[1];
	}
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	x ^= x >> 33;
	one = line_at(table->first + (__u32)((__u32)x * (__u64)table->buckets >> 32));
	other = line_at(table->first + (__u32)((x >> 32) * table->buckets >> 32));
	if (!one || !other)
		return 0;
	number = number_in(one, key, ipv6, epoch);
	barrier_var(number); /* or all of both lines comes to the stack first */
	number |= number_in(other, key, ipv6, epoch);
	if (number || !table->stash)
		return number;
	stash = line_at(table->stash);
	return stash ? number_in(stash, key, ipv6, epoch) : 0;
}

/* The number of whoever has an address in a domain: its own, or else the one of a delegated prefix. Global
 * functions of plain numbers: the verifier walks them once, whoever calls them.
 */
__noinline __u32 find_member4(__u32 domain, __u32 address, __u64 epoch)
{
	const struct member_table *tables = (const void *)line_at(domain);
	struct member_key key = {{address}};
	__u32 number;

	if (!domain || !tables)
		return 0;
	number = number_of(&tables[MEMBERS_IPV4], key, false, index_of(epoch));
	if (number)
		return number;
	key.words[0] &= bpf_htonl(0xfffffff0);
	return number_of(&tables[MEMBERS_IPV4_DELEGATED], key, false, index_of(epoch));
}

__noinline __u32 find_member6(__u32 domain, __u64 upper, __u64 lower, __u64 epoch)
{
	const struct member_table *tables = (const void *)line_at(domain);
	struct member_key key = {{upper, lower}};
	__u32 number;

	if (!domain || !tables)
		return 0;
	number = number_of(&tables[MEMBERS_IPV6], key, true, index_of(epoch));
	if (number)
		return number;
	key.words[1] &= bpf_htonl(0xffff0000);
	return number_of(&tables[MEMBERS_IPV6_DELEGATED], key, true, index_of(epoch));
}

/* The same of a key's remote end. */
static __always_inline __u32 find_member(const struct connection_key *key, __u32 domain,
					 __u64 epoch)
{
	const struct address *a = &key->remote;

	if (key->family == FAMILY_IPV4)
		return find_member4(domain, a->words[0], epoch);
	return find_member6(domain, a->words[0] | (__u64)a->words[1] << 32,
			    a->words[2] | (__u64)a->words[3] << 32, epoch);
}

#endif
