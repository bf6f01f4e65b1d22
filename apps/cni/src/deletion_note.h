// SPDX-License-Identifier: Apache-2.0
// A DEL that the agent could not be told of, left for it to work off when it starts.
#pragma once
#include "cni_error.h"
#include "invocation.h"

// Writes the request into `cni-deletions/` beside the agent's socket, as a whole or not at all. A second note for the
// same container and interface replaces the first.
bool leave_deletion_note(const struct invocation *invocation, const struct text *request, struct cni_error *error);
