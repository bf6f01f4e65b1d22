// SPDX-License-Identifier: Apache-2.0
#include "deletion_note.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// `<container id>@<interface>.json`. A container id has no '@'; of the interface name all but letters, digits, '.', '_'
// and '-' is written as %XX. So two notes never share a name, and none can be a path.
static void note_name(const struct invocation *invocation, char name[NAME_MAX + 1])
{
	static const char digits[] = "0123456789abcdef";
	int at = snprintf(name, NAME_MAX + 1, "%s@", invocation->container_id);
	for (const unsigned char *p = (const unsigned char *)invocation->interface_name; *p; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
			     strchr("._-", *p);
		if (plain) {
			name[at++] = (char)*p;
		} else {
			name[at++] = '%';
			name[at++] = digits[*p >> 4];
			name[at++] = digits[*p & 15];
		}
	}
	strcpy(name + at, ".json");
}

_Static_assert(CONTAINER_ID_BYTES_MAX + 1 + 15 * 3 + sizeof(".json") <= NAME_MAX + 1, "a note's name must fit");

// Opens the directory of notes, and makes it where it is missing: the agent may never have run since the machine
// started.
static int open_notes_directory(const struct invocation *invocation)
{
	char path[SOCKET_PATH_BYTES_MAX + sizeof("/cni-deletions")];
	strcpy(path, invocation->socket_path);
	char *end = strrchr(path, '/');
	*end = '\0';
	if (*path && mkdir(path, 0755) != 0 && errno != EEXIST)
		return -1;
	strcpy(end, "/cni-deletions");
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return -1;
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool write_all(int fd, const struct text *content)
{
	for (size_t written = 0; written < content->length;) {
		ssize_t count = write(fd, content->bytes + written, content->length - written);
		if (count < 0 && errno != EINTR)
			return false;
		written += count > 0 ? (size_t)count : 0;
	}
	return true;
}

bool leave_deletion_note(const struct invocation *invocation, const struct text *request, struct cni_error *error)
{
	char name[NAME_MAX + 1], temporary[64];
	note_name(invocation, name);
	// No other living process has our id, so a file of this name is what a killed one left behind.
	snprintf(temporary, sizeof(temporary), ".%d.tmp", (int)getpid());
	int directory = open_notes_directory(invocation);
	if (directory < 0)
		return cni_details(error, "Nor can the deletion be noted beside the socket: %s", strerror(errno));
	unlinkat(directory, temporary, 0);
	int fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	bool written = fd >= 0 && write_all(fd, request);
	if (fd >= 0 && close(fd) != 0)
		written = false;
	bool done = written && renameat(directory, temporary, directory, name) == 0;
	if (!done) {
		cni_details(error, "Nor can the deletion be noted beside the socket: %s", strerror(errno));
		unlinkat(directory, temporary, 0);
	}
	close(directory);
	return done;
}
