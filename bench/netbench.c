// SPDX-License-Identifier: Apache-2.0
/*
 * Measures one path between two network namespaces: round trips on one connection, round trips with a connection each,
 * and bulk transfer. The server ends when its standard input does, so that nothing outlives the benchmark.
 *
 *   netbench server PORT [--cpu N]
 *   netbench tcp_rr|tcp_crr|udp_rr|tcp_stream ADDRESS PORT [--ms N] [--size N] [--connections N] [--cpu N]
 *
 * The server echoes on PORT (TCP and UDP) and swallows on PORT + 1. A client prints one line of JSON.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
	MS_MAX = 60000,
	SIZE_MAX_BYTES = 65000,
	CONNECTIONS_MAX = 64,
	SAMPLES_MAX = 1 << 24,
	ERRORS_MAX = 20,
	WARM_UP_ROUNDS = 200,
	STREAM_CHUNK = 128 << 10,
};

struct options {
	const char *address;
	int port;
	int ms;
	int size;
	int connections;
	int cpu;
};

struct target {
	struct sockaddr_storage address;
	socklen_t length;
};

struct samples {
	uint32_t *ns;
	size_t count;
	unsigned int errors;
	double seconds;
};

static void die(const char *what)
{
	fprintf(stderr, "netbench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void no_delay(int fd)
{
	const int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* ---- server ---- */

static int open_server(int type, int port)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	const int off = 0, on = 1;
	int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)))
		die("bind");
	if (type == SOCK_STREAM && listen(fd, 4096))
		die("listen");
	return fd;
}

/* Reads to the end and answers with the number of bytes: the receiver's count is the one that matters. */
static void *swallow(void *argument)
{
	const int fd = (int)(intptr_t)argument;
	char *chunk = malloc(STREAM_CHUNK);
	uint64_t total = 0;
	ssize_t got;

	while (chunk && (got = read(fd, chunk, STREAM_CHUNK)) > 0)
		total += (uint64_t)got;
	if (write(fd, &total, sizeof(total)) != sizeof(total))
		fprintf(stderr, "netbench: a stream was gone before it was counted\n");
	free(chunk);
	close(fd);
	return NULL;
}

static void accept_stream(int listener)
{
	const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	pthread_t thread;

	if (fd < 0)
		return;
	if (pthread_create(&thread, NULL, swallow, (void *)(intptr_t)fd))
		close(fd);
	else
		pthread_detach(thread);
}

static void watch(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		die("epoll_ctl");
}

static void echo_datagram(int fd)
{
	static char buffer[SIZE_MAX_BYTES];
	struct sockaddr_storage peer;
	socklen_t length = sizeof(peer);
	const ssize_t got = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&peer, &length);

	if (got >= 0)
		sendto(fd, buffer, (size_t)got, 0, (struct sockaddr *)&peer, length);
}

static void echo_stream(int fd)
{
	static char buffer[SIZE_MAX_BYTES];
	const ssize_t got = read(fd, buffer, sizeof(buffer));

	if (got <= 0 || write(fd, buffer, (size_t)got) != got)
		close(fd);
}

static int run_server(int port)
{
	const int echo = open_server(SOCK_STREAM, port), datagrams = open_server(SOCK_DGRAM, port);
	const int streams = open_server(SOCK_STREAM, port + 1);
	const int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[64];

	watch(epoll, STDIN_FILENO);
	watch(epoll, echo);
	watch(epoll, datagrams);
	watch(epoll, streams);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		const int count = epoll_wait(epoll, events, 64, -1);

		for (int i = 0; i < count; i++) {
			const int fd = events[i].data.fd;

			if (fd == STDIN_FILENO) {
				return 0;
			} else if (fd == echo) {
				const int accepted = accept4(echo, NULL, NULL, SOCK_CLOEXEC);

				if (accepted >= 0) {
					no_delay(accepted);
					watch(epoll, accepted);
				}
			} else if (fd == datagrams) {
				echo_datagram(fd);
			} else if (fd == streams) {
				accept_stream(fd);
			} else {
				echo_stream(fd);
			}
		}
	}
}

/* ---- client ---- */

static struct target resolve(const char *address, int port)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	struct target target = {0};
	char service[8];

	snprintf(service, sizeof(service), "%d", port);
	if (getaddrinfo(address, service, &hints, &found)) {
		fprintf(stderr, "netbench: \"%s\" is not an IP address\n", address);
		exit(2);
	}
	memcpy(&target.address, found->ai_addr, found->ai_addrlen);
	target.length = found->ai_addrlen;
	freeaddrinfo(found);
	return target;
}

static int open_client(const struct target *target, int type)
{
	const struct timeval limit = {.tv_sec = 2};
	const int fd = socket(target->address.ss_family, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (type == SOCK_STREAM)
		no_delay(fd);
	if (connect(fd, (const struct sockaddr *)&target->address, target->length)) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool round_trip(int fd, char *buffer, size_t size)
{
	size_t got = 0;

	if (write(fd, buffer, size) != (ssize_t)size)
		return false;
	while (got < size) {
		const ssize_t part = read(fd, buffer, size - got);

		if (part <= 0)
			return false;
		got += (size_t)part;
	}
	return true;
}

static bool connect_round_trip(const struct target *target, char *buffer, size_t size)
{
	const int fd = open_client(target, SOCK_STREAM);
	bool ok;

	if (fd < 0)
		return false;
	ok = round_trip(fd, buffer, size);
	close(fd);
	return ok;
}

/* A connection of its own for each round trip when `type` is 0. */
static struct samples measure(const struct target *target, int type, const struct options *options)
{
	struct samples samples = {.ns = malloc(SAMPLES_MAX * sizeof(uint32_t))};
	char *buffer = calloc(1, (size_t)options->size);
	const int fd = type ? open_client(target, type) : -1;
	uint64_t start, end, now;

	if (!samples.ns || !buffer || (type && fd < 0))
		die("connect");
	for (int i = 0; type && i < WARM_UP_ROUNDS; i++)
		round_trip(fd, buffer, (size_t)options->size);
	start = now = now_ns();
	end = start + (uint64_t)options->ms * 1000000;
	while (now < end && samples.count < SAMPLES_MAX && samples.errors < ERRORS_MAX) {
		const bool ok = type ? round_trip(fd, buffer, (size_t)options->size)
				     : connect_round_trip(target, buffer, (size_t)options->size);
		const uint64_t then = now;

		now = now_ns();
		if (ok)
			samples.ns[samples.count++] = now - then > UINT32_MAX ? UINT32_MAX : (uint32_t)(now - then);
		else
			samples.errors++;
	}
	samples.seconds = (double)(now - start) / 1e9;
	if (fd >= 0)
		close(fd);
	free(buffer);
	return samples;
}

static int by_value(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static double quantile_us(const struct samples *samples, double q)
{
	return samples->count ? samples->ns[(size_t)((double)(samples->count - 1) * q)] / 1000.0 : 0;
}

static void print_samples(const char *test, struct samples *samples)
{
	qsort(samples->ns, samples->count, sizeof(*samples->ns), by_value);
	printf("{\"test\":\"%s\",\"perSecond\":%.1f,\"p50Us\":%.2f,\"p90Us\":%.2f,\"p99Us\":%.2f,\"p999Us\":%.2f,"
	       "\"errors\":%u}\n",
	       test, (double)samples->count / samples->seconds, quantile_us(samples, .5), quantile_us(samples, .9),
	       quantile_us(samples, .99), quantile_us(samples, .999), samples->errors);
	free(samples->ns);
}

struct stream {
	const struct target *target;
	uint64_t end_ns;
	uint64_t received;
	unsigned int retransmits;
	bool failed;
};

static void *send_stream(void *argument)
{
	struct stream *stream = argument;
	const int fd = open_client(stream->target, SOCK_STREAM);
	char *chunk = calloc(1, STREAM_CHUNK);
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);

	stream->failed = fd < 0 || !chunk;
	while (!stream->failed && now_ns() < stream->end_ns)
		stream->failed = write(fd, chunk, STREAM_CHUNK) < 0;
	if (!stream->failed) {
		shutdown(fd, SHUT_WR);
		stream->failed =
		    read(fd, &stream->received, sizeof(stream->received)) != (ssize_t)sizeof(stream->received);
		if (!getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length))
			stream->retransmits = info.tcpi_total_retrans;
	}
	if (fd >= 0)
		close(fd);
	free(chunk);
	return NULL;
}

static int run_streams(const struct target *target, const struct options *options)
{
	struct stream streams[CONNECTIONS_MAX] = {0};
	pthread_t threads[CONNECTIONS_MAX];
	const uint64_t start = now_ns();
	unsigned int errors = 0, retransmits = 0;
	uint64_t received = 0;
	double seconds;

	for (int i = 0; i < options->connections; i++) {
		streams[i].target = target;
		streams[i].end_ns = start + (uint64_t)options->ms * 1000000;
		if (pthread_create(&threads[i], NULL, send_stream, &streams[i]))
			die("pthread_create");
	}
	for (int i = 0; i < options->connections; i++) {
		pthread_join(threads[i], NULL);
		received += streams[i].received;
		retransmits += streams[i].retransmits;
		errors += streams[i].failed;
	}
	seconds = (double)(now_ns() - start) / 1e9;
	printf("{\"test\":\"tcp_stream\",\"gbitPerSecond\":%.3f,\"connections\":%d,\"retransmits\":%u,\"errors\":%u}\n",
	       (double)received * 8 / seconds / 1e9, options->connections, retransmits, errors);
	return errors ? 1 : 0;
}

/* ---- command line ---- */

static int number(const char *name, const char *text, int max)
{
	char *end;
	const long value = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || value < 0 || value > max) {
		fprintf(stderr, "netbench: %s is \"%s\", expected a number from 0 to %d\n", name, text, max);
		exit(2);
	}
	return (int)value;
}

static void parse_options(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
	    {"ms", required_argument, NULL, 'm'},
	    {"size", required_argument, NULL, 's'},
	    {"cpu", required_argument, NULL, 'c'},
	    {"connections", required_argument, NULL, 'n'},
	    {NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'm')
			options->ms = number("--ms", optarg, MS_MAX);
		else if (option == 's')
			options->size = number("--size", optarg, SIZE_MAX_BYTES);
		else if (option == 'n')
			options->connections = number("--connections", optarg, CONNECTIONS_MAX);
		else if (option == 'c')
			options->cpu = number("--cpu", optarg, CPU_SETSIZE - 1);
		else
			exit(2);
	}
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

int main(int argc, char **argv)
{
	struct options options = {.ms = 2000, .size = 1, .connections = 1, .cpu = -1};
	struct samples samples;
	struct target target;
	const char *test;

	parse_options(argc, argv, &options);
	test = optind < argc ? argv[optind] : "";
	signal(SIGPIPE, SIG_IGN);
	if (options.cpu >= 0)
		pin(options.cpu);
	if (!strcmp(test, "server") && argc - optind == 2)
		return run_server(number("PORT", argv[optind + 1], 65534));
	if (argc - optind != 3) {
		fprintf(stderr, "usage: netbench server PORT | TEST ADDRESS PORT, see netbench.c\n");
		return 2;
	}
	options.address = argv[optind + 1];
	options.port = number("PORT", argv[optind + 2], 65534);
	target = resolve(options.address, options.port);
	if (!strcmp(test, "tcp_rr")) {
		samples = measure(&target, SOCK_STREAM, &options);
	} else if (!strcmp(test, "udp_rr")) {
		samples = measure(&target, SOCK_DGRAM, &options);
	} else if (!strcmp(test, "tcp_crr")) {
		samples = measure(&target, 0, &options);
	} else if (!strcmp(test, "tcp_stream")) {
		target = resolve(options.address, options.port + 1);
		return run_streams(&target, &options);
	} else {
		fprintf(stderr, "netbench: TEST is \"%s\", expected tcp_rr, tcp_crr, udp_rr or tcp_stream\n", test);
		return 2;
	}
	print_samples(test, &samples);
	return samples.errors ? 1 : 0;
}
