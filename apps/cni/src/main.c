// SPDX-License-Identifier: Apache-2.0
// weir-cni: the CNI plugin. It checks what the container runtime asks for, hands it to the agent of this node, and
// prints the agent's answer. It holds no state and knows nothing of networking; see docs/reference/cni.md.
//
// The process lives for one call, a millisecond or so: what it allocates here is left to its end.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent_call.h"
#include "deletion_note.h"
#include "invocation.h"
#include "json.h"

#define READ_BYTES 65536

static bool print(const struct text *text)
{
	for (size_t written = 0; written < text->length;) {
		ssize_t count = write(STDOUT_FILENO, text->bytes + written, text->length - written);
		if (count < 0 && errno == EAGAIN) {
			struct pollfd poller = {.fd = STDOUT_FILENO, .events = POLLOUT};
			poll(&poller, 1, -1);
		} else if (count < 0 && errno != EINTR) {
			return false;
		}
		written += count > 0 ? (size_t)count : 0;
	}
	return true;
}

static int exit_with_error(const struct invocation *invocation, const struct cni_error *error)
{
	char number[16];
	struct text out = text_with_limit(64 * 1024);
	snprintf(number, sizeof(number), "%d", error->code);
	text_append_string(&out, "{\"cniVersion\":");
	text_append_json_string(&out, invocation->cni_version);
	text_append_string(&out, ",\"code\":");
	text_append_string(&out, number);
	text_append_string(&out, ",\"msg\":");
	text_append_json_string(&out, error->message);
	if (*error->details) {
		text_append_string(&out, ",\"details\":");
		text_append_json_string(&out, error->details);
	}
	text_append_string(&out, "}\n");
	print(&out);
	return 1;
}

static bool read_stdin(struct invocation *invocation, deadline_ms deadline, struct cni_error *error)
{
	invocation->config = text_with_limit(CONFIG_BYTES_MAX + READ_BYTES);
	// Someone who tries out the program at a terminal should not have to know what to type.
	bool ended = isatty(STDIN_FILENO);
	for (;;) {
		char *place = text_reserve(&invocation->config, READ_BYTES);
		if (!place)
			return cni_fail(error, CNI_IO_FAILURE, "Cannot read the network configuration: out of memory");
		if (ended)
			return true;
		struct pollfd poller = {.fd = STDIN_FILENO, .events = POLLIN};
		int ready = poll(&poller, 1, deadline_left_ms(deadline));
		if (ready == 0)
			return cni_fail(
			    error, CNI_IO_FAILURE,
			    "Cannot read the network configuration: standard input did not end within %ld ms",
			    invocation->timeout_ms);
		ssize_t count = ready > 0 ? read(STDIN_FILENO, place, READ_BYTES) : -1;
		ended = count == 0;
		if (count > 0)
			invocation->config.length += (size_t)count;
		else if (count < 0 && errno != EINTR && errno != EAGAIN)
			return cni_fail(error, CNI_IO_FAILURE, "Cannot read the network configuration: %s",
					strerror(errno));
		if (invocation->config.length > CONFIG_BYTES_MAX)
			return cni_fail(error, CNI_IO_FAILURE,
					"Cannot read the network configuration: more than %d bytes", CONFIG_BYTES_MAX);
	}
}

// VERSION needs no agent. The specification wants the version of the question echoed.
static int answer_version(struct invocation *invocation)
{
	struct text out = text_with_limit(64 * 1024);
	struct json_member version = {.name = "cniVersion"};
	struct json_problem problem;
	struct cni_error error;
	char asked[128];
	bool given = invocation->config.length > 0;
	if (given && !json_scan_object(invocation->config.bytes, invocation->config.length, &version, 1, &problem)) {
		cni_fail(&error, CNI_DECODING_FAILURE, "Cannot read the request: line %zu, column %zu: expected %s",
			 problem.line, problem.column, problem.expected);
		return exit_with_error(invocation, &error);
	}
	if (version.type && !json_string(&version, asked, sizeof(asked))) {
		cni_fail(&error, CNI_DECODING_FAILURE, "Invalid cniVersion: expected a string of at most %zu bytes",
			 sizeof(asked) - 1);
		return exit_with_error(invocation, &error);
	}
	text_append_string(&out, "{\"cniVersion\":");
	text_append_json_string(&out, version.type ? asked : invocation->cni_version);
	text_append_string(&out, ",\"supportedVersions\":[");
	text_append_string(&out, supported_versions);
	text_append_string(&out, "]}\n");
	return print(&out) ? 0 : 1;
}

static void append_member(struct text *text, const char *name, const char *value)
{
	text_append_string(text, text->length ? ",\"" : "{\"");
	text_append_string(text, name);
	text_append_string(text, "\":");
	text_append_json_string(text, value);
}

static struct text make_request(const struct invocation *invocation)
{
	struct text request = text_with_limit(REQUEST_BYTES_MAX);
	append_member(&request, "command", invocation->command_name);
	append_member(&request, "containerId", invocation->container_id);
	append_member(&request, "netns", invocation->netns);
	append_member(&request, "ifName", invocation->interface_name);
	append_member(&request, "args", invocation->arguments);
	append_member(&request, "path", invocation->path);
	text_append_string(&request, ",\"config\":");
	text_append(&request, invocation->config.bytes, invocation->config.length);
	text_append_string(&request, "}");
	return request;
}

// Whatever answers on the socket, only JSON of the right form leaves this program.
static int forward_answer(const struct invocation *invocation, const struct http_response *response)
{
	struct json_member code = {.name = "code"};
	struct json_problem problem;
	struct cni_error error;
	bool succeeded = response->status == 200 || response->status == 204;
	bool needs_body = !succeeded || invocation->command == COMMAND_ADD;
	if (response->body_length || needs_body) {
		bool is_object = json_scan_object(response->body, response->body_length, &code, 1, &problem);
		if (!is_object || (!succeeded && code.type != JSON_NUMBER)) {
			cni_fail(&error, CNI_AGENT_NOT_UNDERSTOOD,
				 "The answer of the agent at \"%s\" is not understood: HTTP status %d with something "
				 "other than a CNI %s",
				 invocation->socket_path, response->status, succeeded ? "result" : "error");
			cni_details(&error, "%.*s", (int)(response->body_length < 512 ? response->body_length : 512),
				    response->body);
			return exit_with_error(invocation, &error);
		}
	}
	const struct text out = {.bytes = response->body, .length = response->body_length};
	return print(&out) && succeeded ? 0 : 1;
}

static int ask_agent(const struct invocation *invocation, deadline_ms deadline)
{
	struct cni_error error;
	struct text request = make_request(invocation);
	struct agent_call call = {
	    .socket_path = invocation->socket_path,
	    .body = &request,
	    .deadline = deadline,
	    .timeout_ms = invocation->timeout_ms,
	    .connect_timeout_ms = invocation->connect_timeout_ms,
	};
	enum cni_code later = invocation->command == COMMAND_STATUS ? CNI_NOT_AVAILABLE : CNI_TRY_AGAIN_LATER;
	switch (request.failed ? AGENT_NOT_ASKED : call_agent(&call)) {
	case AGENT_ANSWERED:
		return forward_answer(invocation, &call.response);
	case AGENT_AWAY:
		cni_fail(&error, later, "The agent cannot be reached at \"%s\": %s", invocation->socket_path,
			 call.problem);
		if (invocation->command == COMMAND_DEL && leave_deletion_note(invocation, &request, &error))
			return 0;
		break;
	case AGENT_SILENT:
		cni_fail(&error, later, "The agent at \"%s\" is too slow: %s", invocation->socket_path, call.problem);
		break;
	case AGENT_NOT_UNDERSTOOD:
		cni_fail(&error, CNI_AGENT_NOT_UNDERSTOOD, "The answer of the agent at \"%s\" is not understood: %s",
			 invocation->socket_path, call.problem);
		break;
	case AGENT_NOT_ASKED:
		cni_fail(&error, CNI_IO_FAILURE, "Cannot ask the agent at \"%s\": %s", invocation->socket_path,
			 request.failed ? "out of memory" : call.problem);
		break;
	}
	return exit_with_error(invocation, &error);
}

int main(void)
{
	struct invocation invocation = {0};
	struct cni_error error;
	signal(SIGPIPE, SIG_IGN);
	if (!read_command(&invocation, &error)) {
		if (isatty(STDERR_FILENO) && !*invocation.command_name)
			fputs("weir-cni is a CNI plugin: a container runtime runs it. See docs/reference/cni.md\n",
			      stderr);
		return exit_with_error(&invocation, &error);
	}
	int64_t started_ms = monotonic_ms();
	if (!read_stdin(&invocation, started_ms + invocation.timeout_ms, &error))
		return exit_with_error(&invocation, &error);
	adopt_version(&invocation);
	if (invocation.command == COMMAND_VERSION)
		return answer_version(&invocation);
	if (!read_environment(&invocation, &error) || !read_config(&invocation, &error))
		return exit_with_error(&invocation, &error);
	return ask_agent(&invocation, started_ms + invocation.timeout_ms);
}
