/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

static __always_inline void count(__u32 reason, __u32 direction, __u32 length)
{
	const __u32 index = (reason & 0xff) * 4 + (direction & 3);
	struct traffic_counter *counter = bpf_map_lookup_elem(&weir_metrics_v1, &index);

	if (!counter)
		return;
	counter->packets++;
	counter->bytes += length;
}

static __always_inline void count_rule(__u32 counter, __u32 length)
{
	struct traffic_counter *traffic;

	if (!counter)
		return;
	traffic = bpf_map_lookup_elem(&weir_rule_traffic_v1, &counter);
	if (!traffic)
		return;
	traffic->packets++;
	traffic->bytes += length;
}

/* Takes a packet into the account of the rules that decided on its flow: of ingress ones only if egress let it pass. */
static __always_inline void count_rules(const struct ct_entry *entry, __u32 length)
{
	count_rule(entry->egress_counter, length);
	if (!entry->drop_reason || entry->drop_direction == DIRECTION_INGRESS)
		count_rule(entry->ingress_counter, length);
}

/*
 * Room for one event, or NULL when this CPU has used up its share of the running interval or the reader is behind; both
 * are counted. The reader looks by itself many times a second, so that an event need not wake it.
 */
static __always_inline struct event *event_reserve(void)
{
	const __u32 zero = 0, interval = now_ticks() >> 10;
	struct event_budget *budget = bpf_map_lookup_elem(&weir_event_budget_v1, &zero);
	struct event *event;

	if (!budget)
		return NULL;
	if (budget->interval != interval) {
		budget->interval = interval;
		budget->sent = 0;
	}
	if (budget->sent >= config_events_per_interval) {
		budget->lost_rate_limited++;
		return NULL;
	}
	event = bpf_ringbuf_reserve(&weir_events_v2, sizeof(*event), 0);
	if (!event) {
		budget->lost_ring_full++;
		return NULL;
	}
	budget->sent++;
	return event;
}

static __always_inline void event_submit(struct event *event)
{
	const bool wake = bpf_ringbuf_query(&weir_events_v2, BPF_RB_AVAIL_DATA) >= config_ring_wakeup_bytes;

	bpf_ringbuf_submit(event, wake ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

/* Sends `w->report` on its way, with what is in the packet. */
static __noinline int send_event(struct __sk_buff *skb, struct work *w)
{
	const struct packet *p = &w->packet;
	const struct report *r = &w->report;
	struct event *event = event_reserve();

	if (!event)
		return 0;
	event->time_ns = bpf_ktime_get_ns();
	event->type = r->type;
	event->reason = r->reason;
	event->direction = r->direction;
	event->point = r->point;
	event->protocol = p->protocol;
	event->tcp_flags = p->tcp_flags;
	event->flags = r->flags;
	event->icmp_type = p->icmp_type;
	event->source = p->source;
	event->destination = p->destination;
	event->source_port = p->source_port;
	event->destination_port = p->destination_port;
	event->length = skb->len;
	event->ifindex = skb->ifindex;
	event->source_identity = r->source_identity;
	event->destination_identity = r->destination_identity;
	event->source_endpoint = r->source_endpoint;
	event->destination_endpoint = r->destination_endpoint;
	event->egress_cookie = r->egress_cookie;
	event->ingress_cookie = r->ingress_cookie;
	event->socket_cookie = bpf_get_socket_cookie(skb);
	event->cgroup = event->socket_cookie ? bpf_skb_cgroup_id(skb) : 0;
	event->icmp_code = p->icmp_code;
	event->match = r->match;
	event->padding[0] = 0;
	event->padding[1] = 0;
	/* Both addresses, which stand one behind the other in the packet as in the event. */
	if (bpf_skb_load_bytes(skb, 0, event->destination_mac, 2 * ETH_ALEN))
		__builtin_memset(event->destination_mac, 0, 2 * ETH_ALEN);
	event_submit(event);
	return 0;
}

/* Fills the report from the flow of `w->key`, with the ends the way the packet has them. */
static __always_inline void report_entry(struct work *w, const struct ct_entry *entry, bool reply)
{
	struct report *r = &w->report;

	r->source_identity = reply ? entry->destination_identity : entry->source_identity;
	r->destination_identity = reply ? entry->source_identity : entry->destination_identity;
	r->source_endpoint = reply ? entry->destination_endpoint : entry->source_endpoint;
	r->destination_endpoint = reply ? entry->source_endpoint : entry->destination_endpoint;
	r->egress_cookie = entry->egress_cookie;
	r->ingress_cookie = entry->ingress_cookie;
	r->match = entry->match;
	r->flags = (reply ? EVENT_REPLY : 0) | (entry->flags & CT_REDIRECTED ? EVENT_REDIRECTED : 0) |
		   (w->key.flags & CT_KEY_PROXY_LEG ? EVENT_PROXY_LEG : 0) | (entry->audit_reason ? EVENT_AUDITED : 0);
}

/* Counts a drop and, but for the daily noise of a link, reports it. The report's ends have been filled in. */
static __noinline int drop(struct __sk_buff *skb, struct work *w, __u32 reason, __u32 direction)
{
	count(reason, direction, skb->len);
	if (reason == DROP_NEIGHBOUR_PROTOCOL || reason == DROP_MULTICAST)
		return TC_ACT_SHOT;
	w->report.type = EVENT_DROP;
	w->report.reason = reason;
	w->report.direction = direction;
	w->report.point = 0;
	send_event(skb, w);
	return TC_ACT_SHOT;
}

static __always_inline int drop_flow(struct __sk_buff *skb, struct work *w, const struct ct_entry *entry, bool reply,
				     __u32 reason, __u32 direction)
{
	report_entry(w, entry, reply);
	return drop(skb, w, reason, direction);
}

/* A packet that passes; where only audit mode lets it, the event says what would have been. */
static __always_inline void report_flow(struct __sk_buff *skb, struct work *w, const struct ct_entry *entry, bool reply,
					enum event_type type, enum trace_point point, enum direction direction)
{
	report_entry(w, entry, reply);
	w->report.type = type;
	w->report.reason = entry->audit_reason;
	w->report.direction = entry->audit_reason ? entry->audit_direction : direction;
	w->report.point = point;
	send_event(skb, w);
}
