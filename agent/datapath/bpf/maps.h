/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What the programs share with the agent: every map, its keys and its values. All maps are pinned.
 * Whoever changes a layout here raises LAYOUT and says in ../upgrade.go how the one before is taken
 * over. An agent refuses maps of a layout that it does not know.
 *
 * Numbers of ENIs and tables are drawn by the agent from one counter and never used again while the
 * machine is up; 0 is none.
 *
 * Two epochs. Whatever a change of the rules touches has two values, and the epoch in `state` says
 * which one counts. The agent writes the idle one, then flips the epoch with a single store: every
 * packet, on every interface, is judged by the old whole or by the new whole. It touches a value
 * again only after an RCU grace period.
 */
#ifndef SALLYPORT_MAPS_H
#define SALLYPORT_MAPS_H

enum limit {
	LAYOUT = 5,	       /* version of everything in this file */
	MAX_SLOTS = 4096,      /* devices of one host */
	CHUNK_LINES = 1 << 14, /* of the pool: 1 MiB */
	MAX_CHUNKS = 1 << 12,
	MAX_LOW_IFINDEX = 1 << 16,   /* those below are found without a hash */
	MAX_TREE_LEVELS = 8,	     /* of a search tree */
	MAX_ENI_ADDRESSES = 1 << 16, /* own addresses, delegated prefixes and routers */
	MAX_CONNECTIONS = 1 << 15,   /* of one ENI, by default: Options say otherwise */
	MAX_HALF_OPEN = 1 << 13,     /* ways of one ENI's flows, by default */
	WAYS = 8,		     /* of one bucket */
	MAX_ESTABLISHED_WAYS = 6,    /* of them: the others are left to half-open connections */
	CHUNK_BUCKETS = 1 << 10,     /* of one map of flows: as many as an ENI has by default */
	MAX_FLOW_CHUNKS = 1 << 7,    /* of one ENI */
	COUNTED_BYTES = 40,	     /* bits of an entry's counts; the others are packets */
	RECLAIM_MARGIN = 10,	     /* seconds past its timeout: see entry.h */
	MAX_FRAGMENTED = 1 << 10,    /* packets of one ENI of which more fragments may come */
	MAX_RULE_COUNTS = 1 << 15,   /* pairs of an ENI and a rule that are counted apart */
	RULE_LINE_BITS = 15,	     /* of the number of a line of rule_places */
	MAX_PLATFORM = 1 << 8,	     /* services of the platform */
	MAX_EVENTS_BYTES = 1 << 20,
	MAX_NAMES = 1 << 16, /* of ENIs and tables, in force and not free yet */
};

enum family {
	FAMILY_IPV4 = 4,
	FAMILY_IPV6 = 6,
	FAMILY_DELEGATED = 1 << 8, /* beside one of them in an address_key: a prefix of an ENI */
};

/* In network order; IPv4 in the first word and zeros after it. The family is told beside it, so
 * that no IPv6 address can pass for an IPv4 one.
 */
struct address {
	__be32 words[4];
};

/* ---- what the agent writes ---- */

/* The pool is memory in lines, which the agent writes and programs read by number: see pool.h. */
struct line {
	__u32 words[16];
};
_Static_assert(sizeof(struct line) == 64, "one cache line");

/* A search tree gives each number of its space a value. The space is cut into ranges, of which the last
 * number is kept, their end, but that of the last range, which is the last number of the space: a line's
 * ends that are not used are that number too. Which range holds a number is how many ends are below
 * it. Children are lines that follow each other, and all leaves are equally deep. A tree is referred to
 * as its root's line << 4 | levels; 0 is the tree that has 0 for every number.
 */
#define TREE_LEVELS_BITS 4

struct tree_node {
	__u32 ends[15];
	__u32 child; /* line of the first */
};

struct tree_leaf {
	__u32 ends[7];
	__u32 uses; /* the agent's own */
	__u32 values[8];
};

_Static_assert(sizeof(struct tree_node) == sizeof(struct line), "one line");
_Static_assert(sizeof(struct tree_leaf) == sizeof(struct line), "one line");

/* What addresses have. A tree is over one of their words; a value with NEXT_WORD refers to a tree over the
 * next one.
 */
struct address_trees {
	__u32 ipv4;
	__u32 ipv6;
};
#define NEXT_WORD (1U << 31)

/* One direction of a set of groups. A port set is a tree over protocol << 16 | port; its values are
 * numbers of rules, with FOR_EVERYONE, and 0 where no rule allows anything.
 */
struct table {
	struct address_trees cidrs; /* the port set of the longest CIDR that holds the address */
	__u32 sets; /* numbers below have a port set: words of the lines after this one */
	__u32 pad[13];
};
#define FOR_EVERYONE (1U << 31) /* the rule's peer is 0.0.0.0/0 or ::/0 */
_Static_assert(sizeof(struct table) == sizeof(struct line), "one line");

struct state {
	__u64 layout;	   /* LAYOUT; stays the first field of the first map in every layout */
	__u64 epoch;	   /* its lowest bit chooses; the agent adds 1 */
	__u64 revision[2]; /* of the tables, by epoch */
	struct address_trees lists[2]; /* by epoch: the set of prefix lists that hold an address */
	__u64 test_clock;	       /* jiffies, where test_clock is set; for tests */
	__u64 test_excused; /* reasons, as bits, for which nothing is dropped, where test_excuses is */
};

/* All timeouts are in jiffies. */
struct timeouts {
	__u32 tcp_established;
	__u32 tcp_syn;	   /* not yet established */
	__u32 tcp_closing; /* after the first FIN */
	__u32 tcp_closed;  /* after an RST or a FIN from both sides */
	__u32 udp;
	__u32 udp_stream; /* after more than one request and response */
	__u32 icmp;
	__u32 other;
};

enum eni_flag {
	ENI_SOURCE_DEST_CHECK = 1 << 0,
	/* Where there is nothing to find, nothing is looked up. */
	ENI_OWN_PREFIXES = 1 << 1, /* prefixes are delegated to it */
	ENI_LISTS = 1 << 3,	   /* its tables name prefix lists */
	ENI_ANY_FE80 = 1 << 4,	   /* it may use any fe80 address but the router's */
	ENI_OWN_OTHERS = 1 << 5,   /* it has more addresses than own4 and own6 */
	/* What a direction lets everybody send: all ports of a protocol, in a family. */
	ENI_OPEN_INGRESS_TCP4 = 1 << 8,
	ENI_OPEN_INGRESS_TCP6 = 1 << 9,
	ENI_OPEN_INGRESS_UDP4 = 1 << 10,
	ENI_OPEN_INGRESS_UDP6 = 1 << 11,
	ENI_OPEN_EGRESS_TCP4 = 1 << 12,
	ENI_OPEN_EGRESS_TCP6 = 1 << 13,
	ENI_OPEN_EGRESS_UDP4 = 1 << 14,
	ENI_OPEN_EGRESS_UDP6 = 1 << 15,
};

struct eni_config {
	__u64 tables; /* ingress << 32 | egress, one aligned word read once per packet; 0: closed */
	__u64 roots;  /* the lines of these tables in the pool: ingress << 32 | egress */
	__u32 domain; /* line of the pool: who is a member where the ENI is; 0: nobody */
	enum eni_flag flags;
	__u8 mac[6];
	__u8 pad[2];
	struct timeouts timeouts;
	__be32 prefix64[2];  /* of the subnet's IPv6 block; zeros: it has none */
	__u64 observe_until; /* jiffies: until then what no rule allows passes; 0: it is dropped */
	/* The first of its addresses, which nearly all of its packets have; zeros: none. */
	struct address own6;
	__be32 own4;
	__u32 pad2;
};
_Static_assert(sizeof(struct eni_config) == 104, "shared with Go");

/* What a device carries; one slot per device. Slot 0 is every device that nobody knows. */
struct eni {
	__u32 number; /* 0: none, everything is dropped */
	/* Of its connections, written before it has any. */
	__u32 bucket_mask; /* buckets of flows, less 1 */
	__u64 secrets[5];  /* of the hash that chooses one, for each word of a key */
	__u32 quota;	   /* established ones */
	__u32 pad;
	struct eni_config config[2]; /* by epoch */
};
_Static_assert(sizeof(struct eni) == 264, "shared with Go");

/* How a device is filtered, so that the next agent finds it. */
enum device_mode {
	DEVICE_TCX = 1,
	DEVICE_CLSACT = 2,
};

/* What the agent remembers of a slot; the programs do not look. */
struct device {
	__u32 ifindex; /* 0: the slot is free */
	enum device_mode mode;
	char name[16];
	char eni[32]; /* the id; empty: none */
};
_Static_assert(sizeof(struct device) == 56, "shared with Go");

/* A value by epoch; 0: none. The agent removes an element when both are 0.
 *
 * The lock is never taken here. It makes the agent's updates happen in place, since otherwise the
 * kernel replaces the element and may give the old one to another key at once, while a program
 * still reads it. As it is, a program reads the half that nobody writes; and an element that is
 * removed and used again has 0 in that half before and after.
 */
struct by_epoch {
	__u32 of[2];
	struct bpf_spin_lock lock;
};

/* An address as one ENI means it; or a delegated prefix, masked: /28 or /80, the only sizes that there
 * are.
 */
struct address_key {
	__u32 scope; /* number of the ENI */
	enum family family;
	struct address address;
};
_Static_assert(sizeof(struct address_key) == 24, "shared with Go");

enum role {
	ROLE_OWN = 1,
	ROLE_ROUTER = 2, /* of the ENI's subnet */
};

/* The first 16 bytes of a hash of kind and name. All zero: the last number that was reserved. */
struct name_key {
	__u8 hash[16];
};

enum kind {
	KIND_LAST = 0, /* the counter itself */
	KIND_ENI = 1,
	KIND_TABLE = 3,
};

struct name {
	__u32 number;
	enum kind kind;
};

/* ---- what the programs write ---- */

/* Written from the guest's side: one entry for both directions. Each ENI has maps of its own, so that
 * two guests may hold the same address, and none can use up what is another's.
 */
struct connection_key {
	__be16 local_port;
	__be16 remote_port;
	__u8 protocol;
	__u8 family; /* enum family */
	__u8 query;  /* enum query */
	__u8 pad;
	struct address local;
	struct address remote;
};
_Static_assert(sizeof(struct connection_key) == 40, "shared with Go");

/* ICMP queries carry their id as local port and the type of the request as remote port. Who asked
 * is part of the key: an echo request opens the echo reply, never a request the other way.
 */
enum query {
	QUERY_NONE,
	QUERY_BY_GUEST,
	QUERY_BY_REMOTE,
};

enum direction { /* EC2's: seen from the guest */
	DIRECTION_INGRESS,
	DIRECTION_EGRESS,
};

enum connection_flag {
	CONNECTION_TRACKED = 1 << 0,
	CONNECTION_UNTRACKED = 1 << 1, /* what it says counts for one tables word alone */
	CONNECTION_OBSERVED = 1 << 2,  /* no rule allows it: it ends with the observation */
	CONNECTION_BY_GUEST = 1 << 3,  /* the guest sent the first packet */
	CONNECTION_ANSWERED = 1 << 4,  /* a packet came the other way */
	CONNECTION_ESTABLISHED = 1 << 5,
	CONNECTION_FIN_INGRESS = 1 << 6,
	CONNECTION_FIN_EGRESS = 1 << 7,
	CONNECTION_RST = 1 << 8,
	CONNECTION_NEXT_INGRESS = 1 << 9, /* the number in next is one that was acknowledged */
	CONNECTION_NEXT_EGRESS = 1 << 10,
	CONNECTION_CUT = 1 << 11, /* by the agent, with CONNECTION_UNTRACKED: it has no rules */
	CONNECTION_MORE_INGRESS = 1 << 12, /* more says what was counted, too */
	CONNECTION_MORE_EGRESS = 1 << 13,
	/* A program writes: see entry.h. */
	CONNECTION_CHANGING = 1 << 14, /* what the entry says of rules; whose it is stands */
	CONNECTION_BUSY = 1 << 15,     /* all of the entry */
};
#define CONNECTION_FIN_BOTH  (CONNECTION_FIN_INGRESS | CONNECTION_FIN_EGRESS)
#define CONNECTION_NEXT_BOTH (CONNECTION_NEXT_INGRESS | CONNECTION_NEXT_EGRESS)
#define CONNECTION_MORE_BOTH (CONNECTION_MORE_INGRESS | CONNECTION_MORE_EGRESS)

/* What lets a direction of a connection through. */
struct admission {
	__u32 rule;
	__u32 counter; /* its place in rule_counts */
};

/* An entry. Its flags are in its tag: see entry.h. What the packets of a tracked connection of IPv4 need is in the first
 * cache line. What is written without a look at whose entry it still is (counts, next, stamp, seen, more) stands where
 * no kind of entry has its key or its rules.
 */
struct connection {
	__u64 name; /* the first word of its key */
	__u64 peer; /* of IPv6 the first half of the remote address; of IPv4 both, the remote one lowest */
	/* By direction: packets, with their segments, << COUNTED_BYTES | bytes from the IP header on. */
	__u64 counts[2];
	/* Of TCP, by direction, with CONNECTION_NEXT_*: the sequence number that the other side waits for. Of
	 * another protocol the revision: see revision_in.
	 */
	__be32 next[2] __attribute__((aligned(8)));
	__u32 stamp[2];	     /* by direction: see known.h */
	__u32 seen;	     /* jiffies of the last packet */
	__u32 created;	     /* jiffies */
	struct admission by; /* what let its first packet through */
	/* From here on the second cache line. */
	__u64 rest[3];	/* of IPv6: the second half of the remote address, and the local one */
	__u64 revision; /* of TCP: that admitted it */
	/* By direction, with CONNECTION_MORE_*: how often the highest bit of packets, << 32, and of bytes was taken off counts. */
	__u64 more[2];
	/* Of an untracked one. */
	__u64 tables;		 /* that its rules are of */
	struct admission answer; /* what lets the other direction through */
};
_Static_assert(offsetof(struct connection, rest) == 64, "a cache line");
_Static_assert(sizeof(struct connection) == 128, "two of them; shared with Go");

struct bucket {
	__u64 tags[WAYS];
	/* By way, for whoever looks for one that may give way: seen, and << 32 when it is past its end; see bucket.h. */
	__u64 times[WAYS];
	struct connection ways[WAYS];
};
_Static_assert(sizeof(struct bucket) == 18 * 64, "cache lines; shared with Go");

/* A connection that found no room in its bucket. */
struct overflow {
	__u64 tag;
	struct connection connection;
};
_Static_assert(sizeof(struct overflow) == 136, "shared with Go");

/* What the agent makes of one: see change_overflow. */
struct overflow_exchange {
	__u64 tag; /* as the agent knows it; then as it was found, 0: there is no such key */
	__u64 to;  /* the one that it gets, if that was it; busy: it is removed */
	struct connection_key key;
	__u32 slot;
	__u32 pad;
};
_Static_assert(sizeof(struct overflow_exchange) == 64, "shared with Go");

/* What an ENI has. The first two are a number, and above its 32 bits how often it has changed, so that
 * the agent can tell whether it did while it counted.
 */
struct occupancy {
	__u64 established; /* connections, wherever they stand */
	__u64 overflowed; /* elements of connections, or a little more: 0 means that there is none */
	__u32 touched;	  /* something was put into flows since the agent took this back */
	__u32 pad[11];
};
_Static_assert(sizeof(struct occupancy) == 64, "one cache line; shared with Go");

/* A packet that came in fragments, by what they have in common. */
struct fragment_key {
	__be32 id;
	__u8 direction; /* enum direction */
	__u8 protocol;
	__u8 family; /* enum family */
	__u8 pad;
	struct address local;
	struct address remote;
};
_Static_assert(sizeof(struct fragment_key) == 40, "shared with Go");

/* What became of its first fragment, which alone has ports. */
struct fragment {
	__u64 seen; /* jiffies */
	__u64 change; /* after which the rules alone decided, as epoch + 1; 0: a connection stands for it */
	struct admission by;
	__u32 header; /* bytes of the payload that were judged: no later fragment may begin before */
	__u32 port;   /* as rules name it, to judge by */
	__u8 reason;
	__u8 observed;
	__u8 pad[6];
};
_Static_assert(sizeof(struct fragment) == 40, "shared with Go");

struct counts {
	__u64 packets[32]; /* by enum reason */
	__u64 observed; /* beside them: those that no rule allows, and that passed as the ENI observes */
	__u64 lost; /* events that were not made */
};

/* Where rules are counted: words that the agent writes, 0 where there is none. The number of an ENI, << 32, and of a rule,
 * times RULE_FACTOR, is the number of a line in its highest RULE_LINE_BITS; the other bits stand in one of its words,
 * above a place in rule_counts.
 */
struct rule_line {
	__u64 words[8];
};
#define RULE_FACTOR 0x9e3779b97f4a7c15ULL /* 2^64 over the golden ratio */
_Static_assert(sizeof(struct rule_line) == 64, "one cache line");
_Static_assert(MAX_RULE_COUNTS <= 1 << RULE_LINE_BITS, "a word holds the rest of both");

struct rule_count {
	__u64 packets;
	__u64 bytes;
	__u64 connections;
	__u64 first; /* jiffies; 0: never */
	__u64 last;
};

/* One verdict on a packet that began a flow, or was dropped. */
struct event {
	__u64 at;  /* jiffies */
	__u32 eni; /* number */
	__u32 rule;
	__u32 length;
	__u8 direction; /* enum direction */
	__u8 reason;
	__u8 observed;
	__u8 pad;
	struct connection_key key;
};
_Static_assert(sizeof(struct event) == 64, "shared with Go");

/* How many more events a slot may make. */
struct event_budget {
	__u64 whole_at; /* when nothing of it is used any more: see may_tell */
};

/* A service that the host's operator declared: EC2's DNS, metadata, time. */
struct platform_key {
	enum family family;
	__u8 protocol;
	__u8 pad;
	__be16 port;
	struct address address;
};
_Static_assert(sizeof(struct platform_key) == 24, "shared with Go");
_Static_assert(REASONS <= 32, "one counter for each reason");

/* ---- the maps ---- */

#define PINNED __uint(pinning, LIBBPF_PIN_BY_NAME)

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct state);
	PINNED;
} state SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_NAMES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct name_key);
	__type(value, struct name);
	PINNED;
} names SEC(".maps");

/* Some lines of the pool, as one value: within a chunk a line is found without a look at the map. */
struct chunk_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct line[CHUNK_LINES]);
};

/* By the number of a line, without its lowest bits. Chunks come and go; one that is there stays as it is. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MAX_CHUNKS);
	__type(key, __u32);
	PINNED;
	__array(values, struct chunk_map);
} pool SEC(".maps");

/* The slot of an ifindex; 0: none. It never changes: a device keeps its slot until it is detached. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_LOW_IFINDEX);
	__type(key, __u32);
	__type(value, __u32);
	PINNED;
} slots SEC(".maps");

/* The same for higher ones. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
	PINNED;
} high_slots SEC(".maps");

/* By slot. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SLOTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct device);
	PINNED;
} devices SEC(".maps");

/* By slot. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SLOTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct eni);
	PINNED;
} enis SEC(".maps");

/* An ENI's own addresses and routers: enum role. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ENI_ADDRESSES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address_key);
	__type(value, struct by_epoch);
	PINNED;
} addresses SEC(".maps");

/* Connections of one ENI: half-open and untracked ones displace each other, and nothing else. The agent reads
 * and ends them through shared memory. All of these maps are of one size, since the kernel then lets programs
 * look in them without a call.
 */
struct flow_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CHUNK_BUCKETS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct bucket);
};

/* Those that found no room in their bucket as they were established, and those that an upgrade brought. */
struct connection_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_CONNECTIONS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct connection_key);
	__type(value, struct overflow);
};

struct fragment_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_FRAGMENTED);
	__type(key, struct fragment_key);
	__type(value, struct fragment);
};

/* By slot. A slot that carries no ENI has no connections, no flows and no fragments. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MAX_SLOTS);
	__type(key, __u32);
	PINNED;
	__array(values, struct connection_map);
} connections SEC(".maps");

/* By slot * MAX_FLOW_CHUNKS, and the number of a bucket without its lowest bits. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MAX_SLOTS *MAX_FLOW_CHUNKS);
	__type(key, __u32);
	PINNED;
	__array(values, struct flow_map);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SLOTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct occupancy);
	PINNED;
} occupancies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MAX_SLOTS);
	__type(key, __u32);
	PINNED;
	__array(values, struct fragment_map);
} fragments SEC(".maps");

/* Where a rule is counted on an ENI. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << RULE_LINE_BITS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct rule_line);
	PINNED;
} rule_places SEC(".maps");

/* By place; 0 is all that found none of their own. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_RULE_COUNTS);
	__type(key, __u32);
	__type(value, struct rule_count);
	PINNED;
} rule_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, MAX_EVENTS_BYTES);
	PINNED;
} events SEC(".maps");

/* By slot. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SLOTS);
	__type(key, __u32);
	__type(value, struct event_budget);
	PINNED;
} event_budgets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PLATFORM);
	__type(key, struct platform_key);
	__type(value, __u32);
	PINNED;
} platform SEC(".maps");

/* By slot * 2 + direction. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_SLOTS * 2);
	__type(key, __u32);
	__type(value, struct counts);
	PINNED;
} counters SEC(".maps");

#endif
