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

#define IP_MAX_OPTIONS 40 /* bytes, and so options */

enum ip_option {
	IP_OPTION_END = 0,
	IP_OPTION_NOOP = 1,
	IP_OPTION_LSRR = 131, /* loose source route */
	IP_OPTION_SSRR = 137, /* strict source route */
};

/* ICMP and ICMPv6. linux/icmp.h would bring the C library's headers along. */
struct icmp {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be16 id; /* of queries */
	__be16 sequence;
};

/* One packet on its way through a program. */
struct packet {
	struct __sk_buff *skb;
	struct eni *eni;
	struct eni_config *config; /* of this packet's epoch */
	struct connection_key key;
	__u64 tables;
	__u64 revision;
	__u32 slot;
	__u64 epoch;   /* its lowest bit counts */
	__u64 now;     /* jiffies */
	__u32 rule;    /* that decided; 0: none */
	__u32 counter; /* its place in rule_counts */
	__u32 port; /* protocol << 16 | destination port or ICMP type and code, as rules name it */
	__u32 l4;   /* offset in the frame */
	__u32 l4_length; /* as the IP header says */
	__u32 ip_length;
	__u32 checksum; /* offset in the frame where one is still to be written; 0: none */
	__be32 tcp_sequence;
	__be32 tcp_acknowledged;
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 hop_limit;
	bool icmp_error;
	bool stateless;	   /* opens nothing: an ICMP message that is not a request */
	bool group_mac;	   /* the frame is for many */
	bool opened;	   /* a flow begins with it: it is counted and told */
	bool observed;	   /* no rule allows it, and it passes since the ENI observes */
	bool stale;	   /* an established connection stands there, past its end */
	bool router_alert; /* a hop-by-hop header with nothing but a router alert for MLD */
};

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

/* Those headers whose next header is not what a rule names. AH and ESP are protocols of their own,
 * as in EC2.
 */
static __always_inline bool is_extension_header(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
	       next == 135 /* mobility */ || next == 139 /* HIP */ || next == 140 /* shim6 */;
}

/* The headers that are looked at must be in the linear part of the buffer. */
static __always_inline int pull_headers(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	__u32 length = skb->len < HEADERS_LENGTH ? skb->len : HEADERS_LENGTH;

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
	p->key.local_port = from_guest ? source : destination;
	p->key.remote_port = from_guest ? destination : source;
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
	p->key.local.words[0] = from_guest ? ip->saddr : ip->daddr;
	p->key.remote.words[0] = from_guest ? ip->daddr : ip->saddr;
	p->hop_limit = ip->ttl;
	p->ip_length = length;
	p->l4 = ETH_HLEN + header;
	p->l4_length = length - header;
	if (ip->frag_off & bpf_htons(IP_MF_OR_OFFSET))
		return REASON_FRAGMENT;
	return parse_l4(p, (void *)ip + header, end, from_guest);
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
	__builtin_memcpy(&p->key.local, from_guest ? &ip->saddr : &ip->daddr, sizeof(p->key.local));
	__builtin_memcpy(&p->key.remote, from_guest ? &ip->daddr : &ip->saddr,
			 sizeof(p->key.remote));
	p->hop_limit = ip->hop_limit;
	p->ip_length = length;
	p->l4 = ETH_HLEN + sizeof(*ip);
	p->l4_length = length - sizeof(*ip);
	if (next == IPPROTO_HOPOPTS) {
		__be32 *header = l4;
		__u32 first, second;

		if ((void *)(header + 2) > end || p->l4_length < 8)
			return REASON_MALFORMED;
		first = bpf_ntohl(header[0]);
		second = bpf_ntohl(header[1]);
		/* Next header ICMPv6, 8 bytes: router alert 0 (MLD), then PadN or two Pad1. */
		if (first != (IPPROTO_ICMPV6 << 24 | 0x0502) || (second != 0x0100 && second != 0))
			return REASON_EXTENSION_HEADER;
		p->router_alert = true;
		next = IPPROTO_ICMPV6;
		l4 += 8;
		p->l4 += 8;
		p->l4_length -= 8;
	}
	p->key.protocol = next;
	if (next == IPPROTO_FRAGMENT)
		return REASON_FRAGMENT;
	if (is_extension_header(next))
		return REASON_EXTENSION_HEADER;
	return parse_l4(p, l4, end, from_guest);
}

#endif
