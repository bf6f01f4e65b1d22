// SPDX-License-Identifier: Apache-2.0
/*
 * TCP sockets for a proxy: listeners and connections that may use addresses which are not this machine's. Which options
 * they get is decided in TypeScript; a descriptor that is returned belongs to the caller.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "sockets.h"

#define OPTIONS_MAX   16u
#define ENDPOINT_TEXT (INET6_ADDRSTRLEN + 8)

struct socket_option {
	int32_t level;
	int32_t name;
	int32_t value;
};

struct socket_options {
	struct socket_option list[OPTIONS_MAX];
	size_t count;
};

union endpoint {
	struct sockaddr any;
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
};

struct connection {
	struct weir_watch watch;
	napi_env env;
	napi_ref callback;
	union endpoint destination;
};

/* ---- arguments ---- */

static bool arg_options(napi_env env, napi_value value, struct socket_options *out)
{
	napi_typedarray_type type;
	size_t length = 0;
	void *data;
	if (napi_get_typedarray_info(env, value, &type, &length, &data, NULL, NULL) == napi_ok &&
	    type == napi_int32_array && length % 3 == 0 && length / 3 <= OPTIONS_MAX) {
		if (length)
			memcpy(out->list, data, length * sizeof(int32_t));
		out->count = length / 3;
		return true;
	}
	weir_throw_argument(env, "options: expected an Int32Array of at most %u triples", OPTIONS_MAX);
	return false;
}

static bool arg_endpoint(napi_env env, const napi_value *address_and_port, const char *name, union endpoint *out)
{
	char text[INET6_ADDRSTRLEN];
	uint32_t port;
	if (!weir_arg_string(env, address_and_port[0], name, text, sizeof(text)) ||
	    !weir_arg_u32(env, address_and_port[1], "port", &port))
		return false;
	if (port > UINT16_MAX) {
		weir_throw_argument(env, "%s port: expected at most %u, found %u", name, UINT16_MAX, port);
		return false;
	}
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, &out->ipv4.sin_addr) == 1) {
		out->ipv4.sin_family = AF_INET;
		out->ipv4.sin_port = htons((uint16_t)port);
		return true;
	}
	if (inet_pton(AF_INET6, text, &out->ipv6.sin6_addr) == 1) {
		out->ipv6.sin6_family = AF_INET6;
		out->ipv6.sin6_port = htons((uint16_t)port);
		return true;
	}
	weir_throw_argument(env, "%s: expected an IPv4 or IPv6 address, found \"%s\"", name, text);
	return false;
}

static socklen_t endpoint_length(const union endpoint *endpoint)
{
	return endpoint->any.sa_family == AF_INET ? sizeof(endpoint->ipv4) : sizeof(endpoint->ipv6);
}

static const char *endpoint_text(const union endpoint *endpoint, char *out)
{
	char address[INET6_ADDRSTRLEN] = "?";
	bool is_ipv4 = endpoint->any.sa_family == AF_INET;
	inet_ntop(endpoint->any.sa_family,
		  is_ipv4 ? (const void *)&endpoint->ipv4.sin_addr : (const void *)&endpoint->ipv6.sin6_addr, address,
		  sizeof(address));
	snprintf(out, ENDPOINT_TEXT + 2, is_ipv4 ? "%s:%u" : "[%s]:%u", address,
		 ntohs(is_ipv4 ? endpoint->ipv4.sin_port : endpoint->ipv6.sin6_port));
	return out;
}

/* ---- options ---- */

static const struct {
	const char *text;
	int level;
	int name;
} known_options[] = {
    {"SO_MARK", SOL_SOCKET, SO_MARK},
    {"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR},
    {"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE},
    {"IP_TRANSPARENT", IPPROTO_IP, IP_TRANSPARENT},
    {"IP_BIND_ADDRESS_NO_PORT", IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT},
    {"IPV6_TRANSPARENT", IPPROTO_IPV6, IPV6_TRANSPARENT},
    {"IPV6_V6ONLY", IPPROTO_IPV6, IPV6_V6ONLY},
    {"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY},
    {"TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT},
    {"TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE},
    {"TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL},
    {"TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT},
};
#define KNOWN_OPTIONS (sizeof(known_options) / sizeof(known_options[0]))

/* tcpOptionNumbers() → {SO_MARK: [level, name], …}: the numbers differ from one architecture to another */
static napi_value tcp_option_numbers(napi_env env, napi_callback_info info)
{
	(void)info;
	napi_value result, pair;
	WEIR_NAPI(env, napi_create_object(env, &result));
	for (size_t i = 0; i < KNOWN_OPTIONS; i++) {
		WEIR_NAPI(env, napi_create_array_with_length(env, 2, &pair));
		WEIR_NAPI(env, napi_set_element(env, pair, 0, weir_number(env, known_options[i].level)));
		WEIR_NAPI(env, napi_set_element(env, pair, 1, weir_number(env, known_options[i].name)));
		weir_set(env, result, known_options[i].text, pair);
	}
	return result;
}

static const char *option_name(const struct socket_option *option)
{
	for (size_t i = 0; i < KNOWN_OPTIONS; i++) {
		if (known_options[i].level == option->level && known_options[i].name == option->name)
			return known_options[i].text;
	}
	return "unknown";
}

static bool set_options(int fd, const struct socket_options *options, struct weir_error *error)
{
	for (size_t i = 0; i < options->count; i++) {
		const struct socket_option *option = &options->list[i];
		if (setsockopt(fd, option->level, option->name, &option->value, sizeof(option->value)) != 0)
			return weir_fail(error, errno, "setsockopt",
					 "Cannot set socket option %s (%d of level %d) to %d", option_name(option),
					 option->name, option->level, option->value);
	}
	return true;
}

static bool bind_to(int fd, const union endpoint *source, struct weir_error *error)
{
	char text[ENDPOINT_TEXT + 2];
	if (bind(fd, &source->any, endpoint_length(source)) == 0)
		return true;
	return weir_fail(error, errno, "bind", "Cannot bind a TCP socket to %s", endpoint_text(source, text));
}

/* tcpSetOptions(fd, options) */
static napi_value tcp_set_options(napi_env env, napi_callback_info info)
{
	napi_value arguments[2];
	struct socket_options options;
	struct weir_error error = {0};
	int32_t fd;
	if (!weir_args(env, info, 2, arguments) || !weir_arg_i32(env, arguments[0], "fd", &fd) ||
	    !arg_options(env, arguments[1], &options))
		return NULL;
	return set_options(fd, &options, &error) ? weir_undefined(env) : weir_throw(env, &error);
}

/* ---- listening ---- */

/* tcpListen(netns | undefined, address, port, options, backlog) → fd */
static napi_value tcp_listen(napi_env env, napi_callback_info info)
{
	napi_value arguments[5];
	struct weir_netns_object *netns;
	struct socket_options options;
	struct weir_error error = {0};
	union endpoint local;
	int32_t backlog;
	char text[ENDPOINT_TEXT + 2];
	if (!weir_args(env, info, 5, arguments) || !weir_arg_netns(env, arguments[0], &netns) ||
	    !arg_endpoint(env, &arguments[1], "address", &local) || !arg_options(env, arguments[3], &options) ||
	    !weir_arg_i32(env, arguments[4], "backlog", &backlog))
		return NULL;
	int fd = weir_socket_in(weir_netns_fd(netns), local.any.sa_family, SOCK_STREAM, IPPROTO_TCP, &error);
	if (fd < 0)
		return weir_throw(env, &error);
	bool done = set_options(fd, &options, &error) && bind_to(fd, &local, &error);
	if (done && listen(fd, backlog) != 0)
		done = weir_fail(&error, errno, "listen", "Cannot listen on %s", endpoint_text(&local, text));
	if (done)
		return weir_number(env, fd);
	close(fd);
	return weir_throw(env, &error);
}

/* ---- connecting ---- */

static void close_connection(struct weir_object *object)
{
	struct connection *self = (struct connection *)object;
	weir_watch_stop(&self->watch);
	napi_delete_reference(self->env, self->callback);
	self->callback = NULL;
}

static void destroy_connection(struct weir_object *object)
{
	struct connection *self = (struct connection *)object;
	if (self->watch.fd >= 0)
		close(self->watch.fd);
	free(self);
}

static bool connect_failed(int err, const union endpoint *destination, struct weir_error *error)
{
	char text[ENDPOINT_TEXT + 2];
	return weir_fail(error, err, "connect", "Cannot connect to %s", endpoint_text(destination, text));
}

/* What has become of a connection attempt: true with *pending, true without (connected), or false with `error`. */
static bool check_connection(int fd, const union endpoint *destination, bool *pending, struct weir_error *error)
{
	struct pollfd descriptor = {.fd = fd, .events = POLLOUT};
	int err = 0;
	socklen_t length = sizeof(err);
	*pending = poll(&descriptor, 1, 0) <= 0;
	if (*pending)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &length) != 0)
		err = errno;
	return err == 0 || connect_failed(err, destination, error);
}

/* callback(error | undefined, fd | undefined), once */
static void on_connected(napi_env env, struct weir_watch *watch)
{
	struct connection *self = (struct connection *)watch;
	struct weir_error error = {0};
	napi_value arguments[2] = {weir_undefined(env), weir_undefined(env)};
	napi_ref callback = self->callback;
	bool pending;
	bool done = check_connection(watch->fd, &self->destination, &pending, &error);
	if (done && pending)
		done = weir_watch_arm(watch, EPOLLOUT, &error);
	if (done && pending)
		return;
	self->callback = NULL;
	int fd = watch->fd;
	if (done) {
		weir_watch_stop(watch);
		watch->fd = -1;
		arguments[1] = weir_number(env, fd);
	} else {
		arguments[0] = weir_error_value(env, &error);
	}
	weir_watch_close(env, watch);
	weir_watch_call(env, callback, 2, arguments);
	napi_delete_reference(env, callback);
}

static bool start_connecting(int fd, const union endpoint *source, const union endpoint *destination, bool *pending,
			     struct weir_error *error)
{
	if (source && !bind_to(fd, source, error))
		return false;
	if (connect(fd, &destination->any, endpoint_length(destination)) != 0 && errno != EINPROGRESS)
		return connect_failed(errno, destination, error);
	/*
	 * To a peer on this machine the handshake is over by now: its packets were handled in this system call, and the
	 * answer was waiting for us to let go of the socket.
	 */
	return check_connection(fd, destination, pending, error);
}

/* Takes over `fd`. Returns the handle, or NULL with a pending exception. */
static napi_value wait_for_connection(napi_env env, int fd, const union endpoint *destination, napi_value callback)
{
	struct weir_error error = {0};
	struct connection *self = calloc(1, sizeof(*self));
	if (!self) {
		close(fd);
		return weir_throw_errno(env, ENOMEM, "calloc", "Cannot connect a TCP socket");
	}
	self->env = env;
	self->destination = *destination;
	self->watch.fd = fd;
	self->watch.ready = on_connected;
	self->watch.object = (struct weir_object){
	    .kind = WEIR_KIND_CONNECTION,
	    .close = close_connection,
	    .destroy = destroy_connection,
	};
	if (napi_create_reference(env, callback, 1, &self->callback) != napi_ok) {
		destroy_connection(&self->watch.object);
		return weir_throw_napi(env, __func__);
	}
	napi_value handle = weir_watch_new(env, &self->watch);
	if (!handle)
		return NULL;
	if (weir_watch_arm(&self->watch, EPOLLOUT, &error))
		return handle;
	weir_throw(env, &error);
	weir_watch_close(env, &self->watch);
	return NULL;
}

static napi_value connect_result(napi_env env, const char *name, napi_value value)
{
	napi_value result;
	if (!value)
		return NULL;
	WEIR_NAPI(env, napi_create_object(env, &result));
	weir_set(env, result, name, value);
	return result;
}

/*
 * tcpConnect(netns | undefined, sourceAddress | undefined, sourcePort, address, port, options, callback)
 *   → {fd} when it is connected at once, {handle} when callback(error, fd) will tell; closing the handle gives up.
 */
static napi_value tcp_connect(napi_env env, napi_callback_info info)
{
	napi_value arguments[7];
	struct weir_netns_object *netns;
	struct socket_options options;
	struct weir_error error = {0};
	union endpoint source, destination;
	napi_valuetype type;
	bool pending;
	if (!weir_args(env, info, 7, arguments) || !weir_arg_netns(env, arguments[0], &netns))
		return NULL;
	bool bound = !weir_is_undefined(env, arguments[1]);
	if ((bound && !arg_endpoint(env, &arguments[1], "source", &source)) ||
	    !arg_endpoint(env, &arguments[3], "destination", &destination) || !arg_options(env, arguments[5], &options))
		return NULL;
	WEIR_NAPI(env, napi_typeof(env, arguments[6], &type));
	if (type != napi_function)
		return weir_throw_argument(env, "callback: expected a function");
	if (bound && source.any.sa_family != destination.any.sa_family)
		return weir_throw_argument(env, "source: expected an address of the destination's family");
	int fd = weir_socket_in(weir_netns_fd(netns), destination.any.sa_family, SOCK_STREAM, IPPROTO_TCP, &error);
	if (fd < 0)
		return weir_throw(env, &error);
	if (!set_options(fd, &options, &error) ||
	    !start_connecting(fd, bound ? &source : NULL, &destination, &pending, &error)) {
		close(fd);
		return weir_throw(env, &error);
	}
	if (!pending)
		return connect_result(env, "fd", weir_number(env, fd));
	return connect_result(env, "handle", wait_for_connection(env, fd, &destination, arguments[6]));
}

/* ---- names ---- */

/* tcpAddress(fd, ofPeer) → {address, port, family} */
static napi_value tcp_address(napi_env env, napi_callback_info info)
{
	napi_value arguments[2], result;
	union endpoint endpoint;
	socklen_t length = sizeof(endpoint);
	char text[INET6_ADDRSTRLEN] = "";
	bool of_peer;
	int32_t fd;
	if (!weir_args(env, info, 2, arguments) || !weir_arg_i32(env, arguments[0], "fd", &fd) ||
	    !weir_arg_bool(env, arguments[1], "ofPeer", &of_peer))
		return NULL;
	const char *operation = of_peer ? "getpeername" : "getsockname";
	if ((of_peer ? getpeername : getsockname)(fd, &endpoint.any, &length) != 0)
		return weir_throw_errno(env, errno, operation, "Cannot read the address of descriptor %d", fd);
	int family = endpoint.any.sa_family;
	if (family != AF_INET && family != AF_INET6)
		return weir_throw_argument(env, "fd: expected an IPv4 or IPv6 socket, found one of family %d", family);
	inet_ntop(family, family == AF_INET ? (void *)&endpoint.ipv4.sin_addr : (void *)&endpoint.ipv6.sin6_addr, text,
		  sizeof(text));
	WEIR_NAPI(env, napi_create_object(env, &result));
	weir_set(env, result, "address", weir_string(env, text));
	weir_set(env, result, "port",
		 weir_number(env, ntohs(family == AF_INET ? endpoint.ipv4.sin_port : endpoint.ipv6.sin6_port)));
	weir_set(env, result, "family", weir_string(env, family == AF_INET ? "ipv4" : "ipv6"));
	return result;
}

bool weir_init_tcp(napi_env env, napi_value exports)
{
	static const struct weir_function functions[] = {
	    {"tcpListen", tcp_listen},
	    {"tcpConnect", tcp_connect},
	    {"tcpSetOptions", tcp_set_options},
	    {"tcpAddress", tcp_address},
	    {"tcpOptionNumbers", tcp_option_numbers},
	};
	return weir_export_functions(env, exports, functions, sizeof(functions) / sizeof(functions[0]));
}
