// SPDX-License-Identifier: Apache-2.0
// Failures as the CNI specification writes them: a code that runtimes act on, and words for people.
#pragma once
#include <stdbool.h>

enum cni_code {
	CNI_INCOMPATIBLE_VERSION = 1,
	CNI_INVALID_ENVIRONMENT = 4,
	CNI_IO_FAILURE = 5,
	CNI_DECODING_FAILURE = 6,
	CNI_INVALID_CONFIG = 7,
	CNI_TRY_AGAIN_LATER = 11,
	CNI_NOT_AVAILABLE = 50,		// Of STATUS: no ADD can be served, existing containers are not affected.
	CNI_AGENT_NOT_UNDERSTOOD = 100, // Ours: what answered on the socket is not a Weir agent of this version.
};

struct cni_error {
	enum cni_code code;
	char message[2048];
	char details[1024]; // Empty: none.
};

// Fills in the error, without details. Always false, so that a check can `return cni_fail(…)`.
__attribute__((format(printf, 3, 4))) bool cni_fail(struct cni_error *error, enum cni_code code, const char *format,
						    ...);

// Adds details to an error. Always false.
__attribute__((format(printf, 2, 3))) bool cni_details(struct cni_error *error, const char *format, ...);
