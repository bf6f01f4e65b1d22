/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include "bpf.h"

/* Memory of all batches; lives until the reader and every ArrayBuffer on it are gone. */
struct ring_pool {
	int refs;
	size_t stride; /* of one batch */
	size_t length; /* of all */
	uint8_t *memory;
};

enum batch_state {
	BATCH_FREE,    /* the thread's to fill */
	BATCH_QUEUED,  /* on its way to JavaScript */
	BATCH_READING, /* JavaScript's until its callback returns */
};

struct ring_batch {
	int state; /* enum batch_state, atomic */
	uint32_t count;
	uint32_t used;	   /* bytes, a multiple of 8 */
	uint64_t lost;	   /* records lost since the batch before */
	uint32_t *offsets; /* of each record in `bytes`; JavaScript can write here, so nothing here is ever read back */
	uint32_t *lengths;
	uint8_t *bytes;
};

struct ring_reader {
	struct weir_object object;
	struct weir_map *map;
	napi_env env; /* main thread only */

	uint32_t batch_count, batch_records, batch_bytes;
	uint32_t interval_ms; /* how long records gather after the first */
	uint32_t poll_ms;     /* look without being woken; 0: never */
	bool drop;	      /* when no batch is free: drop and count; else leave records in the ring */
	bool keep_alive;

	size_t page, ring_bytes;
	unsigned long *consumer;       /* position, ours to write */
	const unsigned long *producer; /* position, the data one page behind it */
	int epoll, event;

	struct ring_pool *pool;
	struct ring_batch *batches;
	uint32_t next_batch; /* they are used in turn, and come back in turn */

	pthread_t thread;
	napi_threadsafe_function function;
	bool function_gone; /* the environment took it */
	bool closed;	    /* main thread */
	bool stopping;	    /* atomic */
	bool starved;	    /* atomic: the thread waits for a free batch */
	uint64_t pending_lost;
	uint64_t records, lost; /* atomic totals */
};

void *weir_ring_thread(void *reader);
void weir_ring_wake(struct ring_reader *reader);
size_t weir_ring_pending(const struct ring_reader *reader);
