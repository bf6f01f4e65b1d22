/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The programs of a node: one per hook, shared by all pods. Each reads top to bottom; the work is in lib/. */
#include "lib/compiler.h"
#include "lib/drop_reasons.h"
#include "lib/structs.h"
#include "lib/lb_structs.h"
#include "lib/config.h"
#include "lib/maps.h"
#include "lib/lb_maps.h"
#include "lib/nodes.h"
#include "lib/nat_maps.h"
#include "lib/packet.h"
#include "lib/parse.h"
#include "lib/conntrack.h"
#include "lib/events.h"
#include "lib/policy.h"
#include "lib/neighbour.h"
#include "lib/tunnel.h"
#include "lib/host.h"
#include "lib/judge.h"
#include "lib/forward.h"
#include "lib/nat_port.h"
#include "lib/rewrite.h"
#include "lib/lb_packet.h"
#include "lib/path_mtu.h"
#include "lib/overlay.h"
#include "lib/flow.h"
#include "lib/related.h"
#include "lib/nat.h"
#include "lib/lb_outside.h"

/* Prepares the work on a packet; NULL cannot happen, but the verifier wants it asked. */
static __always_inline struct work *begin(__u32 mark)
{
	const __u32 zero = 0;
	const struct runtime_state *runtime = bpf_map_lookup_elem(&weir_runtime_v1, &zero);
	struct work *w = bpf_map_lookup_elem(&weir_work, &zero);

	if (!w || !runtime)
		return NULL;
	__builtin_memset(&w->packet, 0, sizeof(w->packet));
	__builtin_memset(&w->report, 0, sizeof(w->report));
	w->revision = READ_ONCE(runtime->revision);
	w->mark = mark;
	w->audited = false;
	w->host_policy = READ_ONCE(runtime->host_policy);
	w->host_end = HOST_NO_END;
	w->is_for_service = false;
	w->for_service = 0;
	w->host_passes = false;
	w->tunnel_node = 0;
	w->tunnel_identity = 0;
	return w;
}

/* Counts what went through, and turns minus a reason into a drop that is reported. */
static __always_inline int finish(struct __sk_buff *skb, struct work *w, enum hook hook, int result)
{
	if (unlikely(result < 0))
		return drop(skb, w, -result, hook_direction(hook));
	if (result != TC_ACT_SHOT)
		count(w->audited ? AUDITED : FORWARDED, hook_direction(hook), skb->len);
	return result;
}

/* Nobody but the pod itself, whose hook has checked it, and its node say anything in a pod's name. */
static __always_inline bool may_teach(const struct work *w, enum hook hook)
{
	if (hook == FROM_POD)
		return true;
	if (hook == FROM_OVERLAY)
		return !tunnel_check_source(w);
	return !bpf_map_lookup_elem(&weir_endpoints_v1, &w->packet.source) && !tunnel_is_bypassed(w);
}

static __always_inline int handle_ip(struct __sk_buff *skb, struct work *w, enum hook hook)
{
	if (unlikely(w->packet.fragment == FRAGMENT_FIRST) && may_teach(w, hook))
		fragment_learn(&w->packet);
	if (unlikely(w->packet.is_icmp_error)) {
		const int result = handle_related(skb, w, hook);

		if (result != TC_ACT_UNSPEC)
			return result;
	}
	return handle_flow(skb, w, hook);
}

static __always_inline int from_pod(struct __sk_buff *skb, struct work *w, const struct endpoint *self)
{
	struct packet *p = &w->packet;
	const struct ethhdr *eth;
	int reason;

	end_from_endpoint(&w->source, self);
	w->report.source_identity = self->identity;
	w->report.source_endpoint = self->id;
	if (skb->vlan_present)
		return -DROP_VLAN_FILTERED;
	eth = packet_head(skb, ETH_HLEN);
	if (!eth)
		return -DROP_INVALID_PACKET;
	for (int i = 0; i < ETH_ALEN; i++)
		if (eth->h_source[i] != self->mac[i])
			return -DROP_INVALID_SOURCE_MAC;
	if (skb->protocol == bpf_htons(ETH_P_ARP))
		return answer_arp(skb, self);
	reason = parse_packet(skb, p);
	if (unlikely(reason))
		return -reason;
	if (is_neighbour_discovery(p))
		return handle_neighbour_discovery(skb, p, self);
	if (!address_equal(&p->source, p->is_ipv4 ? &self->ipv4 : &self->ipv6))
		return -DROP_INVALID_SOURCE_IP;
	if (address_is_multicast(&p->destination))
		return -DROP_MULTICAST;
	/* A host with route_localnet would take it for its own (CVE-2020-8558). */
	if (unlikely(address_is_loopback(&p->destination)))
		return -DROP_UNROUTABLE_IP;
	if (unlikely(tunnel_is_forged(p)))
		return -DROP_ENCAPSULATION_PROHIBITED;
	return handle_ip(skb, w, FROM_POD);
}

/* On the host side of each pod's veth: what the pod sends. */
SEC("tc")
int weir_from_pod(struct __sk_buff *skb)
{
	const __u32 ifindex = skb->ifindex;
	const struct endpoint *self;
	struct work *w = begin(0);

	if (!w)
		return TC_ACT_SHOT;
	self = bpf_map_lookup_elem(&weir_interfaces_v1, &ifindex);
	return finish(skb, w, FROM_POD, self ? from_pod(skb, w, self) : -DROP_NO_CONFIGURATION);
}

static __always_inline int from_host(struct __sk_buff *skb, struct work *w)
{
	const int reason = parse_packet(skb, &w->packet);

	if (reason)
		return -reason;
	if (address_is_multicast(&w->packet.destination))
		return -DROP_MULTICAST;
	return handle_ip(skb, w, FROM_HOST);
}

/* On weir_net: what the host, and the proxy, send to pods. */
SEC("tc")
int weir_from_host(struct __sk_buff *skb)
{
	const __u32 mark = skb->mark & MARK_MASK;
	struct work *w = begin(mark == MARK_CLIENT_LEG || mark == MARK_SERVER_LEG ? mark : 0);

	return w ? finish(skb, w, FROM_HOST, from_host(skb, w)) : TC_ACT_SHOT;
}

/* A tag with the number 0 is a priority: to the stack, the packet is the device's own (IEEE 802.1Q). */
static __always_inline bool is_of_vlan(const struct __sk_buff *skb)
{
	return skb->vlan_present && skb->vlan_tci & 0x0fff;
}

/* An answer to what a pod has sent in the node's name becomes one for the pod. */
static __always_inline int receive_answer(struct __sk_buff *skb, struct work *w)
{
	if (!config_masquerade_ports || !nat_may_be_answer(&w->packet))
		return NAT_NOT_OURS;
	return nat_receive(skb, w);
}

enum not_for_pod {
	NOT_FOR_POD = -1, /* it is for the host, if for anybody */
	FOR_POD = 0,	  /* it is now */
	/* Above: the reason for a drop. */
	FOR_SOMEBODY_ELSE = 256, /* it only passes */
};

/* What comes from outside and is for no pod may be one's yet, by masquerading or by a service. */
static __noinline int find_receiver(struct __sk_buff *skb, struct work *w)
{
	int result = receive_answer(skb, w);

	if (!result && w->nat_entry.for_service)
		return tunnel_is_bypassed(w) ? DROP_INVALID_SOURCE_IP : FOR_SOMEBODY_ELSE;
	if (!result)
		return FOR_POD;
	if (result > 0)
		return result;
	result = lb_outside_translate(skb, w);
	if (result == LB_NOT_OURS)
		return NOT_FOR_POD;
	if (result)
		return result;
	resolve_end(&w->packet.destination, &w->destination);
	return w->destination.ifindex ? FOR_POD : FOR_SOMEBODY_ELSE;
}

/* On the uplinks: what comes from outside. What is for no pod is the host's business, and judged by its policy. */
SEC("tc")
int weir_from_network(struct __sk_buff *skb)
{
	struct work *w = begin(0);
	int reason;

	if (!w || is_of_vlan(skb))
		return TC_ACT_OK;
	w->nat_entry.for_service = 0;
	reason = parse_packet(skb, &w->packet);
	if (!bpf_map_lookup_elem(&weir_endpoints_v1, &w->packet.destination)) {
		const int receiver = reason ? NOT_FOR_POD : find_receiver(skb, w);

		if (receiver == NOT_FOR_POD &&
		    (likely(!w->host_policy) || !host_receives(w) || (!reason && is_about_tunnel(skb, w))))
			return TC_ACT_OK;
		if (receiver == FOR_SOMEBODY_ELSE)
			return finish(skb, w, FROM_NETWORK,
				      w->nat_entry.for_service ? to_service_caller(skb) : lb_outside_forward(skb, w));
		if (receiver > 0)
			reason = receiver;
	}
	return finish(skb, w, FROM_NETWORK, reason ? -reason : handle_ip(skb, w, FROM_NETWORK));
}

/*
 * What pods send to the outside, callers from outside to backends elsewhere, and services to such callers. It has been
 * judged and counted where it came from.
 */
static __noinline int translate_leaving(struct __sk_buff *skb, __u32 mark)
{
	struct work *w = begin(0);
	int reason;

	if (!w)
		return TC_ACT_SHOT;
	if (mark == MARK_OF_SERVICE) {
		reason = service_leave(skb, w);
	} else {
		w->for_service = mark == MARK_TO_BACKEND;
		reason = parse_packet(skb, &w->packet);
		if (!reason)
			reason = nat_send(skb, w);
	}
	if (unlikely(reason)) {
		nat_report_ends(w);
		return drop(skb, w, reason, DIRECTION_EGRESS);
	}
	skb->mark = 0;
	return TC_ACT_OK;
}

/*
 * On the uplinks: what goes out. What others have sent has been judged where it came in, and what the host has sent is
 * by its policy. Of what leaves in its name without being its own, answers must be known.
 */
SEC("tc")
int weir_to_network(struct __sk_buff *skb)
{
	const __u32 zero = 0, mark = skb->mark & MARK_MASK;
	const struct runtime_state *runtime;
	struct work *w;
	int reason;

	if (mark == MARK_OF_SERVICE ||
	    (config_masquerade_ports && (mark == MARK_MASQUERADE || mark == MARK_TO_BACKEND)))
		return translate_leaving(skb, mark);
	runtime = bpf_map_lookup_elem(&weir_runtime_v1, &zero);
	if (likely(!runtime || !READ_ONCE(runtime->host_policy)) || is_of_vlan(skb))
		return TC_ACT_OK;
	w = begin(0);
	if (!w)
		return TC_ACT_OK;
	reason = parse_packet(skb, &w->packet);
	if (!host_sends(w))
		return TC_ACT_OK;
	w->host_passes = skb->ingress_ifindex;
	if (unlikely(reason && w->host_passes))
		return TC_ACT_OK;
	return finish(skb, w, TO_NETWORK, reason ? -reason : handle_ip(skb, w, TO_NETWORK));
}

/*
 * A backend's answer to a caller from outside, whose packet went to it as this node's. Returns FORWARDED when it is
 * one, NAT_NOT_OURS or the reason for a drop.
 */
static __noinline int overlay_answer(struct __sk_buff *skb, struct work *w)
{
	if (likely(!config_masquerade_ports || !nat_may_be_answer(&w->packet)) ||
	    bpf_map_lookup_elem(&weir_endpoints_v1, &w->packet.destination) || tunnel_check_source(w))
		return NAT_NOT_OURS;
	return nat_receive(skb, w);
}

static __always_inline int from_overlay(struct __sk_buff *skb, struct work *w)
{
	/* Parsed before it is believed, so that a refusal can say what is refused. */
	int reason = parse_packet(skb, &w->packet);

	if (!reason)
		reason = tunnel_receive(skb, w);
	if (reason)
		return -reason;
	if (address_is_multicast(&w->packet.destination))
		return -DROP_MULTICAST;
	reason = overlay_answer(skb, w);
	if (unlikely(reason > 0))
		return -reason;
	if (unlikely(!reason && w->nat_entry.for_service))
		return to_service_caller(skb);
	return handle_ip(skb, w, FROM_OVERLAY);
}

/* On the VXLAN device: what other nodes send to our pods and to us. */
SEC("tc")
int weir_from_overlay(struct __sk_buff *skb)
{
	struct work *w = begin(0);

	return w ? finish(skb, w, FROM_OVERLAY, from_overlay(skb, w)) : TC_ACT_SHOT;
}

char _license[] SEC("license") = "Dual BSD/GPL";
