/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the sockets half share: namespaces held open, socket options, and descriptors being watched. */
#pragma once

#include "addon.h"

/* A network namespace that JavaScript holds open. */
struct weir_netns_object {
	struct weir_object object;
	int fd;
};

/*
 * Reads an optional handle of a network namespace: *out is NULL for undefined. The object is valid until JavaScript
 * closes it; work off the main thread takes a reference.
 */
bool weir_arg_netns(napi_env env, napi_value value, struct weir_netns_object **out);
/* Descriptor to enter for an optional namespace; -1: stay. */
int weir_netns_fd(const struct weir_netns_object *netns);
/* socket(2) in the given namespace (-1: here), close-on-exec and non-blocking; -1 with `error` filled. */
int weir_socket_in(int netns_fd, int domain, int type, int protocol, struct weir_error *error);

bool weir_init_netns(napi_env env, napi_value exports);
bool weir_init_netlink(napi_env env, napi_value exports);
bool weir_init_netlink_subscription(napi_env env, napi_value exports);
bool weir_init_tcp(napi_env env, napi_value exports);

/*
 * Watching descriptors. One thread per JavaScript environment waits for events and does nothing but tell the main
 * thread which handle has become ready, so that everything else is single-threaded. A watch that exists keeps the
 * process alive.
 */
struct weir_watch {
	struct weir_object object; /* kind is WEIR_KIND_SUBSCRIPTION or WEIR_KIND_CONNECTION */
	struct weir_readiness *readiness;
	int fd;
	double handle;
	/* Main thread, once for each arming; may close the handle. */
	void (*ready)(napi_env env, struct weir_watch *watch);
};

/* Gives the object a handle under which it can be armed; on failure destroys it and leaves an exception pending. */
napi_value weir_watch_new(napi_env env, struct weir_watch *watch);
/* Asks for one call of `ready` when any of `events` (EPOLLIN …) is there. */
bool weir_watch_arm(struct weir_watch *watch, uint32_t events, struct weir_error *error);
/* Closes the handle from native code, as close(handle) does from JavaScript. */
void weir_watch_close(napi_env env, struct weir_watch *watch);
/* Stops the watching for good; called once, from the object's close(). The descriptor stays open. */
void weir_watch_stop(struct weir_watch *watch);
/* Calls a JavaScript function from `ready`; what it throws becomes an uncaught exception, as from any event handler. */
void weir_watch_call(napi_env env, napi_ref callback, size_t count, napi_value *arguments);
