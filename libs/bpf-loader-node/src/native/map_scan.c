// SPDX-License-Identifier: Apache-2.0
/*
 * Walks a map in slices. What was there during the whole walk is seen exactly once, whatever else changes meanwhile.
 *
 * Hash tables are read bucket by bucket by the kernel's batch operation, which gives that by itself, and arrays never
 * change their keys. Every other walk continues from its last key, and the kernel starts again at the beginning when
 * that key is gone: there a set of the keys seen so far takes out what comes a second time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "bpf.h"

#define SET_ENTRIES_FIRST    1024u
#define SLICE_ENTRIES_MAX    (1u << 20)
#define VISITS_PER_ENTRY_MAX 16u /* of walks that the kernel restarts again and again */

/* Open addressing; entry 0 of `slots` is never a key because positions are stored plus one. */
struct key_set {
	uint8_t *keys;
	uint32_t *slots;
	uint32_t count;
	uint32_t key_capacity;
	uint32_t slot_mask;
};

struct scan {
	struct weir_object object;
	struct weir_map *map;
	bool remove;
	bool dedupe;
	bool started;
	bool ended; /* nothing more to read from the kernel */
	bool busy;  /* a slice is being read on the pool */
	uint8_t *token;
	uint8_t *keys; /* read but not handed out: [first, last) */
	uint8_t *values;
	uint32_t first, last, capacity;
	uint64_t visits;
	struct key_set seen;
};

/* ---- keys seen ---- */

static uint64_t hash_key(const uint8_t *key, size_t size)
{
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ key[i]) * 0x100000001b3u;
	return hash ^ (hash >> 32);
}

static bool grow_set(struct key_set *set, size_t key_size)
{
	uint32_t capacity = set->key_capacity ? set->key_capacity * 2 : SET_ENTRIES_FIRST;
	uint8_t *keys = realloc(set->keys, (size_t)capacity * key_size);
	if (!keys)
		return false;
	set->keys = keys;
	uint32_t *slots = calloc((size_t)capacity * 2, sizeof(*slots));
	if (!slots)
		return false;
	free(set->slots);
	set->slots = slots;
	set->slot_mask = capacity * 2 - 1;
	set->key_capacity = capacity;
	for (uint32_t i = 0; i < set->count; i++) {
		uint32_t at = (uint32_t)hash_key(keys + (size_t)i * key_size, key_size) & set->slot_mask;
		while (slots[at])
			at = (at + 1) & set->slot_mask;
		slots[at] = i + 1;
	}
	return true;
}

/* 1: the key is new, 0: seen before, -1: no memory. */
static int remember(struct key_set *set, const uint8_t *key, size_t key_size)
{
	if (set->count == set->key_capacity && !grow_set(set, key_size))
		return -1;
	uint32_t at = (uint32_t)hash_key(key, key_size) & set->slot_mask;
	for (; set->slots[at]; at = (at + 1) & set->slot_mask) {
		if (memcmp(set->keys + (size_t)(set->slots[at] - 1) * key_size, key, key_size) == 0)
			return 0;
	}
	memcpy(set->keys + (size_t)set->count * key_size, key, key_size);
	set->slots[at] = ++set->count;
	return 1;
}

/* ---- reading from the kernel ---- */

static bool is_hash(uint32_t type)
{
	return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_PERCPU_HASH ||
	       type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

static bool has_fixed_keys(uint32_t type)
{
	return type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_ARRAY_OF_MAPS ||
	       type == BPF_MAP_TYPE_PROG_ARRAY;
}

static bool resize_buffers(struct scan *scan, uint32_t capacity)
{
	uint8_t *keys = realloc(scan->keys, (size_t)capacity * scan->map->key_size);
	if (keys)
		scan->keys = keys;
	uint8_t *values = realloc(scan->values, (size_t)capacity * scan->map->value_stride);
	if (values)
		scan->values = values;
	if (!keys || !values)
		return false;
	scan->capacity = capacity;
	return true;
}

static bool read_batch(struct scan *scan, struct weir_error *error)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	struct weir_map *map = scan->map;
	for (;;) {
		uint32_t count = scan->capacity;
		void *in = scan->started ? scan->token : NULL;
		int result =
		    scan->remove && is_hash(map->type)
			? bpf_map_lookup_and_delete_batch(map->fd, in, scan->token, scan->keys, scan->values, &count,
							  &opts)
			: bpf_map_lookup_batch(map->fd, in, scan->token, scan->keys, scan->values, &count, &opts);
		if (result == 0 || errno == ENOENT) {
			scan->ended = result != 0;
			scan->started = true;
			scan->last = count;
			return true;
		}
		/* One hash bucket has more entries than fit. */
		if (errno == ENOSPC && scan->capacity < map->max_entries && resize_buffers(scan, scan->capacity * 2))
			continue;
		return weir_fail(error, errno, "bpf_map_lookup_batch", "Cannot read the map \"%s\"", map->name);
	}
}

static bool too_many_visits(const struct scan *scan)
{
	return scan->visits > ((uint64_t)scan->map->max_entries + 1) * VISITS_PER_ENTRY_MAX;
}

static bool read_one_by_one(struct scan *scan, struct weir_error *error)
{
	struct weir_map *map = scan->map;
	while (scan->last < scan->capacity) {
		uint8_t *key = scan->keys + (size_t)scan->last * map->key_size;
		uint8_t *value = scan->values + (size_t)scan->last * map->value_stride;
		if (bpf_map_get_next_key(map->fd, scan->started ? scan->token : NULL, key) != 0) {
			if (errno != ENOENT)
				return weir_fail(error, errno, "bpf_map_get_next_key", "Cannot read the map \"%s\"",
						 map->name);
			scan->ended = true;
			return true;
		}
		memcpy(scan->token, key, map->key_size);
		scan->started = true;
		scan->visits++;
		int result = bpf_map_lookup_elem(map->fd, key, value);
		if (result == 0)
			scan->last++;
		else if (errno != ENOENT) /* else deleted since, or an empty slot */
			return weir_fail(error, errno, "bpf_map_lookup_elem", "Cannot read the map \"%s\"", map->name);
		if (too_many_visits(scan))
			return true; /* the caller says so */
	}
	return true;
}

static bool drop_seen(struct scan *scan, struct weir_error *error)
{
	struct weir_map *map = scan->map;
	uint32_t kept = 0;
	for (uint32_t i = 0; i < scan->last; i++) {
		uint8_t *key = scan->keys + (size_t)i * map->key_size;
		int fresh = remember(&scan->seen, key, map->key_size);
		if (fresh < 0)
			return weir_fail(error, ENOMEM, "realloc", "Cannot read the map \"%s\"", map->name);
		if (!fresh)
			continue;
		memmove(scan->keys + (size_t)kept * map->key_size, key, map->key_size);
		memmove(scan->values + (size_t)kept * map->value_stride, scan->values + (size_t)i * map->value_stride,
			map->value_stride);
		kept++;
	}
	scan->last = kept;
	return true;
}

static bool remove_read(struct scan *scan, struct weir_error *error)
{
	for (uint32_t i = 0; i < scan->last; i++) {
		if (bpf_map_delete_elem(scan->map->fd, scan->keys + (size_t)i * scan->map->key_size) != 0 &&
		    errno != ENOENT)
			return weir_fail(error, errno, "bpf_map_delete_elem", "Cannot empty the map \"%s\"",
					 scan->map->name);
	}
	return true;
}

/* Reads until there is at least one entry or the end. */
static bool fill(struct scan *scan, struct weir_error *error)
{
	struct weir_map *map = scan->map;
	while (scan->first == scan->last && !scan->ended) {
		scan->first = scan->last = 0;
		bool by_batch = !map->batch_missing;
		if (!(by_batch ? read_batch(scan, error) : read_one_by_one(scan, error))) {
			if (error->err != ERRNO_ENOTSUPP || !by_batch || scan->started)
				return false;
			weir_error_clear(error);
			map->batch_missing = true;
			continue;
		}
		scan->dedupe = !has_fixed_keys(map->type) && !(by_batch && is_hash(map->type));
		scan->visits += by_batch ? scan->last : 0;
		if (too_many_visits(scan))
			return weir_fail(error, EAGAIN, "bpf_map_get_next_key",
					 "Cannot read the map \"%s\": it changes faster than it can be read",
					 map->name);
		if (scan->remove && !(by_batch && is_hash(map->type))) {
			/* Deleted keys cannot be continued from, so each read starts at the beginning again. */
			if (!remove_read(scan, error))
				return false;
			scan->ended = scan->last == 0;
			scan->started = false;
		} else if (scan->dedupe && !drop_seen(scan, error)) {
			return false;
		}
	}
	return true;
}

/* ---- handles and calls ---- */

static void destroy_scan(struct weir_object *object)
{
	struct scan *scan = (struct scan *)object;
	weir_object_unref(&scan->map->object);
	free(scan->token);
	free(scan->keys);
	free(scan->values);
	free(scan->seen.keys);
	free(scan->seen.slots);
	free(scan);
}

static bool prepare_scan(struct scan *scan, uint32_t slice_entries)
{
	struct weir_map *map = scan->map;
	/* A hash table's token is a bucket number, which may be longer than the key. */
	scan->token = calloc(1, map->key_size < sizeof(uint64_t) ? sizeof(uint64_t) : map->key_size);
	return scan->token && resize_buffers(scan, slice_entries < map->max_entries ? slice_entries : map->max_entries);
}

/* scanOpen(map, sliceEntries, remove) → handle */
static napi_value scan_open(napi_env env, napi_callback_info info)
{
	napi_value args[3];
	uint32_t slice_entries;
	bool remove;
	if (!weir_args(env, info, 3, args))
		return NULL;
	struct weir_map *map = weir_map_get(env, args[0]);
	if (!map || !weir_arg_u32(env, args[1], "sliceEntries", &slice_entries) ||
	    !weir_arg_bool(env, args[2], "remove", &remove))
		return NULL;
	if (slice_entries == 0 || slice_entries > SLICE_ENTRIES_MAX)
		return weir_throw_argument(env, "sliceEntries: expected 1 to %u, found %u", SLICE_ENTRIES_MAX,
					   slice_entries);
	if (map->key_size == 0 || map->value_stride == 0 || map->max_entries == 0)
		return weir_throw_argument(env, "map: \"%s\" has no keys to walk over", map->name);
	struct scan *scan = calloc(1, sizeof(*scan));
	if (!scan)
		return weir_throw_errno(env, ENOMEM, "calloc", "Cannot read the map \"%s\"", map->name);
	scan->object = (struct weir_object){.kind = WEIR_KIND_SCAN, .destroy = destroy_scan};
	weir_object_ref(&map->object);
	scan->map = map;
	scan->remove = remove;
	if (!prepare_scan(scan, slice_entries)) {
		destroy_scan(&scan->object);
		return weir_throw_errno(env, ENOMEM, "malloc", "Cannot read the map \"%s\"", map->name);
	}
	return weir_handle_new(env, &scan->object);
}

static struct scan *idle_scan(napi_env env, napi_value handle)
{
	struct scan *scan = (struct scan *)weir_handle_get(env, handle, WEIR_KIND_SCAN);
	if (!scan || !scan->busy)
		return scan;
	weir_throw_argument(env, "handle: expected a scan that is not reading already");
	return NULL;
}

/* scanTake(scan, keys, values) → how many entries were moved into the caller's buffers; makes no system call. */
static napi_value scan_take(napi_env env, napi_callback_info info)
{
	napi_value args[3];
	struct weir_bytes keys, values;
	if (!weir_args(env, info, 3, args))
		return NULL;
	struct scan *scan = idle_scan(env, args[0]);
	if (!scan || !weir_arg_bytes(env, args[1], "keys", &keys) || !weir_arg_bytes(env, args[2], "values", &values))
		return NULL;
	struct weir_map *map = scan->map;
	size_t fits = keys.length / map->key_size;
	if (values.length / map->value_stride < fits)
		fits = values.length / map->value_stride;
	uint32_t count = scan->last - scan->first;
	if (count > fits)
		count = (uint32_t)fits;
	memcpy(keys.data, scan->keys + (size_t)scan->first * map->key_size, (size_t)count * map->key_size);
	memcpy(values.data, scan->values + (size_t)scan->first * map->value_stride, (size_t)count * map->value_stride);
	scan->first += count;
	return weir_number(env, count);
}

struct fill_work {
	struct weir_work work;
	struct scan *scan;
};

static bool execute_fill(struct weir_work *work, struct weir_error *error)
{
	return fill(((struct fill_work *)work)->scan, error);
}

/* How much there is to take. */
static napi_value complete_fill(napi_env env, struct weir_work *work)
{
	struct scan *scan = ((struct fill_work *)work)->scan;
	return weir_number(env, scan->last - scan->first);
}

static void release_fill(struct weir_work *work)
{
	struct scan *scan = ((struct fill_work *)work)->scan;
	scan->busy = false;
	weir_object_unref(&scan->object);
	free(work);
}

static struct fill_work *make_fill(napi_env env, napi_callback_info info)
{
	napi_value handle;
	struct scan *scan = weir_args(env, info, 1, &handle) ? idle_scan(env, handle) : NULL;
	if (!scan)
		return NULL;
	struct fill_work *fill_work = calloc(1, sizeof(*fill_work));
	if (!fill_work) {
		weir_throw_errno(env, ENOMEM, "calloc", "Cannot read the map \"%s\"", scan->map->name);
		return NULL;
	}
	weir_object_ref(&scan->object);
	scan->busy = true;
	fill_work->scan = scan;
	fill_work->work = (struct weir_work){
	    .execute = execute_fill,
	    .complete = complete_fill,
	    .release = release_fill,
	};
	return fill_work;
}

/* scanFill(scan) → how many entries there are to take; 0 is the end. */
static napi_value scan_fill(napi_env env, napi_callback_info info)
{
	struct fill_work *work = make_fill(env, info);
	return work ? weir_work_run(env, &work->work) : NULL;
}

static napi_value scan_fill_async(napi_env env, napi_callback_info info)
{
	struct fill_work *work = make_fill(env, info);
	return work ? weir_work_start(env, &work->work, "weir:map-scan") : NULL;
}

bool weir_init_map_scan(napi_env env, napi_value exports)
{
	static const struct weir_function functions[] = {
	    {"scanOpen", scan_open},
	    {"scanTake", scan_take},
	    {"scanFill", scan_fill},
	    {"scanFillAsync", scan_fill_async},
	};
	return weir_export_functions(env, exports, functions, COUNT_OF(functions));
}
