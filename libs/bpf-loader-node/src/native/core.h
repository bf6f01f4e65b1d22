/* SPDX-License-Identifier: Apache-2.0 */
/* The state of the addon in one JavaScript environment (main thread or worker); only core.c, handle.c, error.c and
 * readiness.c see it. */
#pragma once

#include "addon.h"

struct weir_slot {
	struct weir_object *object; /* NULL: free */
	uint32_t generation;	    /* rises at each reuse, so that an old handle never names the next object */
	uint32_t next_free;
};

struct weir_core {
	napi_ref error_factory; /* NULL until setErrorFactory */
	struct weir_slot *slots;
	uint32_t slot_count;		  /* allocated */
	uint32_t free_head;		  /* slot_count: none */
	struct weir_readiness *readiness; /* NULL until the first descriptor is watched */
};

/* NULL only while the environment goes away. */
struct weir_core *weir_core(napi_env env);
bool weir_init_core(napi_env env, napi_value exports);

/* Closes one handle; false if it is not an open one. */
bool weir_handle_close(struct weir_core *core, double handle);
void weir_handle_close_all(struct weir_core *core);
