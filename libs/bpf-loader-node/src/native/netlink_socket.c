// SPDX-License-Identifier: Apache-2.0
/* Netlink requests: many messages in one send, answers collected on the libuv pool until each is acknowledged. */
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include "sockets.h"

#define MESSAGES_MAX	  1024u
#define REPLY_BYTES_MAX	  (256u << 20)
#define READ_BYTES_MIN	  (64u << 10)
#define RECEIVE_BUFFER	  (1 << 20)
#define PROTOCOL_MAX	  (MAX_LINKS - 1)
#define ANSWERS_LOST_TEXT "The kernel dropped answers to netlink messages because the receive buffer was full"

struct netlink_socket {
	struct weir_object object;
	int fd;
	int cancel; /* eventfd: wakes a request that waits */
	atomic_bool cancelled;
	uint32_t next_sequence;
	bool busy;
};

struct netlink_request {
	struct weir_work work;
	struct netlink_socket *socket;
	uint8_t *messages;
	size_t length;
	uint32_t first_sequence;
	uint32_t count;
	uint32_t answered_count;
	bool *answered;
	uint8_t *replies; /* whole messages, one after the other, each aligned */
	size_t replies_length;
	size_t replies_capacity;
};

/* ---- opening and closing ---- */

/* The request in progress, if any, stops reading and waiting; what it asked for may still happen. */
static void cancel_request(struct netlink_socket *self)
{
	atomic_store(&self->cancelled, true);
	eventfd_write(self->cancel, 1);
}

static void close_socket(struct weir_object *object)
{
	cancel_request((struct netlink_socket *)object);
}

static void destroy_socket(struct weir_object *object)
{
	struct netlink_socket *self = (struct netlink_socket *)object;
	if (self->fd >= 0)
		close(self->fd);
	if (self->cancel >= 0)
		close(self->cancel);
	free(self);
}

/* Older kernels lack some of these; what they improve (error texts, filters in dumps) is then simply not there. */
static void set_options(int fd)
{
	static const int options[] = {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK};
	int on = 1, size = RECEIVE_BUFFER;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		setsockopt(fd, SOL_NETLINK, options[i], &on, sizeof(on));
	/* The answers to a whole batch wait in the buffer before the first is read. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

static bool open_descriptors(struct netlink_socket *self, int netns_fd, int protocol, struct weir_error *error)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	self->fd = weir_socket_in(netns_fd, AF_NETLINK, SOCK_RAW, protocol, error);
	if (self->fd < 0)
		return false;
	set_options(self->fd);
	if (bind(self->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		return weir_fail(error, errno, "bind", "Cannot bind a netlink socket");
	self->cancel = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return self->cancel >= 0 || weir_fail(error, errno, "eventfd", "Cannot open a netlink socket");
}

/* netlinkOpen(netns | undefined, protocol) → handle */
static napi_value netlink_open(napi_env env, napi_callback_info info)
{
	napi_value arguments[2];
	struct weir_netns_object *netns;
	struct weir_error error = {0};
	uint32_t protocol;
	if (!weir_args(env, info, 2, arguments) || !weir_arg_netns(env, arguments[0], &netns) ||
	    !weir_arg_u32(env, arguments[1], "protocol", &protocol))
		return NULL;
	if (protocol > PROTOCOL_MAX)
		return weir_throw_argument(env, "protocol: expected at most %d, found %u", PROTOCOL_MAX, protocol);
	struct netlink_socket *self = calloc(1, sizeof(*self));
	if (!self)
		return weir_throw_errno(env, ENOMEM, "calloc", "Cannot open a netlink socket");
	self->object = (struct weir_object){
	    .kind = WEIR_KIND_SOCKET,
	    .close = close_socket,
	    .destroy = destroy_socket,
	};
	self->fd = self->cancel = -1;
	self->next_sequence = 1;
	if (!open_descriptors(self, weir_netns_fd(netns), (int)protocol, &error)) {
		destroy_socket(&self->object);
		return weir_throw(env, &error);
	}
	return weir_handle_new(env, &self->object);
}

/* ---- one request, on the pool ---- */

static bool send_messages(struct netlink_request *self, struct weir_error *error)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	ssize_t sent =
	    sendto(self->socket->fd, self->messages, self->length, 0, (struct sockaddr *)&kernel, sizeof(kernel));
	if (sent == (ssize_t)self->length)
		return true;
	return weir_fail(error, sent < 0 ? errno : EMSGSIZE, "sendto", "Cannot send %u netlink messages", self->count);
}

static bool make_room(struct netlink_request *self, size_t length, struct weir_error *error)
{
	size_t need = self->replies_length + length;
	if (need <= self->replies_capacity)
		return true;
	if (need > REPLY_BYTES_MAX)
		return weir_fail(error, EFBIG, "recvfrom", "Answers to netlink messages exceed %u bytes",
				 REPLY_BYTES_MAX);
	size_t capacity = need > 2 * self->replies_capacity ? need : 2 * self->replies_capacity;
	uint8_t *grown = realloc(self->replies, capacity);
	if (!grown)
		return weir_fail(error, ENOMEM, "realloc", "Cannot keep the answers to netlink messages");
	self->replies = grown;
	self->replies_capacity = capacity;
	return true;
}

/* Keeps those of the `length` bytes just read behind the replies that answer this request, and ticks off the answered.
 */
static void keep_answers(struct netlink_request *self, size_t length)
{
	uint8_t *read = self->replies + self->replies_length;
	size_t at = 0;
	while (at + NLMSG_HDRLEN <= length) {
		struct nlmsghdr header;
		memcpy(&header, read + at, sizeof(header));
		if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > length - at)
			return;
		size_t step = NLMSG_ALIGN(header.nlmsg_len);
		if (step > length - at)
			step = length - at;
		uint32_t index = header.nlmsg_seq - self->first_sequence;
		if (index < self->count && !self->answered[index]) {
			memmove(self->replies + self->replies_length, read + at, step);
			self->replies_length += step;
			if (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE) {
				self->answered[index] = true;
				self->answered_count++;
			}
		}
		at += step;
	}
}

static bool wait_for_answer(struct netlink_request *self, struct weir_error *error)
{
	struct pollfd descriptors[] = {
	    {.fd = self->socket->fd, .events = POLLIN},
	    {.fd = self->socket->cancel, .events = POLLIN},
	};
	if (poll(descriptors, 2, -1) < 0 && errno != EINTR)
		return weir_fail(error, errno, "poll", "Cannot wait for the answers to netlink messages");
	return true;
}

/* Reads one datagram; *empty is set if there is none. Its size is asked for first, so nothing is ever cut off. */
static bool read_datagram(struct netlink_request *self, bool *empty, struct weir_error *error)
{
	struct sockaddr_nl sender;
	socklen_t sender_length = sizeof(sender);
	*empty = false;
	ssize_t size = recv(self->socket->fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
	if (size >= 0) {
		if (!make_room(self, (size_t)size > READ_BYTES_MIN ? (size_t)size : READ_BYTES_MIN, error))
			return false;
		size = recvfrom(self->socket->fd, self->replies + self->replies_length,
				self->replies_capacity - self->replies_length, MSG_DONTWAIT, (struct sockaddr *)&sender,
				&sender_length);
	}
	if (size >= 0) {
		if (sender.nl_pid == 0)
			keep_answers(self, (size_t)size);
		return true;
	}
	*empty = errno == EAGAIN;
	if (errno == EAGAIN || errno == EINTR)
		return true;
	return weir_fail(error, errno, "recvfrom",
			 errno == ENOBUFS ? ANSWERS_LOST_TEXT : "Cannot read the answers to netlink messages");
}

/*
 * Reads away what a request that was given up has left, without keeping it. A dump that nobody reads to its end would
 * make the next one fail with EBUSY.
 */
static void discard_leftovers(int fd)
{
	while (recv(fd, NULL, 0, MSG_TRUNC | MSG_DONTWAIT) >= 0 || errno == ENOBUFS || errno == EINTR)
		;
}

static bool execute_request(struct weir_work *work, struct weir_error *error)
{
	struct netlink_request *self = (struct netlink_request *)work;
	bool empty = false;
	discard_leftovers(self->socket->fd);
	if (!send_messages(self, error))
		return false;
	while (self->answered_count < self->count) {
		if (atomic_load(&self->socket->cancelled))
			return weir_fail(error, ECANCELED, "recvfrom",
					 "Stopped reading the answers to netlink messages");
		if (empty && !wait_for_answer(self, error))
			return false;
		if (!read_datagram(self, &empty, error))
			return false;
	}
	return true;
}

static napi_value complete_request(napi_env env, struct weir_work *work)
{
	struct netlink_request *self = (struct netlink_request *)work;
	napi_value result, replies;
	WEIR_NAPI(env, napi_create_object(env, &result));
	WEIR_NAPI(env, napi_create_buffer_copy(env, self->replies_length, self->replies, NULL, &replies));
	weir_set(env, result, "firstSequence", weir_number(env, self->first_sequence));
	weir_set(env, result, "count", weir_number(env, self->count));
	weir_set(env, result, "replies", replies);
	return result;
}

static void release_request(struct weir_work *work)
{
	struct netlink_request *self = (struct netlink_request *)work;
	eventfd_t ignored;
	if (self->socket) {
		atomic_store(&self->socket->cancelled, false);
		eventfd_read(self->socket->cancel, &ignored);
		self->socket->busy = false;
		weir_object_unref(&self->socket->object);
	}
	free(self->messages);
	free(self->answered);
	free(self->replies);
	free(self);
}

/* ---- starting it, on the main thread ---- */

/* Counts the messages, gives them consecutive sequence numbers and asks for an acknowledgement of each. */
static bool number_messages(napi_env env, struct netlink_request *self)
{
	size_t at = 0;
	for (; self->length - at >= NLMSG_HDRLEN && self->count < MESSAGES_MAX; self->count++) {
		struct nlmsghdr *header = (struct nlmsghdr *)(self->messages + at);
		size_t left = self->length - at;
		if (header->nlmsg_len < NLMSG_HDRLEN || header->nlmsg_len > left ||
		    NLMSG_ALIGN(header->nlmsg_len) > left)
			break;
		header->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
		header->nlmsg_seq = self->first_sequence + self->count;
		header->nlmsg_pid = 0;
		at += NLMSG_ALIGN(header->nlmsg_len);
	}
	if (self->count > 0 && at == self->length)
		return true;
	weir_throw_argument(env, "messages: expected 1 to %u whole netlink messages, found %u and then %zu bytes",
			    MESSAGES_MAX, self->count, self->length - at);
	return false;
}

/* netlinkRequest(socket, messages) → promise of {firstSequence, count, replies}; one at a time per socket. */
static napi_value netlink_request(napi_env env, napi_callback_info info)
{
	napi_value arguments[2];
	struct weir_bytes bytes;
	if (!weir_args(env, info, 2, arguments) || !weir_arg_bytes(env, arguments[1], "messages", &bytes))
		return NULL;
	struct netlink_socket *target = (struct netlink_socket *)weir_handle_get(env, arguments[0], WEIR_KIND_SOCKET);
	if (!target)
		return NULL;
	if (target->busy)
		return weir_throw_argument(env, "socket: expected one without a request in progress");
	struct netlink_request *self = calloc(1, sizeof(*self));
	if (self) {
		self->messages = malloc(bytes.length + 1);
		self->answered = calloc(MESSAGES_MAX, sizeof(*self->answered));
	}
	if (!self || !self->messages || !self->answered) {
		if (self)
			release_request(&self->work);
		return weir_throw_errno(env, ENOMEM, "malloc", "Cannot send netlink messages");
	}
	memcpy(self->messages, bytes.data, bytes.length);
	self->length = bytes.length;
	self->first_sequence = target->next_sequence;
	if (!number_messages(env, self)) {
		release_request(&self->work);
		return NULL;
	}
	weir_object_ref(&target->object);
	target->busy = true;
	target->next_sequence += self->count;
	self->socket = target;
	self->work.execute = execute_request;
	self->work.complete = complete_request;
	self->work.release = release_request;
	return weir_work_start(env, &self->work, "bpf-loader:netlink-request");
}

/* netlinkCancel(socket): the request in progress fails. */
static napi_value netlink_cancel(napi_env env, napi_callback_info info)
{
	napi_value argument;
	if (!weir_args(env, info, 1, &argument))
		return NULL;
	struct netlink_socket *self = (struct netlink_socket *)weir_handle_get(env, argument, WEIR_KIND_SOCKET);
	if (self && self->busy)
		cancel_request(self);
	return NULL;
}

bool weir_init_netlink(napi_env env, napi_value exports)
{
	static const struct weir_function functions[] = {
	    {"netlinkOpen", netlink_open},
	    {"netlinkRequest", netlink_request},
	    {"netlinkCancel", netlink_cancel},
	};
	return weir_export_functions(env, exports, functions, sizeof(functions) / sizeof(functions[0]));
}
