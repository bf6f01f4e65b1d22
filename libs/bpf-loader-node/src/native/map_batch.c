// SPDX-License-Identifier: Apache-2.0
/* Many given elements a call, here or on the pool; one by one where the kernel has no batch for the map's type. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "bpf.h"

struct batch {
	struct weir_work work;
	struct weir_map *map;
	uint8_t *keys;
	uint8_t *values; /* update: in; look-up: out; delete: NULL */
	uint8_t *found;	 /* look-up: 1 where the key was there */
	uint32_t count;
	uint32_t flags;
	uint32_t done; /* result: written, found or deleted */
	bool owns_buffers;
};

static bool batch_failed(struct batch *batch, struct weir_error *error, int err, const char *operation, uint32_t index)
{
	weir_fail(error, err, operation, "Batch on the map \"%s\" (max entries %u) failed at element %u of %u",
		  batch->map->name, batch->map->max_entries, index, batch->count);
	error->is_batch = true;
	error->processed = index;
	return false;
}

static const uint8_t *key_at(const struct batch *batch, uint32_t index)
{
	return batch->keys + (size_t)index * batch->map->key_size;
}

static uint8_t *value_at(const struct batch *batch, uint32_t index)
{
	return batch->values + (size_t)index * batch->map->value_stride;
}

/* Elements whose flags are not met are left out, as in a single update. */
static bool update_one_by_one(struct batch *batch, struct weir_error *error)
{
	for (uint32_t i = 0; i < batch->count; i++) {
		if (bpf_map_update_elem(batch->map->fd, key_at(batch, i), value_at(batch, i), batch->flags) == 0)
			batch->done++;
		else if (!weir_update_unmet(batch->flags, errno))
			return batch_failed(batch, error, errno, "bpf_map_update_elem", i);
	}
	return true;
}

static bool execute_update(struct weir_work *work, struct weir_error *error)
{
	struct batch *batch = (struct batch *)work;
	struct weir_map *map = batch->map;
	/* The kernel's batch takes no flag that asks for (no) presence. */
	if (!map->batch_missing && (batch->flags & ~(uint32_t)BPF_F_LOCK) == 0) {
		LIBBPF_OPTS(bpf_map_batch_opts, opts, .elem_flags = batch->flags);
		uint32_t count = batch->count;
		if (bpf_map_update_batch(map->fd, batch->keys, batch->values, &count, &opts) == 0) {
			batch->done = batch->count;
			return true;
		}
		/* An error before the first element leaves the count as it was. */
		if (errno != ERRNO_ENOTSUPP)
			return batch_failed(batch, error, errno, "bpf_map_update_batch",
					    count < batch->count ? count : 0);
		map->batch_missing = true;
	}
	return update_one_by_one(batch, error);
}

/* The kernel's batch stops at the first key that is not there; to us that key is as good as deleted. */
static bool execute_delete(struct weir_work *work, struct weir_error *error)
{
	struct batch *batch = (struct batch *)work;
	struct weir_map *map = batch->map;
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	for (uint32_t next = 0; next < batch->count;) {
		if (map->batch_missing) {
			int result = bpf_map_delete_elem(map->fd, key_at(batch, next));
			if (result != 0 && errno != ENOENT)
				return batch_failed(batch, error, errno, "bpf_map_delete_elem", next);
			batch->done += result == 0;
			next++;
			continue;
		}
		uint32_t count = batch->count - next;
		if (bpf_map_delete_batch(map->fd, key_at(batch, next), &count, &opts) == 0) {
			batch->done += count;
			return true;
		}
		if (errno == ERRNO_ENOTSUPP) {
			map->batch_missing = true;
			continue;
		}
		if (errno != ENOENT)
			return batch_failed(batch, error, errno, "bpf_map_delete_batch",
					    next + (count < batch->count - next ? count : 0));
		batch->done += count;
		next += count + 1;
	}
	return true;
}

static bool execute_lookup(struct weir_work *work, struct weir_error *error)
{
	struct batch *batch = (struct batch *)work;
	for (uint32_t i = 0; i < batch->count; i++) {
		int result =
		    bpf_map_lookup_elem_flags(batch->map->fd, key_at(batch, i), value_at(batch, i), batch->flags);
		if (result != 0 && errno != ENOENT)
			return batch_failed(batch, error, errno, "bpf_map_lookup_elem", i);
		batch->found[i] = result == 0;
		batch->done += result == 0;
	}
	return true;
}

static napi_value complete_count(napi_env env, struct weir_work *work)
{
	return weir_number(env, ((struct batch *)work)->done);
}

static void release(struct weir_work *work)
{
	struct batch *batch = (struct batch *)work;
	if (batch->owns_buffers)
		free(batch->keys); /* the others are behind it in one allocation */
	weir_object_unref(&batch->map->object);
	free(batch);
}

static bool check_length(napi_env env, const char *name, size_t found, uint64_t expected)
{
	if (found == expected)
		return true;
	weir_throw_argument(env, "%s: expected %llu bytes (entry size × count), found %zu", name,
			    (unsigned long long)expected, found);
	return false;
}

/* One allocation with a copy of the keys and, for an update, of the values. */
static bool take_copies(struct batch *batch)
{
	size_t keys = (size_t)batch->count * batch->map->key_size;
	size_t values = batch->values ? (size_t)batch->count * batch->map->value_stride : 0;
	uint8_t *memory = malloc(keys + values + 1);
	if (!memory)
		return false;
	memcpy(memory, batch->keys, keys);
	if (values)
		batch->values = memcpy(memory + keys, batch->values, values);
	batch->keys = memory;
	batch->owns_buffers = true;
	return true;
}

enum shape { SHAPE_UPDATE, SHAPE_DELETE, SHAPE_LOOKUP };

static struct batch *make_batch(napi_env env, napi_value *args, enum shape shape)
{
	struct weir_bytes keys, values = {0}, found = {0};
	uint32_t count, flags;
	struct weir_map *map = weir_map_get(env, args[0]);
	if (!map || !weir_arg_bytes(env, args[1], "keys", &keys) || !weir_arg_u32(env, args[2], "count", &count) ||
	    !weir_arg_u32(env, args[3], "flags", &flags) ||
	    (shape != SHAPE_DELETE && !weir_arg_bytes(env, args[4], "values", &values)) ||
	    (shape == SHAPE_LOOKUP && !weir_arg_bytes(env, args[5], "found", &found)) ||
	    !check_length(env, "keys", keys.length, (uint64_t)count * map->key_size) ||
	    (shape != SHAPE_DELETE &&
	     !check_length(env, "values", values.length, (uint64_t)count * map->value_stride)) ||
	    (shape == SHAPE_LOOKUP && !check_length(env, "found", found.length, count)))
		return NULL;
	struct batch *batch = calloc(1, sizeof(*batch));
	if (!batch) {
		weir_throw_errno(env, ENOMEM, "calloc", "Cannot start a batch of %u elements", count);
		return NULL;
	}
	weir_object_ref(&map->object);
	batch->map = map;
	batch->keys = keys.data;
	batch->values = values.data;
	batch->found = found.data;
	batch->count = count;
	batch->flags = flags;
	batch->work.complete = complete_count;
	batch->work.release = release;
	batch->work.execute = shape == SHAPE_UPDATE   ? execute_update
			      : shape == SHAPE_DELETE ? execute_delete
						      : execute_lookup;
	return batch;
}

static napi_value run(napi_env env, napi_callback_info info, enum shape shape)
{
	napi_value args[6];
	struct batch *batch = weir_args(env, info, 6, args) ? make_batch(env, args, shape) : NULL;
	return batch ? weir_work_run(env, &batch->work) : NULL;
}

static napi_value start(napi_env env, napi_callback_info info, enum shape shape)
{
	napi_value args[6];
	struct batch *batch = weir_args(env, info, 6, args) ? make_batch(env, args, shape) : NULL;
	if (!batch)
		return NULL;
	if (!take_copies(batch)) {
		uint32_t count = batch->count;
		release(&batch->work);
		return weir_throw_errno(env, ENOMEM, "malloc", "Cannot copy a batch of %u elements", count);
	}
	return weir_work_start(env, &batch->work, "weir:map-batch");
}

/* mapUpdateMany(handle, keys, count, flags, values) → count; all or an error that says how many were written. */
static napi_value update_many(napi_env env, napi_callback_info info)
{
	return run(env, info, SHAPE_UPDATE);
}

static napi_value update_many_async(napi_env env, napi_callback_info info)
{
	return start(env, info, SHAPE_UPDATE);
}

/* mapDeleteMany(handle, keys, count, flags) → how many were there. */
static napi_value delete_many(napi_env env, napi_callback_info info)
{
	return run(env, info, SHAPE_DELETE);
}

static napi_value delete_many_async(napi_env env, napi_callback_info info)
{
	return start(env, info, SHAPE_DELETE);
}

/* mapLookupMany(handle, keys, count, flags, values, found) → how many were there. */
static napi_value lookup_many(napi_env env, napi_callback_info info)
{
	return run(env, info, SHAPE_LOOKUP);
}

bool weir_init_map_batch(napi_env env, napi_value exports)
{
	static const struct weir_function functions[] = {
	    {"mapUpdateMany", update_many}, {"mapUpdateManyAsync", update_many_async},
	    {"mapDeleteMany", delete_many}, {"mapDeleteManyAsync", delete_many_async},
	    {"mapLookupMany", lookup_many},
	};
	return weir_export_functions(env, exports, functions, COUNT_OF(functions));
}
