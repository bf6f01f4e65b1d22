/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Services for callers from outside, who reach them at an address that a node answers for. A backend that is a pod of
 * this node sees the caller; one elsewhere sees the node, so that its answers come back here. These go through the
 * stack as the backend's, which it routes, and get the service's address where they leave: one of the node's own would
 * pass for forged on its way.
 */

/* Whether a packet for the host is for a service; leaves in `w->lb` which one. */
static __always_inline bool lb_outside_find(struct work *w)
{
	const struct lb_frontend *frontend;

	lb_ask_for(&w->lb, &w->packet);
	frontend = bpf_map_lookup_elem(&weir_lb_outside_v1, &w->lb.frontend);
	if (likely(!frontend))
		return false;
	w->lb.group = frontend->group;
	w->lb.pool = frontend->pool;
	return true;
}

/* What the caller says about an answer of a service. */
static __always_inline int lb_outside_error(struct __sk_buff *skb, struct work *w)
{
	struct packet *quoted = &w->quoted;
	int reason;

	__builtin_memset(quoted, 0, sizeof(*quoted));
	if (parse_quoted(skb, &w->packet, quoted))
		return LB_NOT_OURS;
	/* Of services at addresses of the host nobody else speaks so. */
	reason = lb_error_outwards(skb, w);
	return reason == LB_HAIRPIN ? DROP_INVALID_PACKET : reason;
}

/*
 * Gives a packet from outside to a service the address of a backend. In the middle of a connection that nobody knows
 * of, it is the host's: that may have a socket of its own at the port.
 */
static __noinline int lb_outside_translate(struct __sk_buff *skb, struct work *w)
{
	struct packet *p = &w->packet;
	const bool opens = opens_connection(p);
	__u32 group;
	int result;

	if (unlikely(p->is_icmp_error))
		return lb_outside_error(skb, w);
	if (!lb_may_be_for_service(p) || likely(!lb_outside_find(w)))
		return LB_NOT_OURS;
	/* What follows is found by the ends that it has here. */
	if (unlikely(p->fragment == FRAGMENT_FIRST))
		fragment_learn(p);
	group = w->lb.group;
	if (opens || !lb_flow_goes_on(w)) {
		if (p->protocol == IPPROTO_TCP && !opens)
			return LB_NOT_OURS;
		w->lb.group = group;
		result = lb_flow_begin(w);
		if (result)
			return result;
	}
	w->is_for_service = true;
	return lb_translate(skb, w);
}

/* To a backend that is not on this node: in the node's name, which it gets here or where the packet leaves. */
static __noinline int lb_outside_forward(struct __sk_buff *skb, struct work *w)
{
	int reason;

	resolve_end(&w->packet.source, &w->source);
	if (w->source.ifindex || w->source.node || w->source.identity == IDENTITY_HOST)
		return -DROP_INVALID_SOURCE_IP;
	/* Its answers would not pass by where they get the service's address. */
	if (w->destination.identity == IDENTITY_HOST || !config_masquerade_ports)
		return -DROP_UNROUTABLE_IP;
	if (w->packet.ttl <= 1 || !w->destination.node) {
		skb->mark = MARK_TO_BACKEND;
		return TC_ACT_OK;
	}
	w->for_service = 1;
	reason = nat_send(skb, w);
	return reason ? -reason : to_overlay(skb, w, IDENTITY_HOST, w->destination.mac);
}

/* Gives an answer of a backend the address of the service, where it leaves. */
static __noinline int service_leave(struct __sk_buff *skb, struct work *w)
{
	struct packet *p = &w->packet;
	int reason = parse_packet(skb, p);

	if (reason)
		return reason;
	if (unlikely(p->fragment == FRAGMENT_FIRST))
		fragment_learn(p);
	if (likely(!p->is_icmp_error))
		return lb_inwards(skb, w);
	__builtin_memset(&w->quoted, 0, sizeof(w->quoted));
	reason = parse_quoted(skb, p, &w->quoted);
	return reason ? reason : lb_error_inwards(skb, w);
}
