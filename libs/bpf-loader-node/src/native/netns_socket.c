// SPDX-License-Identifier: Apache-2.0
/* Network namespaces as handles, and files that are to be opened inside one: those below /proc/sys/net. */
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "netns.h"
#include "sockets.h"

#define PATH_BYTES     4096
#define FILE_BYTES_MAX (64u << 10)

static void destroy_netns(struct weir_object *object)
{
	struct weir_netns_object *netns = (struct weir_netns_object *)object;
	close(netns->fd);
	free(netns);
}

bool weir_arg_netns(napi_env env, napi_value value, struct weir_netns_object **out)
{
	*out = NULL;
	if (weir_is_undefined(env, value))
		return true;
	*out = (struct weir_netns_object *)weir_handle_get(env, value, WEIR_KIND_NETNS);
	return *out != NULL;
}

int weir_netns_fd(const struct weir_netns_object *netns)
{
	return netns ? netns->fd : -1;
}

static int open_netns(const char *path, struct stat *identity, struct weir_error *error)
{
	/* Non-blocking, because opening a FIFO would otherwise wait for its writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		weir_fail(error, errno, "open", "Cannot open the network namespace \"%s\"", path);
		return -1;
	}
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET) {
		weir_fail_code(error, WEIR_ARGUMENT, "Cannot open the network namespace \"%s\": it is something else",
			       path);
		close(fd);
		return -1;
	}
	if (fstat(fd, identity) != 0) {
		weir_fail(error, errno, "fstat", "Cannot read the identity of the network namespace \"%s\"", path);
		close(fd);
		return -1;
	}
	return fd;
}

/* netnsOpen(path) → {handle, fd, inode, device} */
static napi_value netns_open(napi_env env, napi_callback_info info)
{
	napi_value arguments[1], result;
	char path[PATH_BYTES];
	struct weir_error error = {0};
	struct stat identity;
	if (!weir_args(env, info, 1, arguments) || !weir_arg_string(env, arguments[0], "path", path, sizeof(path)))
		return NULL;
	struct weir_netns_object *netns = calloc(1, sizeof(*netns));
	if (!netns)
		return weir_throw_errno(env, ENOMEM, "calloc", "Cannot open the network namespace \"%s\"", path);
	netns->object = (struct weir_object){.kind = WEIR_KIND_NETNS, .destroy = destroy_netns};
	netns->fd = open_netns(path, &identity, &error);
	if (netns->fd < 0) {
		free(netns);
		return weir_throw(env, &error);
	}
	napi_value handle = weir_handle_new(env, &netns->object);
	if (!handle)
		return NULL;
	WEIR_NAPI(env, napi_create_object(env, &result));
	weir_set(env, result, "handle", handle);
	weir_set(env, result, "fd", weir_number(env, netns->fd));
	weir_set(env, result, "inode", weir_number(env, (double)identity.st_ino));
	weir_set(env, result, "device", weir_number(env, (double)identity.st_dev));
	return result;
}

struct file_work {
	struct weir_work work;
	struct weir_netns_object *netns;
	char path[PATH_BYTES];
	uint8_t *data;
	size_t length;
};

static void release_file_work(struct weir_work *work)
{
	struct file_work *self = (struct file_work *)work;
	weir_object_unref(&self->netns->object);
	free(self->data);
	free(self);
}

/* What a path below /proc/sys/net means is decided when it is opened; reading and writing may happen anywhere. */
static int open_inside(struct file_work *self, int flags, struct weir_error *error)
{
	struct weir_netns netns;
	if (!weir_netns_enter_fd(&netns, self->netns->fd, error))
		return -1;
	int fd = open(self->path, flags | O_CLOEXEC);
	int err = errno;
	weir_netns_leave(&netns);
	if (fd < 0)
		weir_fail(error, err, "open", "Cannot open \"%s\" in the network namespace", self->path);
	return fd;
}

static bool execute_write(struct weir_work *work, struct weir_error *error)
{
	struct file_work *self = (struct file_work *)work;
	int fd = open_inside(self, O_WRONLY, error);
	if (fd < 0)
		return false;
	/* One call: a sysctl takes each write as a whole value. */
	ssize_t written = write(fd, self->data, self->length);
	int err = written < 0 ? errno : EIO;
	close(fd);
	if (written == (ssize_t)self->length)
		return true;
	return weir_fail(error, err, "write", "Cannot write \"%s\" in the network namespace", self->path);
}

static bool execute_read(struct weir_work *work, struct weir_error *error)
{
	struct file_work *self = (struct file_work *)work;
	int fd = open_inside(self, O_RDONLY, error);
	if (fd < 0)
		return false;
	ssize_t count = 0;
	self->data = malloc(FILE_BYTES_MAX);
	if (!self->data)
		errno = ENOMEM;
	while (self->data && self->length < FILE_BYTES_MAX &&
	       (count = read(fd, self->data + self->length, FILE_BYTES_MAX - self->length)) > 0)
		self->length += (size_t)count;
	int err = errno;
	close(fd);
	if (!self->data || count < 0)
		return weir_fail(error, err, "read", "Cannot read \"%s\" in the network namespace", self->path);
	if (self->length == FILE_BYTES_MAX)
		return weir_fail(error, EFBIG, "read", "Cannot read \"%s\": it has %u bytes or more", self->path,
				 FILE_BYTES_MAX);
	return true;
}

static napi_value complete_write(napi_env env, struct weir_work *work)
{
	(void)work;
	return weir_undefined(env);
}

static napi_value complete_read(napi_env env, struct weir_work *work)
{
	struct file_work *self = (struct file_work *)work;
	napi_value text = NULL;
	WEIR_NAPI(env, napi_create_string_utf8(env, (const char *)self->data, self->length, &text));
	return text;
}

static struct file_work *new_file_work(napi_env env, napi_value netns_handle, napi_value path)
{
	struct file_work *self = calloc(1, sizeof(*self));
	if (!self) {
		weir_throw_errno(env, ENOMEM, "calloc", "Cannot open a file in the network namespace");
		return NULL;
	}
	self->netns = (struct weir_netns_object *)weir_handle_get(env, netns_handle, WEIR_KIND_NETNS);
	if (!self->netns || !weir_arg_string(env, path, "path", self->path, sizeof(self->path))) {
		free(self);
		return NULL;
	}
	weir_object_ref(&self->netns->object);
	self->work.release = release_file_work;
	return self;
}

/* netnsWriteFile(netns, path, bytes) → promise */
static napi_value netns_write_file(napi_env env, napi_callback_info info)
{
	napi_value arguments[3];
	struct weir_bytes bytes;
	if (!weir_args(env, info, 3, arguments) || !weir_arg_bytes(env, arguments[2], "bytes", &bytes))
		return NULL;
	if (bytes.length == 0 || bytes.length > FILE_BYTES_MAX)
		return weir_throw_argument(env, "bytes: expected 1 to %u bytes, found %zu", FILE_BYTES_MAX,
					   bytes.length);
	struct file_work *self = new_file_work(env, arguments[0], arguments[1]);
	if (!self)
		return NULL;
	self->data = malloc(bytes.length);
	if (!self->data) {
		release_file_work(&self->work);
		return weir_throw_errno(env, ENOMEM, "malloc", "Cannot write a file in the network namespace");
	}
	memcpy(self->data, bytes.data, bytes.length);
	self->length = bytes.length;
	self->work.execute = execute_write;
	self->work.complete = complete_write;
	return weir_work_start(env, &self->work, "bpf-loader:netns-write-file");
}

/* netnsReadFile(netns, path) → promise of the text */
static napi_value netns_read_file(napi_env env, napi_callback_info info)
{
	napi_value arguments[2];
	if (!weir_args(env, info, 2, arguments))
		return NULL;
	struct file_work *self = new_file_work(env, arguments[0], arguments[1]);
	if (!self)
		return NULL;
	self->work.execute = execute_read;
	self->work.complete = complete_read;
	return weir_work_start(env, &self->work, "bpf-loader:netns-read-file");
}

bool weir_init_netns(napi_env env, napi_value exports)
{
	static const struct weir_function functions[] = {
	    {"netnsOpen", netns_open},
	    {"netnsWriteFile", netns_write_file},
	    {"netnsReadFile", netns_read_file},
	};
	return weir_export_functions(env, exports, functions, sizeof(functions) / sizeof(functions[0]));
}
