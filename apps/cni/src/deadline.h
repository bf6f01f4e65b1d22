// SPDX-License-Identifier: Apache-2.0
// A point in time on the monotonic clock, by which something has to be done.
#pragma once
#include <stdint.h>
#include <time.h>

typedef int64_t deadline_ms;

static inline int64_t monotonic_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// What is left, as poll(2) takes it: 0 when the time has passed.
static inline int deadline_left_ms(deadline_ms deadline)
{
	int64_t left = deadline - monotonic_ms();
	return left > 0 ? (int)left : 0;
}
