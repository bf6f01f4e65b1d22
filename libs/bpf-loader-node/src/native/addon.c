// SPDX-License-Identifier: Apache-2.0
#include "addon.h"
#include "core.h"

bool weir_export_functions(napi_env env, napi_value exports, const struct weir_function *functions, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		napi_value function;
		if (napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].callback, NULL,
					 &function) != napi_ok ||
		    napi_set_named_property(env, exports, functions[i].name, function) != napi_ok) {
			weir_throw_napi(env, functions[i].name);
			return false;
		}
	}
	return true;
}

NAPI_MODULE_INIT()
{
	if (!weir_init_core(env, exports) || !weir_init_bpf(env, exports) || !weir_init_sockets(env, exports))
		return NULL;
	return exports;
}
