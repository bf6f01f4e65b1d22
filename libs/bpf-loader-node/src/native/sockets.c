// SPDX-License-Identifier: Apache-2.0
#include "addon.h"

bool weir_init_sockets(napi_env env, napi_value exports)
{
	static const struct weir_function *const functions = NULL;
	return weir_export_functions(env, exports, functions, 0);
}
