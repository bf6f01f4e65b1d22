/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Time in ticks of 2^20 ns (1.05 ms) of CLOCK_MONOTONIC, 32 bits: compare by signed difference only. A division by a
 * power of two instead of milliseconds, because it is done for every packet.
 */
static __always_inline __u32 now_ticks(void)
{
	if (config_coarse_clock)
		return bpf_ktime_get_coarse_ns() >> 20;
	return bpf_ktime_get_ns() >> 20;
}

static __always_inline bool ticks_passed(__u32 deadline, __u32 now)
{
	return (__s32)(now - deadline) >= 0;
}
