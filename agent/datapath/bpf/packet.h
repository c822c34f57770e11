/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * From a frame to what the later steps look at. Everything that cannot be read here is dropped
 * here: what cannot be judged does not pass.
 */
#ifndef SALLYPORT_PACKET_H
#define SALLYPORT_PACKET_H

/* Enough for every header that is looked at: Ethernet 14, IPv4 with options 60, DHCP up to the
 * client's MAC 42; or IPv6 40, ND 24 and its first options.
 */
#define HEADERS_LENGTH 128

#define IP_MF_OR_OFFSET 0x3fff
#define IP_OFFSET	0x1fff /* in units of 8 bytes */

#define IP_MAX_OPTIONS 40 /* bytes, and so options */

enum ip_option {
	IP_OPTION_END = 0,
	IP_OPTION_NOOP = 1,
	IP_OPTION_LSRR = 131, /* loose source route */
	IP_OPTION_SSRR = 137, /* strict source route */
};

/* Extension headers that are walked past before what a rule names; longer chains are dropped. RFC 8883
 * leaves both numbers to whoever looks.
 */
#define MAX_EXTENSIONS	    8
#define MAX_EXTENSION_BYTES 256
#define MAX_IPV6_OPTIONS    16 /* in one header, padding included */

#define MAX_L4_HEADER 60    /* TCP's */
#define L4_MASK	      0x1ff /* of an offset in the frame: 14 + 40 + MAX_EXTENSION_BYTES is below */

#define IPPROTO_MOBILITY 135
#define IPPROTO_HIP	 139
#define IPPROTO_SHIM6	 140

#define IPV6_MF_OR_OFFSET 0xfff9
#define IPV6_OFFSET	  0xfff8 /* in bytes */

enum ipv6_option {
	IPV6_OPTION_PAD1 = 0,
	IPV6_OPTION_JUMBO = 194,	/* RFC 2675 */
	IPV6_OPTION_HOME_ADDRESS = 201, /* RFC 6275: stands for the source */
};

/* ICMP and ICMPv6. linux/icmp.h would bring the C library's headers along. */
struct icmp {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be16 id; /* of queries */
	__be16 sequence;
};

typedef __u64 __attribute__((may_alias)) word;

static __always_inline __u64 read_word(const void *at)
{
	return *(const volatile word *)at;
}

/* Which part of a packet this one is. */
enum part {
	PART_WHOLE,
	PART_FIRST, /* a fragment with the beginning: ports and all */
	PART_LATER, /* a fragment without */
};

/* What an entry said at the moment when that was its tag: see entry.h. */
struct entry {
	__u64 tag;
	__u64 tables;		     /* 0 where it says nothing of rules */
	struct admission by, answer; /* zeros there */
	__u32 seen;
	bool stream; /* of UDP: more than one request and response */
	__u8 pad[3];
};

/* Where a key belongs, and its entry, wherever that stands. */
struct flow {
	struct bucket *bucket;
	struct connection *connection; /* NULL: there is none */
	__u64 *tag;
	struct entry said;
};

/* One packet on its way through a program. */
struct packet {
	struct __sk_buff *skb;
	struct eni *eni;
	struct eni_config *config; /* of this packet's epoch */
	struct flow flow;	   /* its entry, where the rules decide all the same; see known */
	/* From here on no pointers: see blur. */
	struct connection_key key __attribute__((aligned(8))); /* it is read by words */
	__u64 tables;
	__u64 hash;    /* of the key */
	__u64 epoch;   /* its lowest bit counts */
	__u64 now;     /* jiffies */
	__u32 rule;    /* that decided; 0: none */
	__u32 counter; /* its place in rule_counts */
	__u32 port; /* protocol << 16 | destination port or ICMP type and code, as rules name it */
	__u32 l4;   /* offset in the frame */
	__u32 l4_length; /* as the IP header says */
	__u32 l4_header; /* bytes of it that are the protocol's header; 0: unknown to us */
	__u32 payload;	 /* of a fragment: offset in the frame of what it is a fragment of */
	__u32 before;	 /* of a fragment: bytes of that which stand in others, before it */
	__be32 fragment_id;
	enum part part;
	__u32 ip_length;
	__u32 segments; /* 0: not counted yet */
	__u32 checksum; /* offset in the frame where one is still to be written; 0: none */
	__be32 tcp_sequence;
	__be32 tcp_acknowledged;
	__u32 slot;
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 hop_limit;
	bool icmp_error;
	bool stateless;	 /* opens nothing: an ICMP message that is not a request */
	bool group_mac;	 /* the frame is for many */
	bool opened;	 /* a flow begins with it: it is counted and told */
	bool tracked;	 /* it began a tracked connection */
	bool observed;	 /* no rule allows it, and it passes since the ENI observes */
	bool overflowed; /* the flow's entry stands beside the buckets */
	bool looked;	 /* hash and flow.bucket are there, and nothing there had its fingerprint */
	bool known;	 /* flow is its entry; else an entry there is past its end */
	bool platform;	 /* a later fragment of what a service of the platform sends or gets */
	bool extended;	 /* IPv6 extension headers stand before the protocol's */
	bool router_alert; /* they are a hop-by-hop header with nothing but a router alert for MLD */
};

/* Bytes from its port on, with what a parser finds. A power of two. */
#define FORGOTTEN 64

_Static_assert(offsetof(struct packet, hop_limit) - offsetof(struct packet, port) < FORGOTTEN &&
		       offsetof(struct packet, port) + FORGOTTEN <= sizeof(struct packet),
	       "see forget");

/* All of a packet but its pointers. */
struct facts {
	__u8 bytes[sizeof(struct packet) - offsetof(struct packet, key)];
};

/* Makes the verifier forget what it knows of a packet. It follows each way that a packet can be parsed
 * through all that comes afterwards, unless those ways are alike to it; and they are when they meet
 * in front of a global function that may write what they differ in.
 */
__noinline int blur(struct facts *facts)
{
	asm volatile("" ::"r"(facts) : "memory");
	return 0;
}

/* 0, of which the verifier knows no bit. */
static __always_inline __u64 any_number(const struct packet *p)
{
	__u64 number = p->now, same = number;

	asm volatile("%0 ^= %1" : "+&r"(number) : "r"(same));
	return number;
}

/* Makes it forget the most of a packet without a call, in a few instructions: a byte is written back where it
 * stands, and only the CPU knows where among the others that is.
 */
static __always_inline void forget(struct packet *p)
{
	volatile __u8 *bytes = (void *)&p->port;
	__u64 at = any_number(p);

	at += offsetof(struct packet, hop_limit) - offsetof(struct packet, port);
	asm volatile("%0 &= %1" : "+r"(at) : "i"(FORGOTTEN - 1));
	bytes[at] = *(volatile __u8 *)&p->hop_limit;
}

/* An index below 2 where the verifier sees it, even after a spill that loses its bounds. */
static __always_inline __u64 index_of(__u64 epoch)
{
	asm volatile("%0 &= 1" : "+r"(epoch));
	return epoch;
}

static __always_inline __u32 value_of(const struct packet *p, const struct by_epoch *value)
{
	return value ? value->of[index_of(p->epoch)] : 0;
}

/* Written as in the frame: byte 13 of the TCP header. */
enum tcp_flag {
	TCP_FIN = 1 << 0,
	TCP_SYN = 1 << 1,
	TCP_RST = 1 << 2,
	TCP_ACK = 1 << 4,
};

/* Headers that stand between IPv6's and what a rule names. AH and ESP are protocols of their own, as
 * in EC2; mobility, HIP and shim6 are, too, if nothing follows them.
 */
static __always_inline bool is_extension_header(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
	       next == IPPROTO_FRAGMENT || next == IPPROTO_MOBILITY || next == IPPROTO_HIP ||
	       next == IPPROTO_SHIM6;
}

/* How much of a frame is read where it stands: the headers without their options, which are loaded. */
static __always_inline __u32 headers_length(void *data, void *end)
{
	struct ethhdr *eth = data;
	__u8 *ip = data + ETH_HLEN;
	__u32 length;
	__u8 next;

	if ((void *)ip + sizeof(struct iphdr) > end)
		return HEADERS_LENGTH;
	switch (eth->h_proto) {
	case bpf_htons(ETH_P_IP):
		length = ETH_HLEN + ((ip[0] & 0xf) << 2);
		next = ip[offsetof(struct iphdr, protocol)];
		break;
	case bpf_htons(ETH_P_IPV6):
		length = ETH_HLEN + sizeof(struct ipv6hdr);
		next = ip[offsetof(struct ipv6hdr, nexthdr)];
		break;
	default:
		return HEADERS_LENGTH;
	}
	return length + (next == IPPROTO_TCP ? sizeof(struct tcphdr) : sizeof(struct udphdr));
}

/* The headers that are looked at, wanted bytes, must be in the linear part of the buffer. */
static __always_inline int pull_headers(struct __sk_buff *skb, __u32 wanted)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	__u32 length = skb->len < wanted ? skb->len : wanted;

	if (end - data >= length)
		return 0;
	return bpf_skb_pull_data(skb, length);
}

/* The request's type if type is an ICMP query or its answer, else 255. */
static __always_inline __u8 query_request(__u8 family, __u8 type, bool *answer)
{
	if (family == FAMILY_IPV6) {
		*answer = type == 129;
		return type == 128 || type == 129 ? 128 : 255;
	}
	switch (type) {
	case 0: /* echo reply */
		*answer = true;
		return 8;
	case 8:
		return 8;
	case 13: /* timestamp, information, address mask: the answer is the next number */
	case 15:
	case 17:
		return type;
	case 14:
	case 16:
	case 18:
		*answer = true;
		return type - 1;
	}
	return 255;
}

static __always_inline bool is_icmp_error(__u8 family, __u8 type)
{
	if (family == FAMILY_IPV6)
		return type < 128;
	return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

static __always_inline enum reason parse_icmp(struct packet *p, void *l4, void *end,
					      bool from_guest)
{
	struct icmp *icmp = l4;
	bool answer = false;
	__u8 request;

	if ((void *)(icmp + 1) > end || p->l4_length < sizeof(*icmp))
		return REASON_MALFORMED;
	p->icmp_type = icmp->type;
	p->icmp_code = icmp->code;
	p->port |= (__u32)icmp->type << 8 | icmp->code;
	p->icmp_error = is_icmp_error(p->key.family, icmp->type);
	p->l4_header = sizeof(*icmp);
	/* They fit into the smallest packet; in parts they would hide what they quote. */
	if (p->icmp_error && p->part != PART_WHOLE)
		return REASON_FRAGMENT;
	request = query_request(p->key.family, icmp->type, &answer);
	if (request == 255 || icmp->code != 0) {
		p->stateless = true;
		return REASON_NONE;
	}
	p->stateless = answer;
	p->key.query = from_guest == answer ? QUERY_BY_REMOTE : QUERY_BY_GUEST;
	p->key.local_port = icmp->id;
	p->key.remote_port = bpf_htons(request);
	return REASON_NONE;
}

/* The key's first word at once: it is read as one, and what was written in parts is not read before all of
 * them are in the cache.
 */
static __always_inline void name_flow(struct packet *p, __be16 local_port, __be16 remote_port)
{
	*(word *)&p->key = (__u64)local_port | (__u64)remote_port << 16 |
			   (__u64)p->key.protocol << 32 | (__u64)p->key.family << 40;
}

static __always_inline enum reason parse_l4(struct packet *p, void *l4, void *end, bool from_guest)
{
	__be16 source, destination;

	p->port = (__u32)p->key.protocol << 16;
	switch (p->key.protocol) {
	case IPPROTO_TCP: {
		struct tcphdr *tcp = l4;
		__u32 length;

		if ((void *)(tcp + 1) > end)
			return REASON_MALFORMED;
		length = ((__u8 *)l4)[12] >> 4 << 2;
		if (length < sizeof(*tcp) || p->l4_length < length)
			return REASON_MALFORMED;
		p->l4_header = length;
		p->tcp_flags = ((__u8 *)l4)[13];
		p->tcp_sequence = tcp->seq;
		p->tcp_acknowledged = tcp->ack_seq;
		source = tcp->source;
		destination = tcp->dest;
		break;
	}
	case IPPROTO_UDP: {
		struct udphdr *udp = l4;

		if ((void *)(udp + 1) > end || p->l4_length < sizeof(*udp))
			return REASON_MALFORMED;
		p->l4_header = sizeof(*udp);
		source = udp->source;
		destination = udp->dest;
		break;
	}
	case IPPROTO_ICMP:
		if (p->key.family != FAMILY_IPV4)
			return REASON_MALFORMED; /* its types would be read as IPv4's */
		return parse_icmp(p, l4, end, from_guest);
	case IPPROTO_ICMPV6:
		if (p->key.family != FAMILY_IPV6)
			return REASON_MALFORMED;
		return parse_icmp(p, l4, end, from_guest);
	default:
		return REASON_NONE;
	}
	name_flow(p, from_guest ? source : destination, from_guest ? destination : source);
	p->port |= bpf_ntohs(destination);
	return REASON_NONE;
}

/* The options of an IPv4 header, which are the bytes from Ethernet and 20 bytes on up to end, are
 * well formed and route nothing: a router on the way would send the packet past what was judged. A
 * global function, which the verifier walks once; options are rare.
 */
__noinline bool check_ipv4_options(struct __sk_buff *skb, __u32 end)
{
	__u32 at = ETH_HLEN + sizeof(struct iphdr);

	for (int i = 0; i < IP_MAX_OPTIONS; i++) {
		__u8 type, length;

		if (at >= end)
			return true;
		if (bpf_skb_load_bytes(skb, at, &type, sizeof(type)) < 0)
			return false;
		if (type == IP_OPTION_END)
			return true;
		if (type == IP_OPTION_NOOP) {
			at++;
			continue;
		}
		if (type == IP_OPTION_LSRR || type == IP_OPTION_SSRR)
			return false;
		if (bpf_skb_load_bytes(skb, at + 1, &length, sizeof(length)) < 0 || length < 2)
			return false;
		at += length;
		if (at > end)
			return false;
	}
	return at >= end;
}

static __always_inline enum reason parse_ipv4(struct packet *p, bool from_guest)
{
	void *data = (void *)(long)p->skb->data;
	void *end = (void *)(long)p->skb->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	__u32 header, length, room;

	if ((void *)(ip + 1) > end)
		return REASON_MALFORMED;
	header = (*(__u8 *)ip & 0xf) << 2;
	length = bpf_ntohs(ip->tot_len);
	room = p->skb->len - ETH_HLEN;
	if (length == 0 && room > 0xffff)
		length = room; /* a segmented packet beyond 64 KiB cannot say its length */
	if (*(__u8 *)ip >> 4 != 4 || header < sizeof(*ip) || length < header || length > room)
		return REASON_MALFORMED;
	if (header > sizeof(*ip) && !check_ipv4_options(p->skb, ETH_HLEN + header))
		return REASON_MALFORMED;
	p->key.family = FAMILY_IPV4;
	p->key.protocol = ip->protocol;
	*(word *)&p->key.local = from_guest ? ip->saddr : ip->daddr;
	*(word *)&p->key.remote = from_guest ? ip->daddr : ip->saddr;
	p->hop_limit = ip->ttl;
	p->ip_length = length;
	p->l4 = ETH_HLEN + header;
	p->l4_length = length - header;
	if (ip->frag_off & bpf_htons(IP_MF_OR_OFFSET)) {
		p->before = (bpf_ntohs(ip->frag_off) & IP_OFFSET) * 8;
		p->part = p->before ? PART_LATER : PART_FIRST;
		p->payload = p->l4;
		p->fragment_id = ip->id;
		if (p->part == PART_LATER)
			return REASON_NONE;
	}
	return parse_l4(p, (void *)ip + header, end, from_guest);
}

/* The options of a hop-by-hop or destination header, between these offsets in the frame, are well
 * formed, and change neither the packet's length nor whom it is from.
 */
__noinline bool check_ipv6_options(struct __sk_buff *skb, __u32 at, __u32 end)
{
	for (int i = 0; i < MAX_IPV6_OPTIONS; i++) {
		__u8 type, length;

		if (at >= end)
			return at == end;
		if (bpf_skb_load_bytes(skb, at, &type, sizeof(type)) < 0)
			return false;
		if (type ==
		    IPV6_OPTION_PAD1) { /* has no length, and may be the frame's last byte */
			at++;
			continue;
		}
		if (type == IPV6_OPTION_JUMBO || type == IPV6_OPTION_HOME_ADDRESS ||
		    bpf_skb_load_bytes(skb, at + 1, &length, sizeof(length)) < 0)
			return false;
		at += 2 + length;
	}
	return at == end;
}

/* A walk over IPv6 extension headers. */
struct chain {
	__u32 at;      /* offset in the frame of the next header */
	__u32 end;     /* of the packet, in the frame */
	__u32 payload; /* offset of what follows a fragment header; 0: there is none */
	__be32 id;     /* in it */
	__u16 offset;  /* its field with offset and more-fragments, host byte order */
	__u8 next;     /* kind of the next header */
	__u8 pad;
};

/* Walks to the header that a rule names, or to the payload of a later fragment. REASON_NONE, or why it
 * cannot be judged. A global function, as they are rare; it changes no packet.
 */
__noinline int walk_extensions(struct __sk_buff *skb, struct chain *chain)
{
	__u32 at, limit;

	if (!chain)
		return REASON_MALFORMED;
	at = chain->at;
	limit = at + MAX_EXTENSION_BYTES;
	for (int i = 0; i <= MAX_EXTENSIONS; i++) {
		__u8 header[8], kind = chain->next;
		__u32 length;

		/* Without the test in its head the loop falls into itself, which Linux 6.1 refuses. */
		barrier_var(i);
		chain->at = at;
		if (!is_extension_header(kind))
			return REASON_NONE;
		if (at + sizeof(header) > chain->end ||
		    bpf_skb_load_bytes(skb, at, header, sizeof(header)) < 0)
			return REASON_MALFORMED;
		length = ((__u32)header[1] + 1) * 8;
		switch (kind) {
		case IPPROTO_FRAGMENT:
			if (chain->payload)
				return REASON_EXTENSION_HEADER;
			length = sizeof(header);
			chain->payload = at + length;
			chain->offset = (__u16)header[2] << 8 | header[3];
			__builtin_memcpy(&chain->id, header + 4, sizeof(chain->id));
			break;
		case IPPROTO_HOPOPTS:
			if (i != 0)
				return REASON_EXTENSION_HEADER;
			break;
		case IPPROTO_ROUTING: /* it has been wherever it was to go */
			if (header[3] != 0)
				return REASON_EXTENSION_HEADER;
			break;
		case IPPROTO_DSTOPTS:
			break;
		default:
			return header[0] == IPPROTO_NONE ? REASON_NONE : REASON_EXTENSION_HEADER;
		}
		if (at + length > chain->end)
			return REASON_MALFORMED;
		if (at + length > limit || i == MAX_EXTENSIONS)
			return REASON_EXTENSION_HEADER;
		if ((kind == IPPROTO_HOPOPTS || kind == IPPROTO_DSTOPTS) &&
		    !check_ipv6_options(skb, at + 2, at + length))
			return REASON_EXTENSION_HEADER;
		at += length;
		chain->next = header[0];
		if (chain->payload && (chain->offset & IPV6_OFFSET)) {
			chain->at = at;
			return REASON_NONE;
		}
	}
	return REASON_EXTENSION_HEADER;
}

/* Goes on from the IPv6 header to the protocol's, and makes that one readable. */
static __noinline enum reason parse_extensions(struct packet *p)
{
	struct chain chain = {
		.at = p->l4,
		.end = p->l4 + p->l4_length,
		.next = p->key.protocol,
	};
	__be32 alert[2];
	int reason;

	p->extended = true;
	if (chain.next == IPPROTO_HOPOPTS &&
	    bpf_skb_load_bytes(p->skb, p->l4, alert, sizeof(alert)) == 0) {
		__u32 first = bpf_ntohl(alert[0]), second = bpf_ntohl(alert[1]);

		/* Next header ICMPv6, 8 bytes: router alert 0 (MLD), then PadN or two Pad1. */
		p->router_alert = first == (IPPROTO_ICMPV6 << 24 | 0x0502) &&
				  (second == 0x0100 || second == 0);
		/* Next header TCP, 8 bytes: what Linux writes into segmented packets beyond 64 KiB. */
		if (first == (IPPROTO_TCP << 24 | 0xc204) &&
		    p->ip_length > 0xffff + sizeof(struct ipv6hdr) && p->skb->gso_segs > 1) {
			chain.at += sizeof(alert);
			chain.next = IPPROTO_TCP;
		}
	}
	reason = walk_extensions(p->skb, &chain);
	p->key.protocol = chain.next;
	p->l4_length = chain.end - chain.at;
	p->l4 = chain.at;
	if (chain.payload && (chain.offset & IPV6_MF_OR_OFFSET)) {
		p->before = chain.offset & IPV6_OFFSET;
		p->part = p->before ? PART_LATER : PART_FIRST;
		p->payload = chain.payload;
		p->fragment_id = chain.id;
	}
	if (reason != REASON_NONE)
		return reason;
	return pull_headers(p->skb, p->l4 + MAX_L4_HEADER) < 0 ? REASON_MALFORMED : REASON_NONE;
}

static __always_inline void copy_address(struct address *to, const struct in6_addr *from)
{
	word *words = (word *)to;

	words[0] = read_word(from);
	words[1] = read_word((const void *)from + sizeof(*words));
}

static __always_inline enum reason parse_ipv6(struct packet *p, bool from_guest)
{
	void *data = (void *)(long)p->skb->data;
	void *end = (void *)(long)p->skb->data_end;
	struct ipv6hdr *ip = data + ETH_HLEN;
	void *l4 = ip + 1;
	__u32 length, room;
	__u8 next;

	if (l4 > end)
		return REASON_MALFORMED;
	length = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	room = p->skb->len - ETH_HLEN;
	if (length == sizeof(*ip) && room > sizeof(*ip) + 0xffff)
		length = room;
	if (*(__u8 *)ip >> 4 != 6 || length > room)
		return REASON_MALFORMED;
	next = ip->nexthdr;
	p->key.family = FAMILY_IPV6;
	copy_address(&p->key.local, from_guest ? &ip->saddr : &ip->daddr);
	copy_address(&p->key.remote, from_guest ? &ip->daddr : &ip->saddr);
	p->hop_limit = ip->hop_limit;
	p->ip_length = length;
	p->l4 = ETH_HLEN + sizeof(*ip);
	p->l4_length = length - sizeof(*ip);
	p->key.protocol = next;
	if (is_extension_header(next)) {
		enum reason reason = parse_extensions(p);

		if (reason != REASON_NONE || p->part == PART_LATER)
			return reason;
		/* The bytes may have moved. */
		data = (void *)(long)p->skb->data;
		end = (void *)(long)p->skb->data_end;
		l4 = data + (p->l4 & L4_MASK);
	}
	return parse_l4(p, l4, end, from_guest);
}

#endif
