/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include "addon.h"

/* Where the calling thread was before weir_netns_enter. */
struct weir_netns {
	int previous; /* descriptor of the namespace to go back to; -1: never left it */
};

/*
 * Moves the calling thread into the network namespace at `path` ("" or NULL: stays here). The caller does a few system
 * calls and leaves again before any JavaScript runs. Returns false with `error` filled if the namespace cannot be
 * entered.
 */
bool weir_netns_enter(struct weir_netns *netns, const char *path, struct weir_error *error);
/* The same with a descriptor of the namespace; -1: stays here. */
bool weir_netns_enter_fd(struct weir_netns *netns, int target, struct weir_error *error);
/* Brings the thread back; aborts the process if that fails, because every later socket would be in the wrong place. */
void weir_netns_leave(struct weir_netns *netns);
