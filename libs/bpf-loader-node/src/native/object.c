// SPDX-License-Identifier: Apache-2.0
/* What an object file contains, without asking the kernel for anything. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/btf.h>
#include "bpf.h"
#include "object.h"

struct bpf_object *weir_object_open(const struct weir_object_source *source, struct weir_error *error)
{
	struct weir_log log;
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = source->name,
		    .kconfig = source->kconfig[0] ? source->kconfig : NULL);
	weir_log_begin(&log);
	struct bpf_object *object = bpf_object__open_mem(source->bytes, source->length, &opts);
	int err = errno;
	weir_log_end();
	if (!object) {
		weir_fail(error, err, "bpf_object__open", "Cannot read the BPF object \"%s\"", source->name);
		error->log = log.text;
		return NULL;
	}
	free(log.text);
	return object;
}

bool weir_arg_object_source(napi_env env, napi_value *args, struct weir_object_source *source)
{
	struct weir_bytes bytes;
	if (!weir_arg_bytes(env, args[0], "bytes", &bytes) ||
	    !weir_arg_string(env, args[1], "name", source->name, sizeof(source->name)) ||
	    !weir_arg_string(env, args[2], "kconfig", source->kconfig, sizeof(source->kconfig)))
		return false;
	/* libelf reads the headers in place, and wants them aligned. */
	source->bytes = malloc(bytes.length + 1);
	if (!source->bytes) {
		weir_throw_errno(env, ENOMEM, "malloc", "Cannot read the BPF object \"%s\"", source->name);
		return false;
	}
	memcpy(source->bytes, bytes.data, bytes.length);
	source->length = bytes.length;
	return true;
}

const char *weir_object_map_name(const struct bpf_map *map)
{
	const char *name = bpf_map__name(map);
	const char *section = bpf_map__is_internal(map) && name[0] != '.' ? strrchr(name, '.') : NULL;
	return section ? section : name;
}

static napi_value describe_map(napi_env env, struct bpf_map *map)
{
	napi_value result;
	struct bpf_map *inner = bpf_map__inner_map(map);
	const char *pin_path = bpf_map__pin_path(map);
	WEIR_NAPI(env, napi_create_object(env, &result));
	weir_set(env, result, "name", weir_string(env, weir_object_map_name(map)));
	weir_set(env, result, "type", weir_number(env, bpf_map__type(map)));
	weir_set(env, result, "keySize", weir_number(env, bpf_map__key_size(map)));
	weir_set(env, result, "valueSize", weir_number(env, bpf_map__value_size(map)));
	weir_set(env, result, "maxEntries", weir_number(env, bpf_map__max_entries(map)));
	weir_set(env, result, "flags", weir_number(env, bpf_map__map_flags(map)));
	weir_set(env, result, "internal", weir_boolean(env, bpf_map__is_internal(map)));
	weir_set(env, result, "pinByName", weir_boolean(env, pin_path != NULL));
	if (inner)
		weir_set(env, result, "inner", describe_map(env, inner));
	return result;
}

static napi_value describe_program(napi_env env, struct bpf_program *program)
{
	napi_value result;
	WEIR_NAPI(env, napi_create_object(env, &result));
	weir_set(env, result, "name", weir_string(env, bpf_program__name(program)));
	weir_set(env, result, "section", weir_string(env, bpf_program__section_name(program)));
	weir_set(env, result, "type", weir_number(env, bpf_program__type(program)));
	weir_set(env, result, "expectedAttachType", weir_number(env, bpf_program__expected_attach_type(program)));
	weir_set(env, result, "autoload", weir_boolean(env, bpf_program__autoload(program)));
	weir_set(env, result, "instructionCount", weir_number(env, (double)bpf_program__insn_cnt(program)));
	return result;
}

static const char *encoding_name(const struct btf_type *type)
{
	switch (btf_kind(type)) {
	case BTF_KIND_INT:
		if (btf_int_encoding(type) & BTF_INT_BOOL)
			return "boolean";
		return btf_int_encoding(type) & BTF_INT_SIGNED ? "signed" : "unsigned";
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		return "unsigned";
	default:
		return "bytes";
	}
}

/* One variable of a data section, with its place in it. */
static napi_value describe_variable(napi_env env, const struct btf *btf, const struct btf_var_secinfo *place)
{
	napi_value result;
	const struct btf_type *variable = btf__type_by_id(btf, place->type);
	int type_id = btf__resolve_type(btf, variable->type);
	const struct btf_type *type = type_id < 0 ? NULL : btf__type_by_id(btf, (uint32_t)type_id);
	WEIR_NAPI(env, napi_create_object(env, &result));
	weir_set(env, result, "name", weir_string(env, btf__name_by_offset(btf, variable->name_off)));
	weir_set(env, result, "offset", weir_number(env, place->offset));
	weir_set(env, result, "size", weir_number(env, place->size));
	weir_set(env, result, "encoding", weir_string(env, type ? encoding_name(type) : "bytes"));
	return result;
}

static bool push(napi_env env, napi_value array, napi_value element)
{
	uint32_t length;
	return element && napi_get_array_length(env, array, &length) == napi_ok &&
	       napi_set_element(env, array, length, element) == napi_ok;
}

/* The section is what libbpf calls the map that holds it: ".rodata", ".data", ".data.x"; .bss has no initial value. */
static bool describe_section(napi_env env, napi_value variables, const struct btf *btf, const struct btf_type *section)
{
	const char *name = btf__name_by_offset(btf, section->name_off);
	const struct btf_var_secinfo *place = btf_var_secinfos(section);
	if (strncmp(name, ".rodata", 7) != 0 && strncmp(name, ".data", 5) != 0 && strncmp(name, ".bss", 4) != 0)
		return true;
	for (int i = 0; i < btf_vlen(section); i++) {
		napi_value variable = describe_variable(env, btf, &place[i]);
		if (variable)
			weir_set(env, variable, "section", weir_string(env, name));
		if (!push(env, variables, variable))
			return false;
	}
	return true;
}

static napi_value describe_variables(napi_env env, const struct bpf_object *object)
{
	napi_value variables;
	const struct btf *btf = bpf_object__btf(object);
	WEIR_NAPI(env, napi_create_array(env, &variables));
	for (uint32_t id = 1; btf && id < btf__type_cnt(btf); id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);
		if (btf_is_datasec(type) && !describe_section(env, variables, btf, type))
			return NULL;
	}
	return variables;
}

static napi_value describe_object(napi_env env, struct bpf_object *object)
{
	napi_value result, maps, programs;
	struct bpf_map *map;
	struct bpf_program *program;
	WEIR_NAPI(env, napi_create_object(env, &result));
	WEIR_NAPI(env, napi_create_array(env, &maps));
	WEIR_NAPI(env, napi_create_array(env, &programs));
	bpf_object__for_each_map(map, object)
	{
		if (!push(env, maps, describe_map(env, map)))
			return NULL;
	}
	bpf_object__for_each_program(program, object)
	{
		if (!push(env, programs, describe_program(env, program)))
			return NULL;
	}
	weir_set(env, result, "maps", maps);
	weir_set(env, result, "programs", programs);
	weir_set(env, result, "variables", describe_variables(env, object));
	return result;
}

/* objectDescribe(bytes, name, kconfig) → {maps, programs, variables} */
static napi_value object_describe(napi_env env, napi_callback_info info)
{
	napi_value args[3];
	struct weir_object_source source = {0};
	struct weir_error error = {0};
	if (!weir_args(env, info, 3, args) || !weir_arg_object_source(env, args, &source))
		return NULL;
	struct bpf_object *object = weir_object_open(&source, &error);
	napi_value result = object ? describe_object(env, object) : weir_throw(env, &error);
	bpf_object__close(object);
	free(source.bytes);
	return result;
}

bool weir_init_object(napi_env env, napi_value exports)
{
	static const struct weir_function functions[] = {
	    {"objectDescribe", object_describe},
	};
	return weir_export_functions(env, exports, functions, COUNT_OF(functions));
}
