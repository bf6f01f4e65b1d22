// SPDX-License-Identifier: Apache-2.0
#include "addon.h"

static void execute(napi_env env, void *data)
{
	(void)env;
	struct weir_work *work = data;
	if (!work->execute(work, &work->error) && work->error.code == WEIR_OK)
		weir_fail_code(&work->error, WEIR_BUG, "Native work failed without saying why");
}

static void complete(napi_env env, napi_status status, void *data)
{
	struct weir_work *work = data;
	napi_value result = NULL;
	/* Cancelled only when the environment goes away: there is nobody left to tell. */
	if (status == napi_ok) {
		if (work->error.code == WEIR_OK)
			result = work->complete(env, work);
		if (result) {
			napi_resolve_deferred(env, work->deferred, result);
		} else {
			bool pending = false;
			napi_value reason = NULL;
			if (work->error.code != WEIR_OK)
				reason = weir_error_value(env, &work->error);
			napi_is_exception_pending(env, &pending);
			if (pending)
				napi_get_and_clear_last_exception(env, &reason);
			napi_reject_deferred(env, work->deferred, reason ? reason : weir_undefined(env));
		}
	}
	weir_error_clear(&work->error);
	napi_delete_async_work(env, work->async);
	work->release(work);
}

napi_value weir_work_start(napi_env env, struct weir_work *work, const char *name)
{
	napi_value promise = NULL;
	napi_value label = weir_string(env, name);
	if (!label || napi_create_async_work(env, NULL, label, execute, complete, work, &work->async) != napi_ok) {
		work->release(work);
		return weir_throw_napi(env, __func__);
	}
	if (napi_create_promise(env, &work->deferred, &promise) != napi_ok ||
	    napi_queue_async_work(env, work->async) != napi_ok) {
		napi_delete_async_work(env, work->async);
		work->release(work);
		return weir_throw_napi(env, __func__);
	}
	return promise;
}

napi_value weir_work_run(napi_env env, struct weir_work *work)
{
	napi_value result = NULL;
	execute(env, work);
	if (work->error.code != WEIR_OK)
		weir_throw(env, &work->error);
	else
		result = work->complete(env, work);
	work->release(work);
	return result;
}
