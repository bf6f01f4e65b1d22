/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * The path of every IP packet, from whichever hook: find its flow or judge a new one, take account, send it on.
 */

enum hook {
	FROM_POD,
	FROM_HOST,
	FROM_NETWORK,
	FROM_OVERLAY,
	TO_NETWORK,
};

static __always_inline enum direction hook_direction(enum hook hook)
{
	return hook == FROM_POD || hook == TO_NETWORK ? DIRECTION_EGRESS : DIRECTION_INGRESS;
}

/* Where the packets of a judged flow go in one direction. */
static __always_inline enum trace_point flow_point(const struct ct_entry *entry, const struct ct_key *key, bool reply,
						   enum hook hook)
{
	const bool proxy_leg = key->flags & CT_KEY_PROXY_LEG;

	if (hook == TO_NETWORK)
		return TRACE_TO_NETWORK;
	if (proxy_leg ? reply : (entry->flags & CT_REDIRECTED) && !reply)
		return TRACE_TO_PROXY;
	if (reply ? entry->source_ifindex : entry->destination_ifindex)
		return TRACE_TO_ENDPOINT;
	if (entry->remote & (reply ? CT_REMOTE_SOURCE : CT_REMOTE_DESTINATION))
		return TRACE_TO_OVERLAY;
	if ((reply ? entry->source_identity : entry->destination_identity) == IDENTITY_HOST)
		return TRACE_TO_HOST;
	return TRACE_TO_STACK;
}

static __always_inline int send_on(struct __sk_buff *skb, struct work *w, const struct ct_entry *entry,
				   enum trace_point point, bool reply, enum hook hook)
{
	const struct packet *p = &w->packet;

	/* Routed long since, and with a mark that may be somebody else's. */
	if (hook == TO_NETWORK)
		return TC_ACT_OK;
	if (point == TRACE_TO_ENDPOINT)
		return to_pod(skb, p, reply ? entry->source_ifindex : entry->destination_ifindex,
			      reply ? entry->source_mac : entry->destination_mac, hook != FROM_HOST);
	if (point == TRACE_TO_PROXY)
		return to_proxy(skb, p);
	if (config_overlay_ifindex && point == TRACE_TO_OVERLAY)
		return to_overlay(skb, w, reply ? entry->destination_identity : entry->source_identity,
				  reply ? entry->source_mac : entry->destination_mac);
	return config_masquerade_ports && !reply && entry->remote & CT_REMOTE_OUTSIDE ? to_outside(skb) : to_stack(skb);
}

/*
 * A packet that may go and cannot. Where it is the proxy that is missing, the event names the rules that want it, and
 * else none: no rule is against the packet.
 */
static __noinline int report_unsent(struct work *w, const struct ct_entry *entry, __u32 reply)
{
	report_entry(w, entry, reply);
	if (!entry->egress_rule_set)
		w->report.egress_cookie = 0;
	if (!entry->ingress_rule_set)
		w->report.ingress_cookie = 0;
	return 0;
}

/* What the opener gets from a backend it takes for what comes from the service. */
static __always_inline bool answers_for_service(const struct ct_entry *entry, bool reply)
{
	return reply && entry->remote & CT_REMOTE_SERVICE;
}

static __always_inline int send_flow(struct __sk_buff *skb, struct work *w, const struct ct_entry *entry,
				     enum trace_point point, bool reply, enum hook hook)
{
	int result = 0;

	if (unlikely(answers_for_service(entry, reply) && !w->packet.is_icmp_error)) {
		/* The stack would take the service's address for a forged one of its own. */
		if (point == TRACE_TO_STACK)
			return to_service_caller(skb);
		result = -lb_inwards(skb, w);
	}
	if (likely(!result))
		result = send_on(skb, w, entry, point, reply, hook);
	if (unlikely(result < 0))
		report_unsent(w, entry, reply);
	return result;
}

/*
 * A pod's address is only believed from the pod itself, whose hook has checked it, that of another node and of its pods
 * only from the overlay, where it has been checked, and the host's never from outside. But what hosts say to each other
 * travels as it is.
 */
static __always_inline int check_source(const struct work *w, const struct end *source, enum hook hook)
{
	if (hook == FROM_POD || hook == TO_NETWORK || (hook == FROM_OVERLAY && source->node))
		return FORWARDED;
	if (source->ifindex || (source->node && !(w->host_end && identity_is_of_node(source->identity))) ||
	    (hook != FROM_HOST && source->identity == IDENTITY_HOST))
		return DROP_INVALID_SOURCE_IP;
	return FORWARDED;
}

/*
 * The host routes all pod ranges here, and others send their packets to our pods and ourselves: an address that nobody
 * has goes nowhere, and between other nodes and the world nothing is passed on.
 */
static __always_inline int check_destination(const struct end *source, const struct end *destination, enum hook hook)
{
	if (destination->ifindex || hook == FROM_POD || hook == FROM_NETWORK || hook == TO_NETWORK)
		return FORWARDED;
	if (hook == FROM_HOST)
		return destination->node && source->identity == IDENTITY_HOST ? FORWARDED : DROP_UNROUTABLE_IP;
	return destination->identity == IDENTITY_HOST ? FORWARDED : DROP_UNROUTABLE_IP;
}

static __always_inline int check_ends(const struct work *w, const struct end *source, const struct end *destination,
				      enum hook hook)
{
	const int reason = check_destination(source, destination, hook);

	return reason ? reason : check_source(w, source, hook);
}

/*
 * Who may send a packet of this flow in this direction? The client's leg is answered by the proxy alone and the
 * server's leg asked by it alone, so that no pod speaks in the proxy's name by choosing its ports.
 */
static __always_inline int check_sender(const struct work *w, const struct ct_entry *entry, bool reply, enum hook hook)
{
	const struct end source = {
	    .identity = entry->source_identity,
	    .ifindex = entry->source_ifindex,
	    .node = entry->remote & CT_REMOTE_SOURCE,
	};
	const struct end destination = {
	    .identity = entry->destination_identity,
	    .ifindex = entry->destination_ifindex,
	    .node = entry->remote & CT_REMOTE_DESTINATION,
	};
	const struct end *sender = reply ? &destination : &source;

	if (w->key.flags & CT_KEY_PROXY_LEG) {
		if (!reply)
			return w->mark == MARK_SERVER_LEG ? FORWARDED : DROP_CT_UNKNOWN_STATE;
	} else if (reply && entry->flags & CT_REDIRECTED) {
		return w->mark == MARK_CLIENT_LEG ? FORWARDED : DROP_CT_UNKNOWN_STATE;
	}
	if (w->mark)
		return DROP_CT_UNKNOWN_STATE;
	if (w->key.flags & CT_KEY_PROXY_LEG)
		return check_source(w, sender, hook);
	return check_ends(w, sender, reply ? &source : &destination, hook);
}

/* Whether a packet of a running flow has an event; `ending`: it is the one that begins the end. */
static __always_inline bool is_told(const struct ct_entry *entry, const struct packet *p, bool ending, __u32 now)
{
	const __u8 detail = entry->detail;
	__u32 interval = config_trace_interval_ticks;

	if (unlikely(detail == TRACE_DETAIL_PACKETS))
		return true;
	if (unlikely(detail == TRACE_DETAIL_VERDICTS))
		return false;
	if (unlikely(detail == TRACE_DETAIL_FLAGS)) {
		interval /= 5;
		ending = p->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST);
	}
	return unlikely(ending || ticks_passed(entry->reported + interval, now));
}

static __always_inline int known_flow(struct __sk_buff *skb, struct work *w, enum hook hook, bool high,
				      struct ct_entry *entry)
{
	const struct packet *p = &w->packet;
	const bool reply = ct_is_reply(entry, high);
	enum trace_point point;
	__u32 now = now_ticks();
	bool ending;
	int reason;

	if (unlikely(READ_ONCE(entry->revision) != w->revision || tunnel_identity_differs(w, entry, reply)) &&
	    !(w->key.flags & CT_KEY_PROXY_LEG))
		judge_again(w, p, entry, reply);
	reason = check_sender(w, entry, reply, hook);
	if (hook == FROM_OVERLAY && !reason)
		reason = tunnel_check_flow(w, entry, reply);
	if (unlikely(reason))
		return drop_flow(skb, w, entry, reply, reason, hook_direction(hook));
	count_rules(entry, skb->len);
	if (unlikely(READ_ONCE(entry->drop_reason)))
		return drop_flow(skb, w, entry, reply, entry->drop_reason, entry->drop_direction);
	w->audited = entry->audit_reason;
	point = flow_point(entry, &w->key, reply, hook);
	ending = ct_account(entry, p, reply, skb->len, now);
	if (unlikely(w->is_for_service && !(entry->remote & CT_REMOTE_SERVICE)))
		entry->remote |= CT_REMOTE_SERVICE;
	if (is_told(entry, p, ending, now)) {
		entry->reported = now;
		report_flow(skb, w, entry, reply, EVENT_TRACE, point, hook_direction(hook));
	}
	return send_flow(skb, w, entry, point, reply, hook);
}

/* Reasons why a flow cannot begin here, before any policy is asked. */
static __always_inline int check_beginning(const struct work *w, enum hook hook)
{
	if (w->mark == MARK_CLIENT_LEG)
		return DROP_CT_UNKNOWN_STATE;
	if (hook == FROM_OVERLAY) {
		const int reason = tunnel_check_source(w);

		if (reason)
			return reason;
	}
	return check_ends(w, &w->source, &w->destination, hook);
}

/* The verdict on a flow that begins; `w->source` and `w->destination` are known. */
static __always_inline void judge_beginning(struct work *w, struct ct_entry *entry, enum hook hook)
{
	int reason;

	/* The proxy's own connection was judged as its client's; it only needs an entry to be known by. */
	if (w->mark == MARK_SERVER_LEG) {
		w->source.ifindex = 0;
		w->source.policy_slot = 0;
		entry->source_identity = w->source.identity;
		entry->destination_identity = w->destination.identity;
		entry->destination_ifindex = w->destination.ifindex;
		entry->remote = w->destination.node ? CT_REMOTE_DESTINATION : nat_wants(w);
		entry->destination_endpoint = w->destination.endpoint;
		__builtin_memcpy(entry->destination_mac, w->destination.mac, ETH_ALEN);
		return;
	}
	reason = check_beginning(w, hook);
	if (reason) {
		entry->source_identity = w->source.identity;
		entry->destination_identity = w->destination.identity;
		entry->source_endpoint = w->source.endpoint;
		entry->destination_endpoint = w->destination.endpoint;
		entry->drop_direction = hook_direction(hook);
		entry->drop_reason = reason;
		return;
	}
	entry->remote = w->source.ifindex ? nat_wants(w) : 0;
	reason = judge(w, &w->packet, entry, false);
	conclude(w, entry, reason, opens_connection(&w->packet));
	if (entry->egress_rule_set || entry->ingress_rule_set)
		entry->flags |= CT_REDIRECTED;
}

/* The sender is `w->source` already where the hook knows it, which FROM_POD does. */
static __noinline int new_flow(struct __sk_buff *skb, struct work *w, enum hook hook, bool high)
{
	const struct packet *p = &w->packet;
	struct ct_entry *entry = &w->entry;
	enum trace_point point;

	__builtin_memset(entry, 0, sizeof(*entry));
	if (hook != FROM_POD)
		resolve_end(&p->source, &w->source);
	if (hook == FROM_OVERLAY)
		tunnel_name(w, &w->source);
	resolve_end(&p->destination, &w->destination);
	host_identify(w, p, false);
	entry->flags = (high ? CT_OPENED_BY_HIGH : 0) | (w->host_passes ? CT_PASSING : 0);
	judge_beginning(w, entry, hook);
	if (w->is_for_service)
		entry->remote |= CT_REMOTE_SERVICE;
	count_rules(entry, skb->len);
	if (unlikely(entry->drop_reason))
		return drop_flow(skb, w, entry, false, entry->drop_reason, entry->drop_direction);
	w->audited = entry->audit_reason;
	WRITE_ONCE(entry->revision, w->revision);
	entry->reported = now_ticks();
	ct_account(entry, p, false, skb->len, entry->reported);
	if (begins_flow(p) && bpf_map_update_elem(&weir_ct_v2, &w->key, entry, BPF_ANY))
		return drop_flow(skb, w, entry, false, DROP_CT_INSERT_FAILED, hook_direction(hook));
	point = flow_point(entry, &w->key, false, hook);
	if (w->mark != MARK_SERVER_LEG)
		report_flow(skb, w, entry, false, EVENT_POLICY_VERDICT, point, hook_direction(hook));
	return send_flow(skb, w, entry, point, false, hook);
}

static __always_inline struct ct_entry *live_entry(const struct ct_key *key, __u32 now)
{
	struct ct_entry *entry = bpf_map_lookup_elem(&weir_ct_v2, key);

	/* User space sweeps up what has expired, in its own time; until then it counts for nothing. */
	return entry && !ticks_passed(entry->expires, now) ? entry : NULL;
}

/*
 * The flow that a packet belongs to. The proxy's leg to a server has the same ends as its client's leg may have by
 * chance, so it is kept under a key of its own; only the server's answers are looked for there.
 */
static __always_inline struct ct_entry *find_flow(struct work *w, bool high)
{
	const struct packet *p = &w->packet;
	struct ct_key *key = &w->key;
	const __u32 now = now_ticks();
	struct ct_entry *entry, *leg;

	if (w->mark == MARK_SERVER_LEG) {
		key->flags |= CT_KEY_PROXY_LEG;
		return opens_connection(p) ? NULL : live_entry(key, now);
	}
	if (opens_connection(p))
		return NULL;
	entry = live_entry(key, now);
	if (w->mark == MARK_CLIENT_LEG || p->protocol != IPPROTO_TCP)
		return entry;
	if (likely(entry && !(entry->flags & CT_REDIRECTED && ct_is_reply(entry, high))))
		return entry;
	key->flags |= CT_KEY_PROXY_LEG;
	leg = live_entry(key, now);
	if (leg && ct_is_reply(leg, high))
		return leg;
	key->flags &= ~CT_KEY_PROXY_LEG;
	return entry;
}

/* Known from before the address was a service's: not for what has no connection to lose. */
static __always_inline bool is_superseded(const struct work *w, const struct ct_entry *entry, bool high)
{
	struct lb_frontend_key frontend = {
	    .address = w->packet.destination,
	    .port = w->packet.destination_port,
	    .protocol = IPPROTO_UDP,
	};

	return w->packet.protocol == IPPROTO_UDP && !ct_is_reply(entry, high) &&
	       bpf_map_lookup_elem(&weir_lb_frontends_v1, &frontend);
}

/* Sets `w->key` anew for a packet that goes to a backend now; returns whether its source is the high end. */
static __noinline int key_translated(struct work *w)
{
	const bool high = source_is_high(&w->packet);

	ct_key_of(&w->packet, high, &w->key);
	return high;
}

static __always_inline int handle_flow(struct __sk_buff *skb, struct work *w, enum hook hook)
{
	bool high = source_is_high(&w->packet);
	struct ct_entry *entry;

	ct_key_of(&w->packet, high, &w->key);
	entry = is_tracked(&w->packet) ? find_flow(w, high) : NULL;
	if (hook == FROM_POD && unlikely(!entry || (entry->revision != w->revision && is_superseded(w, entry, high))) &&
	    lb_may_be_for_service(&w->packet)) {
		const int result = lb_outwards(skb, w);

		if (result == LB_HAIRPIN)
			return to_pod(skb, &w->packet, w->source.ifindex, w->source.mac, true);
		if (result > 0)
			return -result;
		if (result == LB_TRANSLATED) {
			high = key_translated(w);
			entry = opens_connection(&w->packet) ? NULL : live_entry(&w->key, now_ticks());
		}
	}
	if (unlikely(!entry && w->host_end) && host_adopts(skb, w, high))
		entry = live_entry(&w->key, now_ticks());
	if (likely(entry))
		return known_flow(skb, w, hook, high, entry);
	return new_flow(skb, w, hook, high);
}
