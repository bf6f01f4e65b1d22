// SPDX-License-Identifier: Apache-2.0
#include "json.h"

#include <string.h>

#include "text.h"

struct scanner {
	const char *at;
	const char *end;
	const char *expected; // Set at the first problem; `at` stays there.
	int depth;
};

static enum json_type scan_value(struct scanner *s);

static bool fail(struct scanner *s, const char *expected)
{
	if (!s->expected)
		s->expected = expected;
	return false;
}

// The next byte, or -1 at the end; never a byte that was not given to us.
static int peek(const struct scanner *s)
{
	return s->at < s->end ? (unsigned char)*s->at : -1;
}

static bool take(struct scanner *s, char wanted)
{
	if (peek(s) != wanted)
		return false;
	s->at++;
	return true;
}

static void skip_space(struct scanner *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
		s->at++;
}

static int hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool scan_escape(struct scanner *s)
{
	int c = peek(s);
	if (c < 0 || !memchr("\"\\/bfnrtu", c, 9))
		return fail(s, "one of the escapes \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX");
	s->at++;
	for (int i = 0; c == 'u' && i < 4; i++) {
		if (hex_digit(peek(s)) < 0)
			return fail(s, "four hexadecimal digits");
		s->at++;
	}
	return true;
}

static bool scan_string(struct scanner *s)
{
	if (!take(s, '"'))
		return fail(s, "a string");
	for (;;) {
		int c = peek(s);
		if (c < 0)
			return fail(s, "the end of the string");
		if (c < 0x20)
			return fail(s, "control characters written as escapes");
		if (take(s, '"'))
			return true;
		if (take(s, '\\')) {
			if (!scan_escape(s))
				return false;
			continue;
		}
		size_t length = utf8_sequence_length(s->at, (size_t)(s->end - s->at));
		if (!length)
			return fail(s, "UTF-8");
		s->at += length;
	}
}

static bool scan_digits(struct scanner *s)
{
	if (peek(s) < '0' || peek(s) > '9')
		return fail(s, "a digit");
	while (peek(s) >= '0' && peek(s) <= '9')
		s->at++;
	return true;
}

static bool scan_number(struct scanner *s)
{
	take(s, '-');
	if (!take(s, '0') && !scan_digits(s))
		return false;
	if (take(s, '.') && !scan_digits(s))
		return false;
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '+'))
			take(s, '-');
		return scan_digits(s);
	}
	return true;
}

static bool scan_word(struct scanner *s, const char *word)
{
	size_t length = strlen(word);
	if ((size_t)(s->end - s->at) < length || memcmp(s->at, word, length) != 0)
		return fail(s, "a JSON value");
	s->at += length;
	return true;
}

static bool scan_array(struct scanner *s)
{
	s->at++;
	skip_space(s);
	if (take(s, ']'))
		return true;
	for (;;) {
		if (!scan_value(s))
			return false;
		skip_space(s);
		if (take(s, ']'))
			return true;
		if (!take(s, ','))
			return fail(s, "',' or ']'");
	}
}

static unsigned four_hex_digits(const char *digits)
{
	unsigned number = 0;
	for (int i = 0; i < 4; i++)
		number = number << 4 | (unsigned)hex_digit((unsigned char)digits[i]);
	return number;
}

// Decodes the next character of a string whose form was checked before, as UTF-8 into out; gives its length in bytes.
static size_t decode_character(const char **at, char out[4])
{
	const char *p = *at;
	if (*p != '\\') {
		size_t length = utf8_sequence_length(p, 4);
		memcpy(out, p, length);
		*at = p + length;
		return length;
	}
	static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
	const char *found = strchr(names, p[1]);
	*at = p + 2;
	if (p[1] != 'u') {
		out[0] = found ? values[found - names] : p[1];
		return 1;
	}
	unsigned code = four_hex_digits(p + 2);
	*at = p + 6;
	if (code >= 0xd800 && code <= 0xdbff && p[6] == '\\' && p[7] == 'u') {
		unsigned low = four_hex_digits(p + 8);
		if (low >= 0xdc00 && low <= 0xdfff) {
			code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
			*at = p + 12;
		}
	}
	if (code >= 0xd800 && code <= 0xdfff)
		code = 0xfffd;
	return utf8_encode(code, out);
}

// Whether the string at `start` (checked, with its quotes) means `wanted`, whichever way it is escaped.
static bool string_means(const char *start, const char *wanted)
{
	size_t left = strlen(wanted);
	const char *at = start + 1;
	while (*at != '"') {
		char character[4];
		size_t length = decode_character(&at, character);
		if (length > left || memcmp(character, wanted, length) != 0)
			return false;
		wanted += length;
		left -= length;
	}
	return left == 0;
}

static bool scan_object(struct scanner *s, struct json_member *members, size_t member_count)
{
	s->at++;
	skip_space(s);
	if (take(s, '}'))
		return true;
	for (;;) {
		skip_space(s);
		const char *key = s->at;
		if (!scan_string(s))
			return false;
		skip_space(s);
		if (!take(s, ':'))
			return fail(s, "':'");
		skip_space(s);
		const char *start = s->at;
		enum json_type type = scan_value(s);
		if (!type)
			return false;
		for (size_t i = 0; i < member_count; i++) {
			if (string_means(key, members[i].name)) {
				members[i].type = type;
				members[i].start = start;
				members[i].length = (size_t)(s->at - start);
			}
		}
		skip_space(s);
		if (take(s, '}'))
			return true;
		if (!take(s, ','))
			return fail(s, "',' or '}'");
	}
}

static enum json_type scan_nested(struct scanner *s, enum json_type type)
{
	if (s->depth == JSON_DEPTH_MAX) {
		fail(s, "at most 200 levels of nesting");
		return JSON_ABSENT;
	}
	s->depth++;
	bool valid = type == JSON_OBJECT ? scan_object(s, NULL, 0) : scan_array(s);
	s->depth--;
	return valid ? type : JSON_ABSENT;
}

// JSON_ABSENT: not a value, and the problem is noted.
static enum json_type scan_value(struct scanner *s)
{
	skip_space(s);
	switch (peek(s)) {
	case '{':
		return scan_nested(s, JSON_OBJECT);
	case '[':
		return scan_nested(s, JSON_ARRAY);
	case '"':
		return scan_string(s) ? JSON_STRING : JSON_ABSENT;
	case 't':
		return scan_word(s, "true") ? JSON_BOOLEAN : JSON_ABSENT;
	case 'f':
		return scan_word(s, "false") ? JSON_BOOLEAN : JSON_ABSENT;
	case 'n':
		return scan_word(s, "null") ? JSON_NULL : JSON_ABSENT;
	case '-':
	case '0' ... '9':
		return scan_number(s) ? JSON_NUMBER : JSON_ABSENT;
	default:
		fail(s, "a JSON value");
		return JSON_ABSENT;
	}
}

bool json_scan_object(const char *bytes, size_t length, struct json_member *members, size_t member_count,
		      struct json_problem *problem)
{
	for (size_t i = 0; i < member_count; i++)
		members[i].type = JSON_ABSENT;
	struct scanner s = {.at = bytes, .end = bytes + length, .depth = 1};
	skip_space(&s);
	if (peek(&s) != '{') {
		fail(&s, "a JSON object");
	} else if (scan_object(&s, members, member_count)) {
		skip_space(&s);
		if (s.at == s.end)
			return true;
		fail(&s, "nothing after the object");
	}
	problem->expected = s.expected;
	problem->line = problem->column = 1;
	for (const char *p = bytes; p < s.at; p++) {
		problem->column++;
		if (*p == '\n') {
			problem->line++;
			problem->column = 1;
		}
	}
	return false;
}

bool json_string(const struct json_member *member, char *out, size_t size)
{
	if (member->type != JSON_STRING)
		return false;
	const char *at = member->start + 1;
	size_t used = 0;
	while (*at != '"') {
		char character[4];
		size_t length = decode_character(&at, character);
		if (character[0] == '\0' || length >= size - used)
			return false;
		memcpy(out + used, character, length);
		used += length;
	}
	out[used] = '\0';
	return true;
}

bool json_whole_number(const struct json_member *member, long *out)
{
	if (member->type != JSON_NUMBER || member->length > 9)
		return false;
	long number = 0;
	for (size_t i = 0; i < member->length; i++) {
		if (member->start[i] < '0' || member->start[i] > '9')
			return false;
		number = number * 10 + (member->start[i] - '0');
	}
	*out = number;
	return true;
}
