// SPDX-License-Identifier: Apache-2.0
/* The thread that waits for descriptors on behalf of one JavaScript environment; see struct weir_watch in sockets.h. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "core.h"
#include "sockets.h"

#define EVENTS_PER_WAIT 64
#define STACK_BYTES	(256u << 10)
/* Not a handle: generations start at 1. */
#define STOP_TOKEN 0

struct weir_readiness {
	int refs; /* of the environment and of each watch; main thread only */
	int epoll;
	int stop;
	pthread_t thread;
	napi_env env; /* NULL once the environment goes away */
	napi_threadsafe_function tell;
	uint32_t watches;
};

static void unref_readiness(struct weir_readiness *self)
{
	if (--self->refs > 0)
		return;
	if (self->epoll >= 0)
		close(self->epoll);
	if (self->stop >= 0)
		close(self->stop);
	free(self);
}

static void *wait_for_events(void *data)
{
	struct weir_readiness *self = data;
	struct epoll_event events[EVENTS_PER_WAIT];
	for (;;) {
		int count = epoll_wait(self->epoll, events, EVENTS_PER_WAIT, -1);
		for (int i = 0; i < count; i++) {
			if (events[i].data.u64 == STOP_TOKEN)
				return NULL;
			/* The queue has no limit of its own: there is at most one event for each armed watch. */
			napi_call_threadsafe_function(self->tell, (void *)(uintptr_t)events[i].data.u64,
						      napi_tsfn_nonblocking);
		}
	}
}

/* Main thread. The watch may have been closed since the event was seen; then its handle finds nothing. */
static void deliver(napi_env env, napi_value callback, void *context, void *data)
{
	(void)callback;
	(void)context;
	if (!env)
		return;
	struct weir_object *object = weir_handle_find(env, (double)(uintptr_t)data);
	if (object && (object->kind == WEIR_KIND_SUBSCRIPTION || object->kind == WEIR_KIND_CONNECTION)) {
		struct weir_watch *watch = (struct weir_watch *)object;
		weir_object_ref(object);
		watch->ready(env, watch);
		weir_object_unref(object);
	}
}

static void stop_thread(void *data)
{
	struct weir_readiness *self = data;
	weir_core(self->env)->readiness = NULL;
	self->env = NULL;
	eventfd_write(self->stop, 1);
	pthread_join(self->thread, NULL);
	napi_release_threadsafe_function(self->tell, napi_tsfn_abort);
	unref_readiness(self);
}

static bool start_thread(struct weir_readiness *self)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	if (pthread_attr_init(&attributes) != 0)
		return false;
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	/* Signals are for the main thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int err = pthread_create(&self->thread, &attributes, wait_for_events, self);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (err == 0)
		pthread_setname_np(self->thread, "weir-readiness");
	return err == 0;
}

static bool open_readiness(struct weir_readiness *self, napi_env env)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = STOP_TOKEN};
	self->epoll = epoll_create1(EPOLL_CLOEXEC);
	self->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (self->epoll < 0 || self->stop < 0 || epoll_ctl(self->epoll, EPOLL_CTL_ADD, self->stop, &event) != 0)
		return false;
	if (napi_create_threadsafe_function(env, NULL, NULL, weir_string(env, "bpf-loader:readiness"), 0, 1, NULL, NULL,
					    NULL, deliver, &self->tell) != napi_ok)
		return false;
	napi_unref_threadsafe_function(env, self->tell);
	if (start_thread(self))
		return true;
	napi_release_threadsafe_function(self->tell, napi_tsfn_abort);
	return false;
}

static struct weir_readiness *get_readiness(napi_env env)
{
	struct weir_core *core = weir_core(env);
	if (core->readiness)
		return core->readiness;
	struct weir_readiness *self = calloc(1, sizeof(*self));
	if (!self) {
		weir_throw_errno(env, ENOMEM, "calloc", "Cannot watch descriptors");
		return NULL;
	}
	*self = (struct weir_readiness){.refs = 1, .epoll = -1, .stop = -1, .env = env};
	if (!open_readiness(self, env)) {
		weir_throw_errno(env, errno, "epoll_create1", "Cannot watch descriptors");
		unref_readiness(self);
		return NULL;
	}
	/* After the threadsafe function was made, so that this runs before its own clean-up. */
	napi_add_env_cleanup_hook(env, stop_thread, self);
	core->readiness = self;
	return self;
}

napi_value weir_watch_new(napi_env env, struct weir_watch *watch)
{
	struct weir_readiness *self = get_readiness(env);
	if (!self) {
		watch->object.destroy(&watch->object);
		return NULL;
	}
	napi_value handle = weir_handle_new(env, &watch->object);
	if (!handle)
		return NULL;
	napi_get_value_double(env, handle, &watch->handle);
	watch->readiness = self;
	self->refs++;
	if (self->watches++ == 0)
		napi_ref_threadsafe_function(env, self->tell);
	return handle;
}

bool weir_watch_arm(struct weir_watch *watch, uint32_t events, struct weir_error *error)
{
	struct epoll_event event = {.events = events | EPOLLONESHOT, .data.u64 = (uint64_t)watch->handle};
	if (epoll_ctl(watch->readiness->epoll, EPOLL_CTL_MOD, watch->fd, &event) == 0 ||
	    (errno == ENOENT && epoll_ctl(watch->readiness->epoll, EPOLL_CTL_ADD, watch->fd, &event) == 0))
		return true;
	return weir_fail(error, errno, "epoll_ctl", "Cannot watch a descriptor");
}

void weir_watch_stop(struct weir_watch *watch)
{
	struct weir_readiness *self = watch->readiness;
	if (!self)
		return;
	watch->readiness = NULL;
	epoll_ctl(self->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
	if (--self->watches == 0 && self->env)
		napi_unref_threadsafe_function(self->env, self->tell);
	unref_readiness(self);
}

void weir_watch_close(napi_env env, struct weir_watch *watch)
{
	weir_handle_close(weir_core(env), watch->handle);
}

void weir_watch_call(napi_env env, napi_ref callback, size_t count, napi_value *arguments)
{
	napi_value function, error;
	if (napi_get_reference_value(env, callback, &function) != napi_ok || !function)
		return;
	if (napi_call_function(env, weir_undefined(env), function, count, arguments, NULL) == napi_pending_exception &&
	    napi_get_and_clear_last_exception(env, &error) == napi_ok)
		napi_fatal_exception(env, error);
}
