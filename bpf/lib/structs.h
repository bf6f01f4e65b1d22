/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Every key, value and event that user space shares with the programs. TypeScript codecs are generated from these
 * through BTF, so padding is explicit, field widths are fixed and byte order is in the type.
 */

/* 16 bytes for both families: IPv4 is ::ffff:a.b.c.d (RFC 4291 2.5.5.2), so nothing behind the parser asks which it is.
 */
union ip_addr {
	__u8 bytes[16];
	__be32 words[4];
	__u64 halves[2];
};

enum direction {
	DIRECTION_NONE = 0,
	DIRECTION_INGRESS = 1,
	DIRECTION_EGRESS = 2,
};

/* A pod of this node, as its programs need it. */
struct endpoint {
	union ip_addr ipv4;
	union ip_addr ipv6;
	__u32 ifindex; /* of the host side of its veth */
	__u32 identity;
	__u32 policy_slot;
	__u16 id;
	__u8 mac[6]; /* of the interface inside the pod */
	__u32 flags; /* enum endpoint_flag */
};

enum endpoint_flag {
	/* What its policy denies passes, and is reported as what would have been dropped. */
	ENDPOINT_AUDITED = 1,
	/* From here on: enum trace_detail. */
	ENDPOINT_DETAIL_SHIFT = 4,
	ENDPOINT_DETAIL_MASK = 0x7,
};

/*
 * Which packets of a running flow have an event, from the least to the most. Whatever it is, the packet that begins a
 * flow and every drop have one. Of the two ends of a flow, the one counts that wants to know more.
 */
enum trace_detail {
	TRACE_DETAIL_DEFAULT = 0,  /* as TRACE_DETAIL_ENDS */
	TRACE_DETAIL_VERDICTS = 1, /* none */
	TRACE_DETAIL_ENDS = 2,	   /* the one that begins the end, and one in an interval */
	TRACE_DETAIL_FLAGS = 3,	   /* all with SYN, FIN or RST, and one in a fifth of the interval */
	TRACE_DETAIL_PACKETS = 4,  /* all */
};

struct ipcache_entry {
	__u32 identity;
};

/* Key of a longest-prefix-match trie; an IPv4 prefix /n has length 96 + n. */
struct ip_prefix {
	__u32 prefix_length;
	__u8 address[16];
};

/* Kinds of policy key, from the most specific to the least. */
enum policy_key_kind {
	POLICY_KEY_PORT = 1,
	POLICY_KEY_RANGE = 2,
	POLICY_KEY_PROTOCOL = 4,
	POLICY_KEY_ANY = 8,
};

/* Whom a key is about, from the most specific to the least: each has four bits of a policy_word for its kinds. */
enum policy_peer_shift {
	POLICY_PEER_ONE = 0,
	POLICY_PEER_PODS = 4,
	POLICY_PEER_ANY = 8,
};

enum policy_flag {
	POLICY_ENFORCED = 0x1000,
	POLICY_DEFAULT_ALLOW = 0x2000, /* what no entry is about passes */
};

/*
 * What a policy slot holds. Read and written as one 64-bit word, so that a packet sees all of the old policy or all of
 * the new one. Each direction has the kinds of key that the version holds, so that look-ups that cannot hit are not
 * made (enum policy_key_kind, shifted by enum policy_peer_shift), and enum policy_flag.
 */
struct policy_word {
	__u32 version; /* 0: no entries */
	__u16 ingress;
	__u16 egress;
};

struct policy_key {
	__u32 version;
	__u32 peer_identity; /* 0: any; PEER_PODS: every pod */
	__be16 port;	     /* destination port, or ICMP type + ICMP_PORTS; 0: any */
	__u8 protocol;	     /* 0: any */
	__u8 direction;	     /* enum direction */
};

/* Key of a longest-prefix-match trie. The port comes last: a range of ports is a prefix of it. */
struct policy_range_key {
	__u32 prefix_length; /* POLICY_RANGE_BITS + how many bits of the port count, 1–15 */
	__u32 version;
	__u32 peer_identity;
	__u8 protocol;
	__u8 direction;
	__be16 port;
};

#define POLICY_RANGE_BITS 80

enum policy_verdict {
	POLICY_ALLOW = 1,
	POLICY_REDIRECT = 2,
	POLICY_REFUSE = 3,
};

/* What the entry that decided looks at; numbers that users of Hubble know. */
enum policy_match {
	POLICY_MATCH_NONE = 0, /* no entry: nothing is enforced, or nothing is said of it */
	POLICY_MATCH_L3_ONLY = 1,
	POLICY_MATCH_L3_L4 = 2,
	POLICY_MATCH_L4_ONLY = 3,
	POLICY_MATCH_ALL = 4, /* an entry about everybody and everything */
	POLICY_MATCH_L3_PROTOCOL = 5,
	POLICY_MATCH_PROTOCOL_ONLY = 6,
};

struct policy_entry {
	__u32 rule_set; /* what the proxy applies when the verdict is a redirect */
	__u32 cookie;	/* names the rules behind this entry, for people */
	__u8 verdict;	/* enum policy_verdict */
	__u8 padding;
	__u16 counter; /* index of weir_rule_traffic; 0: not counted */
};

enum ct_key_flag {
	/* An echo request and the answer to it are told from the same ones the other way round. */
	CT_KEY_ASKED_BY_LOW = 1,
	CT_KEY_ASKED_BY_HIGH = 2,
	/* The proxy's own connection to the server, opened from the client's address. */
	CT_KEY_PROXY_LEG = 128,
};

/* The two ends of a flow in ascending order of (address, port), so that both directions find the same entry. */
struct ct_key {
	union ip_addr low_address;
	union ip_addr high_address;
	__be16 low_port;
	__be16 high_port;
	__u8 protocol;
	__u8 flags; /* enum ct_key_flag */
	__u8 padding[2];
};

enum ct_flag {
	CT_OPENED_BY_HIGH = 1, /* the flow was opened by the high end of the key */
	CT_REDIRECTED = 2,     /* the opener talks to the proxy; for the life of the connection */
	CT_REPLY_SEEN = 4,
	CT_FIN_FORWARD = 8,
	CT_FIN_REPLY = 16,
	CT_CLOSING = 32,
	CT_ESTABLISHED = 64,
	CT_PASSING = 128, /* somebody's else in the name of the host, by masquerading: not for its policy */
};

/* Ends that are not on this node, or not what they seem. */
enum ct_remote {
	CT_REMOTE_SOURCE = 1, /* another node or a pod of it, reached through the overlay */
	CT_REMOTE_DESTINATION = 2,
	CT_REMOTE_OUTSIDE = 4, /* the destination is outside the cluster, and is to see the node for the pod */
	CT_REMOTE_SERVICE = 8, /* the opener asked for a service and takes the destination for that */
};

/* `forward` is the direction of the packet that opened the flow. Times are in ticks, see now_ticks(). */
struct ct_entry {
	__u64 forward_packets;
	__u64 forward_bytes;
	__u64 reply_packets;
	__u64 reply_bytes;
	__u32 expires;
	__u32 reported; /* when the last trace event was sent */
	__u32 revision; /* under which the verdict was given */
	__u32 source_identity;
	__u32 destination_identity;
	__u32 egress_rule_set;
	__u32 ingress_rule_set;
	__u32 egress_cookie;
	__u32 ingress_cookie;
	__u32 source_ifindex; /* host side of the veth; 0: not a pod of this node */
	__u32 destination_ifindex;
	__u16 source_endpoint;
	__u16 destination_endpoint;
	__u8 source_mac[6]; /* of a remote end: its node's number, in the first four bytes */
	__u8 destination_mac[6];
	__u8 flags;	      /* enum ct_flag */
	__u8 drop_reason;     /* enum drop_reason: judged anew after a change, and no longer allowed */
	__u8 drop_direction;  /* enum direction, whose policy denies it */
	__u8 audit_reason;    /* enum drop_reason: what would have been, were the endpoint not audited */
	__u16 egress_counter; /* of weir_rule_traffic */
	__u16 ingress_counter;
	__u8 audit_direction;
	__u8 remote; /* enum ct_remote */
	__u8 match;  /* enum policy_match: of egress in the lower four bits, of ingress in the upper four */
	__u8 detail; /* enum trace_detail */
};

/* Which datagram a fragment belongs to. IPv4 identifications have 16 bits, IPv6 ones 32. */
struct fragment_key {
	union ip_addr source;
	union ip_addr destination;
	__be32 identification;
	__u8 protocol;
	__u8 padding[3];
};

/* What the first fragment said that later ones do not repeat. */
struct fragment_ports {
	__be16 source;
	__be16 destination;
	__u8 icmp_type;
	__u8 key_flags; /* enum ct_key_flag */
	__u8 icmp_code;
	__u8 padding;
};

/* What may change while the programs run. Mapped into user space. */
struct runtime_state {
	__u32 revision; /* of policy, identities and placement: bumped as the last step of every change */
	__be16 proxy_port;
	__u16 host_policy; /* enum host_policy_bits; 0: none that enforces anything */
};

/* The policy of the host itself. */
enum host_policy_bits {
	HOST_POLICY_SLOT = 0x7fff,
	HOST_POLICY_AUDITED = 0x8000, /* as of an endpoint with ENDPOINT_AUDITED */
};

struct traffic_counter {
	__u64 packets;
	__u64 bytes;
};

/* Per CPU: how many events may still be sent in the running interval, and how many could not. */
struct event_budget {
	__u32 interval;
	__u32 sent;
	__u64 lost_rate_limited;
	__u64 lost_ring_full;
};

/* Numbers that users of cilium monitor and Hubble know. */
enum event_type {
	EVENT_DROP = 1,
	EVENT_TRACE = 4,
	EVENT_POLICY_VERDICT = 5,
};

enum trace_point {
	TRACE_TO_ENDPOINT = 0,
	TRACE_TO_PROXY = 1,
	TRACE_TO_HOST = 2,
	TRACE_TO_STACK = 3,
	TRACE_TO_OVERLAY = 4,
	TRACE_TO_NETWORK = 11,
};

enum event_flag {
	EVENT_REPLY = 1,
	EVENT_REDIRECTED = 2,
	EVENT_PROXY_LEG = 4,
	EVENT_AUDITED = 8, /* `reason` would have dropped the packet; it passed */
};

struct event {
	__u64 time_ns;	/* CLOCK_MONOTONIC */
	__u8 type;	/* enum event_type */
	__u8 reason;	/* enum drop_reason */
	__u8 direction; /* enum direction */
	__u8 point;	/* enum trace_point */
	__u8 protocol;
	__u8 tcp_flags;
	__u8 flags;	/* enum event_flag */
	__u8 icmp_type; /* of ICMP only */
	union ip_addr source;
	union ip_addr destination;
	__be16 source_port;
	__be16 destination_port;
	__u32 length; /* bytes, with the link-layer header */
	__u32 ifindex;
	__u32 source_identity;
	__u32 destination_identity;
	__u16 source_endpoint;
	__u16 destination_endpoint;
	__u32 egress_cookie;
	__u32 ingress_cookie;
	__u64 socket_cookie;	 /* of the socket on this node that sent it; 0: none, or not known */
	__u64 cgroup;		 /* that the socket is in; 0: not known */
	__u8 destination_mac[6]; /* as it came to the hook, in the order of the header */
	__u8 source_mac[6];
	__u8 icmp_code; /* of ICMP only */
	__u8 match;	/* as of struct ct_entry */
	__u8 padding[2];
};
