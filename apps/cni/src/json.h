// SPDX-License-Identifier: Apache-2.0
// Checks that bytes are one JSON object (RFC 8259, strict), and finds some of its members. Nothing is copied.
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum json_type { JSON_ABSENT, JSON_NULL, JSON_BOOLEAN, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

// A member of the outermost object. Of several with the same name the last one counts, as in every common parser.
struct json_member {
	const char *name;
	enum json_type type;
	const char *start; // Into the scanned bytes, for strings with the quotes.
	size_t length;
};

struct json_problem {
	size_t line;   // From 1.
	size_t column; // From 1, in bytes.
	const char *expected;
};

#define JSON_DEPTH_MAX 200

// Fills in type, start and length of the members whose names are given. False: not a JSON object, see problem.
bool json_scan_object(const char *bytes, size_t length, struct json_member *members, size_t member_count,
		      struct json_problem *problem);

// Decodes a string member into out, terminated. False: not a string, or it does not fit, or it contains U+0000.
bool json_string(const struct json_member *member, char *out, size_t size);

// Reads a number member that is a whole number of at most nine digits. False: anything else.
bool json_whole_number(const struct json_member *member, long *out);
