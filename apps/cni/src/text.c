// SPDX-License-Identifier: Apache-2.0
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 4096

struct text text_with_limit(size_t limit)
{
	return (struct text){.limit = limit};
}

char *text_reserve(struct text *text, size_t more)
{
	if (text->failed)
		return NULL;
	if (more > text->limit - text->length) {
		text->failed = true;
		return NULL;
	}
	if (more > text->capacity - text->length) {
		size_t capacity = text->capacity ? text->capacity * 2 : FIRST_CAPACITY;
		if (capacity < text->length + more)
			capacity = text->length + more;
		if (capacity > text->limit)
			capacity = text->limit;
		char *bytes = realloc(text->bytes, capacity);
		if (!bytes) {
			text->failed = true;
			return NULL;
		}
		text->bytes = bytes;
		text->capacity = capacity;
	}
	return text->bytes + text->length;
}

void text_append(struct text *text, const char *bytes, size_t length)
{
	if (!length)
		return;
	char *place = text_reserve(text, length);
	if (!place)
		return;
	memcpy(place, bytes, length);
	text->length += length;
}

void text_append_string(struct text *text, const char *string)
{
	text_append(text, string, strlen(string));
}

void text_append_json_string(struct text *text, const char *string)
{
	static const char digits[] = "0123456789abcdef";
	size_t left = strlen(string);
	text_append(text, "\"", 1);
	while (left) {
		unsigned char c = (unsigned char)*string;
		size_t length = utf8_sequence_length(string, left);
		if (length == 0) {
			text_append_string(text, "\xef\xbf\xbd");
			length = 1;
		} else if (c == '"' || c == '\\') {
			text_append(text, (char[]){'\\', (char)c}, 2);
		} else if (c < 0x20 || c == 0x7f) {
			text_append(text, (char[]){'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]}, 6);
		} else {
			text_append(text, string, length);
		}
		string += length;
		left -= length;
	}
	text_append(text, "\"", 1);
}

size_t utf8_sequence_length(const char *string, size_t length)
{
	const unsigned char *bytes = (const unsigned char *)string;
	if (length == 0)
		return 0;
	unsigned char first = bytes[0];
	if (first < 0x80)
		return 1;
	// The second byte's range excludes overlong forms, surrogates and what is beyond U+10FFFF (RFC 3629, section
	// 4).
	unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
	unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
	size_t need = first >= 0xc2 && first <= 0xdf   ? 2
		      : first >= 0xe0 && first <= 0xef ? 3
		      : first >= 0xf0 && first <= 0xf4 ? 4
						       : 0;
	if (need == 0 || need > length || bytes[1] < low || bytes[1] > high)
		return 0;
	for (size_t i = 2; i < need; i++)
		if (bytes[i] < 0x80 || bytes[i] > 0xbf)
			return 0;
	return need;
}

size_t utf8_encode(unsigned code, char out[4])
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	for (size_t i = length - 1; i > 0; i--) {
		out[i] = (char)(0x80 | (code & 0x3f));
		code >>= 6;
	}
	out[0] = (char)((length == 2 ? 0xc0 : length == 3 ? 0xe0 : 0xf0) | code);
	return length;
}

bool utf8_is_valid(const char *string)
{
	size_t left = strlen(string);
	while (left) {
		size_t length = utf8_sequence_length(string, left);
		if (!length)
			return false;
		string += length;
		left -= length;
	}
	return true;
}
