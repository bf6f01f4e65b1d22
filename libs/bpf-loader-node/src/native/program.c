// SPDX-License-Identifier: Apache-2.0
/* Programs: describe, pin, open, and run with a given packet. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include "bpf.h"
#include "netns.h"

static napi_value handle_from_fd(napi_env env, int fd)
{
	struct weir_error error = {0};
	struct weir_bpf_object *program = weir_bpf_object_from_fd(fd, WEIR_KIND_PROGRAM, &error);
	return program ? weir_handle_new(env, &program->object) : weir_throw(env, &error);
}

static napi_value program_open_pinned(napi_env env, napi_callback_info info)
{
	napi_value value;
	char path[WEIR_PATH_MAX];
	struct weir_error error = {0};
	if (!weir_args(env, info, 1, &value) || !weir_arg_string(env, value, "path", path, sizeof(path)))
		return NULL;
	int fd = weir_open_pin(path, WEIR_KIND_PROGRAM, &error);
	return fd < 0 ? weir_throw(env, &error) : handle_from_fd(env, fd);
}

static napi_value program_open_by_id(napi_env env, napi_callback_info info)
{
	napi_value value;
	uint32_t id;
	if (!weir_args(env, info, 1, &value) || !weir_arg_u32(env, value, "id", &id))
		return NULL;
	int fd = bpf_prog_get_fd_by_id(id);
	if (fd < 0)
		return weir_throw_errno(env, errno, "bpf_prog_get_fd_by_id", "Cannot open the program with id %u", id);
	return handle_from_fd(env, fd);
}

static napi_value program_info(napi_env env, napi_callback_info info)
{
	napi_value handle, result;
	struct bpf_prog_info found = {0};
	uint32_t length = sizeof(found);
	char tag[2 * BPF_TAG_SIZE + 1];
	if (!weir_args(env, info, 1, &handle))
		return NULL;
	struct weir_bpf_object *program = weir_program_get(env, handle);
	if (!program)
		return NULL;
	if (bpf_obj_get_info_by_fd(program->fd, &found, &length) != 0)
		return weir_throw_errno(env, errno, "bpf_obj_get_info_by_fd", "Cannot inspect a program");
	for (size_t i = 0; i < BPF_TAG_SIZE; i++)
		snprintf(tag + 2 * i, 3, "%02x", found.tag[i]);
	WEIR_NAPI(env, napi_create_object(env, &result));
	weir_set(env, result, "fd", weir_number(env, program->fd));
	weir_set(env, result, "id", weir_number(env, found.id));
	weir_set(env, result, "type", weir_number(env, found.type));
	weir_set(env, result, "name", weir_string(env, found.name));
	weir_set(env, result, "tag", weir_string(env, tag));
	weir_set(env, result, "jitedBytes", weir_number(env, found.jited_prog_len));
	weir_set(env, result, "translatedBytes", weir_number(env, found.xlated_prog_len));
	weir_set(env, result, "verifiedInstructions", weir_number(env, found.verified_insns));
	weir_set(env, result, "runCount", weir_number(env, (double)found.run_cnt));
	weir_set(env, result, "runTimeNs", weir_number(env, (double)found.run_time_ns));
	return result;
}

static napi_value program_pin(napi_env env, napi_callback_info info)
{
	return weir_pin(env, info, WEIR_KIND_PROGRAM);
}

static napi_value test_run_failed(napi_env env, int err, const struct bpf_test_run_opts *opts, size_t room)
{
	if (err == ENOSPC && opts->data_size_out > room)
		return weir_throw_errno(env, err, "bpf_prog_test_run",
					"Cannot run the program: its packet of %u bytes does not fit into %zu bytes",
					opts->data_size_out, room);
	return weir_throw_errno(env, err, "bpf_prog_test_run",
				"Cannot run the program with %u bytes of data and %u bytes of context",
				opts->data_size_in, opts->ctx_size_in);
}

/* programTestRun(handle, dataIn, dataOut, contextIn, contextOut, repeat, flags, netns) → {retval, durationNs, dataSize,
 * contextSize}. netns "" is the caller's own. */
static napi_value program_test_run(napi_env env, napi_callback_info info)
{
	napi_value args[8], result;
	struct weir_bytes data_in, data_out, context_in, context_out;
	int32_t repeat;
	uint32_t flags;
	char path[WEIR_PATH_MAX];
	struct weir_netns netns;
	struct weir_error error = {0};
	if (!weir_args(env, info, 8, args))
		return NULL;
	struct weir_bpf_object *program = weir_program_get(env, args[0]);
	if (!program || !weir_arg_optional_bytes(env, args[1], "dataIn", &data_in) ||
	    !weir_arg_optional_bytes(env, args[2], "dataOut", &data_out) ||
	    !weir_arg_optional_bytes(env, args[3], "contextIn", &context_in) ||
	    !weir_arg_optional_bytes(env, args[4], "contextOut", &context_out) ||
	    !weir_arg_i32(env, args[5], "repeat", &repeat) || !weir_arg_u32(env, args[6], "flags", &flags) ||
	    !weir_arg_string(env, args[7], "netns", path, sizeof(path)))
		return NULL;
	if (data_in.length > INT32_MAX || data_out.length > INT32_MAX || context_in.length > INT32_MAX ||
	    context_out.length > INT32_MAX)
		return weir_throw_argument(env, "data, context: expected less than 2 GiB");
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data_in.data, .data_size_in = (uint32_t)data_in.length,
		    .data_out = data_out.data, .data_size_out = (uint32_t)data_out.length, .ctx_in = context_in.data,
		    .ctx_size_in = (uint32_t)context_in.length, .ctx_out = context_out.data,
		    .ctx_size_out = (uint32_t)context_out.length, .repeat = repeat, .flags = flags);
	if (!weir_netns_enter(&netns, path, &error))
		return weir_throw(env, &error);
	int err = bpf_prog_test_run_opts(program->fd, &opts) == 0 ? 0 : errno;
	weir_netns_leave(&netns);
	if (err)
		return test_run_failed(env, err, &opts, data_out.length);
	WEIR_NAPI(env, napi_create_object(env, &result));
	weir_set(env, result, "retval", weir_number(env, opts.retval));
	weir_set(env, result, "durationNs", weir_number(env, opts.duration));
	weir_set(env, result, "dataSize", weir_number(env, opts.data_size_out));
	weir_set(env, result, "contextSize", weir_number(env, opts.ctx_size_out));
	return result;
}

bool weir_init_program(napi_env env, napi_value exports)
{
	static const struct weir_function functions[] = {
	    {"programOpenPinned", program_open_pinned},
	    {"programOpenById", program_open_by_id},
	    {"programInfo", program_info},
	    {"programPin", program_pin},
	    {"programTestRun", program_test_run},
	};
	return weir_export_functions(env, exports, functions, COUNT_OF(functions));
}
