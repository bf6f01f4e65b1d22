/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Masquerading: packets of pods get the node's address where they leave, and answers the pod's where they arrive. */

#define NAT_NOT_OURS (-1)

/* Flows that have something to be told apart by, when they come from one address. */
static __always_inline bool nat_is_supported(const struct packet *p)
{
	if (p->protocol == IPPROTO_ICMP || p->protocol == IPPROTO_ICMPV6)
		return p->key_flags == CT_KEY_ASKED_BY_LOW;
	return p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP || p->protocol == IPPROTO_SCTP;
}

/* What a pod says about a packet that it got: the remote end sent that to the node. */
static __always_inline int nat_send_error(struct __sk_buff *skb, struct work *w)
{
	struct packet *quoted = &w->quoted;
	int reason;

	__builtin_memset(quoted, 0, sizeof(*quoted));
	reason = parse_quoted(skb, &w->packet, quoted);
	if (reason)
		return reason;
	w->nat_key.remote = quoted->source;
	w->nat_key.remote_port = quoted->source_port;
	w->nat_key.protocol = quoted->protocol;
	w->nat_entry.address = quoted->destination;
	w->nat_entry.port = quoted->destination_port;
	reason = nat_find(w, false);
	if (reason)
		return reason;
	reason = nat_rewrite_quoted(skb, w, &w->nat_key.local, w->nat_key.local_port, NAT_DESTINATION);
	return reason ? reason : nat_rewrite(skb, w, &w->nat_key.local, 0, NAT_SOURCE);
}

/*
 * Gives a pod's packet, or a caller's, the address that the node has at this uplink. Returns FORWARDED or the reason
 * for a drop: its own never gets out.
 */
static __noinline int nat_send(struct __sk_buff *skb, struct work *w)
{
	const __u32 ifindex = skb->ifindex;
	const struct uplink *uplink = bpf_map_lookup_elem(&weir_uplinks_v1, &ifindex);
	struct packet *p = &w->packet;
	int reason;

	if (!uplink || !config_masquerade_ports)
		return DROP_NAT_NO_MAPPING;
	__builtin_memset(&w->nat_key, 0, sizeof(w->nat_key));
	w->nat_key.local = p->is_ipv4 ? uplink->ipv4 : uplink->ipv6;
	if (!w->nat_key.local.halves[1])
		return DROP_NAT_NO_MAPPING;
	if (unlikely(p->is_icmp_error))
		return nat_send_error(skb, w);
	if (!nat_is_supported(p))
		return DROP_NAT_UNSUPPORTED_PROTOCOL;
	/* The stack may have made fragments of a whole packet. */
	if (unlikely(p->fragment == FRAGMENT_FIRST))
		fragment_learn(p);
	w->nat_key.remote = p->destination;
	w->nat_key.remote_port = p->destination_port;
	w->nat_key.protocol = p->protocol;
	w->nat_entry.address = p->source;
	w->nat_entry.port = p->source_port;
	if (opens_connection(p) || nat_find(w, true)) {
		reason = nat_take(skb, w);
		if (reason)
			return reason;
	}
	return nat_rewrite(skb, w, &w->nat_key.local, w->nat_key.local_port, NAT_SOURCE);
}

/* Who they are whose packet is dropped where it leaves. */
static __always_inline void nat_report_ends(struct work *w)
{
	resolve_end(&w->packet.source, &w->source);
	resolve_end(&w->packet.destination, &w->destination);
	w->report.source_identity = w->source.identity;
	w->report.source_endpoint = w->source.endpoint;
	w->report.destination_identity = w->destination.identity;
}

static __always_inline bool nat_is_port_ours(__u8 protocol, __be16 port)
{
	/* One unsigned comparison for both ends of the range. */
	return bpf_ntohs(port) - config_masquerade_first_port < config_masquerade_ports || protocol == IPPROTO_SCTP;
}

/* Whether it is worth looking for the pod that a packet for the node may be for. */
static __always_inline bool nat_may_be_answer(const struct packet *p)
{
	return p->is_icmp_error || nat_is_port_ours(p->protocol, p->destination_port);
}

/* Looks for the flow of `w->nat_key`, and leaves a copy. A pod that is gone gets no answers. */
static __always_inline struct nat_entry *nat_live_entry(struct work *w)
{
	struct nat_entry *entry = bpf_map_lookup_elem(&weir_nat_v1, &w->nat_key);

	if (!entry || ticks_passed(entry->expires, now_ticks()))
		return NULL;
	w->nat_entry = *entry;
	if (unlikely(w->nat_entry.for_service))
		return entry;
	return bpf_map_lookup_elem(&weir_endpoints_v1, &w->nat_entry.address) ? entry : NULL;
}

/* What anybody on the way says about a packet that left with the node's address. */
static __always_inline int nat_receive_error(struct __sk_buff *skb, struct work *w)
{
	struct packet *quoted = &w->quoted;
	int reason;

	__builtin_memset(quoted, 0, sizeof(*quoted));
	if (parse_quoted(skb, &w->packet, quoted) || !nat_is_port_ours(quoted->protocol, quoted->source_port))
		return NAT_NOT_OURS;
	w->nat_key.remote = quoted->destination;
	w->nat_key.remote_port = quoted->destination_port;
	w->nat_key.local = quoted->source;
	w->nat_key.local_port = quoted->source_port;
	w->nat_key.protocol = quoted->protocol;
	if (!nat_live_entry(w))
		return NAT_NOT_OURS;
	reason = nat_rewrite_quoted(skb, w, &w->nat_entry.address, w->nat_entry.port, NAT_SOURCE);
	return reason ? reason : nat_rewrite(skb, w, &w->nat_entry.address, 0, NAT_DESTINATION);
}

/*
 * Gives a packet for the node that is an answer to a pod that pod's address, so that it is judged as one for the pod.
 * Returns FORWARDED, NAT_NOT_OURS or the reason for a drop.
 */
static __noinline int nat_receive(struct __sk_buff *skb, struct work *w)
{
	struct packet *p = &w->packet;
	struct nat_entry *entry;

	__builtin_memset(&w->nat_key, 0, sizeof(w->nat_key));
	if (unlikely(p->is_icmp_error))
		return nat_receive_error(skb, w);
	w->nat_key.remote = p->source;
	w->nat_key.remote_port = p->source_port;
	w->nat_key.local = p->destination;
	w->nat_key.local_port = p->destination_port;
	w->nat_key.protocol = p->protocol;
	entry = nat_live_entry(w);
	if (!entry)
		return NAT_NOT_OURS;
	nat_account(entry, p, true);
	if (unlikely(p->fragment == FRAGMENT_FIRST))
		fragment_learn(p);
	return nat_rewrite(skb, w, &w->nat_entry.address, w->nat_entry.port, NAT_DESTINATION);
}
