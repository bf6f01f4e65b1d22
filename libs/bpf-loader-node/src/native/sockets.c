// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <sys/socket.h>
#include "netns.h"
#include "sockets.h"

int weir_socket_in(int netns_fd, int domain, int type, int protocol, struct weir_error *error)
{
	struct weir_netns netns;
	if (!weir_netns_enter_fd(&netns, netns_fd, error))
		return -1;
	int fd = socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	int err = errno;
	weir_netns_leave(&netns);
	if (fd < 0)
		weir_fail(error, err, "socket", "Cannot open a socket of family %d and protocol %d", domain, protocol);
	return fd;
}

bool weir_init_sockets(napi_env env, napi_value exports)
{
	return weir_init_netns(env, exports) && weir_init_netlink(env, exports) &&
	       weir_init_netlink_subscription(env, exports) && weir_init_tcp(env, exports);
}
