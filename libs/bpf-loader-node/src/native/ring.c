// SPDX-License-Identifier: Apache-2.0
/* A ring buffer as JavaScript sees it: open, hand batches over, close. The reading itself is in ring_thread.c. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include "ring.h"

#define POOL_BATCHES_MAX  64u
#define BATCH_BYTES_MAX	  (64u << 20)
#define BATCH_RECORDS_MAX (1u << 20)
#define MILLISECONDS_MAX  60000u

/* ---- memory shared with JavaScript ---- */

static void release_pool(struct ring_pool *pool)
{
	if (__atomic_sub_fetch(&pool->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	munmap(pool->memory, pool->length);
	free(pool);
}

static void finalize_view(napi_env env, void *data, void *hint)
{
	(void)env;
	(void)data;
	release_pool(hint);
}

static struct ring_pool *make_pool(uint32_t batches, uint32_t records, uint32_t bytes)
{
	struct ring_pool *pool = calloc(1, sizeof(*pool));
	size_t stride = (size_t)records * 2 * sizeof(uint32_t) + bytes;
	if (!pool)
		return NULL;
	/* Zeroes, because JavaScript sees all of it, and pages that cost nothing until records are written to them. */
	pool->length = stride * batches;
	pool->memory = mmap(NULL, pool->length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pool->memory == MAP_FAILED) {
		free(pool);
		return NULL;
	}
	pool->refs = 1;
	pool->stride = stride;
	return pool;
}

/* One ArrayBuffer a batch: the records' offsets, their lengths, then their bytes. */
static bool make_views(napi_env env, struct ring_reader *reader, napi_value array)
{
	for (uint32_t i = 0; i < reader->batch_count; i++) {
		napi_value view;
		__atomic_fetch_add(&reader->pool->refs, 1, __ATOMIC_RELAXED);
		if (napi_create_external_arraybuffer(env, reader->pool->memory + i * reader->pool->stride,
						     reader->pool->stride, finalize_view, reader->pool,
						     &view) != napi_ok) {
			release_pool(reader->pool);
			weir_throw_napi(env, __func__);
			return false;
		}
		if (napi_set_element(env, array, i, view) != napi_ok) {
			weir_throw_napi(env, __func__);
			return false;
		}
	}
	return true;
}

/* ---- handing over ---- */

/* Main thread. env is NULL for what was still queued when the function went away. */
static void call_javascript(napi_env env, napi_value callback, void *context, void *data)
{
	struct ring_reader *reader = context;
	struct ring_batch *batch = data;
	if (env && !reader->closed) {
		batch->state = BATCH_READING;
		napi_value args[3] = {
		    weir_number(env, (double)(batch - reader->batches)),
		    weir_number(env, batch->count),
		    weir_number(env, (double)batch->lost),
		};
		napi_value error;
		if (napi_call_function(env, weir_undefined(env), callback, 3, args, NULL) == napi_pending_exception &&
		    napi_get_and_clear_last_exception(env, &error) == napi_ok)
			napi_fatal_exception(env, error);
	}
	__atomic_store_n(&batch->state, BATCH_FREE, __ATOMIC_SEQ_CST);
	if (!reader->closed && __atomic_load_n(&reader->starved, __ATOMIC_SEQ_CST))
		weir_ring_wake(reader);
}

static void finalize_function(napi_env env, void *data, void *hint)
{
	(void)env;
	(void)hint;
	weir_object_unref(data);
}

/* ---- life ---- */

/* All that costs the system something; the rest stays until Node.js has let go of the function, which takes a while. */
static void release_ring(struct ring_reader *reader)
{
	if (reader->consumer)
		munmap((void *)reader->consumer, reader->page);
	if (reader->producer)
		munmap((void *)reader->producer, reader->page + 2 * reader->ring_bytes);
	if (reader->epoll >= 0)
		close(reader->epoll);
	if (reader->event >= 0)
		close(reader->event);
	if (reader->map)
		weir_object_unref(&reader->map->object);
	reader->consumer = NULL;
	reader->producer = NULL;
	reader->epoll = reader->event = -1;
	reader->map = NULL;
}

static void stop_reader(struct ring_reader *reader)
{
	if (reader->closed)
		return;
	reader->closed = true;
	__atomic_store_n(&reader->stopping, true, __ATOMIC_RELEASE);
	weir_ring_wake(reader);
	pthread_join(reader->thread, NULL); /* never waits for JavaScript, so this is a matter of microseconds */
	release_ring(reader);
	if (!reader->function_gone)
		napi_release_threadsafe_function(reader->function, napi_tsfn_abort);
}

/* Before the environment takes the function away under the thread. */
static void stop_with_environment(void *data)
{
	stop_reader(data);
}

static void close_reader(struct weir_object *object)
{
	struct ring_reader *reader = (struct ring_reader *)object;
	if (!reader->closed)
		napi_remove_env_cleanup_hook(reader->env, stop_with_environment, reader);
	stop_reader(reader);
}

static void destroy_reader(struct weir_object *object)
{
	struct ring_reader *reader = (struct ring_reader *)object;
	release_ring(reader);
	if (reader->pool)
		release_pool(reader->pool);
	free(reader->batches);
	free(reader);
}

static bool map_ring(struct ring_reader *reader, struct weir_error *error)
{
	int fd = reader->map->fd;
	reader->page = (size_t)sysconf(_SC_PAGESIZE);
	reader->ring_bytes = reader->map->max_entries;
	void *consumer = mmap(NULL, reader->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (consumer != MAP_FAILED)
		reader->consumer = consumer;
	/* The kernel maps the data twice in a row, so that no record is in two pieces. */
	void *producer =
	    mmap(NULL, reader->page + 2 * reader->ring_bytes, PROT_READ, MAP_SHARED, fd, (off_t)reader->page);
	if (producer != MAP_FAILED)
		reader->producer = producer;
	if (!reader->consumer || !reader->producer)
		return weir_fail(error, errno, "mmap", "Cannot map the ring buffer \"%s\" into memory",
				 reader->map->name);
	return true;
}

static bool open_events(struct ring_reader *reader, struct weir_error *error)
{
	struct epoll_event ring = {.events = EPOLLIN, .data.u32 = 0}, wake = {.events = EPOLLIN, .data.u32 = 1};
	reader->epoll = epoll_create1(EPOLL_CLOEXEC);
	reader->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (reader->epoll < 0 || reader->event < 0 ||
	    epoll_ctl(reader->epoll, EPOLL_CTL_ADD, reader->map->fd, &ring) != 0 ||
	    epoll_ctl(reader->epoll, EPOLL_CTL_ADD, reader->event, &wake) != 0)
		return weir_fail(error, errno, "epoll_ctl", "Cannot wait for the ring buffer \"%s\"",
				 reader->map->name);
	return true;
}

static bool make_batches(struct ring_reader *reader, struct weir_error *error)
{
	reader->batches = calloc(reader->batch_count, sizeof(*reader->batches));
	reader->pool = make_pool(reader->batch_count, reader->batch_records, reader->batch_bytes);
	if (!reader->batches || !reader->pool)
		return weir_fail(error, ENOMEM, "mmap", "Cannot make %u batches of %u bytes", reader->batch_count,
				 reader->batch_bytes);
	for (uint32_t i = 0; i < reader->batch_count; i++) {
		uint8_t *memory = reader->pool->memory + i * reader->pool->stride;
		reader->batches[i].offsets = (uint32_t *)memory;
		reader->batches[i].lengths = (uint32_t *)memory + reader->batch_records;
		reader->batches[i].bytes = memory + (size_t)reader->batch_records * 2 * sizeof(uint32_t);
	}
	return true;
}

static bool start_thread(struct ring_reader *reader, struct weir_error *error)
{
	sigset_t all, before;
	/* Signals are for the main thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int err = pthread_create(&reader->thread, NULL, weir_ring_thread, reader);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err == 0 || weir_fail(error, err, "pthread_create", "Cannot start a reader thread");
}

static bool start_reader(napi_env env, struct ring_reader *reader, napi_value callback)
{
	struct weir_error error = {0};
	napi_value name = weir_string(env, "weir:ring-reader");
	if (!map_ring(reader, &error) || !open_events(reader, &error) || !make_batches(reader, &error)) {
		weir_throw(env, &error);
		return false;
	}
	if (napi_create_threadsafe_function(env, callback, NULL, name, 0, 1, reader, finalize_function, reader,
					    call_javascript, &reader->function) != napi_ok) {
		weir_throw_napi(env, __func__);
		return false;
	}
	weir_object_ref(&reader->object); /* until finalize_function */
	if (!reader->keep_alive)
		napi_unref_threadsafe_function(env, reader->function);
	if (start_thread(reader, &error)) {
		napi_add_env_cleanup_hook(env, stop_with_environment, reader);
		return true;
	}
	reader->closed = true;
	napi_release_threadsafe_function(reader->function, napi_tsfn_abort);
	weir_throw(env, &error);
	return false;
}

static bool in_range(napi_env env, const char *name, uint32_t value, uint32_t least, uint32_t most)
{
	if (value >= least && value <= most)
		return true;
	weir_throw_argument(env, "%s: expected %u to %u, found %u", name, least, most, value);
	return false;
}

static bool read_options(napi_env env, napi_value *args, struct ring_reader *reader)
{
	return weir_arg_u32(env, args[0], "batches", &reader->batch_count) &&
	       weir_arg_u32(env, args[1], "batchRecords", &reader->batch_records) &&
	       weir_arg_u32(env, args[2], "batchBytes", &reader->batch_bytes) &&
	       weir_arg_u32(env, args[3], "intervalMs", &reader->interval_ms) &&
	       weir_arg_u32(env, args[4], "pollMs", &reader->poll_ms) &&
	       weir_arg_bool(env, args[5], "drop", &reader->drop) &&
	       weir_arg_bool(env, args[6], "keepAlive", &reader->keep_alive) &&
	       in_range(env, "batches", reader->batch_count, 1, POOL_BATCHES_MAX) &&
	       in_range(env, "batchRecords", reader->batch_records, 1, BATCH_RECORDS_MAX) &&
	       in_range(env, "batchBytes", reader->batch_bytes, 8, BATCH_BYTES_MAX) &&
	       in_range(env, "intervalMs", reader->interval_ms, 0, MILLISECONDS_MAX) &&
	       in_range(env, "pollMs", reader->poll_ms, 0, MILLISECONDS_MAX);
}

static napi_value describe_reader(napi_env env, struct ring_reader *reader)
{
	napi_value result = NULL, buffers, handle = weir_handle_new(env, &reader->object);
	if (!handle) {
		close_reader(&reader->object);
		return NULL;
	}
	if (napi_create_object(env, &result) == napi_ok && napi_create_array(env, &buffers) == napi_ok &&
	    make_views(env, reader, buffers)) {
		weir_set(env, result, "handle", handle);
		weir_set(env, result, "buffers", buffers);
		return result;
	}
	weir_handle_close_value(env, handle);
	return weir_throw_napi(env, __func__);
}

/*
 * ringOpen(map, callback, batches, batchRecords, batchBytes, intervalMs, pollMs, drop, keepAlive) → {handle, buffers}.
 * The callback gets (index of the batch, number of records, records lost before it); it owns the batch until it
 * returns.
 */
static napi_value ring_open(napi_env env, napi_callback_info info)
{
	napi_value args[9];
	napi_valuetype type;
	struct ring_reader options = {0};
	if (!weir_args(env, info, 9, args))
		return NULL;
	struct weir_map *map = weir_map_get(env, args[0]);
	if (!map)
		return NULL;
	if (map->type != BPF_MAP_TYPE_RINGBUF)
		return weir_throw_argument(env, "map: \"%s\" is not a ring buffer", map->name);
	if (napi_typeof(env, args[1], &type) != napi_ok || type != napi_function)
		return weir_throw_argument(env, "onBatch: expected a function");
	if (!read_options(env, args + 2, &options))
		return NULL;
	struct ring_reader *reader = malloc(sizeof(*reader));
	if (!reader)
		return weir_throw_errno(env, ENOMEM, "malloc", "Cannot open a ring reader");
	*reader = options;
	reader->object = (struct weir_object){
	    .kind = WEIR_KIND_RING_READER,
	    .refs = 1,
	    .close = close_reader,
	    .destroy = destroy_reader,
	};
	reader->env = env;
	reader->batch_bytes = options.batch_bytes / 8 * 8;
	reader->epoll = reader->event = -1;
	reader->map = map;
	weir_object_ref(&map->object);
	napi_value result = start_reader(env, reader, args[1]) ? describe_reader(env, reader) : NULL;
	weir_object_unref(&reader->object);
	return result;
}

/* ringStats(handle) → {records, lost, pendingBytes}: read since the opening, of these not handed over, left in the ring
 */
static napi_value ring_stats(napi_env env, napi_callback_info info)
{
	napi_value handle, result;
	if (!weir_args(env, info, 1, &handle))
		return NULL;
	struct ring_reader *reader = (struct ring_reader *)weir_handle_get(env, handle, WEIR_KIND_RING_READER);
	if (!reader)
		return NULL;
	uint64_t records = __atomic_load_n(&reader->records, __ATOMIC_RELAXED);
	uint64_t lost = __atomic_load_n(&reader->lost, __ATOMIC_RELAXED);
	WEIR_NAPI(env, napi_create_object(env, &result));
	weir_set(env, result, "records", weir_number(env, (double)records));
	weir_set(env, result, "lost", weir_number(env, (double)lost));
	weir_set(env, result, "pendingBytes", weir_number(env, (double)weir_ring_pending(reader)));
	return result;
}

/* ringClose(handle) → how many records were read but not handed over */
static napi_value ring_close(napi_env env, napi_callback_info info)
{
	napi_value handle;
	if (!weir_args(env, info, 1, &handle))
		return NULL;
	struct ring_reader *reader = (struct ring_reader *)weir_handle_get(env, handle, WEIR_KIND_RING_READER);
	if (!reader)
		return NULL;
	close_reader(&reader->object);
	/* The thread has ended, so what is not free is on its way to JavaScript and will not get there. */
	uint64_t undelivered = reader->pending_lost;
	for (uint32_t i = 0; i < reader->batch_count; i++) {
		if (reader->batches[i].state == BATCH_QUEUED)
			undelivered += reader->batches[i].count + reader->batches[i].lost;
	}
	weir_handle_close_value(env, handle);
	return weir_number(env, (double)undelivered);
}

bool weir_init_ring(napi_env env, napi_value exports)
{
	static const struct weir_function functions[] = {
	    {"ringOpen", ring_open},
	    {"ringStats", ring_stats},
	    {"ringClose", ring_close},
	};
	return weir_export_functions(env, exports, functions, COUNT_OF(functions));
}
