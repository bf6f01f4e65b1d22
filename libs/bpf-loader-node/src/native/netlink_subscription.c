// SPDX-License-Identifier: Apache-2.0
/* Netlink multicast: what the kernel announces reaches JavaScript in batches. */
#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "sockets.h"

#define GROUPS_MAX   32u
#define BATCH_BYTES  (256u << 10)
#define PROTOCOL_MAX (MAX_LINKS - 1)
#define RECEIVE_MAX  (64u << 20)

struct subscription {
	struct weir_watch watch;
	napi_env env;
	napi_ref callback;
	uint8_t *batch;
};

static void close_subscription(struct weir_object *object)
{
	struct subscription *self = (struct subscription *)object;
	weir_watch_stop(&self->watch);
	napi_delete_reference(self->env, self->callback);
	self->callback = NULL;
}

static void destroy_subscription(struct weir_object *object)
{
	struct subscription *self = (struct subscription *)object;
	if (self->watch.fd >= 0)
		close(self->watch.fd);
	free(self->batch);
	free(self);
}

/*
 * Fills the batch with what is waiting, until it is empty or the batch full. A datagram that would not fit stays for
 * the next call. *lost is set when the kernel had to drop some.
 */
static size_t read_batch(struct subscription *self, bool *lost)
{
	size_t length = 0;
	for (;;) {
		struct sockaddr_nl sender;
		socklen_t sender_length = sizeof(sender);
		ssize_t size = recv(self->watch.fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
		if (size >= 0 && length > 0 && (size_t)size > BATCH_BYTES - length)
			return length;
		if (size >= 0)
			size = recvfrom(self->watch.fd, self->batch + length, BATCH_BYTES - length,
					MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&sender, &sender_length);
		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == ENOBUFS) {
			*lost = true;
			continue;
		}
		if (size < 0)
			return length;
		if ((size_t)size > BATCH_BYTES - length)
			*lost = true;
		else if (sender.nl_pid == 0)
			length += NLMSG_ALIGN((size_t)size);
	}
}

/* callback(batch, lost) */
static void on_readable(napi_env env, struct weir_watch *watch)
{
	struct subscription *self = (struct subscription *)watch;
	struct weir_error error = {0};
	bool lost = false;
	size_t length = read_batch(self, &lost);
	napi_value arguments[2];
	/* Armed first: the callback may close the subscription. */
	if (!weir_watch_arm(watch, EPOLLIN, &error)) {
		weir_error_clear(&error);
		lost = true;
	}
	if (length == 0 && !lost)
		return;
	if (napi_create_buffer_copy(env, length, self->batch, NULL, &arguments[0]) != napi_ok)
		return;
	arguments[1] = weir_boolean(env, lost);
	weir_watch_call(env, self->callback, 2, arguments);
}

static bool join_groups(int fd, const struct weir_bytes *groups, struct weir_error *error)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		return weir_fail(error, errno, "bind", "Cannot bind a netlink socket");
	for (size_t i = 0; i < groups->length; i++) {
		int group = groups->data[i];
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) != 0)
			return weir_fail(error, errno, "setsockopt", "Cannot join the netlink group %d", group);
	}
	return true;
}

static bool open_subscription(struct subscription *self, int netns_fd, const int *options,
			      const struct weir_bytes *groups, struct weir_error *error)
{
	int protocol = options[0], receive_bytes = options[1];
	self->batch = malloc(BATCH_BYTES);
	if (!self->batch)
		return weir_fail(error, ENOMEM, "malloc", "Cannot subscribe to netlink groups");
	self->watch.fd = weir_socket_in(netns_fd, AF_NETLINK, SOCK_RAW, protocol, error);
	if (self->watch.fd < 0)
		return false;
	if (setsockopt(self->watch.fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_bytes, sizeof(receive_bytes)) != 0)
		setsockopt(self->watch.fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
	return join_groups(self->watch.fd, groups, error);
}

static napi_value start_subscription(napi_env env, struct subscription *self, napi_value callback)
{
	struct weir_error error = {0};
	napi_value handle;
	if (napi_create_reference(env, callback, 1, &self->callback) != napi_ok) {
		destroy_subscription(&self->watch.object);
		return weir_throw_napi(env, __func__);
	}
	handle = weir_watch_new(env, &self->watch);
	if (!handle)
		return NULL;
	if (weir_watch_arm(&self->watch, EPOLLIN, &error))
		return handle;
	weir_throw(env, &error);
	weir_watch_close(env, &self->watch);
	return NULL;
}

/* netlinkSubscribe(netns | undefined, protocol, groups, receiveBytes, callback) → handle */
static napi_value netlink_subscribe(napi_env env, napi_callback_info info)
{
	napi_value arguments[5];
	struct weir_netns_object *netns;
	struct weir_error error = {0};
	struct weir_bytes groups;
	uint32_t protocol, receive_bytes;
	napi_valuetype type;
	if (!weir_args(env, info, 5, arguments) || !weir_arg_netns(env, arguments[0], &netns) ||
	    !weir_arg_u32(env, arguments[1], "protocol", &protocol) ||
	    !weir_arg_bytes(env, arguments[2], "groups", &groups) ||
	    !weir_arg_u32(env, arguments[3], "receiveBytes", &receive_bytes))
		return NULL;
	WEIR_NAPI(env, napi_typeof(env, arguments[4], &type));
	if (type != napi_function)
		return weir_throw_argument(env, "callback: expected a function");
	if (protocol > PROTOCOL_MAX)
		return weir_throw_argument(env, "protocol: expected at most %d, found %u", PROTOCOL_MAX, protocol);
	if (groups.length == 0 || groups.length > GROUPS_MAX)
		return weir_throw_argument(env, "groups: expected 1 to %u, found %zu", GROUPS_MAX, groups.length);
	if (receive_bytes > RECEIVE_MAX)
		return weir_throw_argument(env, "receiveBytes: expected at most %u, found %u", RECEIVE_MAX,
					   receive_bytes);
	struct subscription *self = calloc(1, sizeof(*self));
	if (!self)
		return weir_throw_errno(env, ENOMEM, "calloc", "Cannot subscribe to netlink groups");
	self->env = env;
	self->watch.fd = -1;
	self->watch.ready = on_readable;
	self->watch.object = (struct weir_object){
	    .kind = WEIR_KIND_SUBSCRIPTION,
	    .close = close_subscription,
	    .destroy = destroy_subscription,
	};
	const int options[] = {(int)protocol, (int)receive_bytes};
	if (!open_subscription(self, weir_netns_fd(netns), options, &groups, &error)) {
		destroy_subscription(&self->watch.object);
		return weir_throw(env, &error);
	}
	return start_subscription(env, self, arguments[4]);
}

bool weir_init_netlink_subscription(napi_env env, napi_value exports)
{
	static const struct weir_function functions[] = {
	    {"netlinkSubscribe", netlink_subscribe},
	};
	return weir_export_functions(env, exports, functions, sizeof(functions) / sizeof(functions[0]));
}
