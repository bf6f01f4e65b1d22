// SPDX-License-Identifier: Apache-2.0
#include "invocation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define NETNS_BYTES_MAX		 4095
#define LIST_BYTES_MAX		 65536 // CNI_ARGS and CNI_PATH
#define INTERFACE_NAME_BYTES_MAX 15

static const char *const versions[] = {"0.3.1", "0.4.0", "1.0.0", "1.1.0"};
const char supported_versions[] = "\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"";
static const int version_count = sizeof(versions) / sizeof(versions[0]);

// What the specification says about each command; since: index of the first version that has it.
static const struct {
	const char *name;
	enum command command;
	int since;
	bool names_container;
	bool needs_netns;
} commands[] = {
    {"ADD", COMMAND_ADD, 0, true, true},     {"DEL", COMMAND_DEL, 0, true, false},
    {"CHECK", COMMAND_CHECK, 1, true, true}, {"STATUS", COMMAND_STATUS, 3, false, false},
    {"GC", COMMAND_GC, 3, false, false},     {"VERSION", COMMAND_VERSION, 0, false, false},
};

static int command_index(const struct invocation *invocation)
{
	int i = 0;
	while (commands[i].command != invocation->command)
		i++;
	return i;
}

static const char *variable(const char *name)
{
	const char *value = getenv(name);
	return value ? value : "";
}

static bool is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// A letter or digit, then letters, digits, '_', '.' and '-': what the specification allows in names that it defines.
static bool is_plain_name(const char *name)
{
	for (size_t i = 0; name[i]; i++)
		if (!is_alphanumeric(name[i]) && (i == 0 || !strchr("_.-", name[i])))
			return false;
	return name[0] != '\0';
}

static bool is_interface_name(const char *name)
{
	size_t length = strlen(name);
	if (length == 0 || length > INTERFACE_NAME_BYTES_MAX || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	for (size_t i = 0; i < length; i++)
		if (strchr("/: \t\n\v\f\r", name[i]))
			return false;
	return utf8_is_valid(name);
}

static bool is_netns_path(const char *path)
{
	return path[0] == '/' && strlen(path) <= NETNS_BYTES_MAX && utf8_is_valid(path);
}

// KEY=VALUE pairs joined by ';'.
static bool is_argument_list(const char *list)
{
	if (strlen(list) > LIST_BYTES_MAX || !utf8_is_valid(list))
		return false;
	while (*list) {
		size_t pair = strcspn(list, ";"), key = strcspn(list, "=;");
		if (key == 0 || list[key] != '=')
			return false;
		list += pair;
		if (*list == ';' && *++list == '\0')
			return false;
	}
	return true;
}

static bool read_timeout(const char *name, long *timeout_ms, struct cni_error *error)
{
	const char *value = getenv(name);
	if (!value)
		return true;
	const struct json_member number = {.type = JSON_NUMBER, .start = value, .length = strlen(value)};
	if (number.length == 0 || !json_whole_number(&number, timeout_ms) || *timeout_ms < 1 ||
	    *timeout_ms > TIMEOUT_MS_MAX)
		return cni_fail(error, CNI_INVALID_ENVIRONMENT,
				"Invalid environment variable %s \"%.100s\": expected milliseconds from 1 to %d", name,
				value, TIMEOUT_MS_MAX);
	return true;
}

bool read_command(struct invocation *invocation, struct cni_error *error)
{
	invocation->timeout_ms = DEFAULT_TIMEOUT_MS;
	invocation->connect_timeout_ms = DEFAULT_CONNECT_TIMEOUT_MS;
	strcpy(invocation->socket_path, DEFAULT_SOCKET_PATH);
	strcpy(invocation->cni_version, versions[version_count - 1]);
	invocation->command_name = variable("CNI_COMMAND");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, invocation->command_name))
			invocation->command = commands[i].command;
	if (!invocation->command)
		return cni_fail(error, CNI_INVALID_ENVIRONMENT,
				"Invalid environment variable CNI_COMMAND \"%.100s\": expected one of ADD, DEL, CHECK, "
				"STATUS, GC, VERSION",
				invocation->command_name);
	return read_timeout("WEIR_CNI_TIMEOUT_MS", &invocation->timeout_ms, error) &&
	       read_timeout("WEIR_CNI_CONNECT_TIMEOUT_MS", &invocation->connect_timeout_ms, error);
}

// Adds one variable to the message that names all the wrong ones.
static void note_invalid(struct text *message, const char *name, const char *value, const char *expected)
{
	char part[400];
	snprintf(part, sizeof(part), "%s%s \"%.100s\": expected %s", message->length ? "; " : "", name, value,
		 expected);
	text_append_string(message, part);
}

bool read_environment(struct invocation *invocation, struct cni_error *error)
{
	char storage[sizeof(error->message)];
	struct text message = {.bytes = storage, .capacity = sizeof(storage), .limit = sizeof(storage)};
	int index = command_index(invocation);
	invocation->container_id = variable("CNI_CONTAINERID");
	invocation->netns = variable("CNI_NETNS");
	invocation->interface_name = variable("CNI_IFNAME");
	invocation->arguments = variable("CNI_ARGS");
	invocation->path = variable("CNI_PATH");
	if (commands[index].names_container || *invocation->container_id)
		if (!is_plain_name(invocation->container_id) ||
		    strlen(invocation->container_id) > CONTAINER_ID_BYTES_MAX)
			note_invalid(&message, "CNI_CONTAINERID", invocation->container_id,
				     "a letter or digit, then letters, digits, '_', '.', '-', at most 200 in all");
	if (commands[index].names_container || *invocation->interface_name)
		if (!is_interface_name(invocation->interface_name))
			note_invalid(&message, "CNI_IFNAME", invocation->interface_name,
				     "an interface name of at most 15 bytes without '/', ':' and white space");
	if (commands[index].needs_netns || *invocation->netns)
		if (!is_netns_path(invocation->netns))
			note_invalid(&message, "CNI_NETNS", invocation->netns,
				     "the absolute path of a network namespace");
	if (!is_argument_list(invocation->arguments))
		note_invalid(&message, "CNI_ARGS", invocation->arguments, "KEY=VALUE pairs joined by ';', in UTF-8");
	if (strlen(invocation->path) > LIST_BYTES_MAX || !utf8_is_valid(invocation->path))
		note_invalid(&message, "CNI_PATH", invocation->path, "at most 65536 bytes of UTF-8");
	if (message.length)
		return cni_fail(error, CNI_INVALID_ENVIRONMENT, "Invalid environment variable %.*s",
				(int)message.length, message.bytes);
	return true;
}

static bool check_version(struct invocation *invocation, const struct json_member *member, struct cni_error *error)
{
	char version[sizeof(invocation->cni_version)];
	int index = command_index(invocation);
	if (member->type == JSON_ABSENT)
		return cni_fail(error, CNI_INCOMPATIBLE_VERSION,
				"Incompatible CNI version: cniVersion is missing, which means \"0.1.0\"; expected one "
				"of %s",
				supported_versions);
	if (!json_string(member, version, sizeof(version)))
		return cni_fail(error, CNI_INVALID_CONFIG, "Invalid cniVersion %.*s: expected one of %s",
				(int)(member->length < 64 ? member->length : 64), member->start, supported_versions);
	for (int i = 0; i < version_count; i++) {
		if (strcmp(versions[i], version) != 0)
			continue;
		if (i < commands[index].since)
			return cni_fail(error, CNI_INCOMPATIBLE_VERSION,
					"Incompatible CNI version: %s with cniVersion \"%s\"; expected \"%s\" or newer",
					invocation->command_name, version, versions[commands[index].since]);
		return true;
	}
	return cni_fail(error, CNI_INCOMPATIBLE_VERSION,
			"Incompatible CNI version: cniVersion is \"%s\"; expected one of %s", version,
			supported_versions);
}

void adopt_version(struct invocation *invocation)
{
	struct json_member member = {.name = "cniVersion"};
	struct json_problem problem;
	char version[sizeof(invocation->cni_version)];
	if (json_scan_object(invocation->config.bytes, invocation->config.length, &member, 1, &problem) &&
	    json_string(&member, version, sizeof(version)))
		for (int i = 0; i < version_count; i++)
			if (!strcmp(versions[i], version))
				strcpy(invocation->cni_version, version);
}

static bool config_timeout(const struct json_member *member, const char *variable_name, long *timeout_ms,
			   struct cni_error *error)
{
	long number = 0;
	if (member->type == JSON_ABSENT)
		return true;
	if (!json_whole_number(member, &number) || number < 1 || number > TIMEOUT_MS_MAX)
		return cni_fail(error, CNI_INVALID_CONFIG,
				"Invalid %s %.*s: expected milliseconds from 1 to %d, a whole number", member->name,
				(int)(member->length < 64 ? member->length : 64), member->start, TIMEOUT_MS_MAX);
	if (!getenv(variable_name))
		*timeout_ms = number;
	return true;
}

bool read_config(struct invocation *invocation, struct cni_error *error)
{
	enum { VERSION, NAME, SOCKET, TIMEOUT, CONNECT_TIMEOUT, COUNT };
	struct json_member members[COUNT] = {
	    [VERSION] = {.name = "cniVersion"},
	    [NAME] = {.name = "name"},
	    [SOCKET] = {.name = "socket"},
	    [TIMEOUT] = {.name = "timeoutMs"},
	    [CONNECT_TIMEOUT] = {.name = "connectTimeoutMs"},
	};
	struct json_problem problem;
	if (!json_scan_object(invocation->config.bytes, invocation->config.length, members, COUNT, &problem))
		return cni_fail(error, CNI_DECODING_FAILURE,
				"Cannot read the network configuration: line %zu, column %zu: expected %s",
				problem.line, problem.column, problem.expected);
	if (!check_version(invocation, &members[VERSION], error))
		return false;

	char name[256];
	if (!json_string(&members[NAME], name, sizeof(name)) || !is_plain_name(name))
		return cni_fail(error, CNI_INVALID_CONFIG,
				"Invalid name %.*s in the network configuration: expected a string: a letter or digit, "
				"then letters, digits, '_', '.', '-', at most 255 in all",
				(int)(members[NAME].length < 300 ? members[NAME].length : 300),
				members[NAME].type ? members[NAME].start : "");
	const struct json_member *path = &members[SOCKET];
	if (path->type && (!json_string(path, invocation->socket_path, sizeof(invocation->socket_path)) ||
			   invocation->socket_path[0] != '/'))
		return cni_fail(
		    error, CNI_INVALID_CONFIG,
		    "Invalid socket %.*s in the network configuration: expected an absolute path of at most "
		    "%d bytes",
		    (int)(path->length < 300 ? path->length : 300), path->start, SOCKET_PATH_BYTES_MAX);
	return config_timeout(&members[TIMEOUT], "WEIR_CNI_TIMEOUT_MS", &invocation->timeout_ms, error) &&
	       config_timeout(&members[CONNECT_TIMEOUT], "WEIR_CNI_CONNECT_TIMEOUT_MS", &invocation->connect_timeout_ms,
			      error);
}
