// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "addon.h"
#include "core.h"

static bool fail(struct weir_error *error, enum weir_error_code code, const char *format, va_list args)
{
	error->code = code;
	vsnprintf(error->message, sizeof(error->message), format, args);
	return false;
}

bool weir_fail(struct weir_error *error, int err, const char *operation, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fail(error, WEIR_SYSTEM, format, args);
	va_end(args);
	error->err = err < 0 ? -err : err;
	error->operation = operation;
	return false;
}

bool weir_fail_code(struct weir_error *error, enum weir_error_code code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fail(error, code, format, args);
	va_end(args);
	return false;
}

void weir_error_clear(struct weir_error *error)
{
	free(error->log);
	memset(error, 0, sizeof(*error));
}

static const char *code_name(enum weir_error_code code)
{
	switch (code) {
	case WEIR_OK:
	case WEIR_BUG:
		return "INTERNAL";
	case WEIR_ARGUMENT:
		return "INVALID_ARGUMENT";
	case WEIR_STATE:
		return "FAILED_PRECONDITION";
	case WEIR_SYSTEM:
		break;
	}
	return NULL;
}

/* Unlike weir_set it does not throw: in an environment that goes away the throwing would come back here, for ever. */
static void set_field(napi_env env, napi_value fields, const char *name, napi_value value)
{
	napi_value key = weir_string(env, name);
	if (key && value)
		napi_set_property(env, fields, key, value);
}

static void set_errno(napi_env env, napi_value fields, const struct weir_error *error)
{
	const char *name = error->err == ERRNO_ENOTSUPP ? "ENOTSUPP" : strerrorname_np(error->err);
	const char *text = error->err == ERRNO_ENOTSUPP ? "Operation not supported" : strerrordesc_np(error->err);
	set_field(env, fields, "errno", weir_number(env, error->err));
	set_field(env, fields, "errnoName", weir_string(env, name ? name : "unknown"));
	set_field(env, fields, "errnoText", weir_string(env, text ? text : "Unknown error"));
}

napi_value weir_error_value(napi_env env, struct weir_error *error)
{
	napi_value fields, factory, result = NULL;
	const char *code = code_name(error->code);
	if (napi_create_object(env, &fields) != napi_ok)
		return NULL;
	set_field(env, fields, "message", weir_string(env, error->message));
	if (code)
		set_field(env, fields, "code", weir_string(env, code));
	if (error->err)
		set_errno(env, fields, error);
	if (error->operation)
		set_field(env, fields, "operation", weir_string(env, error->operation));
	if (error->log)
		set_field(env, fields, "log", weir_string(env, error->log));
	if (error->is_batch)
		set_field(env, fields, "processed", weir_number(env, error->processed));
	weir_error_clear(error);

	struct weir_core *core = weir_core(env);
	if (core && core->error_factory && napi_get_reference_value(env, core->error_factory, &factory) == napi_ok &&
	    factory && napi_call_function(env, weir_undefined(env), factory, 1, &fields, &result) == napi_ok)
		return result;
	return fields; /* no factory yet, or it threw: that exception is pending and wins */
}

napi_value weir_throw(napi_env env, struct weir_error *error)
{
	bool pending = false;
	napi_is_exception_pending(env, &pending);
	if (pending) {
		weir_error_clear(error);
		return NULL;
	}
	napi_value value = weir_error_value(env, error);
	napi_is_exception_pending(env, &pending);
	if (value && !pending)
		napi_throw(env, value);
	return NULL;
}

napi_value weir_throw_errno(napi_env env, int err, const char *operation, const char *format, ...)
{
	struct weir_error error = {0};
	va_list args;
	va_start(args, format);
	fail(&error, WEIR_SYSTEM, format, args);
	va_end(args);
	error.err = err < 0 ? -err : err;
	error.operation = operation;
	return weir_throw(env, &error);
}

napi_value weir_throw_argument(napi_env env, const char *format, ...)
{
	struct weir_error error = {0};
	va_list args;
	va_start(args, format);
	fail(&error, WEIR_ARGUMENT, format, args);
	va_end(args);
	return weir_throw(env, &error);
}

napi_value weir_throw_napi(napi_env env, const char *where)
{
	const napi_extended_error_info *info = NULL;
	napi_get_last_error_info(env, &info);
	struct weir_error error = {0};
	weir_fail_code(&error, WEIR_BUG, "Node-API call failed in %s: %s", where,
		       info && info->error_message ? info->error_message : "unknown reason");
	return weir_throw(env, &error);
}
