// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include "core.h"

struct weir_core *weir_core(napi_env env)
{
	void *data = NULL;
	return napi_get_instance_data(env, &data) == napi_ok ? data : NULL;
}

static void destroy_core(napi_env env, void *data, void *hint)
{
	(void)hint;
	struct weir_core *core = data;
	if (core->error_factory)
		napi_delete_reference(env, core->error_factory);
	weir_handle_close_all(core);
	free(core->slots);
	free(core);
}

static napi_value set_error_factory(napi_env env, napi_callback_info info)
{
	napi_value factory;
	napi_valuetype type;
	if (!weir_args(env, info, 1, &factory))
		return NULL;
	WEIR_NAPI(env, napi_typeof(env, factory, &type));
	if (type != napi_function)
		return weir_throw_argument(env, "factory: expected a function");
	struct weir_core *core = weir_core(env);
	if (core->error_factory)
		napi_delete_reference(env, core->error_factory);
	core->error_factory = NULL;
	WEIR_NAPI(env, napi_create_reference(env, factory, 1, &core->error_factory));
	return NULL;
}

/* close(handle) → whether it was open. Never throws, so that a finalizer can call it. */
static napi_value close_handle(napi_env env, napi_callback_info info)
{
	napi_value value;
	double handle;
	if (!weir_args(env, info, 1, &value))
		return NULL;
	if (napi_get_value_double(env, value, &handle) != napi_ok)
		return weir_boolean(env, false);
	return weir_boolean(env, weir_handle_close(weir_core(env), handle));
}

bool weir_init_core(napi_env env, napi_value exports)
{
	static const struct weir_function functions[] = {
	    {"setErrorFactory", set_error_factory},
	    {"close", close_handle},
	};
	struct weir_core *core = calloc(1, sizeof(*core));
	if (!core || napi_set_instance_data(env, core, destroy_core, NULL) != napi_ok) {
		free(core);
		napi_throw_error(env, NULL, "Cannot set up the bpf-loader addon");
		return false;
	}
	return weir_export_functions(env, exports, functions, sizeof(functions) / sizeof(functions[0]));
}
