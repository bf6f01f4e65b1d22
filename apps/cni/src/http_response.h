// SPDX-License-Identifier: Apache-2.0
// Reads one HTTP/1.1 response out of the bytes that have arrived so far.
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define HTTP_HEAD_BYTES_MAX 16384

enum http_state { HTTP_INCOMPLETE, HTTP_COMPLETE, HTTP_MALFORMED };

struct http_response {
	int status;
	char *body; // Into the given bytes.
	size_t body_length;
	const char *problem; // What is wrong, when malformed.
};

// Call again with more bytes while incomplete; ended: no more will come. A chunked body is joined in place, once it is
// complete. Interim responses (1xx) are skipped.
enum http_state http_parse(char *bytes, size_t length, bool ended, struct http_response *response);
