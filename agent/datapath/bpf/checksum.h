/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Checksums that are still to be written. A sender may leave the transport checksum to its NIC: beside
 * the frame it says where the sum begins and where in the frame it is to stand. Whoever sends the frame
 * on to a device that cannot do that writes it there, behind these programs. A guest chooses the place
 * and, by what it sends, the value: any two bytes that were judged could become others. So the place
 * must be that of the protocol's checksum, or behind all that is judged, as in a tunnel.
 *
 * The kernel does not show this to programs. It is read out of struct sk_buff, by the kernel's own BTF:
 * as any memory where a program's context may be taken for it (Linux 6.2), else by probes, which cost
 * more than all the rest of a packet's way through its header.
 */
#ifndef SALLYPORT_CHECKSUM_H
#define SALLYPORT_CHECKSUM_H

#include <bpf/bpf_core_read.h>

#define CHECKSUM_PARTIAL 3

struct sk_buff {
	__u8 ip_summed : 2;
	__u16 mac_header;
	__u16 csum_start;
	__u16 csum_offset;
} __attribute__((preserve_access_index));

extern void *bpf_cast_to_kern_ctx(void *context) __ksym __weak;

/* For tests: by probes on any kernel. */
const volatile bool test_probes;

/* Where in the frame two bytes are still to be written; 0: nowhere. Before the frame is everywhere. */
static __always_inline __u32 unwritten_checksum(struct __sk_buff *context)
{
	struct sk_buff *skb = (void *)context;
	__u16 start, offset, mac;

	if (bpf_cast_to_kern_ctx && !test_probes) {
		skb = bpf_cast_to_kern_ctx(context);
		if (BPF_CORE_READ_BITFIELD(skb, ip_summed) != CHECKSUM_PARTIAL)
			return 0;
		start = skb->csum_start;
		offset = skb->csum_offset;
		mac = skb->mac_header;
	} else {
		if (BPF_CORE_READ_BITFIELD_PROBED(skb, ip_summed) != CHECKSUM_PARTIAL)
			return 0;
		if (bpf_core_read(&start, sizeof(start), &skb->csum_start) < 0 ||
		    bpf_core_read(&offset, sizeof(offset), &skb->csum_offset) < 0 ||
		    bpf_core_read(&mac, sizeof(mac), &skb->mac_header) < 0)
			return 1;
	}
	return start < mac ? 1 : (__u32)start - mac + offset;
}

/* The checksum is written, or is to be written where the protocol has it. */
static __always_inline bool is_own_checksum(const struct packet *p)
{
	if (p->checksum == 0)
		return true;
	switch (p->key.protocol) {
	case IPPROTO_TCP:
		return p->checksum == p->l4 + 16;
	case IPPROTO_UDP:
		return p->checksum == p->l4 + 6;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return p->checksum == p->l4 + 2;
	}
	return false;
}

/* Nothing that is judged here will be written over. */
static __always_inline bool is_checksum_sound(const struct packet *p)
{
	if (is_own_checksum(p))
		return true;
	switch (p->key.protocol) {
	case IPPROTO_TCP:
		return p->checksum >= p->l4 + sizeof(struct tcphdr);
	case IPPROTO_UDP:
		return p->checksum >= p->l4 + sizeof(struct udphdr);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return false; /* an error's quotation is judged too */
	}
	return p->checksum >= p->l4;
}

#endif
