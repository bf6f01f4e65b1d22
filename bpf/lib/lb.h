/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* The choice of a backend: the same for sockets and for packets, from the same maps. */

/* Where somebody wants to go, and where he is sent. */
struct lb_request {
	struct lb_frontend_key frontend;
	struct lb_affinity_key client; /* `kind` 0: has none */
	__u32 hash;		       /* of the flow, see lb_hash(): what Maglev goes by */
	__u32 group;
	__u32 pool;
	__u32 backend;	       /* the choice: 0: there is none */
	union ip_addr address; /* of the choice */
	__be16 port;
};

static __always_inline bool lb_find_frontend(struct lb_request *r)
{
	const struct lb_frontend *frontend = bpf_map_lookup_elem(&weir_lb_frontends_v1, &r->frontend);

	if (!frontend)
		return false;
	r->group = frontend->group;
	r->pool = frontend->pool;
	return true;
}

/* Takes a backend if it is one of this service still; `strict` if also new clients may go there. */
static __always_inline bool lb_take(struct lb_request *r, __u32 id, bool strict)
{
	const struct lb_backend *backend = bpf_map_lookup_elem(&weir_lb_backends_v1, &id);

	if (!backend || backend->group != r->group || backend->state == LB_BACKEND_QUARANTINED)
		return false;
	if (strict && backend->state != LB_BACKEND_ACTIVE)
		return false;
	r->address = backend->address;
	r->port = backend->port;
	r->backend = id;
	return true;
}

/* The backend that a client had before, if it has not been away for too long. */
static __always_inline bool lb_take_same(struct lb_request *r, __u32 affinity_ticks)
{
	const __u32 now = now_ticks();
	struct lb_affinity *affinity = bpf_map_lookup_elem(&weir_lb_affinity_v1, &r->client);

	if (!affinity || ticks_passed(affinity->used + affinity_ticks, now) || !lb_take(r, affinity->backend, true))
		return false;
	affinity->used = now;
	return true;
}

/* Any words as one: a multiplication a word, whose high half depends on all bits before it. */
static __always_inline __u64 lb_mix(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0x9fb21c651e98df25ULL;
	return hash ^ (hash >> 32);
}

/*
 * What a flow of packets is known by: the same number on every node, so that it goes to the same backend whichever node
 * it comes through.
 */
static __always_inline __u32 lb_hash(const struct lb_request *r, const union ip_addr *source, __be16 source_port)
{
	const struct lb_frontend_key *frontend = &r->frontend;
	__u64 hash = lb_mix(0, source->halves[0]);

	hash = lb_mix(hash, source->halves[1]);
	hash = lb_mix(hash, frontend->address.halves[0]);
	hash = lb_mix(hash, frontend->address.halves[1]);
	hash = lb_mix(hash, (__u64)source_port << 32 | (__u64)frontend->port << 16 | frontend->protocol);
	return lb_mix(hash, 0) >> 32;
}

/* A number below `count`: the high half of the product is as even as the number, and no division. */
static __always_inline __u32 lb_scale(__u32 number, __u32 count)
{
	return ((__u64)number * count) >> 32;
}

/* The backend of a slot, or the one that shares it: `point` says where in the slot. */
static __always_inline bool lb_take_slot(struct lb_request *r, __u32 index, __u32 point)
{
	const struct lb_slot_key key = {.pool = r->pool, .index = index};
	const struct lb_slot *slot = bpf_map_lookup_elem(&weir_lb_slots_v1, &key);

	/* Not strict: a pool whose backends all terminate has them in its slots. */
	return slot && lb_take(r, point <= slot->share ? slot->backend : slot->other, false);
}

/*
 * One slot after the other, and round. Every time round another point of the slot is asked for: multiples of the golden
 * ratio lie evenly however many there are. Two CPUs that come at once may have the same turn, which makes no difference
 * to how even it is in the end. It begins anywhere, or all nodes would begin at the same backend.
 */
static __always_inline bool lb_take_next(struct lb_request *r, __u32 count)
{
	__u32 *turns = bpf_map_lookup_elem(&weir_lb_turns_v1, &r->pool);
	__u32 turn;

	if (!turns)
		return false;
	turn = READ_ONCE(*turns);
	if (turn)
		__sync_fetch_and_add(turns, 1);
	else
		*turns = (turn = bpf_get_prandom_u32()) + 1;
	return lb_take_slot(r, turn % count, turn / count * 0x9e3779b9);
}

/* By the hash of the flow. Another time it is another hash: the same entry would be the same backend. */
static __always_inline bool lb_take_hashed(struct lb_request *r, __u32 count)
{
	void *table = bpf_map_lookup_elem(&weir_lb_maglev_v1, &r->pool);
	const __u32 index = lb_scale(r->hash, count);
	const __u32 pair_index = index / 2;
	const struct lb_maglev_pair *pair;

	if (!table)
		return false;
	r->hash = lb_mix(r->hash, r->pool) >> 16;
	pair = bpf_map_lookup_elem(table, &pair_index);
	return pair && lb_take(r, pair->backends[index & 1], false);
}

/* What is read may change meanwhile: then there is another to be had. */
static __always_inline bool lb_take_any(struct lb_request *r, const struct lb_pool *pool)
{
	if (pool->selection == LB_SELECTION_MAGLEV)
		return lb_take_hashed(r, pool->count);
	if (pool->selection == LB_SELECTION_ROUND_ROBIN)
		return lb_take_next(r, pool->count);
	return lb_take_slot(r, lb_scale(bpf_get_prandom_u32(), pool->count), bpf_get_prandom_u32());
}

/* With affinity, all flows of a client are one. */
static __always_inline void lb_hash_client(struct lb_request *r)
{
	r->hash = lb_mix(lb_mix(lb_mix(0, r->client.client.halves[0]), r->client.client.halves[1]), 0) >> 32;
}

/* Three times, because the slots may be changing; an emptied pool answers at once. */
static __always_inline void lb_choose(struct lb_request *r)
{
	const __u64 *stored = bpf_map_lookup_elem(&weir_lb_pools_v1, &r->pool);
	union {
		__u64 bits;
		struct lb_pool pool;
	} pool;

	r->backend = 0;
	if (!stored || !r->pool)
		return;
#pragma unroll
	for (int i = 0; i < 3; i++) {
		pool.bits = READ_ONCE(*stored);
		if (!pool.pool.count)
			return;
		if (i == 0 && pool.pool.affinity_ticks && r->client.kind) {
			if (lb_take_same(r, pool.pool.affinity_ticks))
				return;
			lb_hash_client(r);
		}
		if (lb_take_any(r, &pool.pool))
			break;
	}
	if (r->backend && pool.pool.affinity_ticks && r->client.kind) {
		const struct lb_affinity affinity = {.backend = r->backend, .used = now_ticks()};

		bpf_map_update_elem(&weir_lb_affinity_v1, &r->client, &affinity, BPF_ANY);
	}
}

static __always_inline void lb_count(__u32 backend)
{
	const struct lb_counter first = {.connections = 1};
	struct lb_counter *counter = bpf_map_lookup_elem(&weir_lb_counters_v2, &backend);

	/* Where two begin it at once the first count is enough; a kernel without memory for it does not count. */
	if (counter)
		counter->connections++;
	else
		bpf_map_update_elem(&weir_lb_counters_v2, &backend, &first, BPF_NOEXIST);
}

/* A TCP connection that was counted begins; lb_count_end() is told when it is no more. */
static __always_inline void lb_count_open(__u32 backend)
{
	const struct lb_counter first = {.opened = 1};
	struct lb_counter *counter = bpf_map_lookup_elem(&weir_lb_counters_v2, &backend);

	if (counter)
		counter->opened++;
	else
		bpf_map_update_elem(&weir_lb_counters_v2, &backend, &first, BPF_NOEXIST);
}

static __always_inline void lb_count_end(__u32 backend, __u64 sent_bytes, __u64 received_bytes)
{
	struct lb_counter *counter = bpf_map_lookup_elem(&weir_lb_counters_v2, &backend);

	if (!counter)
		return;
	counter->ended++;
	counter->sent_bytes += sent_bytes;
	counter->received_bytes += received_bytes;
}
