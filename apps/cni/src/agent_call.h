// SPDX-License-Identifier: Apache-2.0
// One request to the agent of this node, over its unix socket.
#pragma once
#include "deadline.h"
#include "http_response.h"
#include "text.h"

#define REQUEST_BYTES_MAX  (2 * 1024 * 1024)
#define RESPONSE_BYTES_MAX (1024 * 1024)

enum agent_outcome {
	// See response.
	AGENT_ANSWERED,
	// Nobody listens, or the agent went away before it answered: what it did is not known.
	AGENT_AWAY,
	// It listens, but there was no answer in time.
	AGENT_SILENT,
	// What came back is no answer.
	AGENT_NOT_UNDERSTOOD,
	// A failure on our side.
	AGENT_NOT_ASKED,
};

struct agent_call {
	const char *socket_path;
	const struct text *body;
	deadline_ms deadline;
	long timeout_ms; // What the deadline was made of, for messages.
	long connect_timeout_ms;
	struct text received; // Holds the response's bytes; the caller frees them.
	struct http_response response;
	char problem[256]; // When not answered: what happened, as the end of a sentence.
};

enum agent_outcome call_agent(struct agent_call *call);
