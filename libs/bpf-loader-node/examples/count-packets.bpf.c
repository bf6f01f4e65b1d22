// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Counts IPv4 packets by protocol, and reports those longer than a limit.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 long_packet_bytes = 1000;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} packets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} long_packets SEC(".maps");

SEC("tc")
int count_packets(struct __sk_buff *skb)
{
	struct iphdr ip;
	if (skb->protocol != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)))
		return TC_ACT_UNSPEC;
	__u32 protocol = ip.protocol;
	__u64 one = 1, *count = bpf_map_lookup_elem(&packets, &protocol);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&packets, &protocol, &one, BPF_NOEXIST);
	if (skb->len > long_packet_bytes) {
		__u32 length = skb->len;
		bpf_ringbuf_output(&long_packets, &length, sizeof(length), 0);
	}
	return TC_ACT_UNSPEC;
}
