// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "netns.h"

bool weir_netns_enter(struct weir_netns *netns, const char *path, struct weir_error *error)
{
	netns->previous = -1;
	if (!path || !*path)
		return true;
	int target = open(path, O_RDONLY | O_CLOEXEC);
	if (target < 0)
		return weir_fail(error, errno, "open", "Cannot open the network namespace \"%s\"", path);
	/* Of this thread, not of the process: another thread may be in another namespace just now. */
	int previous = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (previous < 0) {
		weir_fail(error, errno, "open", "Cannot open this thread's network namespace");
		close(target);
		return false;
	}
	int result = setns(target, CLONE_NEWNET);
	int err = errno;
	close(target);
	if (result != 0) {
		close(previous);
		return weir_fail(error, err, "setns", "Cannot enter the network namespace \"%s\"", path);
	}
	netns->previous = previous;
	return true;
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
