/* SPDX-License-Identifier: Apache-2.0 */
/* What every C file of the addon uses: arguments, errors, handles, and work off the main thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <node_api.h>

/* ---- registration ---- */

struct weir_function {
	const char *name;
	napi_callback callback;
};

/* Adds functions to `exports`; false with a pending exception on failure. */
bool weir_export_functions(napi_env env, napi_value exports, const struct weir_function *functions, size_t count);

/* Each part of the addon registers itself; false with a pending exception on failure. */
bool weir_init_bpf(napi_env env, napi_value exports);
bool weir_init_sockets(napi_env env, napi_value exports);

/* ---- errors ---- */

/* Kernel-internal, but BPF system calls return it where an operation is missing; libc has no name for it. */
#define ERRNO_ENOTSUPP 524

enum weir_error_code {
	WEIR_OK = 0,
	WEIR_SYSTEM,   /* the kernel or libbpf refused; err holds the errno and decides the WeirError code */
	WEIR_ARGUMENT, /* INVALID_ARGUMENT */
	WEIR_STATE,    /* FAILED_PRECONDITION */
	WEIR_BUG,      /* INTERNAL */
};

/* Filled by work on any thread, thrown or rejected with on the main thread. */
struct weir_error {
	enum weir_error_code code;
	int err;	       /* positive errno, 0 if none */
	const char *operation; /* a string literal, e.g. "bpf_link_create"; NULL if none */
	char message[512];     /* sentence case, no final period, without the errno text */
	char *log;	       /* malloc'd verifier or libbpf log, freed by weir_error_clear; NULL if none */
	bool is_batch;
	uint32_t processed; /* with is_batch: elements done before it failed */
};

/* Describes a refused system call: err is an errno, positive or negative. Returns false, for `return weir_fail(...)`.
 */
bool weir_fail(struct weir_error *error, int err, const char *operation, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Describes a failure that has no errno. Returns false. */
bool weir_fail_code(struct weir_error *error, enum weir_error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void weir_error_clear(struct weir_error *error);

/* Makes the JavaScript error (through the factory of setErrorFactory, so that it is a KernelError) and frees the log.
 */
napi_value weir_error_value(napi_env env, struct weir_error *error);
/* All throw and return NULL, so that a callback can `return weir_throw…(…)`. A pending exception is left as it is. */
napi_value weir_throw(napi_env env, struct weir_error *error);
napi_value weir_throw_errno(napi_env env, int err, const char *operation, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
napi_value weir_throw_argument(napi_env env, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* For a Node-API call that did not return napi_ok. */
napi_value weir_throw_napi(napi_env env, const char *where);

#define WEIR_NAPI(env, call)                                                                                           \
	do {                                                                                                           \
		if ((call) != napi_ok)                                                                                 \
			return weir_throw_napi(env, __func__);                                                         \
	} while (0)

/* ---- arguments: each returns false with a pending exception that names the argument ---- */

struct weir_bytes {
	uint8_t *data; /* valid only until JavaScript runs again: work off the main thread takes a copy */
	size_t length;
};

/* Fetches exactly `count` arguments; missing ones are undefined. */
bool weir_args(napi_env env, napi_callback_info info, size_t count, napi_value *values);
bool weir_arg_u32(napi_env env, napi_value value, const char *name, uint32_t *out);
bool weir_arg_i32(napi_env env, napi_value value, const char *name, int32_t *out);
/* A non-negative safe integer or a bigint below 2^64. */
bool weir_arg_u64(napi_env env, napi_value value, const char *name, uint64_t *out);
bool weir_arg_bool(napi_env env, napi_value value, const char *name, bool *out);
/* Copies a string with its final zero; one that is too long or contains a zero byte is refused. */
bool weir_arg_string(napi_env env, napi_value value, const char *name, char *out, size_t size);
bool weir_arg_bytes(napi_env env, napi_value value, const char *name, struct weir_bytes *out);
/* Like weir_arg_bytes, but undefined and an empty array give {NULL, 0}. */
bool weir_arg_optional_bytes(napi_env env, napi_value value, const char *name, struct weir_bytes *out);
bool weir_is_undefined(napi_env env, napi_value value);

/* ---- results ---- */

napi_value weir_undefined(napi_env env);
napi_value weir_boolean(napi_env env, bool value);
napi_value weir_number(napi_env env, double value);
napi_value weir_string(napi_env env, const char *value);
/* Sets a property; a failure leaves an exception pending. */
void weir_set(napi_env env, napi_value object, const char *name, napi_value value);

/* ---- handles: native objects as JavaScript sees them ---- */

enum weir_kind {
	WEIR_KIND_MAP = 1,
	WEIR_KIND_PROGRAM,
	WEIR_KIND_LINK,
	WEIR_KIND_SCAN,
	WEIR_KIND_RING_READER,
	WEIR_KIND_SOCKET,
	WEIR_KIND_NETNS,
	WEIR_KIND_SUBSCRIPTION,
	WEIR_KIND_CONNECTION,
};

/*
 * First member of every native object. JavaScript holds a number (slot and generation), never a pointer, so that no
 * value it can pass reaches freed memory. The table holds one reference until close(); work off the main thread holds
 * another, so a descriptor is closed (and its number reused) only when nobody uses it any more.
 */
struct weir_object {
	enum weir_kind kind;
	int refs;
	void (*close)(struct weir_object *object);   /* on close(), main thread; may be NULL */
	void (*destroy)(struct weir_object *object); /* at the last reference, any thread; frees the object */
};

/*
 * Puts an object into the table, which takes a reference of its own; NULL with a pending exception on failure. An
 * object that starts with refs == 0 is then destroyed.
 */
napi_value weir_handle_new(napi_env env, struct weir_object *object);
void weir_handle_close_value(napi_env env, napi_value handle);
/* The open object behind a handle, or NULL with a pending exception ("… is closed", or not such a handle). */
struct weir_object *weir_handle_get(napi_env env, napi_value handle, enum weir_kind kind);
/* The open object behind the number of a handle, of whatever kind, or NULL; throws nothing. */
struct weir_object *weir_handle_find(napi_env env, double handle);
void weir_object_ref(struct weir_object *object);
void weir_object_unref(struct weir_object *object);

/* ---- work on the libuv pool ---- */

struct weir_work {
	bool (*execute)(struct weir_work *work, struct weir_error *error); /* pool thread; false: error is filled */
	napi_value (*complete)(napi_env env, struct weir_work *work);	   /* main thread, makes the result */
	void (*release)(struct weir_work *work);			   /* main thread, always, frees the work */
	struct weir_error error;
	napi_async_work async;
	napi_deferred deferred;
};

/* Queues work and returns its promise; on failure releases it and returns NULL with a pending exception. */
napi_value weir_work_start(napi_env env, struct weir_work *work, const char *name);
/* Runs the same work here and now: returns its result or throws. */
napi_value weir_work_run(napi_env env, struct weir_work *work);
