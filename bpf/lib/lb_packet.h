/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Load balancing of packets, for pods whose sockets the programs in the cgroup do not see: virtual machines, raw
 * sockets, processes of another cgroup. A service's address becomes that of a backend before the packet is judged, and
 * answers get the service's when they have been. A packet of a flow that conntrack knows never comes here.
 */

enum lb_result {
	LB_NOT_OURS = -1,
	LB_TRANSLATED = 0,
	/* Above: the reason for a drop. */
	LB_HAIRPIN = 256, /* the pod is its own backend: back to it, whatever policy says */
};

/* What is used within this time is not written again. */
#define LB_FLOW_GRAIN_TICKS (1 << 10)

static __always_inline void lb_key_of(struct lb_flow_key *key, const struct packet *p, bool reply,
				      enum lb_flow_kind kind)
{
	key->client = reply ? p->destination : p->source;
	key->server = reply ? p->source : p->destination;
	key->client_port = reply ? p->destination_port : p->source_port;
	key->server_port = reply ? p->source_port : p->destination_port;
	key->protocol = p->protocol;
	key->kind = kind;
	key->padding[0] = 0;
	key->padding[1] = 0;
}

/* Looks for the translation of `w->lb_key` and copies it. One that has not been used for long is none. */
static __noinline int lb_flow_find(struct work *w)
{
	const __u32 now = now_ticks();
	const __u32 idle = w->lb_key.protocol == IPPROTO_TCP ? config_tcp_established_ticks : config_datagram_ticks;
	struct lb_flow *flow = bpf_map_lookup_elem(&weir_lb_flows_v1, &w->lb_key);

	if (!flow || ticks_passed(flow->used + idle, now))
		return false;
	if (ticks_passed(flow->used + LB_FLOW_GRAIN_TICKS, now))
		flow->used = now;
	w->lb_flow = *flow;
	return true;
}

static __always_inline int lb_flow_put(struct work *w, enum lb_flow_kind kind)
{
	w->lb_key.kind = kind;
	return bpf_map_update_elem(&weir_lb_flows_v1, &w->lb_key, &w->lb_flow, BPF_ANY);
}

/*
 * The backend that the packet's flow has already. A TCP connection keeps it whatever becomes of service and backend;
 * of datagrams, the first after it is gone go to another one.
 */
static __always_inline bool lb_flow_goes_on(struct work *w)
{
	lb_key_of(&w->lb_key, &w->packet, false, LB_FLOW_ASKED);
	if (!lb_flow_find(w))
		return false;
	w->lb.group = w->lb_flow.group;
	if (w->packet.protocol == IPPROTO_TCP) {
		w->lb.address = w->lb_flow.address;
		w->lb.port = w->lb_flow.port;
		return true;
	}
	if (!lb_take(&w->lb, w->lb_flow.backend, false))
		return false;
	/* A number that is used again is another backend. */
	return w->lb.port == w->lb_flow.port && address_equal(&w->lb.address, &w->lb_flow.address);
}

static __always_inline void lb_ask_for(struct lb_request *r, const struct packet *p)
{
	r->frontend.address = p->destination;
	r->frontend.port = p->destination_port;
	r->frontend.protocol = p->protocol;
	__builtin_memset(r->frontend.padding, 0, sizeof(r->frontend.padding));
}

/* Chooses a backend of the frontend that was found for a new flow. */
static __noinline int lb_flow_choose(struct work *w)
{
	const struct packet *p = &w->packet;
	struct lb_request *r = &w->lb;

	r->client.client = p->source;
	r->client.pool = r->pool;
	r->client.kind = LB_CLIENT_ADDRESS;
	__builtin_memset(r->client.padding, 0, sizeof(r->client.padding));
	r->hash = lb_hash(r, &p->source, p->source_port);
	lb_choose(r);
	if (!r->backend)
		return DROP_NO_SERVICE_BACKEND;
	lb_count(r->backend);
	return LB_TRANSLATED;
}

/* Puts down both ways of a translation; which way is meant, the kind of the entry says. */
static __noinline int lb_flow_remember(struct work *w)
{
	const struct lb_request *r = &w->lb;
	const struct packet *p = &w->packet;
	const bool is_hairpin = address_equal(&r->address, &p->source);

	lb_key_of(&w->lb_key, p, false, LB_FLOW_ASKED);
	__builtin_memset(&w->lb_flow, 0, sizeof(w->lb_flow));
	w->lb_flow.used = now_ticks();
	w->lb_flow.group = r->group;
	w->lb_flow.backend = r->backend;
	w->lb_flow.address = r->address;
	w->lb_flow.port = r->port;
	if (lb_flow_put(w, LB_FLOW_ASKED))
		return DROP_CT_INSERT_FAILED;
	w->lb_flow.address = p->destination;
	w->lb_flow.port = p->destination_port;
	if (is_hairpin) {
		/* The service calls in the pod's place, from the pod's port. */
		w->lb_key.client_port = r->port;
		w->lb_key.server_port = p->source_port;
		return lb_flow_put(w, LB_FLOW_HAIRPIN) ? DROP_CT_INSERT_FAILED : FORWARDED;
	}
	w->lb_key.server = r->address;
	w->lb_key.server_port = r->port;
	return lb_flow_put(w, LB_FLOW_CHOSEN) ? DROP_CT_INSERT_FAILED : FORWARDED;
}

static __always_inline int lb_flow_begin(struct work *w)
{
	const int reason = lb_flow_choose(w);

	return reason ? reason : lb_flow_remember(w);
}

/* The answer of a pod to itself, which went to the service in whose name it was asked. */
static __always_inline int lb_answer_hairpin(struct __sk_buff *skb, struct work *w)
{
	const union ip_addr service = w->packet.destination, pod = w->packet.source;
	int reason = nat_rewrite(skb, w, &pod, 0, NAT_DESTINATION);

	if (!reason)
		reason = nat_rewrite(skb, w, &service, w->lb_flow.port, NAT_SOURCE);
	return reason ? reason : LB_HAIRPIN;
}

static __always_inline int lb_translate(struct __sk_buff *skb, struct work *w)
{
	const union ip_addr service = w->packet.destination;
	const bool is_hairpin = address_equal(&w->lb.address, &w->packet.source);
	int reason;

	/* Only a map that somebody has tampered with mixes families. */
	if (address_is_ipv4(&w->lb.address) != w->packet.is_ipv4)
		return DROP_NO_SERVICE_BACKEND;
	reason = nat_rewrite(skb, w, &w->lb.address, w->lb.port, NAT_DESTINATION);
	if (reason)
		return reason;
	/* What nobody may send to directly is not to be had by a service either. */
	if (address_is_loopback(&w->packet.destination))
		return DROP_UNROUTABLE_IP;
	if (tunnel_is_forged(&w->packet))
		return DROP_ENCAPSULATION_PROHIBITED;
	if (!is_hairpin)
		return FORWARDED;
	reason = nat_rewrite(skb, w, &service, 0, NAT_SOURCE);
	return reason ? reason : LB_HAIRPIN;
}

/* Gives a packet to a service the address of a backend. Returns enum lb_result or the reason for a drop. */
static __noinline int lb_outwards(struct __sk_buff *skb, struct work *w)
{
	const bool opens = opens_connection(&w->packet);
	int result;

	if (opens || !lb_flow_goes_on(w)) {
		if (!opens) {
			lb_key_of(&w->lb_key, &w->packet, false, LB_FLOW_HAIRPIN);
			if (lb_flow_find(w))
				return lb_answer_hairpin(skb, w);
		}
		lb_ask_for(&w->lb, &w->packet);
		if (likely(!lb_find_frontend(&w->lb)))
			return LB_NOT_OURS;
		result = lb_flow_begin(w);
		if (result)
			return result;
	}
	w->is_for_service = true;
	return lb_translate(skb, w);
}

static __always_inline bool lb_may_be_for_service(const struct packet *p)
{
	return p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP;
}

/* Gives an answer the address of the service that was asked. */
static __noinline int lb_inwards(struct __sk_buff *skb, struct work *w)
{
	lb_key_of(&w->lb_key, &w->packet, true, LB_FLOW_CHOSEN);
	if (!lb_flow_find(w))
		return DROP_NAT_NO_MAPPING;
	return nat_rewrite(skb, w, &w->lb_flow.address, w->lb_flow.port, NAT_SOURCE);
}

/* Takes back what has been done to a packet for a service. */
static __noinline int lb_restore(struct __sk_buff *skb, struct work *w)
{
	/* That of a caller from outside has the node's address. */
	if (w->for_service && nat_rewrite(skb, w, &w->nat_entry.address, w->nat_entry.port, NAT_SOURCE))
		return DROP_NAT_NO_MAPPING;
	lb_key_of(&w->lb_key, &w->packet, false, LB_FLOW_CHOSEN);
	if (!lb_flow_find(w))
		return DROP_NAT_NO_MAPPING;
	return nat_rewrite(skb, w, &w->lb_flow.address, w->lb_flow.port, NAT_DESTINATION);
}

/* An error on its way to the client, about what that sent to the service; its quote still has the backend. */
static __noinline int lb_error_inwards(struct __sk_buff *skb, struct work *w)
{
	int reason;

	lb_key_of(&w->lb_key, &w->quoted, false, LB_FLOW_CHOSEN);
	if (!lb_flow_find(w))
		return DROP_NAT_NO_MAPPING;
	reason = nat_rewrite_quoted(skb, w, &w->lb_flow.address, w->lb_flow.port, NAT_DESTINATION);
	/* A router on the way speaks for itself. */
	if (!reason && address_equal(&w->packet.source, &w->quoted.destination))
		reason = nat_rewrite(skb, w, &w->lb_flow.address, 0, NAT_SOURCE);
	return reason;
}

/* What a pod says about a packet that it got from itself: it is about what it sent to the service. */
static __always_inline int lb_error_hairpin(struct __sk_buff *skb, struct work *w)
{
	const union ip_addr service = w->packet.destination, pod = w->packet.source;
	int reason = nat_rewrite_quoted(skb, w, &pod, w->quoted.source_port, NAT_SOURCE);

	if (!reason)
		reason = nat_rewrite_quoted(skb, w, &service, w->lb_flow.port, NAT_DESTINATION);
	if (!reason)
		reason = nat_rewrite(skb, w, &pod, 0, NAT_DESTINATION);
	if (!reason)
		reason = nat_rewrite(skb, w, &service, 0, NAT_SOURCE);
	return reason ? reason : LB_HAIRPIN;
}

/*
 * What a pod says about an answer of a service: it is for the backend, which sent that. Returns enum lb_result or the
 * reason for a drop.
 */
static __noinline int lb_error_outwards(struct __sk_buff *skb, struct work *w)
{
	struct packet *quoted = &w->quoted;
	int reason;

	lb_key_of(&w->lb_key, quoted, true, LB_FLOW_ASKED);
	if (!lb_flow_find(w)) {
		w->lb_key.kind = LB_FLOW_HAIRPIN;
		return lb_flow_find(w) ? lb_error_hairpin(skb, w) : LB_NOT_OURS;
	}
	reason = nat_rewrite_quoted(skb, w, &w->lb_flow.address, w->lb_flow.port, NAT_SOURCE);
	if (!reason)
		reason = nat_rewrite(skb, w, &w->lb_flow.address, 0, NAT_DESTINATION);
	quoted->source = w->lb_flow.address;
	quoted->source_port = w->lb_flow.port;
	return reason;
}
