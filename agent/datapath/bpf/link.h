/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link layer, exactly, and who may say what about addresses: ARP, neighbour discovery, MLD,
 * DHCP, and what a VPC does not deliver. No rule is asked here. docs: design, "Link layer, exactly".
 *
 * Each function returns REASON_LINK, a reason to drop, or REASON_NONE: go on to the rules.
 */
#ifndef SALLYPORT_LINK_H
#define SALLYPORT_LINK_H

#define ND_OPTIONS   4 /* that are looked at; a message with more is dropped */
#define ND_HOP_LIMIT 255
#define DHCP_OP	     8 /* offsets from the UDP header on */
#define DHCP_CHADDR  36
#define BOOTREQUEST  1
#define BOOTREPLY    2

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

static __always_inline bool same_mac(const __u8 *a, const __u8 *b)
{
	return !((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4]) |
		 (a[5] ^ b[5]));
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

	return value_of(p, bpf_map_lookup_elem(&addresses, &key));
}

static __always_inline bool is_zero(const struct address *a)
{
	return !(a->words[0] | a->words[1] | a->words[2] | a->words[3]);
}

static __always_inline bool is_fe80(const struct address *a)
{
	return (a->words[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

/* The link-local address that RFC 4291 derives from the ENI's MAC. */
static __always_inline bool is_own_fe80(const struct packet *p, const struct address *a)
{
	const __u8 *mac = p->config->mac;

	return a->words[0] == bpf_htonl(0xfe800000) && a->words[1] == 0 &&
	       a->words[2] == bpf_htonl((__u32)(mac[0] ^ 2) << 24 | (__u32)mac[1] << 16 |
					(__u32)mac[2] << 8 | 0xff) &&
	       a->words[3] ==
		       bpf_htonl(0xfe000000 | (__u32)mac[3] << 16 | (__u32)mac[4] << 8 | mac[5]);
}

static __always_inline bool is_own_ipv6(const struct packet *p, const struct address *a)
{
	return is_own_fe80(p, a) || role_of(p, FAMILY_IPV6, a) == ROLE_OWN;
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
	if (!from_guest)
		return REASON_LINK;
	if (arp->operation != bpf_htons(1) && arp->operation != bpf_htons(2))
		return REASON_ARP;
	if (!same_mac(arp->sender_mac, p->config->mac))
		return REASON_ARP;
	__builtin_memcpy(&sender.words[0], arp->sender, 4);
	__builtin_memcpy(&target.words[0], arp->target, 4);
	if (is_zero(&sender)) { /* a probe, RFC 5227 */
		if (arp->operation != bpf_htons(1))
			return REASON_ARP;
		sender = target;
	}
	return role_of(p, FAMILY_IPV4, &sender) == ROLE_OWN ? REASON_LINK : REASON_ARP;
}

/* ---- neighbour discovery and MLD ---- */

static __always_inline bool is_nd_or_mld(const struct packet *p)
{
	return p->key.protocol == IPPROTO_ICMPV6 &&
	       ((p->icmp_type >= MLD_QUERY && p->icmp_type <= ND_REDIRECT) ||
		p->icmp_type == MLD_REPORT_V2);
}

/* Every link-layer address in the options that follow a header of that length is the ENI's. */
static __always_inline bool options_name_own_mac(const struct packet *p, __u32 header)
{
	__u32 left = p->l4_length - header;
	__u32 at = p->l4 + header;

	if (p->l4_length < header)
		return false;
	for (int i = 0; i < ND_OPTIONS; i++) {
		__u8 option[8];
		__u32 length;

		if (left == 0)
			return true;
		if (left < 8 || bpf_skb_load_bytes(p->skb, at, option, sizeof(option)) < 0)
			return false;
		length = (__u32)option[1] * 8;
		if (length == 0 || length > left)
			return false;
		if ((option[0] == 1 || option[0] == 2) &&
		    (length != 8 || !same_mac(option + 2, p->config->mac)))
			return false;
		left -= length;
		at += length;
	}
	return left == 0;
}

static __always_inline enum reason nd_from_guest(const struct packet *p)
{
	struct address target;

	if (p->icmp_type == MLD_REPORT || p->icmp_type == MLD_DONE ||
	    p->icmp_type == MLD_REPORT_V2) {
		if (p->router_alert && p->hop_limit == 1 &&
		    is_multicast(FAMILY_IPV6, &p->key.remote) &&
		    (is_zero(&p->key.local) || is_own_fe80(p, &p->key.local)))
			return REASON_LINK;
		return REASON_ND;
	}
	if (p->router_alert || p->hop_limit != ND_HOP_LIMIT || p->icmp_code != 0)
		return REASON_ND;
	switch (p->icmp_type) {
	case ND_ROUTER_SOLICIT:
		if (!is_zero(&p->key.local) && !is_own_ipv6(p, &p->key.local))
			return REASON_ND;
		return options_name_own_mac(p, 8) ? REASON_LINK : REASON_ND;
	case ND_NEIGHBOUR_SOLICIT:
	case ND_NEIGHBOUR_ADVERT:
		break;
	default: /* advertising a router, redirecting and asking for reports is the router's */
		return REASON_ND;
	}
	if (p->l4_length < 24 || bpf_skb_load_bytes(p->skb, p->l4 + 8, &target, sizeof(target)) < 0)
		return REASON_MALFORMED;
	if (!options_name_own_mac(p, 24))
		return REASON_ND;
	if (p->icmp_type == ND_NEIGHBOUR_SOLICIT && !is_zero(&p->key.local))
		return is_own_ipv6(p, &p->key.local) ? REASON_LINK : REASON_ND;
	/* An advertisement, or a solicitation that looks for duplicates. */
	if (p->icmp_type == ND_NEIGHBOUR_ADVERT && !is_own_ipv6(p, &p->key.local))
		return REASON_ND;
	return is_own_ipv6(p, &target) ? REASON_LINK : REASON_ND;
}

/* All nodes, or the solicited-node address of whomever. */
static __always_inline bool is_nd_multicast(const struct address *a)
{
	if (a->words[0] != bpf_htonl(0xff020000) || a->words[1] != 0)
		return false;
	return (a->words[2] == 0 && a->words[3] == bpf_htonl(1)) ||
	       (a->words[2] == bpf_htonl(1) &&
		(a->words[3] & bpf_htonl(0xff000000)) == bpf_htonl(0xff000000));
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
	__u8 op, mac[6];

	return bpf_skb_load_bytes(p->skb, p->l4 + DHCP_OP, &op, sizeof(op)) == 0 &&
	       op == operation &&
	       bpf_skb_load_bytes(p->skb, p->l4 + DHCP_CHADDR, mac, sizeof(mac)) == 0 &&
	       same_mac(mac, p->config->mac);
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
		if (!is_zero(&k->local) && role_of(p, FAMILY_IPV4, &k->local) != ROLE_OWN)
			return REASON_SOURCE_ADDRESS;
		return is_own_bootp(p, BOOTREQUEST) ? REASON_LINK : REASON_DHCP;
	}
	if (k->local_port == bpf_htons(547) || k->remote_port == bpf_htons(546))
		return REASON_DHCP;
	if (k->local_port != bpf_htons(546) || k->remote_port != bpf_htons(547))
		return REASON_NONE;
	/* ff02::1:2, all DHCP servers and relays of the link */
	if (k->remote.words[0] != bpf_htonl(0xff020000) || k->remote.words[1] != 0 ||
	    k->remote.words[2] != 0 || k->remote.words[3] != bpf_htonl(0x00010002))
		return REASON_NONE;
	return is_own_ipv6(p, &k->local) ? REASON_LINK : REASON_SOURCE_ADDRESS;
}

static __always_inline enum reason dhcp_to_guest(const struct packet *p)
{
	const struct connection_key *k = &p->key;

	if (k->protocol != IPPROTO_UDP)
		return REASON_NONE;
	if (k->family == FAMILY_IPV4) {
		if (k->remote_port != bpf_htons(67) || k->local_port != bpf_htons(68))
			return REASON_NONE;
		if (k->local.words[0] != 0xffffffff &&
		    role_of(p, FAMILY_IPV4, &k->local) != ROLE_OWN)
			return REASON_DESTINATION_ADDRESS;
		return is_own_bootp(p, BOOTREPLY) ? REASON_LINK : REASON_DHCP;
	}
	if (k->remote_port != bpf_htons(547) || k->local_port != bpf_htons(546))
		return REASON_NONE;
	return is_own_ipv6(p, &k->local) ? REASON_LINK : REASON_DESTINATION_ADDRESS;
}

/* ---- addresses ---- */

/* No packet can come from there: unspecified, loopback, many. */
static __always_inline bool is_impossible_source(__u32 family, const struct address *a)
{
	if (is_multicast(family, a))
		return true;
	if (family == FAMILY_IPV6)
		return !(a->words[0] | a->words[1] | a->words[2]) && (bpf_ntohl(a->words[3]) <= 1);
	return (a->words[0] & bpf_htonl(0xff000000)) == 0 ||
	       (a->words[0] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
}

/* What a VPC carries at all, and only from and to the ENI's own addresses. */
static __always_inline enum reason check_addresses(const struct packet *p, bool from_guest)
{
	const struct connection_key *k = &p->key;
	const struct address *destination = from_guest ? &k->remote : &k->local;

	if (is_link_local(k->family, &k->local) || is_link_local(k->family, &k->remote))
		return REASON_LINK_LOCAL;
	if (from_guest) {
		if (is_impossible_source(k->family, &k->local))
			return REASON_SOURCE_ADDRESS;
		if ((p->config->flags & ENI_SOURCE_DEST_CHECK) &&
		    role_of(p, k->family, &k->local) != ROLE_OWN)
			return REASON_SOURCE_ADDRESS;
	}
	if (p->group_mac || is_multicast(k->family, destination))
		return REASON_MULTICAST;
	if (!from_guest && (p->config->flags & ENI_SOURCE_DEST_CHECK) &&
	    role_of(p, k->family, &k->local) != ROLE_OWN)
		return REASON_DESTINATION_ADDRESS;
	return REASON_NONE;
}

/* The steps above for an IP packet, in their order. */
static __always_inline enum reason link_layer(const struct packet *p, bool from_guest)
{
	enum reason reason;

	if (is_nd_or_mld(p))
		return from_guest ? nd_from_guest(p) : nd_to_guest(p);
	if (p->router_alert)
		return REASON_EXTENSION_HEADER;
	reason = from_guest ? dhcp_from_guest(p) : dhcp_to_guest(p);
	if (reason != REASON_NONE)
		return reason;
	return check_addresses(p, from_guest);
}

#endif
