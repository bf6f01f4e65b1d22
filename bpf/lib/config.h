/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Settings of the node, fixed when the programs are loaded; the verifier removes the branches that they close. The
 * sentence becomes the doc comment of the generated TypeScript.
 */
#define CONFIG(type, name, initial, sentence) const volatile type name __attribute__((btf_decl_tag(sentence))) = initial

CONFIG(__u8, config_coarse_clock, 0, "1: the kernel has bpf_ktime_get_coarse_ns (5.11), which costs a tenth");
CONFIG(__u8, config_socket_errors, 0,
       "1: the kernel has bpf_set_retval for sockets (6.0), so that they get a fitting error");
CONFIG(__u32, config_overlay_ifindex, 0, "Index of the VXLAN device that leads to other nodes' pods; 0: routes do");
CONFIG(__u32, config_masquerade_first_port, 0, "First port that flows of pods out of the cluster are given");
CONFIG(__u32, config_masquerade_ports, 0, "How many ports there are for them; 0: pods keep their own addresses");
CONFIG(__u32, config_tcp_established_ticks, 8000 << 10,
       "Idle time after which an established TCP flow is forgotten, in ticks");
CONFIG(__u32, config_tcp_opening_ticks, 60 << 10, "Time a TCP connection has to be established, in ticks");
CONFIG(__u32, config_tcp_closing_ticks, 10 << 10, "Time a TCP flow is remembered after it was closed, in ticks");
CONFIG(__u32, config_datagram_ticks, 60 << 10, "Idle time after which any other flow is forgotten, in ticks");
CONFIG(__u32, config_trace_interval_ticks, 5 << 10, "Least time between two trace events of one flow, in ticks");
CONFIG(__u32, config_events_per_interval, 1000,
       "Events each CPU may send in a tick interval of 1024; what is above is counted as lost");
CONFIG(__u32, config_ring_wakeup_bytes, 262144,
       "Unread bytes in the ring at which its reader is woken; below, it looks by itself");
