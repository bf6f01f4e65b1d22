// SPDX-License-Identifier: Apache-2.0
#include "http_response.h"

#include <string.h>
#include <strings.h>

#define LENGTH_MAX (1UL << 30) // Far beyond what the caller accepts, and far from overflowing.

struct head {
	size_t length; // With the empty line.
	int status;
	bool chunked;
	bool has_content_length;
	size_t content_length;
};

static enum http_state malformed(struct http_response *response, const char *problem)
{
	response->problem = problem;
	return HTTP_MALFORMED;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool parse_length(const char *text, size_t length, size_t *out)
{
	size_t number = 0;
	if (length == 0)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (!is_digit(text[i]) || number > LENGTH_MAX)
			return false;
		number = number * 10 + (size_t)(text[i] - '0');
	}
	*out = number;
	return number <= LENGTH_MAX;
}

static bool same_name(const char *text, size_t length, const char *name)
{
	return length == strlen(name) && !strncasecmp(text, name, length);
}

static const char *parse_field(const char *line, size_t length, struct head *head)
{
	const char *colon = memchr(line, ':', length);
	if (!colon || colon == line)
		return "a header line without a name";
	const char *value = colon + 1, *end = line + length;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	size_t name_length = (size_t)(colon - line), value_length = (size_t)(end - value);
	if (same_name(line, name_length, "content-length")) {
		size_t content_length;
		if (!parse_length(value, value_length, &content_length))
			return "a Content-Length that is not a number";
		if (head->has_content_length && head->content_length != content_length)
			return "two different Content-Lengths";
		head->has_content_length = true;
		head->content_length = content_length;
	} else if (same_name(line, name_length, "transfer-encoding")) {
		if (head->chunked || !same_name(value, value_length, "chunked"))
			return "a Transfer-Encoding other than chunked";
		head->chunked = true;
	}
	return NULL;
}

// The first line end within length bytes, or NULL.
static const char *find_line_end(const char *bytes, size_t length)
{
	return memmem(bytes, length, "\r\n", 2);
}

static enum http_state parse_head(const char *bytes, size_t length, struct head *head, struct http_response *response)
{
	size_t searched = length < HTTP_HEAD_BYTES_MAX ? length : HTTP_HEAD_BYTES_MAX;
	const char *end = memmem(bytes, searched, "\r\n\r\n", 4);
	if (!end && searched == HTTP_HEAD_BYTES_MAX)
		return malformed(response, "a head of more than 16384 bytes");
	if (!end && length >= 7 && memcmp(bytes, "HTTP/1.", 7) != 0)
		return malformed(response, "something other than HTTP/1.1");
	if (!end)
		return HTTP_INCOMPLETE;

	*head = (struct head){.length = (size_t)(end - bytes) + 4};
	size_t line_length = (size_t)(find_line_end(bytes, head->length) - bytes);
	if (line_length < 12 || memcmp(bytes, "HTTP/1.", 7) != 0 || !is_digit(bytes[7]) || bytes[8] != ' ' ||
	    !is_digit(bytes[9]) || !is_digit(bytes[10]) || !is_digit(bytes[11]) ||
	    (line_length > 12 && bytes[12] != ' '))
		return malformed(response, "something other than HTTP/1.1");
	head->status = (bytes[9] - '0') * 100 + (bytes[10] - '0') * 10 + (bytes[11] - '0');

	for (const char *line = bytes + line_length + 2; line < end;) {
		const char *line_end = find_line_end(line, (size_t)(end + 2 - line));
		const char *problem = parse_field(line, (size_t)(line_end - line), head);
		if (problem)
			return malformed(response, problem);
		line = line_end + 2;
	}
	if (head->chunked && head->has_content_length)
		return malformed(response, "both Content-Length and Transfer-Encoding");
	return HTTP_COMPLETE;
}

// Parses the size line of a chunk; sets where its data begins.
static enum http_state parse_chunk_size(char *bytes, size_t length, size_t *size, size_t *data_at)
{
	const char *end = find_line_end(bytes, length);
	if (!end)
		return length > 1024 ? HTTP_MALFORMED : HTTP_INCOMPLETE;
	size_t number = 0, i = 0;
	for (; bytes + i < end; i++) {
		char c = bytes[i] | 0x20;
		int digit = is_digit(bytes[i]) ? bytes[i] - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
		if (digit < 0)
			break;
		number = number << 4 | (size_t)digit;
		if (number > LENGTH_MAX)
			return HTTP_MALFORMED;
	}
	if (i == 0 || (bytes + i < end && !memchr("; \t", bytes[i], 3)))
		return HTTP_MALFORMED;
	*size = number;
	*data_at = (size_t)(end - bytes) + 2;
	return HTTP_COMPLETE;
}

// Walks the chunks, first only to see that they are all there, then with join to move their data together.
static enum http_state walk_chunks(char *bytes, size_t length, bool join, struct http_response *response)
{
	size_t at = 0, joined = 0;
	for (;;) {
		size_t size, data_at;
		enum http_state state = parse_chunk_size(bytes + at, length - at, &size, &data_at);
		if (state == HTTP_MALFORMED)
			return malformed(response, "a chunk without a proper size");
		if (state == HTTP_INCOMPLETE)
			return state;
		at += data_at;
		if (size == 0)
			break;
		if (length - at < size + 2)
			return HTTP_INCOMPLETE;
		if (memcmp(bytes + at + size, "\r\n", 2) != 0)
			return malformed(response, "a chunk without an end");
		if (join)
			memmove(bytes + joined, bytes + at, size);
		joined += size;
		at += size + 2;
	}
	// Trailer fields mean nothing to us; they end with an empty line.
	for (;;) {
		const char *end = find_line_end(bytes + at, length - at);
		if (!end)
			return length - at > HTTP_HEAD_BYTES_MAX ? malformed(response, "endless trailers")
								 : HTTP_INCOMPLETE;
		if (end == bytes + at)
			break;
		at = (size_t)(end - bytes) + 2;
	}
	response->body = bytes;
	response->body_length = joined;
	return HTTP_COMPLETE;
}

enum http_state http_parse(char *bytes, size_t length, bool ended, struct http_response *response)
{
	struct head head = {0};
	*response = (struct http_response){0};
	for (;;) {
		enum http_state state = parse_head(bytes, length, &head, response);
		if (state != HTTP_COMPLETE)
			return state;
		bytes += head.length;
		length -= head.length;
		if (head.status < 100 || head.status == 101)
			return malformed(response, "a status that means nothing here");
		if (head.status >= 200)
			break;
	}
	response->status = head.status;
	response->body = bytes;
	if (head.status == 204 || head.status == 304)
		return HTTP_COMPLETE;
	if (head.chunked) {
		enum http_state state = walk_chunks(bytes, length, false, response);
		return state == HTTP_COMPLETE ? walk_chunks(bytes, length, true, response) : state;
	}
	response->body_length = head.has_content_length ? head.content_length : length;
	if (head.has_content_length)
		return length >= head.content_length ? HTTP_COMPLETE : HTTP_INCOMPLETE;
	return ended ? HTTP_COMPLETE : HTTP_INCOMPLETE;
}
