/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The programs at the sockets of a node: of its own processes and of those in its pods, by their cgroup. */
#include "lib/compiler.h"
#include "lib/drop_reasons.h"
#include "lib/structs.h"
#include "lib/lb_structs.h"
#include "lib/config.h"
#include "lib/address.h"
#include "lib/clock.h"
#include "lib/lb_maps.h"
#include "lib/lb.h"
#include "lib/lb_sock.h"

SEC("cgroup/connect4")
int weir_connect4(struct bpf_sock_addr *ctx)
{
	return socket_outwards(ctx, true, true);
}

/* Also for IPv4 in its IPv6 form. */
SEC("cgroup/connect6")
int weir_connect6(struct bpf_sock_addr *ctx)
{
	return socket_outwards(ctx, false, true);
}

SEC("cgroup/sendmsg4")
int weir_sendmsg4(struct bpf_sock_addr *ctx)
{
	return socket_outwards(ctx, true, false);
}

SEC("cgroup/sendmsg6")
int weir_sendmsg6(struct bpf_sock_addr *ctx)
{
	return socket_outwards(ctx, false, false);
}

SEC("cgroup/recvmsg4")
int weir_recvmsg4(struct bpf_sock_addr *ctx)
{
	return socket_inwards(ctx, true);
}

SEC("cgroup/recvmsg6")
int weir_recvmsg6(struct bpf_sock_addr *ctx)
{
	return socket_inwards(ctx, false);
}

SEC("cgroup/getpeername4")
int weir_getpeername4(struct bpf_sock_addr *ctx)
{
	return socket_inwards(ctx, true);
}

SEC("cgroup/getpeername6")
int weir_getpeername6(struct bpf_sock_addr *ctx)
{
	return socket_inwards(ctx, false);
}

SEC("sockops")
int weir_tcp_event(struct bpf_sock_ops *ctx)
{
	socket_tcp_event(ctx);
	return 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
