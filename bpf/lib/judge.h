/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

static __always_inline void end_from_endpoint(struct end *end, const struct endpoint *endpoint)
{
	end->identity = endpoint->identity;
	end->node = 0;
	end->ifindex = endpoint->ifindex;
	end->policy_slot = endpoint->policy_slot;
	end->endpoint = endpoint->id;
	__builtin_memcpy(end->mac, endpoint->mac, ETH_ALEN);
	end->audited = endpoint->flags & ENDPOINT_AUDITED;
	end->detail = (endpoint->flags >> ENDPOINT_DETAIL_SHIFT) & ENDPOINT_DETAIL_MASK;
	if (!end->detail)
		end->detail = TRACE_DETAIL_ENDS;
}

/* Finds out who has an address. */
static __noinline int resolve_end(const union ip_addr *address, struct end *end)
{
	const struct endpoint *endpoint = bpf_map_lookup_elem(&weir_endpoints_v1, address);
	struct ip_prefix prefix = {.prefix_length = 128};
	const struct ipcache_entry *entry;

	if (endpoint) {
		end_from_endpoint(end, endpoint);
		return 0;
	}
	__builtin_memset(end, 0, sizeof(*end));
	entry = bpf_map_lookup_elem(&weir_ipcache_v1, address);
	if (!entry) {
		__builtin_memcpy(prefix.address, address, sizeof(prefix.address));
		entry = bpf_map_lookup_elem(&weir_prefixes_v1, &prefix);
	}
	end->identity = entry ? entry->identity : IDENTITY_WORLD;
	tunnel_resolve(address, end);
	return 0;
}

/*
 * Port that policy goes by, seen from the packet that opened the flow: the server's port, or the ICMP type of the
 * question.
 */
static __always_inline __be16 policy_port(const struct packet *p, bool reply)
{
	if (p->protocol == IPPROTO_ICMP)
		return bpf_htons(ICMP_PORTS + (p->key_flags ? ICMP_ECHO_REQUEST : p->icmp_type));
	if (p->protocol == IPPROTO_ICMPV6)
		return bpf_htons(ICMP_PORTS + (p->key_flags ? ICMPV6_ECHO_REQUEST : p->icmp_type));
	return reply ? p->source_port : p->destination_port;
}

/*
 * Judges a flow from `w->source` to `w->destination` and writes what it finds into `entry`: egress by the policy of the
 * sender, then ingress by that of the receiver, each where it is a pod of this node or the node itself. `p` is a packet
 * of the flow, which may be one that an ICMP error quotes. Returns FORWARDED or the reason against it.
 */
static __noinline int judge(struct work *w, const struct packet *p, struct ct_entry *entry, __u32 reply)
{
	__builtin_memset(&w->egress, 0, sizeof(w->egress));
	__builtin_memset(&w->ingress, 0, sizeof(w->ingress));
	w->protocol = p->protocol;
	w->port = policy_port(p, reply);
	host_police(w, entry, &w->source);
	host_police(w, entry, &w->destination);
	if (w->source.policy_slot)
		policy_judge(w, &w->egress, DIRECTION_EGRESS, &w->source, w->destination.identity);
	if (w->destination.policy_slot)
		policy_judge(w, &w->ingress, DIRECTION_INGRESS, &w->destination, w->source.identity);
	entry->source_identity = w->source.identity;
	entry->destination_identity = w->destination.identity;
	entry->egress_rule_set = w->egress.rule_set;
	entry->ingress_rule_set = w->ingress.rule_set;
	entry->egress_cookie = w->egress.cookie;
	entry->ingress_cookie = w->ingress.cookie;
	entry->egress_counter = w->egress.counter;
	entry->ingress_counter = w->ingress.counter;
	entry->audit_reason = w->egress.audited ? w->egress.audited : w->ingress.audited;
	entry->audit_direction = w->egress.audited ? DIRECTION_EGRESS : DIRECTION_INGRESS;
	entry->source_ifindex = w->source.ifindex;
	entry->destination_ifindex = w->destination.ifindex;
	entry->remote = (entry->remote & (CT_REMOTE_OUTSIDE | CT_REMOTE_SERVICE)) |
			(w->source.node ? CT_REMOTE_SOURCE : 0) | (w->destination.node ? CT_REMOTE_DESTINATION : 0);
	entry->source_endpoint = w->source.endpoint;
	entry->destination_endpoint = w->destination.endpoint;
	entry->match = w->egress.match | w->ingress.match << 4;
	entry->detail = w->source.detail > w->destination.detail ? w->source.detail : w->destination.detail;
	__builtin_memcpy(entry->source_mac, w->source.mac, ETH_ALEN);
	__builtin_memcpy(entry->destination_mac, w->destination.mac, ETH_ALEN);
	return w->egress.reason ? w->egress.reason : w->ingress.reason;
}

/*
 * Writes the final verdict, each field once: packets of the flow on other CPUs read it at any time. A flow that needs
 * the proxy and cannot go there (only the packet that opens a connection can) is denied.
 */
static __always_inline void conclude(const struct work *w, struct ct_entry *entry, int reason, bool redirectable)
{
	const bool egress = reason ? w->egress.reason != 0 : entry->egress_rule_set != 0;

	if (!reason && !redirectable && (entry->egress_rule_set || entry->ingress_rule_set))
		reason = DROP_PROXY_NEEDS_NEW_CONNECTION;
	entry->drop_direction = egress ? DIRECTION_EGRESS : DIRECTION_INGRESS;
	WRITE_ONCE(entry->drop_reason, (__u8)reason);
	WRITE_ONCE(entry->revision, w->revision);
}

/* Judges a running flow anew after a change, from whichever direction the packet `p` of it comes. */
static __noinline int judge_again(struct work *w, const struct packet *p, struct ct_entry *entry, __u32 reply)
{
	resolve_end(reply ? &p->destination : &p->source, &w->source);
	resolve_end(reply ? &p->source : &p->destination, &w->destination);
	tunnel_identify(w, entry, reply);
	host_identify(w, p, reply);
	conclude(w, entry, judge(w, p, entry, reply), entry->flags & CT_REDIRECTED);
	return 0;
}
