/* SPDX-License-Identifier: Apache-2.0 */
/* The BPF half: what its files share. */
#pragma once

#include <errno.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "addon.h"

#define WEIR_PATH_MAX	4096
#define WEIR_NAME_MAX	256 /* of symbols and sections in an object file */
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Programs and links; a map starts alike. */
struct weir_bpf_object {
	struct weir_object object;
	int fd;
};

struct weir_map {
	struct weir_object object;
	int fd;
	uint32_t type;
	uint32_t id;
	uint32_t key_size;
	uint32_t value_size;   /* as declared */
	uint32_t value_stride; /* as user space sees it: per-CPU maps have one 8-byte aligned value per possible CPU */
	uint32_t max_entries;
	uint32_t flags;
	bool batch_missing; /* the kernel has no batch operations for this type; learnt at the first try */
	char name[BPF_OBJ_NAME_LEN];
};

/* Takes ownership of `fd`, also on failure. NULL with `error` filled on failure. */
struct weir_map *weir_map_from_fd(int fd, struct weir_error *error);
struct weir_bpf_object *weir_bpf_object_from_fd(int fd, enum weir_kind kind, struct weir_error *error);

static inline struct weir_map *weir_map_get(napi_env env, napi_value handle)
{
	return (struct weir_map *)weir_handle_get(env, handle, WEIR_KIND_MAP);
}

static inline struct weir_bpf_object *weir_program_get(napi_env env, napi_value handle)
{
	return (struct weir_bpf_object *)weir_handle_get(env, handle, WEIR_KIND_PROGRAM);
}

static inline struct weir_bpf_object *weir_link_get(napi_env env, napi_value handle)
{
	return (struct weir_bpf_object *)weir_handle_get(env, handle, WEIR_KIND_LINK);
}

/* Whether an update was refused only because its flags demand (no) presence: an answer, not an error. */
static inline bool weir_update_unmet(uint32_t flags, int err)
{
	uint32_t mode = flags & (BPF_NOEXIST | BPF_EXIST);
	return (mode == BPF_NOEXIST && err == EEXIST) || (mode == BPF_EXIST && err == ENOENT);
}

/* (handle, path) for any object with a descriptor. */
napi_value weir_pin(napi_env env, napi_callback_info info, enum weir_kind kind);
/* (path) → handle; an object of another kind at the path is an error that says which. */
int weir_open_pin(const char *path, enum weir_kind kind, struct weir_error *error);

/* What libbpf says while this thread is between begin and end goes here. */
struct weir_log {
	char *text; /* malloc'd, NULL while empty */
	size_t length;
	size_t capacity;
};
void weir_log_begin(struct weir_log *log);
void weir_log_end(void);

bool weir_init_map(napi_env env, napi_value exports);
bool weir_init_map_element(napi_env env, napi_value exports);
bool weir_init_map_batch(napi_env env, napi_value exports);
bool weir_init_map_scan(napi_env env, napi_value exports);
bool weir_init_object(napi_env env, napi_value exports);
bool weir_init_load(napi_env env, napi_value exports);
bool weir_init_program(napi_env env, napi_value exports);
bool weir_init_link(napi_env env, napi_value exports);
bool weir_init_tc(napi_env env, napi_value exports);
bool weir_init_probe(napi_env env, napi_value exports);
bool weir_init_ring(napi_env env, napi_value exports);
