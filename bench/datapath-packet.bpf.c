/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Drives a program with one packet after the other of many flows, in one test run: restores what the last run changed.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define TTL 64

/* What is measured: a program of the datapath, or the one below that does nothing. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} measured SEC(".maps");

const volatile __u8 source_mac[ETH_ALEN];
const volatile __u16 first_port;
const volatile __u16 flow_count = 1;

static __u32 packets;

SEC("tc")
int drive(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	struct ethhdr *eth = data;
	__be16 *source_port;

	/* Enough for both: behind either IP header there is one of TCP. */
	if (data + ETH_HLEN + sizeof(struct ipv6hdr) > (void *)(long)skb->data_end)
		return -1;
	for (int i = 0; i < ETH_ALEN; i++)
		eth->h_source[i] = source_mac[i];
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (struct iphdr *)(eth + 1);

		/* The sum of the packet as it was sent; see lower_ttl() of the datapath. */
		ip->check -= ip->ttl == TTL ? 0 : bpf_htons(0x0100);
		ip->ttl = TTL;
		source_port = (__be16 *)(ip + 1);
	} else {
		struct ipv6hdr *ip = (struct ipv6hdr *)(eth + 1);

		source_port = (__be16 *)(ip + 1);
		if ((void *)(source_port + 1) > (void *)(long)skb->data_end)
			return -1;
		ip->hop_limit = TTL;
	}
	*source_port = bpf_htons(first_port + packets++ % flow_count);
	bpf_tail_call(skb, &measured, 0);
	return -1;
}

SEC("tc")
int do_nothing(struct __sk_buff *skb)
{
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
