// SPDX-License-Identifier: Apache-2.0
#include "addon.h"

bool weir_init_bpf(napi_env env, napi_value exports)
{
	(void)env;
	(void)exports;
	return true;
}
