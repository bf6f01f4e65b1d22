// SPDX-License-Identifier: Apache-2.0
// What a runtime asks for: the environment variables and the network configuration of one call, checked.
#pragma once
#include <stdbool.h>

#include "cni_error.h"
#include "text.h"

#define CONFIG_BYTES_MAX       (1024 * 1024)
#define CONTAINER_ID_BYTES_MAX 200 // With the interface name and a suffix it must fit into one file name.
#define SOCKET_PATH_BYTES_MAX  107 // sizeof(sun_path) without the final zero.

#define DEFAULT_SOCKET_PATH	   "/run/weir/cni.sock"
#define DEFAULT_TIMEOUT_MS	   60000
#define DEFAULT_CONNECT_TIMEOUT_MS 5000
#define TIMEOUT_MS_MAX		   3600000

enum command { COMMAND_NONE, COMMAND_ADD, COMMAND_DEL, COMMAND_CHECK, COMMAND_STATUS, COMMAND_GC, COMMAND_VERSION };

// Strings are empty when the runtime did not give them.
struct invocation {
	enum command command;
	const char *command_name;
	const char *container_id;
	const char *netns;
	const char *interface_name;
	const char *arguments;
	const char *path;
	struct text config;   // The network configuration, as it came.
	char cni_version[32]; // For all that we print: the configuration's if we support it, else our newest.
	char socket_path[SOCKET_PATH_BYTES_MAX + 1];
	long timeout_ms; // For the whole call.
	long connect_timeout_ms;
};

// The versions of the specification that we speak, as members of a JSON array.
extern const char supported_versions[];

// Reads and checks CNI_COMMAND and the time limits of the environment.
bool read_command(struct invocation *invocation, struct cni_error *error);

// Takes the version for our answers from the configuration, if it has one that we support. Never fails.
void adopt_version(struct invocation *invocation);

// Checks the variables that the command needs, and those that it may have. All wrong ones are named in one message.
bool read_environment(struct invocation *invocation, struct cni_error *error);

// Takes what we need out of invocation->config, and checks that the command exists in the configuration's version.
bool read_config(struct invocation *invocation, struct cni_error *error);
