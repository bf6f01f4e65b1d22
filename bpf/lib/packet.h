/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

#include "address.h"
#include "clock.h"
#include "lb.h"

enum fragment {
	FRAGMENT_NONE,
	FRAGMENT_FIRST,
	FRAGMENT_LATER, /* no layer 4 header in it */
};

/* What the parser found in a packet. Everything behind it works on this and not on headers. */
struct packet {
	union ip_addr source;
	union ip_addr destination;
	__be16 source_port; /* ICMP: see parse_icmp() */
	__be16 destination_port;
	__u32 l4_offset;
	__be32 identification; /* of a fragment's datagram */
	__u8 protocol;
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 ttl;
	bool is_ipv4;
	bool is_icmp_error;
	__u8 fragment;	/* enum fragment */
	__u8 key_flags; /* enum ct_key_flag, before the ends are sorted: see ct_key_of() */
	__u8 icmp_code;
};

/* One end of a flow: who it is, and where, if it is a pod of this node. */
struct end {
	__u32 identity;
	__u32 ifindex; /* 0: not a pod of this node */
	__u32 policy_slot;
	__u32 node; /* number of the other node that it is, or whose pod it is; the overlay leads there */
	__u16 endpoint;
	__u8 mac[6];
	bool audited;
	__u8 detail; /* enum trace_detail; 0: no pod of this node */
};

/* What one direction's policy says of a flow. */
struct judgement {
	__u32 rule_set;
	__u32 cookie;
	__u32 reason;  /* enum drop_reason */
	__u32 verdict; /* enum policy_verdict of what has been found so far */
	__u32 audited; /* enum drop_reason that the endpoint's audit mode took back */
	__u16 counter;
	__u8 match; /* enum policy_match of what has been found so far */
};

/* What an event says beside what is in the packet. Ends are as the packet has them, not as the flow has. */
struct report {
	__u32 source_identity;
	__u32 destination_identity;
	__u32 egress_cookie;
	__u32 ingress_cookie;
	__u16 source_endpoint;
	__u16 destination_endpoint;
	__u8 type;
	__u8 reason;
	__u8 direction;
	__u8 point;
	__u8 flags;
	__u8 match;
};

/*
 * All that the programs know of the packet in hand. It lives in a per-CPU map and not on the stack: there is more of it
 * than the stack holds, and the verifier does not follow values through a map, which keeps the number of states that it
 * visits small.
 */
struct work {
	struct packet packet;
	struct packet quoted; /* by an ICMP error */
	struct ct_key key;
	struct ct_entry entry; /* of a new flow */
	struct nat_key nat_key;
	struct nat_entry nat_entry; /* what is looked for, or put down */
	struct lb_request lb;
	struct lb_flow_key lb_key;
	struct lb_flow lb_flow;
	struct end source;
	struct end destination;
	struct policy_key policy_key;
	struct policy_range_key range_key;
	struct judgement egress;
	struct judgement ingress;
	struct report report;
	__u32 mark; /* MARK_CLIENT_LEG, MARK_SERVER_LEG or 0 */
	__u32 revision;
	__u32 tunnel_node;     /* that the packet came from through the overlay; 0: it did not */
	__u32 tunnel_identity; /* that it carries */
	__be16 port;	       /* of the flow that is judged, see policy_port() */
	__u8 protocol;	       /* of the flow that is judged */
	__u8 for_service;      /* of a nat_entry that is made */
	bool audited;	       /* the packet passes only because its endpoint is audited */
	__u16 host_policy;     /* enum host_policy_bits */
	__u8 host_end;	       /* enum host_end, of a packet at an uplink that is the host's business */
	bool is_for_service;   /* the packet has a backend's address, and its sender does not know */
	bool host_passes;      /* it leaves in the host's name, and somebody else has sent it */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct work);
	__uint(max_entries, 1);
} weir_work SEC(".maps");

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

#define GATEWAY_MAC                                                                                                    \
	{                                                                                                              \
		0xee, 0xee, 0xee, 0xee, 0xee, 0xee                                                                     \
	}

/* Marks that tell the host's routing, and these programs, what a packet is. Only the host can set them. */
#define MARK_MASK	0x0f00
#define MARK_TO_PROXY	0x0200 /* deliver to a local socket, whatever the address */
#define MARK_CLIENT_LEG 0x0a00 /* from the proxy to the client */
#define MARK_SERVER_LEG 0x0b00 /* from the proxy to the server, with the client's address */
#define MARK_MASQUERADE 0x0400 /* of a pod, judged, and to leave with the node's address */
#define MARK_TO_BACKEND 0x0500 /* of a caller from outside, to a backend elsewhere: the same */
#define MARK_OF_SERVICE 0x0600 /* of a backend to a caller from outside, to leave with the service's address */

/* Reserved identities, as every agent and every user of the field knows them. */
#define IDENTITY_HOST	     1
#define IDENTITY_WORLD	     2
#define IDENTITY_UNMANAGED   3
#define IDENTITY_HEALTH	     4
#define IDENTITY_REMOTE_NODE 6

/* Numbers of pods, of this cluster and of others, which policy may speak of together as one peer. */
#define IDENTITY_POD_MIN 256
#define IDENTITY_POD_END (1 << 24)
#define PEER_PODS	 0xffffffff

/* Numbers from here on are of other nodes, each node's own, where policies tell nodes apart by their labels. */
#define IDENTITY_NODE_MIN (1 << 25)

static __always_inline bool identity_is_of_node(__u32 identity)
{
	return identity == IDENTITY_REMOTE_NODE || identity >= IDENTITY_NODE_MIN;
}

/* Types of ICMP are ports from here on in policies, so that none of them is port 0. */
#define ICMP_PORTS 256

/*
 * The packet's bounds. Loaded by hand: the context's fields have 32 bits and the verifier makes pointers of them, which
 * clang does not know, so that with 32-bit arithmetic it would copy their lower half.
 */
static __always_inline void *packet_data(const struct __sk_buff *skb)
{
	void *data;

	asm volatile("%[data] = *(u32 *)(%[skb] + %[offset])"
		     : [data] "=r"(data)
		     : [skb] "r"(skb), [offset] "i"(offsetof(struct __sk_buff, data)));
	return data;
}

static __always_inline void *packet_end(const struct __sk_buff *skb)
{
	void *end;

	asm volatile("%[end] = *(u32 *)(%[skb] + %[offset])"
		     : [end] "=r"(end)
		     : [skb] "r"(skb), [offset] "i"(offsetof(struct __sk_buff, data_end)));
	return end;
}

/* The first `length` bytes of the packet, made readable if they are not; NULL when it has fewer. */
static __always_inline void *packet_head(struct __sk_buff *skb, const __u32 length)
{
	void *data = packet_data(skb);

	if (likely(data + length <= packet_end(skb)))
		return data;
	if (bpf_skb_pull_data(skb, length))
		return NULL;
	data = packet_data(skb);
	return data + length <= packet_end(skb) ? data : NULL;
}
