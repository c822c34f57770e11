/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What the programs of the datapath are measured beside: the kernel's own maps and nf_conntrack, each
 * looked up in as little code as that takes, with the same parsing before it and the same counters
 * after it. They check nothing else, and no packet of anybody gets here: they run by
 * BPF_PROG_TEST_RUN. The lookups of nf_conntrack need Linux 5.18, and its entries 6.1.
 *
 * drive comes before each of them, and before the real programs: it makes the frame that of the next
 * flow and goes on to what is in `target`.
 */
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* ---- the flows ---- */

/* Which flow comes next. The kth has the low 15 bits of k in its remote port, which is none that means
 * something, and an address in the range that a multiplicative hash of k chooses, so that successive
 * ones are far from each other.
 */
struct traffic {
	__u64 next;   /* k, or the state of a xorshift */
	__u32 mask;   /* k of a random one; 0: one after the other */
	__u32 ranges; /* of remote addresses; 0: the frame stays as it is */
	__u32 base;   /* of the first, as a number */
	__u32 stride; /* from one range to the next */
	__u32 spread; /* addresses that are used of a range, less 1 */
	__u8 word_at; /* where the frame has the word of the remote address that differs */
	__u8 port_at; /* and the remote port */
	__u8 pad[10];
};
_Static_assert(sizeof(struct traffic) == 40, "shared with Go");

struct traffic sent;

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} target SEC(".maps");

SEC("tc")
int drive(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	__u64 k = sent.next;
	__u32 *word;
	__be16 *port;

	if (sent.ranges) {
		if (sent.mask) {
			k ^= k << 13;
			k ^= k >> 7;
			k ^= k << 17;
			sent.next = k;
			k = (k >> 20) & sent.mask;
		} else {
			sent.next = k + 1;
		}
		word = data + (sent.word_at & 63);
		port = data + (sent.port_at & 63);
		if ((void *)(word + 1) > end || (void *)(port + 1) > end)
			return TC_ACT_SHOT;
		*word = bpf_htonl(sent.base +
				  (__u32)(((__u64)((__u32)k * 0x9e3779b1U) * sent.ranges) >> 32) *
					  sent.stride +
				  ((__u32)(k >> 15) & sent.spread));
		*port = bpf_htons(0x8000 | (__u16)k);
	}
	bpf_tail_call_static(skb, &target, 0);
	return TC_ACT_STOLEN; /* there is no target */
}

SEC("tc")
int empty(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC;
}

/* ---- the kernel's maps ---- */

struct key4 {
	__u32 scope; /* of an ENI, and the protocol */
	__be32 local;
	__be32 remote;
	__be16 local_port;
	__be16 remote_port;
};

struct key6 {
	__u32 scope;
	__be32 local[4];
	__be32 remote[4];
	__be16 local_port;
	__be16 remote_port;
};

struct entry {
	__u64 seen;
	__u64 packets[2];
	__u64 bytes[2];
};

#define FLOWS  (1 << 18)
#define RECENT (1 << 16) /* of the table where new flows displace each other */

#define FLOW_MAP(name, kind, key_type, entries)    \
	struct {                                   \
		__uint(type, BPF_MAP_TYPE_##kind); \
		__uint(max_entries, entries);      \
		__type(key, key_type);             \
		__type(value, struct entry);       \
	} name SEC(".maps")

FLOW_MAP(hash4, HASH, struct key4, FLOWS);
FLOW_MAP(hash6, HASH, struct key6, FLOWS);
FLOW_MAP(lru4, LRU_HASH, struct key4, FLOWS);
FLOW_MAP(lru6, LRU_HASH, struct key6, FLOWS);
FLOW_MAP(recent4, LRU_HASH, struct key4, RECENT);
FLOW_MAP(recent6, LRU_HASH, struct key6, RECENT);

struct lpm_key {
	__u32 bits;
	__be32 address[4]; /* IPv4 in the first */
};

/* What a CIDR allows; IPv4 and IPv6 have a trie each. */
#define LPM_MAP(name)                                       \
	struct {                                            \
		__uint(type, BPF_MAP_TYPE_LPM_TRIE);        \
		__uint(max_entries, 1 << 20);               \
		__uint(map_flags, BPF_F_NO_PREALLOC);       \
		__type(key, struct lpm_key);                \
		__type(value, __u64); /* from << 32 | to */ \
	} name SEC(".maps")

LPM_MAP(cidrs4);
LPM_MAP(cidrs6);

/* Which member has an address. */
struct member_key {
	__u32 domain;
	__be32 address[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 20);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct member_key);
	__type(value, __u32);
} members SEC(".maps");

struct facts {
	bool ipv6;
	__u32 length;
	union {
		struct key4 v4;
		struct key6 v6;
	};
};

/* A frame that comes from outside. */
static __always_inline bool parse(struct __sk_buff *skb, struct facts *f)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct udphdr *udp;

	if ((void *)(eth + 1) > end)
		return false;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);

		udp = (void *)(ip + 1);
		if ((void *)(udp + 1) > end || ip->ihl != 5 || ip->protocol != IPPROTO_UDP ||
		    (ip->frag_off & bpf_htons(0x3fff)))
			return false;
		f->ipv6 = false;
		f->v4.scope = 1 << 8 | IPPROTO_UDP;
		f->v4.local = ip->daddr;
		f->v4.remote = ip->saddr;
		f->v4.local_port = udp->dest;
		f->v4.remote_port = udp->source;
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (void *)(eth + 1);

		udp = (void *)(ip + 1);
		if ((void *)(udp + 1) > end || ip->nexthdr != IPPROTO_UDP)
			return false;
		f->ipv6 = true;
		f->v6.scope = 1 << 8 | IPPROTO_UDP;
		__builtin_memcpy(f->v6.local, &ip->daddr, 16);
		__builtin_memcpy(f->v6.remote, &ip->saddr, 16);
		f->v6.local_port = udp->dest;
		f->v6.remote_port = udp->source;
	} else {
		return false;
	}
	f->length = skb->len;
	return true;
}

static __always_inline int count(struct entry *e, __u32 length)
{
	if (!e)
		return TC_ACT_SHOT;
	e->seen = bpf_jiffies64();
	e->packets[0]++;
	e->bytes[0] += length;
	return TC_ACT_UNSPEC;
}

/* Of an established connection. */
SEC("tc")
int lookup_hash(struct __sk_buff *skb)
{
	struct facts f;

	if (!parse(skb, &f))
		return TC_ACT_SHOT;
	return count(f.ipv6 ? bpf_map_lookup_elem(&hash6, &f.v6) :
			      bpf_map_lookup_elem(&hash4, &f.v4),
		     f.length);
}

SEC("tc")
int lookup_lru(struct __sk_buff *skb)
{
	struct facts f;

	if (!parse(skb, &f))
		return TC_ACT_SHOT;
	return count(f.ipv6 ? bpf_map_lookup_elem(&lru6, &f.v6) : bpf_map_lookup_elem(&lru4, &f.v4),
		     f.length);
}

/* The least that a table of as many flows costs whoever keeps counters: one line, that of a flow by chance, without a look
 * whose it is.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FLOWS);
	__type(key, __u32);
	__type(value, struct {
		struct entry e;
		__u64 pad[3];
	});
} lines SEC(".maps");

SEC("tc")
int count_line(struct __sk_buff *skb)
{
	struct facts f;
	__u32 at;

	if (!parse(skb, &f))
		return TC_ACT_SHOT;
	at = f.ipv6 ? f.v6.remote[1] ^ f.v6.remote_port : f.v4.remote ^ f.v4.remote_port;
	at = at * 0x9e3779b1U / ((1ULL << 32) / FLOWS);
	return count(bpf_map_lookup_elem(&lines, &at), f.length);
}

/* Puts the flow into both, before anything is measured. */
SEC("tc")
int fill_maps(struct __sk_buff *skb)
{
	struct entry e = {.seen = bpf_jiffies64()};
	struct facts f;

	if (!parse(skb, &f))
		return TC_ACT_SHOT;
	if (f.ipv6)
		return bpf_map_update_elem(&hash6, &f.v6, &e, BPF_ANY) ||
				       bpf_map_update_elem(&lru6, &f.v6, &e, BPF_ANY) ?
			       TC_ACT_SHOT :
			       TC_ACT_UNSPEC;
	return bpf_map_update_elem(&hash4, &f.v4, &e, BPF_ANY) ||
			       bpf_map_update_elem(&lru4, &f.v4, &e, BPF_ANY) ?
		       TC_ACT_SHOT :
		       TC_ACT_UNSPEC;
}

static __always_inline bool is_allowed(const struct facts *f)
{
	struct lpm_key key = {.bits = 128};
	__be16 port = f->ipv6 ? f->v6.local_port : f->v4.local_port;
	__u64 *ports;

	if (f->ipv6) {
		__builtin_memcpy(key.address, f->v6.remote, 16);
		ports = bpf_map_lookup_elem(&cidrs6, &key);
	} else {
		key.address[0] = f->v4.remote;
		ports = bpf_map_lookup_elem(&cidrs4, &key);
	}
	return ports && bpf_ntohs(port) >= *ports >> 32 && bpf_ntohs(port) <= (__u32)*ports;
}

/* Of a connection that is not there: one LRU for all connections, and a trie; with a hash for the
 * established ones before the LRU, or without.
 */
static __always_inline int open(struct __sk_buff *skb, bool two)
{
	struct entry e = {.packets = {1}};
	struct facts f;

	if (!parse(skb, &f))
		return TC_ACT_SHOT;
	if (two &&
	    (f.ipv6 ? bpf_map_lookup_elem(&hash6, &f.v6) : bpf_map_lookup_elem(&hash4, &f.v4)))
		return TC_ACT_STOLEN;
	if (f.ipv6 ? bpf_map_lookup_elem(&recent6, &f.v6) : bpf_map_lookup_elem(&recent4, &f.v4))
		return TC_ACT_STOLEN; /* it was to be a new one */
	if (!is_allowed(&f))
		return TC_ACT_SHOT;
	e.seen = bpf_jiffies64();
	e.bytes[0] = f.length;
	if (f.ipv6 ? bpf_map_update_elem(&recent6, &f.v6, &e, BPF_ANY) :
		     bpf_map_update_elem(&recent4, &f.v4, &e, BPF_ANY))
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}

SEC("tc")
int open_lru(struct __sk_buff *skb)
{
	return open(skb, false);
}

SEC("tc")
int open_two(struct __sk_buff *skb)
{
	return open(skb, true);
}

/* ---- members ---- */

SEC("tc")
int parse_only(struct __sk_buff *skb)
{
	struct facts f;

	if (!parse(skb, &f))
		return TC_ACT_UNSPEC;
	/* What is not used would not be read. */
	return (f.ipv6 ? f.v6.remote[3] : f.v4.remote) == ~0U ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

/* Denied, whoever sent it. */
SEC("tc")
int lookup_member(struct __sk_buff *skb)
{
	struct member_key key = {.domain = 1};
	struct facts f;
	__u32 *set;

	if (!parse(skb, &f))
		return TC_ACT_UNSPEC;
	if (f.ipv6)
		__builtin_memcpy(key.address, f.v6.remote, 16);
	else
		key.address[0] = f.v4.remote;
	set = bpf_map_lookup_elem(&members, &key);
	return set && *set == 1 ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

/* ---- nf_conntrack ---- */

struct nf_conn {
	unsigned long status;
} __attribute__((preserve_access_index));

struct nf_conn___init {
	struct nf_conn ct;
} __attribute__((preserve_access_index));

struct bpf_ct_opts___local {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

extern struct nf_conn___init *bpf_skb_ct_alloc(struct __sk_buff *, struct bpf_sock_tuple *, __u32,
					       struct bpf_ct_opts___local *, __u32) __ksym;
extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *, struct bpf_sock_tuple *, __u32,
					 struct bpf_ct_opts___local *, __u32) __ksym;
extern struct nf_conn *bpf_ct_insert_entry(struct nf_conn___init *) __ksym;
extern void bpf_ct_set_timeout(struct nf_conn___init *, __u32) __ksym;
extern void bpf_ct_release(struct nf_conn *) __ksym;

static __always_inline __u32 tuple_of(const struct facts *f, struct bpf_sock_tuple *t)
{
	if (f->ipv6) {
		__builtin_memcpy(t->ipv6.saddr, f->v6.remote, 16);
		__builtin_memcpy(t->ipv6.daddr, f->v6.local, 16);
		t->ipv6.sport = f->v6.remote_port;
		t->ipv6.dport = f->v6.local_port;
		return sizeof(t->ipv6);
	}
	t->ipv4.saddr = f->v4.remote;
	t->ipv4.daddr = f->v4.local;
	t->ipv4.sport = f->v4.remote_port;
	t->ipv4.dport = f->v4.local_port;
	return sizeof(t->ipv4);
}

SEC("tc")
int lookup_conntrack(struct __sk_buff *skb)
{
	struct bpf_ct_opts___local opts = {.netns_id = -1, .l4proto = IPPROTO_UDP};
	struct bpf_sock_tuple tuple = {};
	struct nf_conn *found;
	struct facts f;

	if (!parse(skb, &f))
		return TC_ACT_SHOT;
	found = tuple_of(&f, &tuple) == sizeof(tuple.ipv4) ?
			bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts)) :
			bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv6), &opts, sizeof(opts));
	if (!found)
		return TC_ACT_SHOT;
	bpf_ct_release(found);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int fill_conntrack(struct __sk_buff *skb)
{
	struct bpf_ct_opts___local opts = {.netns_id = -1, .l4proto = IPPROTO_UDP};
	struct bpf_sock_tuple tuple = {};
	struct nf_conn___init *made;
	struct nf_conn *put;
	struct facts f;

	if (!parse(skb, &f))
		return TC_ACT_SHOT;
	made = tuple_of(&f, &tuple) == sizeof(tuple.ipv4) ?
		       bpf_skb_ct_alloc(skb, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts)) :
		       bpf_skb_ct_alloc(skb, &tuple, sizeof(tuple.ipv6), &opts, sizeof(opts));
	if (!made)
		return TC_ACT_SHOT;
	bpf_ct_set_timeout(made, 600000);
	put = bpf_ct_insert_entry(made);
	if (!put)
		return TC_ACT_SHOT;
	bpf_ct_release(put);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "GPL"; /* the kernel lends nf_conntrack to no other */
