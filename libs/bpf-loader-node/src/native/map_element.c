// SPDX-License-Identifier: Apache-2.0
/* One element a call. This is the path of single look-ups: no allocation, one system call. */
#include <errno.h>
#include "bpf.h"

static bool arg_key(napi_env env, napi_value value, const struct weir_map *map, struct weir_bytes *key)
{
	if (!weir_arg_optional_bytes(env, value, "key", key))
		return false;
	if (key->length == map->key_size)
		return true;
	weir_throw_argument(env, "key: expected %u bytes for the map \"%s\", found %zu", map->key_size, map->name,
			    key->length);
	return false;
}

static bool arg_value(napi_env env, napi_value value, const struct weir_map *map, struct weir_bytes *bytes)
{
	if (!weir_arg_bytes(env, value, "value", bytes))
		return false;
	if (bytes->length == map->value_stride)
		return true;
	weir_throw_argument(env, "value: expected %u bytes for the map \"%s\", found %zu", map->value_stride, map->name,
			    bytes->length);
	return false;
}

typedef int (*lookup_function)(int fd, const void *key, void *value, __u64 flags);

static napi_value look_up(napi_env env, napi_callback_info info, lookup_function function, const char *operation)
{
	napi_value args[4];
	struct weir_bytes key, value;
	uint32_t flags;
	if (!weir_args(env, info, 4, args))
		return NULL;
	struct weir_map *map = weir_map_get(env, args[0]);
	if (!map || !arg_key(env, args[1], map, &key) || !arg_value(env, args[2], map, &value) ||
	    !weir_arg_u32(env, args[3], "flags", &flags))
		return NULL;
	int result = function(map->fd, key.data, value.data, flags);
	if (result == 0 || errno == ENOENT)
		return weir_boolean(env, result == 0);
	return weir_throw_errno(env, errno, operation, "Cannot look up in the map \"%s\"", map->name);
}

/* mapLookup(handle, key, value, flags) → found; the value is written into `value`. */
static napi_value map_lookup(napi_env env, napi_callback_info info)
{
	return look_up(env, info, bpf_map_lookup_elem_flags, "bpf_map_lookup_elem");
}

/* mapTake(handle, key, value, flags) → found; looked up and deleted in one step. */
static napi_value map_take(napi_env env, napi_callback_info info)
{
	return look_up(env, info, bpf_map_lookup_and_delete_elem_flags, "bpf_map_lookup_and_delete_elem");
}

/* mapUpdate(handle, key, value, flags) → written; false only where the flags demand (no) presence. */
static napi_value map_update(napi_env env, napi_callback_info info)
{
	napi_value args[4];
	struct weir_bytes key, value;
	uint32_t flags;
	if (!weir_args(env, info, 4, args))
		return NULL;
	struct weir_map *map = weir_map_get(env, args[0]);
	if (!map || !arg_key(env, args[1], map, &key) || !arg_value(env, args[2], map, &value) ||
	    !weir_arg_u32(env, args[3], "flags", &flags))
		return NULL;
	if (bpf_map_update_elem(map->fd, key.data, value.data, flags) == 0)
		return weir_boolean(env, true);
	if (weir_update_unmet(flags, errno))
		return weir_boolean(env, false);
	return weir_throw_errno(env, errno, "bpf_map_update_elem", "Cannot update the map \"%s\" (max entries %u)",
				map->name, map->max_entries);
}

/* mapDelete(handle, key) → whether it was there. */
static napi_value map_delete(napi_env env, napi_callback_info info)
{
	napi_value args[2];
	struct weir_bytes key;
	if (!weir_args(env, info, 2, args))
		return NULL;
	struct weir_map *map = weir_map_get(env, args[0]);
	if (!map || !arg_key(env, args[1], map, &key))
		return NULL;
	int result = bpf_map_delete_elem(map->fd, key.data);
	if (result == 0 || errno == ENOENT)
		return weir_boolean(env, result == 0);
	return weir_throw_errno(env, errno, "bpf_map_delete_elem", "Cannot delete from the map \"%s\"", map->name);
}

bool weir_init_map_element(napi_env env, napi_value exports)
{
	static const struct weir_function functions[] = {
	    {"mapLookup", map_lookup},
	    {"mapTake", map_take},
	    {"mapUpdate", map_update},
	    {"mapDelete", map_delete},
	};
	return weir_export_functions(env, exports, functions, COUNT_OF(functions));
}
