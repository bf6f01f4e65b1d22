// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <stdlib.h>
#include "core.h"

/* handle = generation × 2^20 + slot: exact in a double, and a small integer for the first 2048 generations. */
#define SLOT_BITS      20
#define SLOT_MAX       (1u << SLOT_BITS)
#define GENERATION_MAX 0xffffffffu
#define HANDLE_LIMIT   ((double)GENERATION_MAX * SLOT_MAX)
#define FIRST_SLOTS    64u

static const char *kind_name(enum weir_kind kind)
{
	static const char *const names[] = {
	    [WEIR_KIND_MAP] = "Map",
	    [WEIR_KIND_PROGRAM] = "Program",
	    [WEIR_KIND_LINK] = "Link",
	    [WEIR_KIND_SCAN] = "Scan",
	    [WEIR_KIND_RING_READER] = "Ring reader",
	    [WEIR_KIND_SOCKET] = "Socket",
	    [WEIR_KIND_NETNS] = "Network namespace",
	    [WEIR_KIND_SUBSCRIPTION] = "Subscription",
	    [WEIR_KIND_CONNECTION] = "Connection",
	};
	return names[kind];
}

void weir_object_ref(struct weir_object *object)
{
	__atomic_fetch_add(&object->refs, 1, __ATOMIC_RELAXED);
}

void weir_object_unref(struct weir_object *object)
{
	if (__atomic_sub_fetch(&object->refs, 1, __ATOMIC_ACQ_REL) == 0)
		object->destroy(object);
}

static bool grow(struct weir_core *core)
{
	uint32_t count = core->slot_count ? core->slot_count * 2 : FIRST_SLOTS;
	if (count > SLOT_MAX)
		return false;
	struct weir_slot *slots = realloc(core->slots, count * sizeof(*slots));
	if (!slots)
		return false;
	for (uint32_t i = core->slot_count; i < count; i++)
		slots[i] = (struct weir_slot){.object = NULL, .generation = 1, .next_free = i + 1};
	core->slots = slots;
	core->free_head = core->slot_count;
	core->slot_count = count;
	return true;
}

napi_value weir_handle_new(napi_env env, struct weir_object *object)
{
	struct weir_core *core = weir_core(env);
	weir_object_ref(object);
	if (core->free_head == core->slot_count && !grow(core)) {
		weir_object_unref(object);
		struct weir_error error = {0};
		weir_fail_code(&error, WEIR_STATE, "Cannot open more than %u native objects at a time", SLOT_MAX);
		return weir_throw(env, &error);
	}
	uint32_t index = core->free_head;
	struct weir_slot *slot = &core->slots[index];
	napi_value handle;
	if (napi_create_double(env, (double)slot->generation * SLOT_MAX + index, &handle) != napi_ok) {
		weir_object_unref(object);
		return weir_throw_napi(env, __func__);
	}
	core->free_head = slot->next_free;
	slot->object = object;
	return handle;
}

static struct weir_slot *find_slot(struct weir_core *core, double handle)
{
	if (!(handle >= 0 && handle < HANDLE_LIMIT) || handle != floor(handle))
		return NULL;
	uint64_t number = (uint64_t)handle;
	uint32_t index = number % SLOT_MAX;
	if (index >= core->slot_count)
		return NULL;
	struct weir_slot *slot = &core->slots[index];
	return slot->object && slot->generation == number / SLOT_MAX ? slot : NULL;
}

struct weir_object *weir_handle_get(napi_env env, napi_value value, enum weir_kind kind)
{
	double handle;
	if (napi_get_value_double(env, value, &handle) != napi_ok) {
		weir_throw_argument(env, "handle: expected the handle of a %s", kind_name(kind));
		return NULL;
	}
	struct weir_slot *slot = find_slot(weir_core(env), handle);
	if (!slot) {
		struct weir_error error = {0};
		weir_fail_code(&error, WEIR_STATE, "%s is closed", kind_name(kind));
		weir_throw(env, &error);
		return NULL;
	}
	if (slot->object->kind != kind) {
		weir_throw_argument(env, "handle: expected a %s, found a %s", kind_name(kind),
				    kind_name(slot->object->kind));
		return NULL;
	}
	return slot->object;
}

struct weir_object *weir_handle_find(napi_env env, double handle)
{
	struct weir_core *core = weir_core(env);
	struct weir_slot *slot = core ? find_slot(core, handle) : NULL;
	return slot ? slot->object : NULL;
}

bool weir_handle_close(struct weir_core *core, double handle)
{
	struct weir_slot *slot = find_slot(core, handle);
	if (!slot)
		return false;
	struct weir_object *object = slot->object;
	slot->object = NULL;
	/* A slot whose generations are used up stays unused for ever: 2^32 objects later. */
	if (++slot->generation < GENERATION_MAX) {
		slot->next_free = core->free_head;
		core->free_head = (uint32_t)(slot - core->slots);
	}
	if (object->close)
		object->close(object);
	weir_object_unref(object);
	return true;
}

void weir_handle_close_value(napi_env env, napi_value value)
{
	double handle;
	if (napi_get_value_double(env, value, &handle) == napi_ok)
		weir_handle_close(weir_core(env), handle);
}

void weir_handle_close_all(struct weir_core *core)
{
	for (uint32_t i = 0; i < core->slot_count; i++) {
		if (core->slots[i].object)
			weir_handle_close(core, (double)core->slots[i].generation * SLOT_MAX + i);
	}
}
