// SPDX-License-Identifier: Apache-2.0
/*
 * Tells when a way between two namespaces opens and closes: sends small datagrams at a steady rate to a server that
 * echoes them, and prints a line when their fate changes. It ends when its standard input does.
 *
 *   flowwatch ADDRESS PORT [INTERVAL_US]
 *
 * Prints "open NS" or "closed NS"; NS is when the first datagram with that fate was sent, in ns of CLOCK_MONOTONIC. In
 * the end it waits for answers that are late, and prints "sent N M": N datagrams were sent, and M were never answered.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	INTERVAL_US = 200,
	INTERVAL_US_MIN = 50,
	LOST_AFTER_MS = 50,
	LATE_MS = 1000,
	PENDING_MAX = 4096, /* more than are sent in LOST_AFTER_MS */
};

struct datagram {
	uint64_t sent_ns;
	bool answered;
};

/* Datagrams whose fate is not known yet are those from `oldest` to `next`. */
struct watch {
	struct datagram pending[PENDING_MAX];
	uint64_t oldest;
	uint64_t next;
	uint64_t answers; /* late ones, too */
	int fate;	  /* -1: not known yet, 0: closed, 1: open */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int open_socket(const char *address, const char *port)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM};
	struct addrinfo *found;
	int fd;

	if (getaddrinfo(address, port, &hints, &found)) {
		fprintf(stderr, "flowwatch: \"%s\" port \"%s\" is no address\n", address, port);
		exit(2);
	}
	fd = socket(found->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen)) {
		fprintf(stderr, "flowwatch: %s\n", strerror(errno));
		exit(1);
	}
	freeaddrinfo(found);
	return fd;
}

static void settle(struct watch *watch, const struct datagram *datagram)
{
	if (watch->fate != datagram->answered)
		printf("%s %llu\n", datagram->answered ? "open" : "closed", (unsigned long long)datagram->sent_ns);
	watch->fate = datagram->answered;
	watch->oldest++;
}

/* In the order of sending: one that is answered late must not seem to have overtaken a lost one. */
static void settle_all(struct watch *watch, uint64_t now)
{
	while (watch->oldest < watch->next) {
		const struct datagram *datagram = &watch->pending[watch->oldest % PENDING_MAX];

		if (!datagram->answered && now - datagram->sent_ns < LOST_AFTER_MS * 1000000ull)
			break;
		settle(watch, datagram);
	}
}

static void send_one(struct watch *watch, int fd, uint64_t now)
{
	watch->pending[watch->next % PENDING_MAX] = (struct datagram){.sent_ns = now};
	/* One that cannot be sent gets no answer, which is what counts. */
	if (send(fd, &watch->next, sizeof(watch->next), 0) < 0 && errno == EBADF)
		exit(1);
	watch->next++;
}

static void receive_all(struct watch *watch, int fd)
{
	uint64_t number;

	while (recv(fd, &number, sizeof(number), 0) == sizeof(number)) {
		watch->answers++;
		if (number >= watch->oldest && number < watch->next)
			watch->pending[number % PENDING_MAX].answered = true;
	}
}

static int finish(struct watch *watch, int fd)
{
	const uint64_t until = now_ns() + LATE_MS * 1000000ull;
	struct pollfd end = {.fd = fd, .events = POLLIN};

	while (watch->answers < watch->next && now_ns() < until) {
		poll(&end, 1, 10);
		receive_all(watch, fd);
	}
	printf("sent %llu %llu\n", (unsigned long long)watch->next, (unsigned long long)(watch->next - watch->answers));
	return 0;
}

int main(int argc, char **argv)
{
	static struct watch watch = {.fate = -1};
	const long interval_us = argc > 3 ? strtol(argv[3], NULL, 10) : INTERVAL_US;
	struct pollfd ends[2] = {{.events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
	uint64_t due;

	if (argc < 3 || interval_us < INTERVAL_US_MIN) {
		fprintf(stderr, "usage: flowwatch ADDRESS PORT [INTERVAL_US]\n");
		return 2;
	}
	ends[0].fd = open_socket(argv[1], argv[2]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	prctl(PR_SET_TIMERSLACK, 1000);
	for (due = now_ns();;) {
		const uint64_t now = now_ns();
		struct timespec rest = {0};

		if (now >= due) {
			send_one(&watch, ends[0].fd, now);
			due = now + (uint64_t)interval_us * 1000;
		}
		rest.tv_nsec = (long)(due - now < 1000000 ? due - now : 1000000);
		ends[0].revents = ends[1].revents = 0;
		if (ppoll(ends, 2, &rest, NULL) > 0 && ends[1].revents)
			return finish(&watch, ends[0].fd);
		receive_all(&watch, ends[0].fd);
		settle_all(&watch, now_ns());
	}
}
