/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The link layer, exactly, and who may say what about addresses: ARP, neighbour discovery, MLD,
 * DHCP, and what a VPC does not deliver. No rule is asked here. docs/security.md says why.
 *
 * Each function returns REASON_LINK, a reason to drop, or REASON_NONE: go on to the rules.
 */
#ifndef SALLYPORT_LINK_H
#define SALLYPORT_LINK_H

#define ND_OPTIONS    4	 /* that are looked at; a message with more is dropped */
#define ND_MAX_LENGTH 72 /* of a solicitation or advertisement of a neighbour */
#define ND_HOP_LIMIT  255
#define ND_MAX_NONCE  32
#define MLD_LENGTH    24
#define MLD_RECORDS   64 /* in one report: an ENI's 50 addresses and a few groups */
#define MIN_FRAME     64 /* what a sender pads to, with a checksum that some drivers keep */
#define DHCP_OP	      8	 /* offsets from the UDP header on */
#define DHCP_CHADDR   36
#define DHCP_MAX      1024 /* length of a guest's message, with the UDP header */
#define BOOTREQUEST   1
#define BOOTREPLY     2

enum nd_option {
	ND_SOURCE_MAC = 1,
	ND_TARGET_MAC = 2,
	ND_NONCE = 14, /* RFC 3971, 7527 */
};

enum nd_type {
	MLD_QUERY = 130,
	MLD_REPORT = 131,
	MLD_DONE = 132,
	ND_ROUTER_SOLICIT = 133,
	ND_ROUTER_ADVERT = 134,
	ND_NEIGHBOUR_SOLICIT = 135,
	ND_NEIGHBOUR_ADVERT = 136,
	ND_REDIRECT = 137,
	MLD_REPORT_V2 = 143,
};

struct arp_ipv4 {
	__be16 hardware, protocol;
	__u8 hardware_length, protocol_length;
	__be16 operation;
	__u8 sender_mac[6];
	__u8 sender[4];
	__u8 target_mac[6];
	__u8 target[4];
} __attribute__((packed));

typedef __be16 __attribute__((may_alias)) half;

/* Of addresses in memory that are even. */
static __always_inline bool same_mac(const void *a, const void *b)
{
	const half *x = a, *y = b;

	return !((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]));
}

/* From an address to the delegated prefix that holds it, if there is one. */
static __always_inline void mask_to_delegated(struct address_key *key)
{
	if (key->family == FAMILY_IPV4) {
		key->address.words[0] &= bpf_htonl(0xfffffff0);
	} else {
		key->address.words[2] &= bpf_htonl(0xffff0000);
		key->address.words[3] = 0;
	}
	key->family |= FAMILY_DELEGATED;
}

static __always_inline bool is_zero(const struct address *a)
{
	return !(a->words[0] | a->words[1] | a->words[2] | a->words[3]);
}

static __always_inline bool is_same(const struct address *a, const struct address *b)
{
	return !((a->words[0] ^ b->words[0]) | (a->words[1] ^ b->words[1]) |
		 (a->words[2] ^ b->words[2]) | (a->words[3] ^ b->words[3]));
}

/* What an address is to the packet's ENI: enum role, or 0. */
static __always_inline __u32 role_of(const struct packet *p, __u32 family,
				     const struct address *address)
{
	struct address_key key = {
		.scope = p->eni->number,
		.family = family,
		.address = *address,
	};
	__u32 role = value_of(p, bpf_map_lookup_elem(&addresses, &key));

	if (role || !(p->config->flags & ENI_OWN_PREFIXES))
		return role;
	mask_to_delegated(&key);
	return value_of(p, bpf_map_lookup_elem(&addresses, &key));
}

/* The address is the ENI's own: without a look into the map for one that has no others. */
static __always_inline bool is_own(const struct packet *p, __u32 family,
				   const struct address *address)
{
	const struct eni_config *config = p->config;

	if (is_zero(address))
		return false;
	if (family == FAMILY_IPV4 ? address->words[0] == config->own4 :
				    is_same(address, &config->own6))
		return true;
	return (config->flags & (ENI_OWN_OTHERS | ENI_OWN_PREFIXES)) &&
	       role_of(p, family, address) == ROLE_OWN;
}

static __always_inline bool is_fe80(const struct address *a)
{
	return (a->words[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

/* The link-local address that RFC 4291 derives from the ENI's MAC; where the agent allows any, all but
 * the router's.
 */
static __always_inline bool is_own_fe80(const struct packet *p, const struct address *a)
{
	const __u8 *mac = p->config->mac;

	if (p->config->flags & ENI_ANY_FE80)
		return is_fe80(a) && role_of(p, FAMILY_IPV6, a) != ROLE_ROUTER;
	return a->words[0] == bpf_htonl(0xfe800000) && a->words[1] == 0 &&
	       a->words[2] == bpf_htonl((__u32)(mac[0] ^ 2) << 24 | (__u32)mac[1] << 16 |
					(__u32)mac[2] << 8 | 0xff) &&
	       a->words[3] ==
		       bpf_htonl(0xfe000000 | (__u32)mac[3] << 16 | (__u32)mac[4] << 8 | mac[5]);
}

static __always_inline bool is_own_ipv6(const struct packet *p, const struct address *a)
{
	if (is_fe80(a))
		return is_own_fe80(p, a);
	return is_own(p, FAMILY_IPV6, a);
}

static __always_inline bool is_multicast(__u32 family, const struct address *a)
{
	if (family == FAMILY_IPV6)
		return (a->words[0] & bpf_htonl(0xff000000)) == bpf_htonl(0xff000000);
	return (a->words[0] & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000) ||
	       a->words[0] == 0xffffffff;
}

/* 169.254.0.0/16, fd00:ec2::/32 and fe80::/10. Behind the first two may be the host's own cloud
 * credentials.
 */
static __always_inline bool is_link_local(__u32 family, const struct address *a)
{
	if (family == FAMILY_IPV6)
		return is_fe80(a) || a->words[0] == bpf_htonl(0xfd000ec2);
	return (a->words[0] & bpf_htonl(0xffff0000)) == bpf_htonl(0xa9fe0000);
}

/* ---- ARP ---- */

static __always_inline enum reason arp(const struct packet *p, bool from_guest)
{
	void *data = (void *)(long)p->skb->data;
	void *end = (void *)(long)p->skb->data_end;
	struct arp_ipv4 *arp = data + ETH_HLEN;
	struct address sender = {}, target = {};

	if ((void *)(arp + 1) > end)
		return REASON_MALFORMED;
	if (arp->hardware != bpf_htons(1) || arp->protocol != bpf_htons(ETH_P_IP) ||
	    arp->hardware_length != 6 || arp->protocol_length != 4)
		return REASON_ARP;
	if (arp->operation != bpf_htons(1) && arp->operation != bpf_htons(2))
		return REASON_ARP;
	/* What stands behind the message is padding, not a message of its own. */
	if (p->skb->len > MIN_FRAME)
		return REASON_ARP;
	if (!same_mac(arp->sender_mac, ((struct ethhdr *)data)->h_source))
		return REASON_ARP;
	if (!from_guest)
		return REASON_LINK;
	__builtin_memcpy(&sender.words[0], arp->sender, 4);
	__builtin_memcpy(&target.words[0], arp->target, 4);
	if (is_zero(&sender)) { /* a probe, RFC 5227 */
		if (arp->operation != bpf_htons(1))
			return REASON_ARP;
		sender = target;
	}
	return is_own(p, FAMILY_IPV4, &sender) ? REASON_LINK : REASON_ARP;
}

/* ---- neighbour discovery and MLD ---- */

static __always_inline bool is_nd_or_mld(const struct packet *p)
{
	return p->key.protocol == IPPROTO_ICMPV6 &&
	       ((p->icmp_type >= MLD_QUERY && p->icmp_type <= ND_REDIRECT) ||
		p->icmp_type == MLD_REPORT_V2);
}

/* An address of the subnet, or one that never leaves the link. */
static __always_inline bool is_on_link(const struct packet *p, const struct address *a)
{
	const __be32 *prefix = p->config->prefix64;

	if (is_fe80(a))
		return true;
	if (a->words[0] == bpf_htonl(0xfd000ec2)) /* the platform's, whatever else it is */
		return false;
	if ((prefix[0] | prefix[1]) && a->words[0] == prefix[0] && a->words[1] == prefix[1])
		return true;
	return role_of(p, FAMILY_IPV6, a) == ROLE_ROUTER;
}

/* The solicited-node multicast address of target. */
static __always_inline bool is_solicited_node(const struct address *a, const struct address *target)
{
	return a->words[0] == bpf_htonl(0xff020000) && a->words[1] == 0 &&
	       a->words[2] == bpf_htonl(1) &&
	       a->words[3] == (target->words[3] | bpf_htonl(0xff000000));
}

static __always_inline bool is_link_multicast(const struct address *a)
{
	return (a->words[0] & bpf_htonl(0xffff0000)) == bpf_htonl(0xff020000);
}

/* ff02::last */
static __always_inline bool is_group(const struct address *a, __u32 last)
{
	return a->words[0] == bpf_htonl(0xff020000) && a->words[1] == 0 && a->words[2] == 0 &&
	       a->words[3] == bpf_htonl(last);
}

/* The options that follow a header of that length are known ones, so that they carry nothing else,
 * and from a guest every link-layer address in them is the ENI's.
 */
static __always_inline bool check_options(const struct packet *p, __u32 header, bool from_guest)
{
	__u32 left = p->l4_length - header;
	__u32 at = p->l4 + header;

	if (p->l4_length < header || p->l4_length > ND_MAX_LENGTH)
		return false;
	for (int i = 0; i < ND_OPTIONS; i++) {
		__u8 option[8] __attribute__((aligned(2)));
		__u32 length;

		if (left == 0)
			return true;
		if (left < 8 || bpf_skb_load_bytes(p->skb, at, option, sizeof(option)) < 0)
			return false;
		length = (__u32)option[1] * 8;
		if (length == 0 || length > left)
			return false;
		switch (option[0]) {
		case ND_SOURCE_MAC:
		case ND_TARGET_MAC:
			if (length != 8 || (from_guest && !same_mac(option + 2, p->config->mac)))
				return false;
			break;
		case ND_NONCE:
			if (length > ND_MAX_NONCE || p->icmp_type != ND_NEIGHBOUR_SOLICIT)
				return false;
			break;
		default:
			return false;
		}
		left -= length;
		at += length;
	}
	return left == 0;
}

/* A report of what the guest listens to, as long as its records need. */
static __always_inline enum reason mld_from_guest(const struct packet *p)
{
	__be16 records;

	if (!p->router_alert || p->hop_limit != 1 || !is_link_multicast(&p->key.remote) ||
	    (!is_zero(&p->key.local) && !is_own_fe80(p, &p->key.local)))
		return REASON_ND;
	if (p->icmp_type != MLD_REPORT_V2)
		return p->l4_length == MLD_LENGTH ? REASON_LINK : REASON_ND;
	if (!is_group(&p->key.remote, 0x16) ||
	    bpf_skb_load_bytes(p->skb, p->l4 + 6, &records, sizeof(records)) < 0)
		return REASON_ND;
	if (bpf_ntohs(records) > MLD_RECORDS || p->l4_length > 8 + 20 * (__u32)bpf_ntohs(records))
		return REASON_ND;
	return REASON_LINK;
}

/* The address that a message about a neighbour is about; false if there is no room for it. */
static __always_inline bool load_target(const struct packet *p, struct address *target)
{
	return p->l4_length >= 24 &&
	       bpf_skb_load_bytes(p->skb, p->l4 + 8, target, sizeof(*target)) == 0;
}

static __always_inline enum reason nd_from_guest(const struct packet *p)
{
	const struct address *destination = &p->key.remote;
	struct address target;

	if (p->icmp_type == MLD_REPORT || p->icmp_type == MLD_DONE || p->icmp_type == MLD_REPORT_V2)
		return mld_from_guest(p);
	if (p->router_alert || p->hop_limit != ND_HOP_LIMIT || p->icmp_code != 0)
		return REASON_ND;
	switch (p->icmp_type) {
	case ND_ROUTER_SOLICIT:
		if (!is_zero(&p->key.local) && !is_own_ipv6(p, &p->key.local))
			return REASON_ND;
		if (!is_group(destination, 2)) /* all routers */
			return REASON_ND;
		return check_options(p, 8, true) ? REASON_LINK : REASON_ND;
	case ND_NEIGHBOUR_SOLICIT:
	case ND_NEIGHBOUR_ADVERT:
		break;
	default: /* advertising a router, redirecting and asking for reports is the router's */
		return REASON_ND;
	}
	if (!load_target(p, &target))
		return REASON_MALFORMED;
	if (is_multicast(FAMILY_IPV6, &target) || !check_options(p, 24, true))
		return REASON_ND;
	if (p->icmp_type == ND_NEIGHBOUR_ADVERT) {
		if (!is_own_ipv6(p, &p->key.local) || !is_own_ipv6(p, &target))
			return REASON_ND;
		return is_group(destination, 1) || is_on_link(p, destination) ? REASON_LINK :
										REASON_ND;
	}
	if (is_zero(&p->key.local)) /* looks for duplicates */
		return is_own_ipv6(p, &target) && is_solicited_node(destination, &target) ?
			       REASON_LINK :
			       REASON_ND;
	if (!is_own_ipv6(p, &p->key.local))
		return REASON_ND;
	if (is_solicited_node(destination, &target) ||
	    (is_same(destination, &target) && is_on_link(p, destination)))
		return REASON_LINK;
	return REASON_ND;
}

/* All nodes, or the solicited-node address of whomever. */
static __always_inline bool is_nd_multicast(const struct address *a)
{
	return is_group(a, 1) || is_solicited_node(a, a);
}

static __always_inline enum reason nd_to_guest(const struct packet *p)
{
	if (p->router_alert || p->hop_limit != ND_HOP_LIMIT || p->icmp_code != 0)
		return REASON_ND;
	switch (p->icmp_type) {
	case ND_ROUTER_ADVERT:
		if (role_of(p, FAMILY_IPV6, &p->key.remote) != ROLE_ROUTER)
			return REASON_ND;
		break;
	case ND_NEIGHBOUR_SOLICIT:
	case ND_NEIGHBOUR_ADVERT:
		if (!is_on_link(p, &p->key.remote) &&
		    (p->icmp_type != ND_NEIGHBOUR_SOLICIT || !is_zero(&p->key.remote)))
			return REASON_ND;
		if (!check_options(p, 24, false))
			return REASON_ND;
		break;
	default:
		return REASON_ND;
	}
	if (is_nd_multicast(&p->key.local) || is_own_ipv6(p, &p->key.local))
		return REASON_LINK;
	return REASON_DESTINATION_ADDRESS;
}

/* ---- DHCP ---- */

/* A BOOTP message of that operation which is about the ENI's MAC. */
static __always_inline bool is_own_bootp(const struct packet *p, __u8 operation)
{
	__u8 op, mac[6] __attribute__((aligned(2)));

	return p->l4_length >= DHCP_CHADDR + sizeof(mac) &&
	       bpf_skb_load_bytes(p->skb, p->l4 + DHCP_OP, &op, sizeof(op)) == 0 &&
	       op == operation &&
	       bpf_skb_load_bytes(p->skb, p->l4 + DHCP_CHADDR, mac, sizeof(mac)) == 0 &&
	       same_mac(mac, p->config->mac);
}

#define TYPE(n) (1U << (n))
/* Solicit, request, confirm, renew, rebind, release, decline, information-request. */
#define DHCPV6_CLIENT \
	(TYPE(1) | TYPE(3) | TYPE(4) | TYPE(5) | TYPE(6) | TYPE(8) | TYPE(9) | TYPE(11))
/* Advertise, reply, reconfigure. */
#define DHCPV6_SERVER (TYPE(2) | TYPE(7) | TYPE(10))

/* A DHCPv6 message of one of these types. */
static __always_inline bool is_dhcpv6(const struct packet *p, __u32 types)
{
	__u8 type;

	if (p->l4_length < 12 ||
	    bpf_skb_load_bytes(p->skb, p->l4 + DHCP_OP, &type, sizeof(type)) < 0)
		return false;
	return type < 32 && (types >> type & 1);
}

static __always_inline enum reason dhcp_from_guest(const struct packet *p)
{
	const struct connection_key *k = &p->key;

	if (k->protocol != IPPROTO_UDP)
		return REASON_NONE;
	if (k->family == FAMILY_IPV4) {
		if (k->local_port == bpf_htons(67) || k->remote_port == bpf_htons(68))
			return REASON_DHCP;
		if (k->local_port != bpf_htons(68) || k->remote_port != bpf_htons(67))
			return REASON_NONE;
		if (k->remote.words[0] != 0xffffffff &&
		    role_of(p, FAMILY_IPV4, &k->remote) != ROLE_ROUTER)
			return REASON_NONE; /* another server: the rules decide */
		if (!is_zero(&k->local) && !is_own(p, FAMILY_IPV4, &k->local))
			return REASON_SOURCE_ADDRESS;
		return p->l4_length <= DHCP_MAX && is_own_bootp(p, BOOTREQUEST) ? REASON_LINK :
										  REASON_DHCP;
	}
	if (k->local_port == bpf_htons(547) || k->remote_port == bpf_htons(546))
		return REASON_DHCP;
	if (k->local_port != bpf_htons(546) || k->remote_port != bpf_htons(547))
		return REASON_NONE;
	/* ff02::1:2, all DHCP servers and relays of the link */
	if (!is_group(&k->remote, 0x00010002))
		return REASON_NONE;
	if (!is_own_fe80(p, &k->local))
		return REASON_SOURCE_ADDRESS;
	return p->l4_length <= DHCP_MAX && is_dhcpv6(p, DHCPV6_CLIENT) ? REASON_LINK : REASON_DHCP;
}

static __always_inline enum reason dhcp_to_guest(const struct packet *p)
{
	const struct connection_key *k = &p->key;

	if (k->protocol != IPPROTO_UDP)
		return REASON_NONE;
	if (k->family == FAMILY_IPV4) {
		if (k->remote_port != bpf_htons(67) || k->local_port != bpf_htons(68))
			return REASON_NONE;
		if (role_of(p, FAMILY_IPV4, &k->remote) != ROLE_ROUTER)
			return REASON_NONE; /* another server: the rules decide */
		if (k->local.words[0] != 0xffffffff && !is_own(p, FAMILY_IPV4, &k->local))
			return REASON_DESTINATION_ADDRESS;
		return is_own_bootp(p, BOOTREPLY) ? REASON_LINK : REASON_DHCP;
	}
	if (k->remote_port != bpf_htons(547) || k->local_port != bpf_htons(546))
		return REASON_NONE;
	if (!is_fe80(&k->remote))
		return REASON_NONE;
	if (!is_own_fe80(p, &k->local))
		return REASON_DESTINATION_ADDRESS;
	return is_dhcpv6(p, DHCPV6_SERVER) ? REASON_LINK : REASON_DHCP;
}

/* ---- services of the platform ---- */

/* Whether the agent has declared any: else nothing is looked up. */
const volatile bool has_platform;

static __noinline bool is_declared(const struct packet *p)
{
	struct platform_key key = {
		.family = p->key.family,
		.protocol = p->key.protocol,
		.port = p->key.remote_port,
		.address = p->key.remote,
	};

	if (p->group_mac || !is_own(p, p->key.family, &p->key.local))
		return false;
	if (p->part == PART_LATER)
		return p->platform;
	return (key.protocol == IPPROTO_TCP || key.protocol == IPPROTO_UDP) &&
	       bpf_map_lookup_elem(&platform, &key);
}

/* From or to a service that the host's operator declared, for an address of the ENI's own. */
static __always_inline bool is_platform(const struct packet *p)
{
	return has_platform && is_declared(p);
}

/* ---- addresses ---- */

/* An IPv4 address in IPv6's clothes, which no packet has (RFC 4038, 4.2): a socket would take it for
 * the IPv4 address that it is not.
 */
static __always_inline bool is_mapped(__u32 family, const struct address *a)
{
	return family == FAMILY_IPV6 && !(a->words[0] | a->words[1]) &&
	       a->words[2] == bpf_htonl(0xffff);
}

/* No packet can come from there: unspecified, loopback, many. */
static __always_inline bool is_impossible_source(__u32 family, const struct address *a)
{
	if (is_multicast(family, a) || is_mapped(family, a))
		return true;
	if (family == FAMILY_IPV6)
		return !(a->words[0] | a->words[1] | a->words[2]) && (bpf_ntohl(a->words[3]) <= 1);
	return (a->words[0] & bpf_htonl(0xff000000)) == 0 ||
	       (a->words[0] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
}

/* No packet that leaves a guest can go there: unspecified, loopback, reserved; and IPv4 addresses
 * in IPv6's clothes, which a translator behind us would undress.
 */
static __always_inline bool is_impossible_destination(__u32 family, const struct address *a)
{
	if (family == FAMILY_IPV6)
		return !(a->words[0] | a->words[1] | a->words[2]) ||
		       (a->words[0] == bpf_htonl(0x0064ff9b) && !(a->words[1] | a->words[2]));
	return (a->words[0] & bpf_htonl(0xff000000)) == 0 ||
	       (a->words[0] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000) ||
	       (a->words[0] & bpf_htonl(0xf0000000)) == bpf_htonl(0xf0000000);
}

/* What a VPC carries at all, and only from and to the ENI's own addresses. */
static __always_inline enum reason check_addresses(const struct packet *p, bool from_guest)
{
	const struct connection_key *k = &p->key;
	const struct address *destination = from_guest ? &k->remote : &k->local;

	if (is_link_local(k->family, &k->local) || is_link_local(k->family, &k->remote))
		return is_platform(p) ? REASON_PLATFORM : REASON_LINK_LOCAL;
	if (from_guest) {
		if (is_impossible_source(k->family, &k->local))
			return REASON_SOURCE_ADDRESS;
		if ((p->config->flags & ENI_SOURCE_DEST_CHECK) && !is_own(p, k->family, &k->local))
			return REASON_SOURCE_ADDRESS;
	}
	if (p->group_mac || is_multicast(k->family, destination))
		return REASON_MULTICAST;
	if (!from_guest && is_impossible_source(k->family, &k->remote))
		return REASON_SOURCE_ADDRESS;
	if (is_mapped(k->family, destination) ||
	    (from_guest && is_impossible_destination(k->family, destination)))
		return REASON_DESTINATION_ADDRESS;
	if (!from_guest && (p->config->flags & ENI_SOURCE_DEST_CHECK) &&
	    !is_own(p, k->family, &k->local))
		return REASON_DESTINATION_ADDRESS;
	return REASON_NONE;
}

/* Nobody on the wire has the guest's own addresses. Asked of new flows only: what is tracked passed
 * here once.
 */
static __always_inline enum reason check_not_self(const struct packet *p, bool from_guest)
{
	if (!is_own(p, p->key.family, &p->key.remote))
		return REASON_NONE;
	return from_guest ? REASON_DESTINATION_ADDRESS : REASON_SOURCE_ADDRESS;
}

/* What passes without a rule ends with its IP packet, but for padding. */
static __always_inline bool has_trailer(const struct packet *p)
{
	return p->skb->len > MIN_FRAME && p->skb->len > ETH_HLEN + p->ip_length;
}

/* The steps above for an IP packet, in their order. */
static __always_inline enum reason link_layer(const struct packet *p, bool from_guest)
{
	enum reason reason;

	if (is_nd_or_mld(p))
		reason = from_guest ? nd_from_guest(p) : nd_to_guest(p);
	else
		reason = from_guest ? dhcp_from_guest(p) : dhcp_to_guest(p);
	if (reason == REASON_LINK) {
		if (has_trailer(p) || !is_own_checksum(p))
			return REASON_MALFORMED;
		if (p->part != PART_WHOLE)
			return REASON_FRAGMENT;
		if (p->extended && !p->router_alert)
			return REASON_EXTENSION_HEADER;
	}
	if (reason != REASON_NONE)
		return reason;
	return check_addresses(p, from_guest);
}

#endif
