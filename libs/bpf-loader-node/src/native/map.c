// SPDX-License-Identifier: Apache-2.0
/* A map as a whole: create, open, describe, pin, freeze, mmap. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "bpf.h"

static void destroy_map(struct weir_object *object)
{
	struct weir_map *map = (struct weir_map *)object;
	close(map->fd);
	free(map);
}

static bool is_per_cpu(uint32_t type)
{
	return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
	       type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

struct weir_map *weir_map_from_fd(int fd, struct weir_error *error)
{
	struct bpf_map_info info = {0};
	uint32_t length = sizeof(info);
	int cpus = libbpf_num_possible_cpus();
	struct weir_map *map = calloc(1, sizeof(*map));
	if (!map || cpus < 0 || bpf_obj_get_info_by_fd(fd, &info, &length) != 0) {
		weir_fail(error, map ? errno : ENOMEM, "bpf_obj_get_info_by_fd", "Cannot inspect a map");
		close(fd);
		free(map);
		return NULL;
	}
	map->object = (struct weir_object){.kind = WEIR_KIND_MAP, .destroy = destroy_map};
	map->fd = fd;
	map->type = info.type;
	map->id = info.id;
	map->key_size = info.key_size;
	map->value_size = info.value_size;
	map->value_stride = info.value_size;
	if (is_per_cpu(info.type))
		map->value_stride = (info.value_size + 7) / 8 * 8 * (uint32_t)cpus;
	map->max_entries = info.max_entries;
	map->flags = info.map_flags;
	memcpy(map->name, info.name, sizeof(map->name));
	return map;
}

static napi_value handle_from_fd(napi_env env, int fd)
{
	struct weir_error error = {0};
	struct weir_map *map = weir_map_from_fd(fd, &error);
	return map ? weir_handle_new(env, &map->object) : weir_throw(env, &error);
}

/* mapCreate(type, keySize, valueSize, maxEntries, flags, name, innerMap | undefined) */
static napi_value map_create(napi_env env, napi_callback_info info)
{
	napi_value args[7];
	uint32_t type, key_size, value_size, max_entries, flags;
	char name[BPF_OBJ_NAME_LEN];
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	if (!weir_args(env, info, 7, args) || !weir_arg_u32(env, args[0], "type", &type) ||
	    !weir_arg_u32(env, args[1], "keySize", &key_size) ||
	    !weir_arg_u32(env, args[2], "valueSize", &value_size) ||
	    !weir_arg_u32(env, args[3], "maxEntries", &max_entries) || !weir_arg_u32(env, args[4], "flags", &flags) ||
	    !weir_arg_string(env, args[5], "name", name, sizeof(name)))
		return NULL;
	if (!weir_is_undefined(env, args[6])) {
		struct weir_map *inner = weir_map_get(env, args[6]);
		if (!inner)
			return NULL;
		opts.inner_map_fd = (uint32_t)inner->fd;
	}
	opts.map_flags = flags;
	int fd = bpf_map_create(type, name, key_size, value_size, max_entries, &opts);
	if (fd < 0)
		return weir_throw_errno(
		    env, errno, "bpf_map_create",
		    "Cannot create the map \"%s\" (type %u, key %u B, value %u B, max entries %u, flags 0x%x)", name,
		    type, key_size, value_size, max_entries, flags);
	return handle_from_fd(env, fd);
}

static napi_value map_open_pinned(napi_env env, napi_callback_info info)
{
	napi_value value;
	char path[WEIR_PATH_MAX];
	struct weir_error error = {0};
	if (!weir_args(env, info, 1, &value) || !weir_arg_string(env, value, "path", path, sizeof(path)))
		return NULL;
	int fd = weir_open_pin(path, WEIR_KIND_MAP, &error);
	return fd < 0 ? weir_throw(env, &error) : handle_from_fd(env, fd);
}

static napi_value map_open_by_id(napi_env env, napi_callback_info info)
{
	napi_value value;
	uint32_t id;
	if (!weir_args(env, info, 1, &value) || !weir_arg_u32(env, value, "id", &id))
		return NULL;
	int fd = bpf_map_get_fd_by_id(id);
	if (fd < 0)
		return weir_throw_errno(env, errno, "bpf_map_get_fd_by_id", "Cannot open the map with id %u", id);
	return handle_from_fd(env, fd);
}

static napi_value map_info(napi_env env, napi_callback_info info)
{
	napi_value handle, result;
	if (!weir_args(env, info, 1, &handle))
		return NULL;
	struct weir_map *map = weir_map_get(env, handle);
	if (!map)
		return NULL;
	WEIR_NAPI(env, napi_create_object(env, &result));
	weir_set(env, result, "fd", weir_number(env, map->fd));
	weir_set(env, result, "id", weir_number(env, map->id));
	weir_set(env, result, "type", weir_number(env, map->type));
	weir_set(env, result, "keySize", weir_number(env, map->key_size));
	weir_set(env, result, "valueSize", weir_number(env, map->value_size));
	weir_set(env, result, "valueStride", weir_number(env, map->value_stride));
	weir_set(env, result, "maxEntries", weir_number(env, map->max_entries));
	weir_set(env, result, "flags", weir_number(env, map->flags));
	weir_set(env, result, "name", weir_string(env, map->name));
	return result;
}

static napi_value map_pin(napi_env env, napi_callback_info info)
{
	return weir_pin(env, info, WEIR_KIND_MAP);
}

static napi_value map_freeze(napi_env env, napi_callback_info info)
{
	napi_value handle;
	if (!weir_args(env, info, 1, &handle))
		return NULL;
	struct weir_map *map = weir_map_get(env, handle);
	if (map && bpf_map_freeze(map->fd) != 0)
		return weir_throw_errno(env, errno, "bpf_map_freeze", "Cannot freeze the map \"%s\"", map->name);
	return NULL;
}

/* mapDisableBatch(handle): as if the kernel had no batch operations for this type, to test the path for older kernels.
 */
static napi_value map_disable_batch(napi_env env, napi_callback_info info)
{
	napi_value handle;
	if (!weir_args(env, info, 1, &handle))
		return NULL;
	struct weir_map *map = weir_map_get(env, handle);
	if (map)
		map->batch_missing = true;
	return NULL;
}

static void unmap(napi_env env, void *data, void *hint)
{
	(void)env;
	munmap(data, (size_t)hint);
}

/*
 * mapMmap(handle) → ArrayBuffer. Always readable and writable: a store to a read-only page from JavaScript would kill
 * the process. The pages live until the buffer is collected or detached, whatever happens to the map's descriptor.
 */
static napi_value map_mmap(napi_env env, napi_callback_info info)
{
	napi_value handle, buffer;
	if (!weir_args(env, info, 1, &handle))
		return NULL;
	struct weir_map *map = weir_map_get(env, handle);
	if (!map)
		return NULL;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t used = (size_t)(map->value_size + 7) / 8 * 8 * map->max_entries;
	size_t length = (used + page - 1) / page * page;
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, map->fd, 0);
	if (memory == MAP_FAILED)
		return weir_throw_errno(
		    env, errno, "mmap",
		    "Cannot map the map \"%s\" into memory (an array with BPF_F_MMAPABLE, not frozen, is needed)",
		    map->name);
	/* The hint is what munmap needs; the array shows only the values. */
	if (napi_create_external_arraybuffer(env, memory, used, unmap, (void *)length, &buffer) != napi_ok) {
		munmap(memory, length);
		return weir_throw_napi(env, __func__);
	}
	return buffer;
}

static napi_value detach_buffer(napi_env env, napi_callback_info info)
{
	napi_value buffer;
	if (!weir_args(env, info, 1, &buffer))
		return NULL;
	if (napi_detach_arraybuffer(env, buffer) != napi_ok)
		return weir_throw_argument(env, "buffer: expected an ArrayBuffer that can be detached");
	return NULL;
}

bool weir_init_map(napi_env env, napi_value exports)
{
	static const struct weir_function functions[] = {
	    {"mapCreate", map_create},
	    {"mapOpenPinned", map_open_pinned},
	    {"mapOpenById", map_open_by_id},
	    {"mapInfo", map_info},
	    {"mapPin", map_pin},
	    {"mapFreeze", map_freeze},
	    {"mapDisableBatch", map_disable_batch},
	    {"mapMmap", map_mmap},
	    {"detachBuffer", detach_buffer},
	};
	return weir_export_functions(env, exports, functions, COUNT_OF(functions));
}
