/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Takes one entry into the judgement: a refusal is final, a plain allow beats a redirect, an earlier redirect a later.
 */
static __always_inline void policy_combine(struct judgement *j, const struct policy_entry *entry,
					   enum policy_match match)
{
	if (j->verdict == POLICY_REFUSE)
		return;
	if (entry->verdict == POLICY_REDIRECT ? j->verdict != 0 : j->verdict == entry->verdict)
		return;
	j->verdict = entry->verdict;
	j->cookie = entry->cookie;
	j->counter = entry->counter;
	j->match = match;
	j->rule_set = entry->verdict == POLICY_REDIRECT ? entry->rule_set : 0;
}

static __always_inline void policy_try(struct work *w, struct judgement *j, __u8 protocol, __be16 port,
				       enum policy_match match)
{
	const struct policy_entry *entry;

	w->policy_key.protocol = protocol;
	w->policy_key.port = port;
	entry = bpf_map_lookup_elem(&weir_policy_v2, &w->policy_key);
	if (entry)
		policy_combine(j, entry, match);
}

/* The narrowest range that holds the port; the agent has it say all that wider ones do. */
static __always_inline void policy_try_range(struct work *w, struct judgement *j, enum policy_match match)
{
	const struct policy_entry *entry;

	w->range_key.prefix_length = POLICY_RANGE_BITS + 16;
	w->range_key.version = w->policy_key.version;
	w->range_key.peer_identity = w->policy_key.peer_identity;
	w->range_key.protocol = w->protocol;
	w->range_key.direction = w->policy_key.direction;
	w->range_key.port = w->port;
	entry = bpf_map_lookup_elem(&weir_policy_ranges_v1, &w->range_key);
	if (entry)
		policy_combine(j, entry, match);
}

/* All that is said of one peer, from the most specific to the least. */
static __noinline int policy_try_peer(struct work *w, struct judgement *j, __u32 peer_identity, __u32 kinds)
{
	const enum policy_match port = peer_identity ? POLICY_MATCH_L3_L4 : POLICY_MATCH_L4_ONLY;

	w->policy_key.peer_identity = peer_identity;
	if (kinds & POLICY_KEY_PORT && w->port)
		policy_try(w, j, w->protocol, w->port, port);
	if (kinds & POLICY_KEY_RANGE && w->port)
		policy_try_range(w, j, port);
	if (kinds & POLICY_KEY_PROTOCOL)
		policy_try(w, j, w->protocol, 0, peer_identity ? POLICY_MATCH_L3_PROTOCOL : POLICY_MATCH_PROTOCOL_ONLY);
	if (kinds & POLICY_KEY_ANY)
		policy_try(w, j, 0, 0, peer_identity ? POLICY_MATCH_L3_ONLY : POLICY_MATCH_ALL);
	return 0;
}

/*
 * Looks at every kind of key that the version has, from the most specific to the least, and combines what it finds. The
 * agent writes entries so that this is what the rules say (docs/reference/policy-language.md).
 */
static __noinline int policy_find(struct work *w, struct judgement *j, __u32 peer_identity, __u32 rules)
{
	const bool is_pod = peer_identity >= IDENTITY_POD_MIN && peer_identity < IDENTITY_POD_END;

	if (rules & (0xf << POLICY_PEER_ONE))
		policy_try_peer(w, j, peer_identity, rules >> POLICY_PEER_ONE);
	if (is_pod && rules & (0xf << POLICY_PEER_PODS))
		policy_try_peer(w, j, PEER_PODS, rules >> POLICY_PEER_PODS);
	if (rules & (0xf << POLICY_PEER_ANY))
		policy_try_peer(w, j, 0, rules >> POLICY_PEER_ANY);
	if (j->verdict == POLICY_REFUSE)
		return DROP_POLICY_DENY;
	if (!j->verdict)
		return rules & POLICY_DEFAULT_ALLOW ? FORWARDED : DROP_POLICY_DENIED;
	if (j->verdict == POLICY_REDIRECT && w->protocol != IPPROTO_TCP)
		return DROP_PROXY_UNSUPPORTED_PROTOCOL;
	/* Without rules to apply, the proxy would have to guess. */
	if (j->verdict == POLICY_REDIRECT && !j->rule_set)
		return DROP_NO_CONFIGURATION;
	return FORWARDED;
}

/* An audited endpoint's policy is looked at and not held to. Rules for the proxy are not L3/L4 policy, and stay. */
static __always_inline void policy_audit(struct judgement *j)
{
	if (j->reason != DROP_POLICY_DENIED && j->reason != DROP_POLICY_DENY)
		return;
	j->audited = j->reason;
	j->reason = FORWARDED;
}

/* What the policy of `self` says of a flow of `w->protocol` and `w->port` with a peer. */
static __always_inline void policy_judge(struct work *w, struct judgement *j, enum direction direction,
					 const struct end *self, __u32 peer_identity)
{
	const __u64 *stored = bpf_map_lookup_elem(&weir_policy_slots_v2, &self->policy_slot);
	union {
		__u64 bits;
		struct policy_word word;
	} policy;
	__u32 rules;

	if (!stored) {
		j->reason = DROP_NO_CONFIGURATION;
		return;
	}
	policy.bits = READ_ONCE(*stored);
	rules = direction == DIRECTION_INGRESS ? policy.word.ingress : policy.word.egress;
	if (!(rules & POLICY_ENFORCED))
		return;
	w->policy_key.version = policy.word.version;
	w->policy_key.direction = direction;
	j->reason = policy_find(w, j, peer_identity, rules);
	if (self->audited)
		policy_audit(j);
}
