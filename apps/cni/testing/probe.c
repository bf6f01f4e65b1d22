// SPDX-License-Identifier: Apache-2.0
// Lets tests drive the parsers with many inputs in one process: `probe json` or `probe http` reads frames (four bytes
// of length, little-endian, then that many bytes) and prints a line of JSON for each. Every frame is parsed in a block
// of exactly its size, so that the sanitizer sees any access beyond.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_response.h"
#include "json.h"
#include "text.h"

#define FRAME_BYTES_MAX (4 * 1024 * 1024)

static void print_text(struct text *out)
{
	text_append(out, "\n", 1);
	fwrite(out->bytes, 1, out->length, stdout);
	free(out->bytes);
}

static void probe_json(const char *bytes, size_t length)
{
	struct json_member members[] = {{.name = "cniVersion"}, {.name = "sch\xc3\xb6n"}, {.name = ""}};
	struct json_problem problem;
	struct text out = text_with_limit(FRAME_BYTES_MAX);
	char number[32], decoded[128];
	if (!json_scan_object(bytes, length, members, 3, &problem)) {
		snprintf(number, sizeof(number), "%zu:%zu: ", problem.line, problem.column);
		text_append_string(&out, "{\"problem\":\"");
		text_append_string(&out, number);
		text_append_string(&out, "\",\"expected\":");
		text_append_json_string(&out, problem.expected);
		text_append_string(&out, "}");
		print_text(&out);
		return;
	}
	text_append_string(&out, "{\"members\":[");
	for (int i = 0; i < 3; i++) {
		long whole;
		if (i)
			text_append_string(&out, ",");
		if (json_string(&members[i], decoded, sizeof(decoded)))
			text_append_json_string(&out, decoded);
		else if (json_whole_number(&members[i], &whole))
			text_append(&out, members[i].start, members[i].length);
		else
			text_append(&out, number,
				    (size_t)snprintf(number, sizeof(number), "[%d]", (int)members[i].type));
	}
	text_append_string(&out, "]}");
	print_text(&out);
}

static void probe_http(char *bytes, size_t length)
{
	static const char *const names[] = {"incomplete", "complete", "malformed"};
	struct http_response response;
	enum http_state state = http_parse(bytes + 1, length - 1, bytes[0] != 0, &response);
	printf("{\"state\":\"%s\",\"status\":%d,\"body\":\"", names[state], response.status);
	for (size_t i = 0; state == HTTP_COMPLETE && i < response.body_length; i++)
		printf("%02x", (unsigned char)response.body[i]);
	printf("\"}\n");
}

int main(int count, char **arguments)
{
	uint8_t header[4];
	bool http = count == 2 && !strcmp(arguments[1], "http");
	while (fread(header, 1, 4, stdin) == 4) {
		size_t length = header[0] | header[1] << 8 | header[2] << 16 | (size_t)header[3] << 24;
		char *bytes = length <= FRAME_BYTES_MAX ? malloc(length) : NULL;
		if (!bytes || fread(bytes, 1, length, stdin) != length)
			return 1;
		if (http)
			probe_http(bytes, length);
		else
			probe_json(bytes, length);
		free(bytes);
	}
	return 0;
}
