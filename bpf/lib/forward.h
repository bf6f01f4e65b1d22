/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Ways out of a program. Each returns a TC action, or minus the reason for a drop. */

static __always_inline int to_stack(struct __sk_buff *skb)
{
	skb->mark = 0;
	return TC_ACT_OK;
}

/* To the stack, and from there through an uplink, where the pod's address gives way to the node's: see nat_send(). */
static __always_inline int to_outside(struct __sk_buff *skb)
{
	skb->mark = MARK_MASQUERADE;
	return TC_ACT_OK;
}

/* The same for an answer of a service to a caller from outside: see service_leave(). */
static __always_inline int to_service_caller(struct __sk_buff *skb)
{
	skb->mark = MARK_OF_SERVICE;
	return TC_ACT_OK;
}

/* RFC 1624: the TTL is the high byte of its word, so that the sum rises by 0x0100 when it falls by one. */
static __always_inline void lower_ttl(struct iphdr *ip)
{
	const __u32 sum = ip->check + bpf_htons(0x0100);

	ip->check = sum + (sum >= 0xffff);
	ip->ttl--;
}

/*
 * Straight into the pod's namespace, past the queue of the device. A packet whose TTL ends here goes to the stack,
 * which answers for it as a router does.
 */
static __always_inline int to_pod(struct __sk_buff *skb, const struct packet *p, __u32 ifindex, const __u8 *mac,
				  bool routed)
{
	const __u8 gateway[ETH_ALEN] = GATEWAY_MAC;
	struct ethhdr *eth;

	if (routed && unlikely(p->ttl <= 1))
		return to_stack(skb);
	eth = packet_head(skb, ETH_HLEN + sizeof(struct iphdr));
	if (!eth)
		return -DROP_INVALID_PACKET;
	if (routed && p->is_ipv4)
		lower_ttl((struct iphdr *)(eth + 1));
	else if (routed)
		((struct ipv6hdr *)(eth + 1))->hop_limit--;
	__builtin_memcpy(eth->h_dest, mac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, gateway, ETH_ALEN);
	skb->mark = 0;
	return bpf_redirect_peer(ifindex, 0);
}

static __always_inline struct bpf_sock *find_socket(struct __sk_buff *skb, const struct packet *p, bool listener)
{
	const struct runtime_state *runtime;
	struct bpf_sock_tuple tuple = {};
	const __u32 zero = 0;
	__be16 proxy_port;

	if (!listener) {
		if (p->is_ipv4) {
			tuple.ipv4.saddr = p->source.words[3];
			tuple.ipv4.daddr = p->destination.words[3];
			tuple.ipv4.sport = p->source_port;
			tuple.ipv4.dport = p->destination_port;
			return bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
		}
		__builtin_memcpy(tuple.ipv6.saddr, &p->source, 16);
		__builtin_memcpy(tuple.ipv6.daddr, &p->destination, 16);
		tuple.ipv6.sport = p->source_port;
		tuple.ipv6.dport = p->destination_port;
		return bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	runtime = bpf_map_lookup_elem(&weir_runtime_v1, &zero);
	if (!runtime)
		return NULL;
	proxy_port = READ_ONCE(runtime->proxy_port);
	if (!proxy_port)
		return NULL;
	if (p->is_ipv4) {
		tuple.ipv4.daddr = bpf_htonl(INADDR_LOOPBACK);
		tuple.ipv4.dport = proxy_port;
		return bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	tuple.ipv6.daddr[3] = bpf_htonl(1);
	tuple.ipv6.dport = proxy_port;
	return bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
}

/*
 * Gives the packet to the proxy's socket: that of the running connection, or for a new one the listener. The mark sends
 * it to local delivery although the address is another's. Without a socket it is dropped: rules that need the proxy
 * hold also while there is none.
 */
static __noinline int to_proxy(struct __sk_buff *skb, const struct packet *p)
{
	struct bpf_sock *socket;
	long error;

	socket = find_socket(skb, p, false);
	/*
	 * A listener of the host on the same port is not meant. What waits in TIME_WAIT is: it answers a SYN so that
	 * the client resets it and tries again at once, while a listener would find it in the way and drop the SYN.
	 */
	if (socket && socket->state == BPF_TCP_LISTEN) {
		bpf_sk_release(socket);
		socket = NULL;
	}
	if (!socket && opens_connection(p)) {
		socket = find_socket(skb, p, true);
		if (socket && socket->state != BPF_TCP_LISTEN) {
			bpf_sk_release(socket);
			socket = NULL;
		}
	}
	if (!socket)
		return -DROP_PROXY_NOT_LISTENING;
	error = bpf_sk_assign(skb, socket, 0);
	bpf_sk_release(socket);
	if (error)
		return -DROP_SOCKET_ASSIGN_FAILED;
	skb->mark = MARK_TO_PROXY;
	return TC_ACT_OK;
}
