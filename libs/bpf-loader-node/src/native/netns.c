// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "netns.h"

bool weir_netns_enter_fd(struct weir_netns *netns, int target, struct weir_error *error)
{
	netns->previous = -1;
	if (target < 0)
		return true;
	/* Of this thread, not of the process: another thread may be in another namespace just now. */
	int previous = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (previous < 0)
		return weir_fail(error, errno, "open", "Cannot open this thread's network namespace");
	if (setns(target, CLONE_NEWNET) != 0) {
		weir_fail(error, errno, "setns", "Cannot enter the network namespace");
		close(previous);
		return false;
	}
	netns->previous = previous;
	return true;
}

bool weir_netns_enter(struct weir_netns *netns, const char *path, struct weir_error *error)
{
	netns->previous = -1;
	if (!path || !*path)
		return true;
	/* Non-blocking, because opening a FIFO would otherwise wait for its writer. */
	int target = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (target < 0)
		return weir_fail(error, errno, "open", "Cannot open the network namespace \"%s\"", path);
	bool entered = weir_netns_enter_fd(netns, target, error);
	close(target);
	if (!entered)
		weir_fail(error, error->err, error->operation, "Cannot enter the network namespace \"%s\"", path);
	return entered;
}

void weir_netns_leave(struct weir_netns *netns)
{
	if (netns->previous < 0)
		return;
	if (setns(netns->previous, CLONE_NEWNET) != 0) {
		perror("bpf-loader: cannot return to the network namespace of the process");
		abort();
	}
	close(netns->previous);
	netns->previous = -1;
}
