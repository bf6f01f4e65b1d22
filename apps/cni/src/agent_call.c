// SPDX-License-Identifier: Apache-2.0
#include "agent_call.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_BYTES 65536

__attribute__((format(printf, 3, 4))) static enum agent_outcome outcome(struct agent_call *call,
									enum agent_outcome result, const char *format,
									...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(call->problem, sizeof(call->problem), format, arguments);
	va_end(arguments);
	return result;
}

static enum agent_outcome connect_agent(struct agent_call *call, int fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int left_ms = deadline_left_ms(call->deadline);
	long wait_ms = call->connect_timeout_ms < left_ms ? call->connect_timeout_ms : left_ms > 0 ? left_ms : 1;
	// The send timeout also bounds connect(2), which waits while the agent's backlog is full.
	struct timeval timeout = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
	strncpy(address.sun_path, call->socket_path, sizeof(address.sun_path) - 1);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) != 0)
		return outcome(call, AGENT_NOT_ASKED, "setsockopt: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return AGENT_ANSWERED;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return outcome(call, AGENT_SILENT, "it did not accept the connection within %ld ms", wait_ms);
	return outcome(call, AGENT_AWAY, "%s", strerror(errno));
}

static enum agent_outcome wait_for(struct agent_call *call, int fd, short events)
{
	struct pollfd poller = {.fd = fd, .events = events};
	for (;;) {
		int ready = poll(&poller, 1, deadline_left_ms(call->deadline));
		if (ready > 0)
			return AGENT_ANSWERED;
		if (ready == 0)
			return outcome(call, AGENT_SILENT, "it did not answer within %ld ms", call->timeout_ms);
		if (errno != EINTR)
			return outcome(call, AGENT_NOT_ASKED, "poll: %s", strerror(errno));
	}
}

// An agent that refuses a request may close before it has read all of it: that is for the reading side to judge.
static enum agent_outcome send_all(struct agent_call *call, int fd, const struct text *request)
{
	for (size_t sent = 0; sent < request->length;) {
		ssize_t count = send(fd, request->bytes + sent, request->length - sent, MSG_NOSIGNAL);
		if (count >= 0) {
			sent += (size_t)count;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			enum agent_outcome result = wait_for(call, fd, POLLOUT);
			if (result != AGENT_ANSWERED)
				return result;
		} else if (errno == EPIPE || errno == ECONNRESET) {
			return AGENT_ANSWERED;
		} else if (errno != EINTR) {
			return outcome(call, AGENT_NOT_ASKED, "send: %s", strerror(errno));
		}
	}
	return AGENT_ANSWERED;
}

static enum agent_outcome receive_response(struct agent_call *call, int fd)
{
	call->received = text_with_limit(RESPONSE_BYTES_MAX + HTTP_HEAD_BYTES_MAX + READ_BYTES);
	for (;;) {
		char *place = text_reserve(&call->received, READ_BYTES);
		if (!place)
			return outcome(call, AGENT_NOT_UNDERSTOOD, "more than %d bytes", RESPONSE_BYTES_MAX);
		ssize_t count = recv(fd, place, READ_BYTES, 0);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			enum agent_outcome result = wait_for(call, fd, POLLIN);
			if (result != AGENT_ANSWERED)
				return result;
			continue;
		}
		bool ended = count <= 0;
		call->received.length += ended ? 0 : (size_t)count;
		switch (http_parse(call->received.bytes, call->received.length, ended, &call->response)) {
		case HTTP_COMPLETE:
			return AGENT_ANSWERED;
		case HTTP_MALFORMED:
			return outcome(call, AGENT_NOT_UNDERSTOOD, "%s", call->response.problem);
		case HTTP_INCOMPLETE:
			if (ended)
				return outcome(call, AGENT_AWAY, "it closed the connection before it had answered");
		}
	}
}

enum agent_outcome call_agent(struct agent_call *call)
{
	char head[256];
	struct text request = text_with_limit(REQUEST_BYTES_MAX + sizeof(head));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return outcome(call, AGENT_NOT_ASKED, "socket: %s", strerror(errno));
	snprintf(head, sizeof(head),
		 "POST /v1/cni HTTP/1.1\r\nHost: weir\r\nContent-Type: application/json\r\n"
		 "Content-Length: %zu\r\nConnection: close\r\n\r\n",
		 call->body->length);
	text_append_string(&request, head);
	text_append(&request, call->body->bytes, call->body->length);

	enum agent_outcome result = AGENT_ANSWERED;
	if (request.failed)
		result = outcome(call, AGENT_NOT_ASKED, "out of memory");
	if (result == AGENT_ANSWERED)
		result = connect_agent(call, fd);
	if (result == AGENT_ANSWERED && fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
		result = outcome(call, AGENT_NOT_ASKED, "fcntl: %s", strerror(errno));
	if (result == AGENT_ANSWERED)
		result = send_all(call, fd, &request);
	if (result == AGENT_ANSWERED)
		result = receive_response(call, fd);
	close(fd);
	free(request.bytes);
	return result;
}
