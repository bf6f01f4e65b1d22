/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

static __always_inline bool address_equal(const union ip_addr *a, const union ip_addr *b)
{
	return a->halves[0] == b->halves[0] && a->halves[1] == b->halves[1];
}

static __always_inline void address_from_ipv4(union ip_addr *address, __be32 ipv4)
{
	address->halves[0] = 0;
	address->words[2] = bpf_htonl(0xffff);
	address->words[3] = ipv4;
}

static __always_inline void address_from_ipv6(union ip_addr *address, const struct in6_addr *ipv6)
{
	__builtin_memcpy(address, ipv6, sizeof(*address));
}

static __always_inline bool address_is_ipv4(const union ip_addr *address)
{
	return address->halves[0] == 0 && address->words[2] == bpf_htonl(0xffff);
}

static __always_inline bool address_is_loopback(const union ip_addr *address)
{
	if (address_is_ipv4(address))
		return address->bytes[12] == 127;
	return address->halves[0] == 0 && address->halves[1] == bpf_cpu_to_be64(1);
}

static __always_inline bool address_is_multicast(const union ip_addr *address)
{
	if (address_is_ipv4(address))
		return (address->bytes[12] & 0xf0) == 0xe0 || address->words[3] == 0xffffffff;
	return address->bytes[0] == 0xff;
}
