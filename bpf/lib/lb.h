/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* The choice of a backend: the same for sockets and for packets, from the same maps. */

/* Where somebody wants to go, and where he is sent. */
struct lb_request {
	struct lb_frontend_key frontend;
	struct lb_affinity_key client; /* `kind` 0: has none */
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

/* Any slot of the pool. What is read may change meanwhile: then there is another to be had. */
static __always_inline bool lb_take_any(struct lb_request *r, __u32 count)
{
	const __u32 random = bpf_get_prandom_u32();
	struct lb_slot_key key = {.pool = r->pool};
	const struct lb_slot *slot;

	/* The high half of the product: as even as the random number, and no division. */
	key.index = ((__u64)random * count) >> 32;
	slot = bpf_map_lookup_elem(&weir_lb_slots_v1, &key);
	if (!slot)
		return false;
	/* Not strict: a pool whose backends all terminate has them in its slots. */
	return lb_take(r, bpf_get_prandom_u32() <= slot->share ? slot->backend : slot->other, false);
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
		if (i == 0 && pool.pool.affinity_ticks && r->client.kind && lb_take_same(r, pool.pool.affinity_ticks))
			return;
		if (lb_take_any(r, pool.pool.count))
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
	struct lb_counter *counter = bpf_map_lookup_elem(&weir_lb_counters_v1, &backend);

	/* Where two begin it at once the first count is enough; a kernel without memory for it does not count. */
	if (counter)
		counter->connections++;
	else
		bpf_map_update_elem(&weir_lb_counters_v1, &backend, &first, BPF_NOEXIST);
}
