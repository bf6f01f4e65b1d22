// SPDX-License-Identifier: Apache-2.0
/*
 * The thread that reads a ring buffer. It sleeps in epoll until a program commits a record, lets more of them gather
 * for the interval, and hands them over in batches. While the ring is quiet it does not run at all.
 */
#include <linux/bpf.h>
#include <string.h>
#include <sys/epoll.h>
#include <poll.h>
#include <unistd.h>
#include "ring.h"

void weir_ring_wake(struct ring_reader *reader)
{
	uint64_t one = 1;
	/* Fails only if the counter is full, and then the thread is awake. */
	ssize_t written = write(reader->event, &one, sizeof(one));
	(void)written;
}

size_t weir_ring_pending(const struct ring_reader *reader)
{
	unsigned long consumer = __atomic_load_n(reader->consumer, __ATOMIC_ACQUIRE);
	return __atomic_load_n(reader->producer, __ATOMIC_ACQUIRE) - consumer;
}

static bool stopping(const struct ring_reader *reader)
{
	return __atomic_load_n(&reader->stopping, __ATOMIC_ACQUIRE);
}

static void clear_event(struct ring_reader *reader)
{
	uint64_t count;
	ssize_t got = read(reader->event, &count, sizeof(count));
	(void)got;
}

/* Sleeps on the event alone; true if it came before the time was over. */
static bool sleep_for(struct ring_reader *reader, int milliseconds)
{
	struct pollfd event = {.fd = reader->event, .events = POLLIN};
	if (poll(&event, 1, milliseconds) <= 0)
		return false;
	clear_event(reader);
	return true;
}

/* The batch to fill next, or NULL if JavaScript still has it. */
static struct ring_batch *free_batch(struct ring_reader *reader)
{
	struct ring_batch *batch = &reader->batches[reader->next_batch];
	return __atomic_load_n(&batch->state, __ATOMIC_SEQ_CST) == BATCH_FREE ? batch : NULL;
}

/* False when the environment is going away. */
static bool hand_over(struct ring_reader *reader, struct ring_batch *batch)
{
	batch->lost = reader->pending_lost;
	reader->pending_lost = 0;
	reader->next_batch = (reader->next_batch + 1) % reader->batch_count;
	__atomic_store_n(&batch->state, BATCH_QUEUED, __ATOMIC_RELEASE);
	if (napi_call_threadsafe_function(reader->function, batch, napi_tsfn_nonblocking) == napi_ok)
		return true;
	reader->function_gone = true;
	return false;
}

static void lose(struct ring_reader *reader)
{
	reader->pending_lost++;
	__atomic_fetch_add(&reader->lost, 1, __ATOMIC_RELAXED);
}

/* Records start at multiples of 8, in the ring and in a batch. */
static uint32_t aligned(uint32_t length)
{
	return (length + 7) / 8 * 8;
}

static bool fits(const struct ring_reader *reader, const struct ring_batch *batch, uint32_t length)
{
	return batch->count < reader->batch_records && aligned(length) <= reader->batch_bytes - batch->used;
}

static void append(struct ring_batch *batch, const void *record, uint32_t length)
{
	memcpy(batch->bytes + batch->used, record, length);
	batch->offsets[batch->count] = batch->used;
	batch->lengths[batch->count] = length;
	batch->count++;
	batch->used += aligned(length);
}

static struct ring_batch *start_batch(struct ring_reader *reader)
{
	struct ring_batch *batch = free_batch(reader);
	if (batch)
		batch->count = batch->used = 0;
	return batch;
}

enum drain_result {
	DRAIN_EMPTY,   /* nothing committed is left */
	DRAIN_STARVED, /* records are left, but no batch is free */
	DRAIN_GONE,    /* the environment is going away */
};

/* A record is taken off the ring only when it is in a batch or counted as lost. */
static enum drain_result drain(struct ring_reader *reader)
{
	const uint8_t *data = (const uint8_t *)reader->producer + reader->page;
	unsigned long position = __atomic_load_n(reader->consumer, __ATOMIC_ACQUIRE);
	struct ring_batch *batch = start_batch(reader);
	enum drain_result result = DRAIN_EMPTY;
	while (position < __atomic_load_n(reader->producer, __ATOMIC_ACQUIRE) && !stopping(reader)) {
		const uint32_t *header = (const uint32_t *)(data + (position & (reader->ring_bytes - 1)));
		uint32_t length = __atomic_load_n(header, __ATOMIC_ACQUIRE);
		if (length & BPF_RINGBUF_BUSY_BIT)
			break;
		bool discarded = length & BPF_RINGBUF_DISCARD_BIT;
		length &= ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		/* No batch would ever hold a record longer than a whole one. */
		bool hopeless = aligned(length) > reader->batch_bytes;
		if (!discarded && !hopeless && batch && !fits(reader, batch, length)) {
			if (!hand_over(reader, batch))
				return DRAIN_GONE;
			batch = start_batch(reader);
		}
		if (!discarded && !hopeless && !batch && !reader->drop) {
			result = DRAIN_STARVED;
			break;
		}
		if (!discarded) {
			__atomic_fetch_add(&reader->records, 1, __ATOMIC_RELAXED);
			if (batch && !hopeless)
				append(batch, header + 2, length);
			else
				lose(reader);
		}
		position += aligned(length + BPF_RINGBUF_HDR_SZ);
		__atomic_store_n(reader->consumer, position, __ATOMIC_RELEASE);
	}
	if (batch && (batch->count > 0 || reader->pending_lost > 0) && !hand_over(reader, batch))
		return DRAIN_GONE;
	/* What is lost is told as soon as there is a batch to tell it with. */
	return !batch && reader->pending_lost > 0 ? DRAIN_STARVED : result;
}

/*
 * Waits until JavaScript gives a batch back. In drop mode the ring is still read meanwhile, at the pace of the
 * interval. The flag goes up before the last look, so that a batch given back in between is not missed.
 */
static void wait_for_batch(struct ring_reader *reader)
{
	__atomic_store_n(&reader->starved, true, __ATOMIC_SEQ_CST);
	if (!free_batch(reader) && !stopping(reader))
		sleep_for(reader, reader->drop ? (int)reader->interval_ms + 1 : -1);
	__atomic_store_n(&reader->starved, false, __ATOMIC_SEQ_CST);
}

static void wait_for_records(struct ring_reader *reader)
{
	struct epoll_event events[2];
	int count = epoll_wait(reader->epoll, events, 2, reader->poll_ms ? (int)reader->poll_ms : -1);
	for (int i = 0; i < count; i++) {
		if (events[i].data.u32 == 1)
			clear_event(reader);
	}
	if (count > 0 && reader->interval_ms && !stopping(reader))
		sleep_for(reader, (int)reader->interval_ms);
}

void *weir_ring_thread(void *argument)
{
	struct ring_reader *reader = argument;
	pthread_setname_np(pthread_self(), "weir-ring");
	while (!stopping(reader)) {
		switch (drain(reader)) {
		case DRAIN_EMPTY:
			wait_for_records(reader);
			break;
		case DRAIN_STARVED:
			wait_for_batch(reader);
			break;
		case DRAIN_GONE:
			return NULL;
		}
	}
	return NULL;
}
