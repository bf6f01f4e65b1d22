/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Takes one entry into the judgement: a refusal is final, a plain allow beats a redirect, an earlier redirect a later.
 */
static __always_inline void policy_combine(struct judgement *j, const struct policy_entry *entry)
{
	if (entry->verdict == POLICY_REDIRECT ? j->verdict != 0 : j->verdict == POLICY_ALLOW)
		return;
	j->verdict = entry->verdict;
	j->cookie = entry->cookie;
	j->rule_set = entry->verdict == POLICY_REDIRECT ? entry->rule_set : 0;
}

/*
 * Looks at every kind of key that the version has, from the most specific to the least, and combines what it finds. The
 * agent writes entries so that this is what the rules say (docs/reference/policy-language.md).
 */
static __noinline int policy_find(struct work *w, struct judgement *j, __u32 kinds)
{
	struct policy_key *key = &w->policy_key;
	const __u32 peer = key->peer_identity;
	const __be16 port = key->port;
	const __u8 protocol = key->protocol;

	for (int i = 0; i < 6; i++) {
		const struct policy_entry *entry;

		if (!(kinds & (1 << i)))
			continue;
		key->peer_identity = i < 3 ? peer : 0;
		key->protocol = i == 2 || i == 5 ? 0 : protocol;
		key->port = i == 0 || i == 3 ? port : 0;
		entry = bpf_map_lookup_elem(&weir_policy_v1, key);
		if (!entry)
			continue;
		if (entry->verdict == POLICY_REFUSE) {
			j->cookie = entry->cookie;
			j->rule_set = 0;
			return DROP_POLICY_DENY;
		}
		policy_combine(j, entry);
	}
	if (!j->verdict)
		return DROP_POLICY_DENIED;
	if (j->verdict == POLICY_REDIRECT && protocol != IPPROTO_TCP)
		return DROP_PROXY_UNSUPPORTED_PROTOCOL;
	/* Without rules to apply, the proxy would have to guess. */
	if (j->verdict == POLICY_REDIRECT && !j->rule_set)
		return DROP_NO_CONFIGURATION;
	return FORWARDED;
}

/* What the policy in `slot` says of a flow of `w->protocol` and `w->port` with a peer. */
static __always_inline void policy_judge(struct work *w, struct judgement *j, enum direction direction, __u32 slot,
					 __u32 peer_identity)
{
	const __u64 *stored = bpf_map_lookup_elem(&weir_policy_slots_v1, &slot);
	union {
		__u64 bits;
		struct policy_word word;
	} policy;

	if (!stored) {
		j->reason = DROP_NO_CONFIGURATION;
		return;
	}
	policy.bits = READ_ONCE(*stored);
	if (!(policy.word.enforced & direction))
		return;
	w->policy_key.version = policy.word.version;
	w->policy_key.peer_identity = peer_identity;
	w->policy_key.port = w->port;
	w->policy_key.protocol = w->protocol;
	w->policy_key.direction = direction;
	j->reason =
	    policy_find(w, j, direction == DIRECTION_INGRESS ? policy.word.ingress_kinds : policy.word.egress_kinds);
}
