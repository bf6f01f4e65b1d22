/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* True when the packet's source is the high end of the key. */
static __always_inline bool source_is_high(const struct packet *p)
{
	const __u64 s0 = p->source.halves[0], d0 = p->destination.halves[0];
	const __u64 s1 = p->source.halves[1], d1 = p->destination.halves[1];

	/* Any total order serves; this one needs no byte swapping. */
	if (s0 != d0)
		return s0 > d0;
	if (s1 != d1)
		return s1 > d1;
	return p->source_port > p->destination_port;
}

static __always_inline void ct_key_of(const struct packet *p, bool high, struct ct_key *key)
{
	const __u8 asked = CT_KEY_ASKED_BY_LOW | CT_KEY_ASKED_BY_HIGH;

	key->low_address = high ? p->destination : p->source;
	key->high_address = high ? p->source : p->destination;
	key->low_port = high ? p->destination_port : p->source_port;
	key->high_port = high ? p->source_port : p->destination_port;
	key->protocol = p->protocol;
	/* The parser says LOW for "the source asked"; whichever end that is. */
	key->flags = p->key_flags && high ? p->key_flags ^ asked : p->key_flags;
	key->padding[0] = 0;
	key->padding[1] = 0;
}

/* A packet that asks for a new connection, whatever is remembered of its two ends. */
static __always_inline bool opens_connection(const struct packet *p)
{
	return p->protocol == IPPROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* Flows that one packet begins and others belong to. Other ICMP messages stand for themselves. */
static __always_inline bool is_tracked(const struct packet *p)
{
	return (p->protocol != IPPROTO_ICMP && p->protocol != IPPROTO_ICMPV6) || p->key_flags;
}

/*
 * Whether a packet may begin a flow that others then belong to. An answer to an echo that nobody remembers asking for
 * is judged, but it must not open the way for the question.
 */
static __always_inline bool begins_flow(const struct packet *p)
{
	if (p->protocol == IPPROTO_ICMP)
		return p->icmp_type == ICMP_ECHO_REQUEST;
	if (p->protocol == IPPROTO_ICMPV6)
		return p->icmp_type == ICMPV6_ECHO_REQUEST;
	return true;
}

static __always_inline bool ct_is_reply(const struct ct_entry *entry, bool high)
{
	return !(entry->flags & CT_OPENED_BY_HIGH) == high;
}

static __always_inline __u32 ct_timeout(const struct packet *p, __u8 flags)
{
	if (p->protocol != IPPROTO_TCP)
		return config_datagram_ticks;
	if (flags & CT_CLOSING)
		return config_tcp_closing_ticks;
	return flags & CT_ESTABLISHED ? config_tcp_established_ticks : config_tcp_opening_ticks;
}

/* The flags after a packet. A TCP flow is established once both ends have spoken, and closing after a reset or both
 * FINs. */
static __always_inline __u8 ct_flags_after(const struct packet *p, __u8 flags, bool reply)
{
	if (reply)
		flags |= CT_REPLY_SEEN;
	else if (flags & CT_REPLY_SEEN)
		flags |= CT_ESTABLISHED;
	if (unlikely(p->tcp_flags & (TCP_FIN | TCP_RST))) {
		if (p->tcp_flags & TCP_FIN)
			flags |= reply ? CT_FIN_REPLY : CT_FIN_FORWARD;
		if (p->tcp_flags & TCP_RST || (flags & CT_FIN_FORWARD && flags & CT_FIN_REPLY))
			flags |= CT_CLOSING;
	}
	return flags;
}

/*
 * Takes the packet into the flow's account. Returns true when this packet begins the end of the flow, which is worth an
 * event.
 */
static __always_inline bool ct_account(struct ct_entry *entry, const struct packet *p, bool reply, __u32 length,
				       __u32 now)
{
	const __u8 before = entry->flags;
	const __u8 flags = ct_flags_after(p, before, reply);

	if (reply) {
		entry->reply_packets++;
		entry->reply_bytes += length;
	} else {
		entry->forward_packets++;
		entry->forward_bytes += length;
	}
	if (flags != before)
		entry->flags = flags;
	entry->expires = now + ct_timeout(p, flags);
	return p->tcp_flags & (TCP_FIN | TCP_RST) && !(before & (CT_FIN_FORWARD | CT_FIN_REPLY | CT_CLOSING));
}
