/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Load balancing. A frontend is an address that clients call; it names a pool; a pool has slots, and a slot names a
 * backend. Several frontends may share a pool, so that a change of backends is written once, and no look-up depends on
 * how many services or backends there are.
 */

struct lb_frontend_key {
	union ip_addr address;
	__be16 port;
	__u8 protocol;
	__u8 padding[5];
};

struct lb_frontend {
	__u32 group; /* one port of one service in one family: its backends know it */
	__u32 pool;  /* 0: this frontend has no backends for callers of this node */
};

/* How a pool's slots are to be read; not 0, so that a pool in use is never a word of zeroes. */
enum lb_selection {
	LB_SELECTION_RANDOM = 1,      /* each slot is as likely as any other, and says itself how it is shared */
	LB_SELECTION_ROUND_ROBIN = 2, /* one slot after the other; as often as its share says it is the other's turn */
	LB_SELECTION_MAGLEV = 3,      /* by the hash of the flow, from a table that is the same on every node */
};

/*
 * What a pool holds. Read and written as one 64-bit word: it is the last that is written of a change that adds, and the
 * first of one that takes away.
 */
struct lb_pool {
	__u16 count;	/* slots 0 to count - 1 are there; with Maglev, so many entries of its table */
	__u8 selection; /* enum lb_selection */
	__u8 padding;
	__u32 affinity_ticks; /* a client keeps its backend until it has been away for so long; 0: it does not */
};

struct lb_slot_key {
	__u32 pool;
	__u32 index;
};

/* One column of an alias table (Walker 1974): any weights, at the cost of one slot a backend and one random number. */
struct lb_slot {
	__u32 backend;
	__u32 other;
	__u32 share; /* of 2^32: up to here it is `backend`, above it is `other` */
};

/* Two entries of a Maglev table: an array has eight bytes for an element in any case. */
struct lb_maglev_pair {
	__u32 backends[2];
};

enum lb_backend_state {
	LB_BACKEND_ACTIVE = 1,
	LB_BACKEND_TERMINATING = 2, /* nothing new, but what is there goes on */
	LB_BACKEND_QUARANTINED = 3, /* does not answer: what can move away does */
	LB_BACKEND_MAINTENANCE = 4, /* nothing new until it is active again, but what is there goes on */
};

struct lb_backend {
	union ip_addr address;
	__u32 group; /* of the frontend that may use it: a number that is used again cannot be mistaken */
	__be16 port;
	__u8 state; /* enum lb_backend_state */
	__u8 padding;
};

enum lb_client_kind {
	LB_CLIENT_NAMESPACE = 1, /* by the cookie of the network namespace that a socket is in */
	LB_CLIENT_ADDRESS = 2,
};

struct lb_affinity_key {
	union ip_addr client; /* a cookie is in the second half */
	__u32 pool;
	__u8 kind; /* enum lb_client_kind */
	__u8 padding[3];
};

struct lb_affinity {
	__u32 backend;
	__u32 used; /* when, in ticks */
};

enum lb_socket_kind {
	LB_SOCKET_PEER = 1,   /* address of a backend → the frontend that was asked for */
	LB_SOCKET_CHOICE = 2, /* address of a frontend → the backend that was chosen */
};

struct lb_socket_key {
	__u64 cookie;
	union ip_addr address;
	__be16 port;
	__u8 protocol;
	__u8 kind; /* enum lb_socket_kind */
	__u32 padding;
};

struct lb_socket {
	union ip_addr address;
	__u32 backend;
	__u32 group;
	__be16 port;
	__u8 padding[6];
};

/* By backend. TCP connections that have opened and not ended are active; only the sum over all CPUs means something. */
struct lb_counter {
	__u64 connections; /* TCP and connected UDP sockets, and each beginning of an exchange of other UDP sockets */
	__u64 opened;
	__u64 ended;
	__u64 sent_bytes; /* by clients; sockets count them when a TCP connection ends */
	__u64 received_bytes;
};

enum lb_flow_kind {
	LB_FLOW_ASKED = 1,   /* ends of the client and the frontend → the backend that was chosen */
	LB_FLOW_CHOSEN = 2,  /* ends of the client and the backend → the frontend that was asked for */
	LB_FLOW_HAIRPIN = 3, /* of a client that is its own backend: its answer, and the port of the frontend */
};

/* Translations of packets, for callers whose sockets nobody sees. */
struct lb_flow_key {
	union ip_addr client;
	union ip_addr server;
	__be16 client_port;
	__be16 server_port;
	__u8 protocol;
	__u8 kind; /* enum lb_flow_kind */
	__u8 padding[2];
};

struct lb_flow {
	union ip_addr address;
	__u32 backend;
	__u32 group;
	__u32 used; /* when, in ticks, to the second */
	__be16 port;
	__u8 padding[2];
};
