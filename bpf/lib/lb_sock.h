/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Load balancing at the socket: the address that a program asks for becomes that of a backend before there is any
 * packet, and packets cost nothing. What comes back is shown with the address that was asked for.
 */

#define SOCKET_GO_ON  1
#define SOCKET_REFUSE 0

#define SOCKET_IPV4 2 /* AF_INET */

/* Sockets that cannot wait for anything better are told why; older kernels say EPERM. */
#define SOCKET_ERROR (-111) /* ECONNREFUSED */

static __always_inline __be16 socket_port(const struct bpf_sock_addr *ctx)
{
	return (__be16)ctx->user_port;
}

static __always_inline void socket_address_read(const struct bpf_sock_addr *ctx, bool ipv4, union ip_addr *address)
{
	if (ipv4) {
		address_from_ipv4(address, ctx->user_ip4);
		return;
	}
	address->words[0] = ctx->user_ip6[0];
	address->words[1] = ctx->user_ip6[1];
	address->words[2] = ctx->user_ip6[2];
	address->words[3] = ctx->user_ip6[3];
}

/* Fails where the families differ, which only a map that somebody has tampered with can make them. */
static __always_inline bool socket_address_write(struct bpf_sock_addr *ctx, bool ipv4, const union ip_addr *address,
						 __be16 port)
{
	if (ipv4) {
		if (!address_is_ipv4(address))
			return false;
		ctx->user_ip4 = address->words[3];
	} else {
		ctx->user_ip6[0] = address->words[0];
		ctx->user_ip6[1] = address->words[1];
		ctx->user_ip6[2] = address->words[2];
		ctx->user_ip6[3] = address->words[3];
	}
	ctx->user_port = port;
	return true;
}

static __always_inline int socket_refuse(void)
{
	if (config_socket_errors)
		bpf_set_retval(SOCKET_ERROR);
	return SOCKET_REFUSE;
}

static __always_inline void socket_key_of(struct bpf_sock_addr *ctx, struct lb_socket_key *key,
					  enum lb_socket_kind kind)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->cookie = bpf_get_socket_cookie(ctx);
	key->protocol = ctx->protocol;
	key->kind = kind;
}

/* Remembers what the backend stands for, and for sockets without a connection also the choice. */
static __always_inline void socket_remember(struct bpf_sock_addr *ctx, const struct lb_request *r, bool connects)
{
	struct lb_socket_key key;
	struct lb_socket value = {.backend = r->backend, .group = r->group};

	socket_key_of(ctx, &key, LB_SOCKET_PEER);
	key.address = r->address;
	key.port = r->port;
	value.address = r->frontend.address;
	value.port = r->frontend.port;
	bpf_map_update_elem(&weir_lb_sockets_v1, &key, &value, BPF_ANY);
	if (connects)
		return;
	key.kind = LB_SOCKET_CHOICE;
	key.address = r->frontend.address;
	key.port = r->frontend.port;
	value.address = r->address;
	value.port = r->port;
	bpf_map_update_elem(&weir_lb_sockets_v1, &key, &value, BPF_ANY);
}

/* A socket without a connection stays with its backend as long as that is there: an exchange is more than a packet. */
static __always_inline bool socket_take_chosen(struct bpf_sock_addr *ctx, struct lb_request *r)
{
	struct lb_socket_key key;
	const struct lb_socket *chosen, *peer;

	socket_key_of(ctx, &key, LB_SOCKET_CHOICE);
	key.address = r->frontend.address;
	key.port = r->frontend.port;
	chosen = bpf_map_lookup_elem(&weir_lb_sockets_v1, &key);
	if (!chosen || chosen->group != r->group || !lb_take(r, chosen->backend, false))
		return false;
	key.kind = LB_SOCKET_PEER;
	key.address = r->address;
	key.port = r->port;
	/* Both are needed, and each may have been forgotten alone. */
	peer = bpf_map_lookup_elem(&weir_lb_sockets_v1, &key);
	return peer && peer->backend == r->backend;
}

/* Outwards: a service's address becomes that of one of its backends. */
static __always_inline int socket_outwards(struct bpf_sock_addr *ctx, bool ipv4, bool connects)
{
	struct lb_request r;

	__builtin_memset(&r, 0, sizeof(r));
	socket_address_read(ctx, ipv4, &r.frontend.address);
	r.frontend.port = socket_port(ctx);
	r.frontend.protocol = ctx->protocol;
	if (likely(!lb_find_frontend(&r)))
		return SOCKET_GO_ON;
	if (connects || !socket_take_chosen(ctx, &r)) {
		r.client.client.halves[1] = bpf_get_netns_cookie(ctx);
		r.client.pool = r.pool;
		r.client.kind = LB_CLIENT_NAMESPACE;
		/* Its port is not known yet, and there is one answer only: any number that is its own. */
		r.hash = lb_mix(lb_mix(0, bpf_get_socket_cookie(ctx)), 0) >> 32;
		lb_choose(&r);
		if (!r.backend)
			return socket_refuse();
		socket_remember(ctx, &r, connects);
		lb_count(r.backend);
	}
	return socket_address_write(ctx, ipv4, &r.address, r.port) ? SOCKET_GO_ON : socket_refuse();
}

/* Inwards: what a backend is known by to this socket. */
static __always_inline int socket_inwards(struct bpf_sock_addr *ctx, bool ipv4)
{
	struct lb_socket_key key;
	const struct lb_socket *peer;

	socket_key_of(ctx, &key, LB_SOCKET_PEER);
	socket_address_read(ctx, ipv4, &key.address);
	key.port = socket_port(ctx);
	peer = bpf_map_lookup_elem(&weir_lb_sockets_v1, &key);
	if (peer)
		socket_address_write(ctx, ipv4, &peer->address, peer->port);
	return SOCKET_GO_ON;
}

static __always_inline void socket_remote(struct bpf_sock_ops *ctx, union ip_addr *address)
{
	if (ctx->family == SOCKET_IPV4) {
		address_from_ipv4(address, ctx->remote_ip4);
		return;
	}
	address->words[0] = ctx->remote_ip6[0];
	address->words[1] = ctx->remote_ip6[1];
	address->words[2] = ctx->remote_ip6[2];
	address->words[3] = ctx->remote_ip6[3];
}

/*
 * TCP connections of clients that were sent to a backend tell of their beginning and their end. A connection may
 * outlive its socket's file, and only in the end it is known how much it has carried.
 */
static __always_inline void socket_tcp_event(struct bpf_sock_ops *ctx)
{
	const bool begins = ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB;
	struct lb_socket_key key;
	const struct lb_socket *peer;

	if (!begins && !(ctx->op == BPF_SOCK_OPS_STATE_CB && ctx->args[1] == BPF_TCP_CLOSE))
		return;
	__builtin_memset(&key, 0, sizeof(key));
	key.cookie = bpf_get_socket_cookie(ctx);
	key.protocol = IPPROTO_TCP;
	key.kind = LB_SOCKET_PEER;
	key.port = (__be16)(ctx->remote_port >> 16);
	socket_remote(ctx, &key.address);
	peer = bpf_map_lookup_elem(&weir_lb_sockets_v1, &key);
	if (!peer)
		return;
	if (begins) {
		lb_count_open(peer->backend);
		bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
		return;
	}
	lb_count_end(peer->backend, ctx->bytes_acked, ctx->bytes_received);
	bpf_map_delete_elem(&weir_lb_sockets_v1, &key);
}
