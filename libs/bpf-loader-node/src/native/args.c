// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <string.h>
#include "addon.h"

bool weir_args(napi_env env, napi_callback_info info, size_t count, napi_value *values)
{
	size_t found = count;
	if (napi_get_cb_info(env, info, &found, values, NULL, NULL) == napi_ok)
		return true;
	weir_throw_napi(env, __func__);
	return false;
}

static bool integer(napi_env env, napi_value value, double *out)
{
	return napi_get_value_double(env, value, out) == napi_ok && *out == floor(*out);
}

bool weir_arg_u32(napi_env env, napi_value value, const char *name, uint32_t *out)
{
	double number;
	if (!integer(env, value, &number) || number < 0 || number > UINT32_MAX) {
		weir_throw_argument(env, "%s: expected an integer from 0 to 4294967295", name);
		return false;
	}
	*out = (uint32_t)number;
	return true;
}

bool weir_arg_i32(napi_env env, napi_value value, const char *name, int32_t *out)
{
	double number;
	if (!integer(env, value, &number) || number < INT32_MIN || number > INT32_MAX) {
		weir_throw_argument(env, "%s: expected an integer from -2147483648 to 2147483647", name);
		return false;
	}
	*out = (int32_t)number;
	return true;
}

bool weir_arg_u64(napi_env env, napi_value value, const char *name, uint64_t *out)
{
	double number;
	bool lossless = false;
	if (integer(env, value, &number) && number >= 0 && number <= 9007199254740991.0) {
		*out = (uint64_t)number;
		return true;
	}
	if (napi_get_value_bigint_uint64(env, value, out, &lossless) == napi_ok && lossless)
		return true;
	weir_throw_argument(env, "%s: expected a safe integer or a bigint from 0 to 2^64-1", name);
	return false;
}

bool weir_arg_bool(napi_env env, napi_value value, const char *name, bool *out)
{
	if (napi_get_value_bool(env, value, out) == napi_ok)
		return true;
	weir_throw_argument(env, "%s: expected true or false", name);
	return false;
}

bool weir_arg_string(napi_env env, napi_value value, const char *name, char *out, size_t size)
{
	size_t length;
	if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) {
		weir_throw_argument(env, "%s: expected a string", name);
		return false;
	}
	if (length >= size) {
		weir_throw_argument(env, "%s: expected at most %zu bytes, found %zu", name, size - 1, length);
		return false;
	}
	if (napi_get_value_string_utf8(env, value, out, size, &length) != napi_ok) {
		weir_throw_napi(env, __func__);
		return false;
	}
	if (strlen(out) != length) {
		weir_throw_argument(env, "%s: expected a string without zero bytes", name);
		return false;
	}
	return true;
}

bool weir_arg_bytes(napi_env env, napi_value value, const char *name, struct weir_bytes *out)
{
	static uint8_t nothing; /* an empty array may have no memory, but memcpy wants an address */
	napi_typedarray_type type;
	void *data;
	if (napi_get_typedarray_info(env, value, &type, &out->length, &data, NULL, NULL) == napi_ok &&
	    type == napi_uint8_array) {
		out->data = data ? data : &nothing;
		return true;
	}
	weir_throw_argument(env, "%s: expected a Uint8Array", name);
	return false;
}

bool weir_arg_optional_bytes(napi_env env, napi_value value, const char *name, struct weir_bytes *out)
{
	*out = (struct weir_bytes){NULL, 0};
	if (weir_is_undefined(env, value))
		return true;
	if (!weir_arg_bytes(env, value, name, out))
		return false;
	if (out->length == 0)
		out->data = NULL; /* the kernel refuses an address without a length */
	return true;
}

bool weir_is_undefined(napi_env env, napi_value value)
{
	napi_valuetype type;
	return napi_typeof(env, value, &type) == napi_ok && type == napi_undefined;
}

napi_value weir_undefined(napi_env env)
{
	napi_value result = NULL;
	napi_get_undefined(env, &result);
	return result;
}

napi_value weir_boolean(napi_env env, bool value)
{
	napi_value result = NULL;
	napi_get_boolean(env, value, &result);
	return result;
}

napi_value weir_number(napi_env env, double value)
{
	napi_value result = NULL;
	napi_create_double(env, value, &result);
	return result;
}

napi_value weir_string(napi_env env, const char *value)
{
	napi_value result = NULL;
	napi_create_string_utf8(env, value, NAPI_AUTO_LENGTH, &result);
	return result;
}

void weir_set(napi_env env, napi_value object, const char *name, napi_value value)
{
	napi_value key;
	if (!value || napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &key) != napi_ok ||
	    napi_set_property(env, object, key, value) != napi_ok)
		weir_throw_napi(env, __func__);
}
