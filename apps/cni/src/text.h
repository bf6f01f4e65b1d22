// SPDX-License-Identifier: Apache-2.0
// Bytes that grow up to a limit. A failed append is remembered, so that a caller may append many pieces and look once.
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct text {
	char *bytes;
	size_t length;
	size_t capacity;
	size_t limit;
	bool failed; // The limit was reached or there was no memory; the content is not to be used.
};

// Whoever made it frees `bytes`.
struct text text_with_limit(size_t limit);

// Makes room for at least `more` further bytes behind the content, and gives their place; NULL when that failed.
char *text_reserve(struct text *text, size_t more);

void text_append(struct text *text, const char *bytes, size_t length);
void text_append_string(struct text *text, const char *string);

// Appends a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD, so that the outcome always is.
void text_append_json_string(struct text *text, const char *string);

// The length in bytes of the UTF-8 sequence at `bytes`, 1 to 4; 0 when there is none.
size_t utf8_sequence_length(const char *bytes, size_t length);

// Writes a code point (at most U+10FFFF, no surrogate) as UTF-8; gives its length in bytes.
size_t utf8_encode(unsigned code, char out[4]);

bool utf8_is_valid(const char *string);
