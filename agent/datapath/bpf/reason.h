/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Why a packet passed or not. The numbers are fixed for good, append only: they are those of
 * ruleset.Reason, where each is explained; a test compares the two.
 */
#ifndef SALLYPORT_REASON_H
#define SALLYPORT_REASON_H

enum reason {
	REASON_NONE, /* not judged yet; as a verdict it drops */
	REASON_RULE,
	REASON_TRACKED,
	REASON_LINK,
	REASON_PLATFORM,
	REASON_NO_RULE,
	REASON_NO_TABLE,
	REASON_UNBOUND,
	REASON_SOURCE_MAC,
	REASON_SOURCE_ADDRESS,
	REASON_DESTINATION_ADDRESS,
	REASON_ARP,
	REASON_ND,
	REASON_DHCP,
	REASON_ETHER_TYPE,
	REASON_MULTICAST,
	REASON_LINK_LOCAL,
	REASON_MALFORMED,
	REASON_FRAGMENT,
	REASON_EXTENSION_HEADER,
	REASON_ICMP_ERROR,
	REASON_CONNECTION_LIMIT,
	REASONS, /* how many there are */
};

static __always_inline bool allowed(enum reason reason)
{
	return reason >= REASON_RULE && reason <= REASON_PLATFORM;
}

#endif
