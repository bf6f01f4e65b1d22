/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "bpf.h"

#define WEIR_KCONFIG_MAX 65536

/* An object file in memory; `bytes` is malloc'd and its owner frees it. */
struct weir_object_source {
	uint8_t *bytes;
	size_t length;
	char name[64];
	char kconfig[WEIR_KCONFIG_MAX]; /* lines CONFIG_X=y that override the kernel's; "" for none */
};

/* args: bytes, name, kconfig. False with a pending exception. */
bool weir_arg_object_source(napi_env env, napi_value *args, struct weir_object_source *source);
struct bpf_object *weir_object_open(const struct weir_object_source *source, struct weir_error *error);
/* What libbpf calls "<object>.rodata" is ".rodata" to everybody else. */
const char *weir_object_map_name(const struct bpf_map *map);
