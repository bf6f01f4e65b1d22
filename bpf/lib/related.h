/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * ICMP errors belong to the flow of the packet that they quote (RFC 5508): they pass where it may, and only to the end
 * that sent it.
 */

/* The quoted packet: layer 3 header and at least 8 bytes behind it (RFC 792, RFC 4443). */
static __always_inline int parse_quoted(struct __sk_buff *skb, const struct packet *p, struct packet *quoted)
{
	__u32 offset = p->l4_offset + ICMP_HEAD_LENGTH;
	struct icmp_head head;

	quoted->is_ipv4 = p->is_ipv4;
	if (p->is_ipv4) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
			return DROP_INVALID_PACKET;
		address_from_ipv4(&quoted->source, ip.saddr);
		address_from_ipv4(&quoted->destination, ip.daddr);
		quoted->protocol = ip.protocol;
		offset += ip.ihl * 4;
	} else {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 6)
			return DROP_INVALID_PACKET;
		address_from_ipv6(&quoted->source, &ip.saddr);
		address_from_ipv6(&quoted->destination, &ip.daddr);
		quoted->protocol = ip.nexthdr;
		offset += sizeof(ip);
	}
	if (bpf_skb_load_bytes(skb, offset, &head, sizeof(head)))
		return DROP_CT_TRUNCATED;
	quoted->l4_offset = offset;
	if (quoted->protocol == IPPROTO_ICMP || quoted->protocol == IPPROTO_ICMPV6) {
		parse_icmp(quoted, &head);
	} else if (quoted->protocol == IPPROTO_TCP || quoted->protocol == IPPROTO_UDP ||
		   quoted->protocol == IPPROTO_SCTP) {
		struct ports ports;

		__builtin_memcpy(&ports, &head, sizeof(ports));
		quoted->source_port = ports.source;
		quoted->destination_port = ports.destination;
	}
	/* Whoever sends the error: it is for the sender of what it quotes. */
	return address_equal(&quoted->source, &p->destination) ? FORWARDED : DROP_INVALID_PACKET;
}

/*
 * Whether an error is about what we have wrapped for another node: how narrow the path there is, the kernel learns from
 * it, and no policy of the host may keep it from that.
 */
static __noinline int is_about_tunnel(struct __sk_buff *skb, struct work *w)
{
	struct packet *quoted = &w->quoted;

	if (!config_overlay_ifindex || !w->packet.is_icmp_error)
		return false;
	__builtin_memset(quoted, 0, sizeof(*quoted));
	return !parse_quoted(skb, &w->packet, quoted) && quoted->protocol == IPPROTO_UDP &&
	       quoted->destination_port == bpf_htons(TUNNEL_PORT) &&
	       bpf_map_lookup_elem(&weir_node_addresses_v1, &quoted->destination);
}

/*
 * The flow of the quoted packet, or NULL. What a client of the proxy sends ends there: beyond it, the same packet is
 * one of the proxy's own leg.
 */
static __always_inline struct ct_entry *find_quoted_flow(struct ct_key *key, bool high)
{
	const __u32 now = now_ticks();
	struct ct_entry *entry = live_entry(key, now), *leg;

	if (entry && !(entry->flags & CT_REDIRECTED && !ct_is_reply(entry, high)))
		return entry;
	key->flags |= CT_KEY_PROXY_LEG;
	leg = live_entry(key, now);
	if (leg)
		return leg;
	key->flags &= ~CT_KEY_PROXY_LEG;
	return entry;
}

/*
 * Returns what a program does, or TC_ACT_UNSPEC when the error is to be judged by itself: the quoted packet belongs to
 * no flow, or a pod, which is nobody's router, speaks of others' packets.
 */
static __noinline int handle_related(struct __sk_buff *skb, struct work *w, enum hook hook)
{
	struct packet *quoted = &w->quoted;
	struct ct_key *key = &w->key;
	struct ct_entry *entry;
	enum trace_point point;
	bool high, reply;
	int reason;

	__builtin_memset(quoted, 0, sizeof(*quoted));
	reason = parse_quoted(skb, &w->packet, quoted);
	if (reason)
		return -reason;
	if (hook == FROM_POD && !address_equal(&quoted->destination, &w->packet.source))
		return TC_ACT_UNSPEC;
	if (hook == FROM_POD) {
		reason = lb_error_outwards(skb, w);
		if (reason == LB_HAIRPIN)
			return to_pod(skb, &w->packet, w->source.ifindex, w->source.mac, true);
		if (reason > 0)
			return -reason;
	}
	high = source_is_high(quoted);
	ct_key_of(quoted, high, key);
	entry = find_quoted_flow(key, high);
	if (!entry)
		return TC_ACT_UNSPEC;
	if (hook != FROM_POD) {
		resolve_end(&w->packet.source, &w->source);
		/* It may be a router on the way of what has left in our name. */
		if (identity_is_of_node(w->source.identity))
			w->source.node = 0;
		reason = hook == FROM_OVERLAY ? tunnel_check_source(w) : check_source(w, &w->source, hook);
		if (reason)
			return -reason;
	}
	/* Whoever sends the error need not be an end of the flow. */
	w->tunnel_identity = 0;
	/* Where the error is received, what it quotes was sent. */
	if (w->host_end)
		w->host_end ^= HOST_RECEIVES | HOST_SENDS;
	/* The error travels against the direction of what it quotes. */
	reply = !ct_is_reply(entry, high);
	if (entry->revision != w->revision && !(key->flags & CT_KEY_PROXY_LEG))
		judge_again(w, quoted, entry, !reply);
	if (entry->drop_reason)
		return drop_flow(skb, w, entry, reply, entry->drop_reason, entry->drop_direction);
	point = flow_point(entry, key, reply, hook);
	if (unlikely(answers_for_service(entry, reply))) {
		if (point == TRACE_TO_STACK)
			return to_service_caller(skb);
		reason = lb_error_inwards(skb, w);
		if (reason)
			return -reason;
	}
	if (point == TRACE_TO_PROXY) {
		skb->mark = MARK_TO_PROXY;
		return TC_ACT_OK;
	}
	return send_flow(skb, w, entry, point, reply, hook);
}
