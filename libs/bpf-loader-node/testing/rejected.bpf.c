// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the verifier refuses: reads behind the end of the packet.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tc")
int read_too_far(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	return *(__u32 *)(data + 64);
}
