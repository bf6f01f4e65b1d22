/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Not a program: mentions all that user space shares with the programs, so that BTF carries it to tools/layoutgen. */
#include "lib/compiler.h"
#include "lib/drop_reasons.h"
#include "lib/structs.h"
#include "lib/lb_structs.h"
#include "lib/config.h"
#include "lib/maps.h"
#include "lib/lb_maps.h"
#include "lib/nodes.h"
#include "lib/nat_maps.h"

#define DOC(sentence) __attribute__((btf_decl_tag(sentence)))

struct event export_event;

enum drop_reason export_drop_reason;
enum direction export_direction;
enum policy_key_kind export_policy_key_kind;
enum policy_peer_shift export_policy_peer_shift;
enum policy_flag export_policy_flag;
enum endpoint_flag export_endpoint_flag;
enum host_policy_bits export_host_policy_bits;
enum policy_verdict export_policy_verdict;
enum policy_match export_policy_match;
enum ct_key_flag export_ct_key_flag;
enum ct_flag export_ct_flag;
enum ct_remote export_ct_remote;
enum event_type export_event_type;
enum trace_point export_trace_point;
enum trace_detail export_trace_detail;
enum event_flag export_event_flag;
enum lb_selection export_lb_selection;
enum lb_backend_state export_lb_backend_state;
enum lb_client_kind export_lb_client_kind;
enum lb_socket_kind export_lb_socket_kind;
enum lb_flow_kind export_lb_flow_kind;

#define DROP_REASON_TEXT(number, name, text) char doc_DROP_##name DOC(text);

DROP_REASONS(DROP_REASON_TEXT)
