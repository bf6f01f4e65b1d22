// SPDX-License-Identifier: Apache-2.0
/* Attachments as direct-action filters of the clsact qdisc, for kernels before tcx (6.6). */
#include <errno.h>
#include <stdlib.h>
#include "bpf.h"
#include "netns.h"

/* Where a filter is. */
struct place {
	int32_t ifindex;
	bool ingress;
	uint32_t priority;
	uint32_t handle;
	char netns[WEIR_PATH_MAX];
};

static bool arg_place(napi_env env, napi_value *args, struct place *place)
{
	if (!weir_arg_i32(env, args[0], "ifindex", &place->ifindex) ||
	    !weir_arg_bool(env, args[1], "ingress", &place->ingress) ||
	    !weir_arg_u32(env, args[2], "priority", &place->priority) ||
	    !weir_arg_u32(env, args[3], "handle", &place->handle) ||
	    !weir_arg_string(env, args[4], "netns", place->netns, sizeof(place->netns)))
		return false;
	if (place->priority > 0 && place->priority < 65536 && place->handle > 0)
		return true;
	weir_throw_argument(env, "priority: expected 1 to 65535, found %u; handle: expected more than 0, found %u",
			    place->priority, place->handle);
	return false;
}

static struct bpf_tc_hook hook_of(const struct place *place)
{
	return (struct bpf_tc_hook){
	    .sz = sizeof(struct bpf_tc_hook),
	    .ifindex = place->ifindex,
	    .attach_point = place->ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS,
	};
}

static bool attach(const struct place *place, int program_fd, bool replace, struct weir_error *error)
{
	struct bpf_tc_hook hook = hook_of(place);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = program_fd, .handle = place->handle, .priority = place->priority,
		    .flags = replace ? BPF_TC_F_REPLACE : 0);
	int result = bpf_tc_hook_create(&hook);
	if (result != 0 && result != -EEXIST)
		return weir_fail(error, result, "bpf_tc_hook_create", "Cannot add a clsact qdisc to interface %d",
				 place->ifindex);
	result = bpf_tc_attach(&hook, &opts);
	if (result != 0)
		return weir_fail(error, result, "bpf_tc_attach",
				 "Cannot attach a filter to interface %d (%s, priority %u, handle %u)", place->ifindex,
				 place->ingress ? "ingress" : "egress", place->priority, place->handle);
	return true;
}

/* tcAttach(ifindex, ingress, priority, handle, netns, program, replace) */
static napi_value tc_attach(napi_env env, napi_callback_info info)
{
	napi_value args[7];
	struct place place;
	bool replace;
	struct weir_netns netns;
	struct weir_error error = {0};
	struct weir_log log;
	if (!weir_args(env, info, 7, args) || !arg_place(env, args, &place) ||
	    !weir_arg_bool(env, args[6], "replace", &replace))
		return NULL;
	struct weir_bpf_object *program = weir_program_get(env, args[5]);
	if (!program)
		return NULL;
	if (!weir_netns_enter(&netns, place.netns, &error))
		return weir_throw(env, &error);
	weir_log_begin(&log);
	bool attached = attach(&place, program->fd, replace, &error);
	weir_log_end();
	weir_netns_leave(&netns);
	if (attached) {
		free(log.text);
		return NULL;
	}
	error.log = log.text;
	return weir_throw(env, &error);
}

typedef int (*place_function)(const struct bpf_tc_hook *hook, struct bpf_tc_opts *opts);

/* Runs one call on the place: 0, or the errno with ENOENT for "there is no such filter, qdisc or interface". */
static bool at_place(napi_env env, napi_value *args, place_function function, struct bpf_tc_opts *opts, int *result)
{
	struct place place;
	struct weir_netns netns;
	struct weir_error error = {0};
	if (!arg_place(env, args, &place))
		return false;
	if (!weir_netns_enter(&netns, place.netns, &error)) {
		weir_throw(env, &error);
		return false;
	}
	struct bpf_tc_hook hook = hook_of(&place);
	opts->handle = place.handle;
	opts->priority = place.priority;
	*result = -function(&hook, opts);
	weir_netns_leave(&netns);
	/* Without the qdisc the kernel says EINVAL, without the interface ENODEV. */
	if (*result == EINVAL || *result == ENODEV)
		*result = ENOENT;
	if (*result == 0 || *result == ENOENT)
		return true;
	weir_throw_errno(env, *result, "bpf_tc", "Cannot reach the filter of interface %d (priority %u, handle %u)",
			 place.ifindex, place.priority, place.handle);
	return false;
}

/* tcDetach(ifindex, ingress, priority, handle, netns) → whether it was there */
static napi_value tc_detach(napi_env env, napi_callback_info info)
{
	napi_value args[5];
	int result;
	LIBBPF_OPTS(bpf_tc_opts, opts);
	if (!weir_args(env, info, 5, args) || !at_place(env, args, (place_function)bpf_tc_detach, &opts, &result))
		return NULL;
	return weir_boolean(env, result == 0);
}

/* tcQuery(ifindex, ingress, priority, handle, netns) → id of the program there, 0 for none */
static napi_value tc_query(napi_env env, napi_callback_info info)
{
	napi_value args[5];
	int result;
	LIBBPF_OPTS(bpf_tc_opts, opts);
	if (!weir_args(env, info, 5, args) || !at_place(env, args, bpf_tc_query, &opts, &result))
		return NULL;
	return weir_number(env, result == 0 ? opts.prog_id : 0);
}

bool weir_init_tc(napi_env env, napi_value exports)
{
	static const struct weir_function functions[] = {
	    {"tcAttach", tc_attach},
	    {"tcDetach", tc_detach},
	    {"tcQuery", tc_query},
	};
	return weir_export_functions(env, exports, functions, COUNT_OF(functions));
}
