/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Why a packet was dropped: number, name, text for people. The one source of all three: TypeScript and the
 * documentation are generated from it. Numbers below 220 are those that users of Cilium and Hubble know, with the same
 * meaning.
 */
#define DROP_REASONS(REASON)                                                                                           \
	REASON(130, INVALID_SOURCE_MAC, "Invalid source MAC")                                                          \
	REASON(132, INVALID_SOURCE_IP, "Invalid source IP")                                                            \
	REASON(133, POLICY_DENIED, "Policy denied")                                                                    \
	REASON(134, INVALID_PACKET, "Invalid packet")                                                                  \
	REASON(135, CT_TRUNCATED, "CT: truncated or invalid header")                                                   \
	REASON(136, FRAGMENTATION_NEEDED, "Fragmentation needed")                                                      \
	REASON(139, UNSUPPORTED_L3, "Unsupported L3 protocol")                                                         \
	REASON(147, NO_TUNNEL_KEY, "Error retrieving tunnel key")                                                      \
	REASON(151, UNROUTABLE_IP, "Stale or unroutable IP")                                                           \
	REASON(155, CT_INSERT_FAILED, "CT: map insertion failed")                                                      \
	REASON(156, INVALID_EXTENSION_HEADER, "Invalid IPv6 extension header")                                         \
	REASON(158, NO_SERVICE_BACKEND, "Service backend not found")                                                   \
	REASON(160, NO_TUNNEL_ENDPOINT, "No tunnel/encapsulation endpoint (datapath BUG!)")                            \
	REASON(163, CT_UNKNOWN_STATE, "Unknown connection tracking state")                                             \
	REASON(165, NO_CONFIGURATION, "No configuration available to make policy decision")                            \
	REASON(167, NAT_NO_MAPPING, "No mapping for NAT masquerade")                                                   \
	REASON(168, NAT_UNSUPPORTED_PROTOCOL, "Unsupported protocol for NAT masquerade")                               \
	REASON(170, ENCAPSULATION_PROHIBITED, "Encapsulation traffic is prohibited")                                   \
	REASON(171, INVALID_IDENTITY, "Invalid identity")                                                              \
	REASON(172, UNKNOWN_SENDER, "Unknown sender")                                                                  \
	REASON(175, FIRST_FRAGMENT_MISSING, "First logical datagram fragment not found")                               \
	REASON(176, FORBIDDEN_ICMPV6, "Forbidden ICMPv6 message")                                                      \
	REASON(178, PROXY_NOT_LISTENING, "Socket lookup failed")                                                       \
	REASON(179, SOCKET_ASSIGN_FAILED, "Socket assign failed")                                                      \
	REASON(180, PROXY_UNSUPPORTED_PROTOCOL, "Proxy redirection not supported for protocol")                        \
	REASON(181, POLICY_DENY, "Policy denied by denylist")                                                          \
	REASON(182, VLAN_FILTERED, "VLAN traffic disallowed by VLAN filter")                                           \
	REASON(220, PROXY_NEEDS_NEW_CONNECTION, "Policy now needs the proxy, which a running connection cannot enter") \
	REASON(221, MULTICAST, "Multicast and broadcast are not forwarded")                                            \
	REASON(222, NEIGHBOUR_PROTOCOL, "Neighbour protocol message that needs no answer")

#define DROP_REASON_ENUMERATOR(number, name, text) DROP_##name = number,

/* AUDITED: let through although policy says otherwise, because the endpoint is in audit mode. */
enum drop_reason { FORWARDED = 0, AUDITED = 1, DROP_REASONS(DROP_REASON_ENUMERATOR) };
