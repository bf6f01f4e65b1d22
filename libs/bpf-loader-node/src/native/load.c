// SPDX-License-Identifier: Apache-2.0
/*
 * From an object file to maps and programs in the kernel, on this thread or on the pool. libbpf's object lives only
 * during the load: what is kept are descriptors, so that a loaded object costs no memory here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bpf.h"
#include "object.h"

struct variable_plan {
	char section[WEIR_NAME_MAX];
	uint32_t offset;
	uint8_t *bytes;
	size_t length;
};

struct map_plan {
	char name[WEIR_NAME_MAX];
	uint32_t max_entries; /* 0: as declared */
	int reuse_fd;	      /* -1: make it */
};

struct program_plan {
	char name[WEIR_NAME_MAX];
	bool autoload;
};

struct named_object {
	char name[WEIR_NAME_MAX];
	struct weir_object *object;
};

struct load {
	struct weir_work work;
	struct weir_object_source source;
	struct variable_plan *variables;
	struct map_plan *maps;
	struct program_plan *programs;
	uint32_t variable_count, map_count, program_count;
	struct named_object *loaded; /* result: maps, then programs */
	uint32_t loaded_maps, loaded_count;
	struct weir_log log;
};

/* ---- doing it ---- */

static struct bpf_map *find_map(struct bpf_object *object, const char *name)
{
	struct bpf_map *map;
	bpf_object__for_each_map(map, object)
	{
		if (strcmp(weir_object_map_name(map), name) == 0)
			return map;
	}
	return NULL;
}

static bool apply_variables(struct load *load, struct bpf_object *object, struct weir_error *error)
{
	for (uint32_t i = 0; i < load->variable_count; i++) {
		const struct variable_plan *plan = &load->variables[i];
		struct bpf_map *map = find_map(object, plan->section);
		size_t size = 0;
		uint8_t *data = map ? (uint8_t *)bpf_map__initial_value(map, &size) : NULL;
		if (!data || plan->offset > size || plan->length > size - plan->offset)
			return weir_fail_code(error, WEIR_ARGUMENT, "variables: \"%s\" has no %zu bytes at offset %u",
					      plan->section, plan->length, plan->offset);
		memcpy(data + plan->offset, plan->bytes, plan->length);
	}
	return true;
}

static bool apply_maps(struct load *load, struct bpf_object *object, struct weir_error *error)
{
	struct bpf_map *map;
	/* Whether a pin is adopted is the caller's plan, not an attribute in the C file. */
	bpf_object__for_each_map(map, object)
	{
		if (bpf_map__pin_path(map))
			bpf_map__set_pin_path(map, NULL);
	}
	for (uint32_t i = 0; i < load->map_count; i++) {
		const struct map_plan *plan = &load->maps[i];
		map = find_map(object, plan->name);
		if (!map)
			return weir_fail_code(error, WEIR_ARGUMENT, "maps: the object has no map \"%s\"", plan->name);
		if (plan->max_entries && bpf_map__set_max_entries(map, plan->max_entries) != 0)
			return weir_fail(error, errno, "bpf_map__set_max_entries",
					 "Cannot give the map \"%s\" %u entries", plan->name, plan->max_entries);
		if (plan->reuse_fd >= 0 && bpf_map__reuse_fd(map, plan->reuse_fd) != 0)
			return weir_fail(error, errno, "bpf_map__reuse_fd", "Cannot use the given map for \"%s\"",
					 plan->name);
	}
	return true;
}

static bool apply_programs(struct load *load, struct bpf_object *object, struct weir_error *error)
{
	for (uint32_t i = 0; i < load->program_count; i++) {
		const struct program_plan *plan = &load->programs[i];
		struct bpf_program *program = bpf_object__find_program_by_name(object, plan->name);
		if (!program)
			return weir_fail_code(error, WEIR_ARGUMENT, "programs: the object has no program \"%s\"",
					      plan->name);
		bpf_program__set_autoload(program, plan->autoload);
	}
	return true;
}

static bool keep(struct load *load, int fd, const char *name, enum weir_kind kind, struct weir_error *error)
{
	struct named_object *entry = &load->loaded[load->loaded_count];
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return weir_fail(error, errno, "fcntl", "Cannot keep \"%s\"", name);
	if (kind == WEIR_KIND_MAP)
		entry->object = (struct weir_object *)weir_map_from_fd(copy, error);
	else
		entry->object = (struct weir_object *)weir_bpf_object_from_fd(copy, kind, error);
	if (!entry->object)
		return false;
	strncpy(entry->name, name, sizeof(entry->name) - 1);
	load->loaded_count++;
	return true;
}

static bool keep_all(struct load *load, struct bpf_object *object, struct weir_error *error)
{
	struct bpf_map *map;
	struct bpf_program *program;
	uint32_t count = 0;
	bpf_object__for_each_map(map, object) count++;
	bpf_object__for_each_program(program, object) count++;
	load->loaded = calloc(count + 1, sizeof(*load->loaded));
	if (!load->loaded)
		return weir_fail(error, ENOMEM, "calloc", "Cannot keep %u maps and programs", count);
	bpf_object__for_each_map(map, object)
	{
		if (bpf_map__fd(map) >= 0 &&
		    !keep(load, bpf_map__fd(map), weir_object_map_name(map), WEIR_KIND_MAP, error))
			return false;
	}
	load->loaded_maps = load->loaded_count;
	bpf_object__for_each_program(program, object)
	{
		if (bpf_program__fd(program) >= 0 &&
		    !keep(load, bpf_program__fd(program), bpf_program__name(program), WEIR_KIND_PROGRAM, error))
			return false;
	}
	return true;
}

static bool load_object(struct load *load, struct bpf_object *object, struct weir_error *error)
{
	if (!apply_variables(load, object, error) || !apply_maps(load, object, error) ||
	    !apply_programs(load, object, error))
		return false;
	weir_log_begin(&load->log);
	int result = bpf_object__load(object);
	int err = errno;
	weir_log_end();
	if (result == 0)
		return keep_all(load, object, error);
	weir_fail(error, err, "bpf_object__load", "Cannot load the BPF object \"%s\"", load->source.name);
	error->log = load->log.text;
	load->log.text = NULL;
	return false;
}

static bool execute_load(struct weir_work *work, struct weir_error *error)
{
	struct load *load = (struct load *)work;
	struct bpf_object *object = weir_object_open(&load->source, error);
	bool done = object && load_object(load, object, error);
	bpf_object__close(object);
	return done;
}

/* ---- reading the plan, making the result ---- */

static bool element(napi_env env, napi_value array, uint32_t index, napi_value *out)
{
	return napi_get_element(env, array, index, out) == napi_ok;
}

/* An array argument, and zeroed memory for what its elements say. */
static void *plan_array(napi_env env, napi_value array, size_t size, uint32_t *count)
{
	bool is_array = false;
	void *memory = NULL;
	if (napi_is_array(env, array, &is_array) == napi_ok && is_array &&
	    napi_get_array_length(env, array, count) == napi_ok && *count < 65536)
		memory = calloc(*count + 1, size);
	else
		weir_throw_argument(env, "plan: expected an array of fewer than 65536 elements");
	if (!memory)
		*count = 0;
	return memory;
}

/* [section, offset, bytes] */
static bool read_variable(napi_env env, napi_value tuple, struct variable_plan *plan)
{
	napi_value section, offset, value;
	struct weir_bytes bytes;
	if (!element(env, tuple, 0, &section) || !element(env, tuple, 1, &offset) || !element(env, tuple, 2, &value))
		return weir_throw_argument(env, "variables: expected [section, offset, bytes]") != NULL;
	if (!weir_arg_string(env, section, "section", plan->section, sizeof(plan->section)) ||
	    !weir_arg_u32(env, offset, "offset", &plan->offset) || !weir_arg_bytes(env, value, "bytes", &bytes))
		return false;
	plan->bytes = malloc(bytes.length + 1);
	if (!plan->bytes)
		return weir_throw_errno(env, ENOMEM, "malloc", "Cannot set a variable") != NULL;
	memcpy(plan->bytes, bytes.data, bytes.length);
	plan->length = bytes.length;
	return true;
}

/* [name, maxEntries, map | undefined]; the descriptor is copied because the handle may be closed meanwhile. */
static bool read_map(napi_env env, napi_value tuple, struct map_plan *plan)
{
	napi_value name, max_entries, handle;
	plan->reuse_fd = -1;
	if (!element(env, tuple, 0, &name) || !element(env, tuple, 1, &max_entries) || !element(env, tuple, 2, &handle))
		return weir_throw_argument(env, "maps: expected [name, maxEntries, map]") != NULL;
	if (!weir_arg_string(env, name, "name", plan->name, sizeof(plan->name)) ||
	    !weir_arg_u32(env, max_entries, "maxEntries", &plan->max_entries))
		return false;
	if (weir_is_undefined(env, handle))
		return true;
	struct weir_map *map = weir_map_get(env, handle);
	if (!map)
		return false;
	plan->reuse_fd = fcntl(map->fd, F_DUPFD_CLOEXEC, 3);
	return plan->reuse_fd >= 0 || weir_throw_errno(env, errno, "fcntl", "Cannot use the map \"%s\"", map->name);
}

/* [name, autoload] */
static bool read_program(napi_env env, napi_value tuple, struct program_plan *plan)
{
	napi_value name, autoload;
	if (!element(env, tuple, 0, &name) || !element(env, tuple, 1, &autoload))
		return weir_throw_argument(env, "programs: expected [name, autoload]") != NULL;
	return weir_arg_string(env, name, "name", plan->name, sizeof(plan->name)) &&
	       weir_arg_bool(env, autoload, "autoload", &plan->autoload);
}

static bool read_plan(napi_env env, napi_value *args, struct load *load)
{
	napi_value tuple;
	uint32_t variables, maps, programs;
	load->variables = plan_array(env, args[3], sizeof(*load->variables), &variables);
	load->maps = load->variables ? plan_array(env, args[4], sizeof(*load->maps), &maps) : NULL;
	load->programs = load->maps ? plan_array(env, args[5], sizeof(*load->programs), &programs) : NULL;
	if (!load->programs)
		return false;
	/* Counted up one by one, so that releasing a half-read plan touches only what was read. */
	for (; load->variable_count < variables; load->variable_count++) {
		if (!element(env, args[3], load->variable_count, &tuple) ||
		    !read_variable(env, tuple, &load->variables[load->variable_count]))
			return false;
	}
	for (; load->map_count < maps; load->map_count++) {
		if (!element(env, args[4], load->map_count, &tuple) ||
		    !read_map(env, tuple, &load->maps[load->map_count]))
			return false;
	}
	for (; load->program_count < programs; load->program_count++) {
		if (!element(env, args[5], load->program_count, &tuple) ||
		    !read_program(env, tuple, &load->programs[load->program_count]))
			return false;
	}
	return true;
}

static void release_load(struct weir_work *work)
{
	struct load *load = (struct load *)work;
	for (uint32_t i = 0; i < load->variable_count; i++)
		free(load->variables[i].bytes);
	for (uint32_t i = 0; i < load->map_count; i++) {
		if (load->maps[i].reuse_fd >= 0)
			close(load->maps[i].reuse_fd);
	}
	for (uint32_t i = 0; i < load->loaded_count; i++) {
		if (load->loaded[i].object)
			load->loaded[i].object->destroy(load->loaded[i].object);
	}
	free(load->variables);
	free(load->maps);
	free(load->programs);
	free(load->loaded);
	free(load->source.bytes);
	free(load->log.text);
	free(load);
}

static napi_value complete_load(napi_env env, struct weir_work *work)
{
	struct load *load = (struct load *)work;
	napi_value result, maps, programs;
	WEIR_NAPI(env, napi_create_object(env, &result));
	WEIR_NAPI(env, napi_create_object(env, &maps));
	WEIR_NAPI(env, napi_create_object(env, &programs));
	for (uint32_t i = 0; i < load->loaded_count; i++) {
		struct named_object *entry = &load->loaded[i];
		napi_value handle = weir_handle_new(env, entry->object);
		entry->object = NULL; /* the handle owns it, or it is gone */
		if (!handle)
			return NULL;
		weir_set(env, i < load->loaded_maps ? maps : programs, entry->name, handle);
	}
	weir_set(env, result, "maps", maps);
	weir_set(env, result, "programs", programs);
	weir_set(env, result, "log", weir_string(env, load->log.text ? load->log.text : ""));
	return result;
}

static struct load *make_load(napi_env env, napi_callback_info info)
{
	napi_value args[6];
	struct load *load = calloc(1, sizeof(*load));
	if (!load) {
		weir_throw_errno(env, ENOMEM, "calloc", "Cannot load an object");
		return NULL;
	}
	load->work.execute = execute_load;
	load->work.complete = complete_load;
	load->work.release = release_load;
	if (weir_args(env, info, 6, args) && weir_arg_object_source(env, args, &load->source) &&
	    read_plan(env, args, load))
		return load;
	release_load(&load->work);
	return NULL;
}

/* objectLoad(bytes, name, kconfig, variables, maps, programs) → {maps: {name: handle}, programs: {name: handle}, log}
 */
static napi_value object_load(napi_env env, napi_callback_info info)
{
	struct load *load = make_load(env, info);
	return load ? weir_work_run(env, &load->work) : NULL;
}

static napi_value object_load_async(napi_env env, napi_callback_info info)
{
	struct load *load = make_load(env, info);
	return load ? weir_work_start(env, &load->work, "weir:object-load") : NULL;
}

bool weir_init_load(napi_env env, napi_value exports)
{
	static const struct weir_function functions[] = {
	    {"objectLoad", object_load},
	    {"objectLoadAsync", object_load_async},
	};
	return weir_export_functions(env, exports, functions, COUNT_OF(functions));
}
