// SPDX-License-Identifier: Apache-2.0
/* What this kernel can do, found out by trying. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "bpf.h"

#define BPF_TCX_INGRESS 46

/* -1 with a pending exception: the probe itself could not be done, for want of rights as a rule. */
static napi_value probe_result(napi_env env, int result, const char *operation)
{
	if (result < 0)
		return weir_throw_errno(env, result, operation, "Cannot probe the kernel");
	return weir_boolean(env, result > 0);
}

static napi_value probe_program_type(napi_env env, napi_callback_info info)
{
	napi_value value;
	uint32_t type;
	if (!weir_args(env, info, 1, &value) || !weir_arg_u32(env, value, "type", &type))
		return NULL;
	return probe_result(env, libbpf_probe_bpf_prog_type(type, NULL), "libbpf_probe_bpf_prog_type");
}

static napi_value probe_map_type(napi_env env, napi_callback_info info)
{
	napi_value value;
	uint32_t type;
	if (!weir_args(env, info, 1, &value) || !weir_arg_u32(env, value, "type", &type))
		return NULL;
	return probe_result(env, libbpf_probe_bpf_map_type(type, NULL), "libbpf_probe_bpf_map_type");
}

/* Some types are only loaded for a certain hook. */
static enum bpf_attach_type hook_for(uint32_t program_type)
{
	switch (program_type) {
	case BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
		return BPF_CGROUP_INET4_CONNECT;
	case BPF_PROG_TYPE_CGROUP_SOCKOPT:
		return BPF_CGROUP_GETSOCKOPT;
	case BPF_PROG_TYPE_SK_LOOKUP:
		return BPF_SK_LOOKUP;
	default:
		return 0;
	}
}

/* The words for "there is no such helper" have changed: 5.10 has the first two, 6.10 and later the last. */
static bool log_says_no_helper(const char *log)
{
	return strstr(log, "invalid func ") || strstr(log, "unknown func ") || strstr(log, "cannot use helper");
}

/*
 * probeHelper(programType, helperId): loads a program that calls the helper and does nothing else. That is refused as a
 * rule, for want of arguments; what counts is the reason. (libbpf 1.1 has a probe that knows only the older words.)
 */
static napi_value probe_helper(napi_env env, napi_callback_info info)
{
	napi_value args[2];
	uint32_t type, helper;
	char log[4096] = "";
	if (!weir_args(env, info, 2, args) || !weir_arg_u32(env, args[0], "programType", &type) ||
	    !weir_arg_u32(env, args[1], "helperId", &helper))
		return NULL;
	if (type == BPF_PROG_TYPE_TRACING || type == BPF_PROG_TYPE_EXT || type == BPF_PROG_TYPE_LSM ||
	    type == BPF_PROG_TYPE_STRUCT_OPS)
		return weir_throw_argument(env, "programType: programs of type %u cannot be loaded without a target",
					   type);
	const struct bpf_insn program[] = {
	    {.code = BPF_JMP | BPF_CALL, .imm = (int32_t)helper},
	    {.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = hook_for(type), .log_level = 1, .log_buf = log,
		    .log_size = sizeof(log));
	int fd = bpf_prog_load(type, NULL, "GPL", program, COUNT_OF(program), &opts);
	int err = errno;
	if (fd >= 0)
		close(fd);
	/* Without a log it was not the verifier that refused. */
	if (fd < 0 && log[0] == '\0')
		return weir_throw_errno(env, err, "bpf_prog_load", "Cannot probe the kernel for a helper");
	return weir_boolean(env, fd >= 0 || !log_says_no_helper(log));
}

/* probeTcx(): asks for the programs on the loopback interface; a kernel without tcx does not know the attach type. */
static napi_value probe_tcx(napi_env env, napi_callback_info info)
{
	(void)info;
	uint32_t count = 0, flags = 0;
	if (bpf_prog_query(1, BPF_TCX_INGRESS, 0, &flags, NULL, &count) == 0 || errno == ENODEV || errno == ENOENT)
		return weir_boolean(env, true);
	if (errno == EINVAL)
		return weir_boolean(env, false);
	return weir_throw_errno(env, errno, "bpf_prog_query", "Cannot probe the kernel for tcx");
}

/* probeBatch(mapType): whether a map of this type (hash, LRU, array or LPM trie) has batch look-up. */
static napi_value probe_batch(napi_env env, napi_callback_info info)
{
	napi_value value;
	uint32_t type, count = 1;
	uint64_t key = 0, next = 0, element = 0;
	LIBBPF_OPTS(bpf_map_batch_opts, batch);
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	if (!weir_args(env, info, 1, &value) || !weir_arg_u32(env, value, "type", &type))
		return NULL;
	if (type == BPF_MAP_TYPE_LPM_TRIE)
		opts.map_flags = BPF_F_NO_PREALLOC;
	bool is_array = type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY;
	int fd = bpf_map_create(type, "weir_probe", is_array ? 4 : 8, 8, 1, &opts);
	if (fd < 0)
		return weir_throw_errno(env, errno, "bpf_map_create", "Cannot make a map of type %u to probe", type);
	bool found = bpf_map_lookup_batch(fd, NULL, &next, &key, &element, &count, &batch) == 0 || errno == ENOENT ||
		     errno == EFAULT;
	close(fd);
	return weir_boolean(env, found);
}

/* Made from the header's own list. */
#define HELPER(name, ...)                                                                                              \
	{                                                                                                              \
		"bpf_" #name, BPF_FUNC_##name                                                                          \
	}
static const struct {
	const char *name;
	uint32_t id;
} helpers[] = {__BPF_FUNC_MAPPER(HELPER)};

/* helperIds() → {"bpf_map_lookup_elem": 1, …} */
static napi_value helper_ids(napi_env env, napi_callback_info info)
{
	(void)info;
	napi_value result;
	WEIR_NAPI(env, napi_create_object(env, &result));
	for (size_t i = 0; i < COUNT_OF(helpers); i++)
		weir_set(env, result, helpers[i].name, weir_number(env, helpers[i].id));
	return result;
}

static napi_value page_size(napi_env env, napi_callback_info info)
{
	(void)info;
	return weir_number(env, (double)sysconf(_SC_PAGESIZE));
}

bool weir_init_probe(napi_env env, napi_value exports)
{
	static const struct weir_function functions[] = {
	    {"probeProgramType", probe_program_type},
	    {"probeMapType", probe_map_type},
	    {"probeHelper", probe_helper},
	    {"probeTcx", probe_tcx},
	    {"probeBatch", probe_batch},
	    {"helperIds", helper_ids},
	    {"pageSize", page_size},
	};
	return weir_export_functions(env, exports, functions, COUNT_OF(functions));
}
