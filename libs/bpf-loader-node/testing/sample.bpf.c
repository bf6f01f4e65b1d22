// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One object with what the tests of the loader need: every kind of variable, map and program that it handles.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct pair {
	__u32 left;
	__u32 right;
};

const volatile __u32 answer = 7;
const volatile __s16 offset_value = -3;
const volatile _Bool enabled = 0;
const volatile __u64 big_number = 1;
const volatile struct pair pair = {1, 2};
__u32 plain_counter = 5;
__u32 zeroed_counter;

extern int CONFIG_WEIR_TEST __kconfig __weak;
extern int LINUX_KERNEL_VERSION __kconfig;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} results SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 8);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} calls SEC(".maps");

static __always_inline void result(__u32 slot, __u64 value)
{
	bpf_map_update_elem(&results, &slot, &value, BPF_ANY);
}

/* Writes the variables where a test can read them, and hands back `answer`. */
SEC("tc")
int show_variables(struct __sk_buff *skb)
{
	result(0, answer);
	result(1, offset_value);
	result(2, enabled);
	result(3, big_number);
	result(4, ((__u64)pair.left << 32) | pair.right);
	result(5, plain_counter);
	result(6, (__u64)CONFIG_WEIR_TEST);
	result(7, LINUX_KERNEL_VERSION);
	__sync_fetch_and_add(&zeroed_counter, 1);
	return answer;
}

/* Changes packet and context: the first byte becomes 0x5a, the mark one more, and the tail four bytes longer. */
SEC("tc")
int change_packet(struct __sk_buff *skb)
{
	__u8 byte = 0x5a;
	skb->mark += 1;
	if (bpf_skb_store_bytes(skb, 0, &byte, sizeof(byte), 0) || bpf_skb_change_tail(skb, skb->len + 4, 0))
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}

/* Counts packets under the key `answer`. */
SEC("tc")
int count_packets(struct __sk_buff *skb)
{
	__u32 key = answer;
	__u64 one = 1, *count = bpf_map_lookup_elem(&counters, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&counters, &key, &one, BPF_ANY);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int drop_packets(struct __sk_buff *skb)
{
	return TC_ACT_SHOT;
}

/* Sends the first four bytes of the mark as that many records of 16 bytes: {index, mark}. */
SEC("tc")
int send_events(struct __sk_buff *skb)
{
	__u32 sent = 0;
	for (__u32 i = 0; i < 1024 && i < skb->mark; i++) {
		__u64 *event = bpf_ringbuf_reserve(&events, 16, 0);
		if (!event)
			break;
		event[0] = i;
		event[1] = skb->mark;
		bpf_ringbuf_submit(event, 0);
		sent++;
	}
	return sent;
}

SEC("tc")
int look_into_inner(struct __sk_buff *skb)
{
	__u32 key = 1;
	void *inner = bpf_map_lookup_elem(&outer, &key);
	__u32 *value = inner ? bpf_map_lookup_elem(inner, &key) : 0;
	return value ? *value : 0;
}

SEC("tc")
int call_tail(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &calls, 0);
	return 99;
}

SEC("xdp")
int xdp_pass(struct xdp_md *context)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	if (data + 14 > end)
		return XDP_ABORTED;
	*(__u8 *)data = 0xa5;
	return XDP_PASS;
}

/* Refuses connections to port 4242. */
SEC("cgroup/connect4")
int deny_connect(struct bpf_sock_addr *context)
{
	return context->user_port == bpf_htons(4242) ? 0 : 1;
}
