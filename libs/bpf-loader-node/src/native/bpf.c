// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "bpf.h"

/* A verifier log can have 16 MiB; more than that is cut, with a note. */
#define LOG_LIMIT (32u << 20)

static __thread struct weir_log *thread_log;

static int append_log(enum libbpf_print_level level, const char *format, va_list args)
{
	struct weir_log *log = thread_log;
	if (!log || level == LIBBPF_DEBUG)
		return 0;
	va_list again;
	va_copy(again, args);
	int length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (length <= 0 || log->length + (size_t)length >= LOG_LIMIT)
		return 0;
	if (log->length + (size_t)length + 1 > log->capacity) {
		size_t capacity = (log->length + (size_t)length + 1) * 2;
		char *text = realloc(log->text, capacity);
		if (!text)
			return 0;
		log->text = text;
		log->capacity = capacity;
	}
	vsnprintf(log->text + log->length, (size_t)length + 1, format, args);
	log->length += (size_t)length;
	return length;
}

void weir_log_begin(struct weir_log *log)
{
	*log = (struct weir_log){0};
	thread_log = log;
}

void weir_log_end(void)
{
	thread_log = NULL;
}

static void destroy_bpf_object(struct weir_object *object)
{
	struct weir_bpf_object *self = (struct weir_bpf_object *)object;
	close(self->fd);
	free(self);
}

struct weir_bpf_object *weir_bpf_object_from_fd(int fd, enum weir_kind kind, struct weir_error *error)
{
	struct weir_bpf_object *self = calloc(1, sizeof(*self));
	if (!self) {
		close(fd);
		weir_fail(error, ENOMEM, "calloc", "Cannot keep a BPF object");
		return NULL;
	}
	self->object = (struct weir_object){.kind = kind, .destroy = destroy_bpf_object};
	self->fd = fd;
	return self;
}

static bool on_bpffs(const char *path)
{
	struct statfs fs;
	return statfs(path, &fs) == 0 && fs.f_type == BPF_FS_MAGIC;
}

napi_value weir_pin(napi_env env, napi_callback_info info, enum weir_kind kind)
{
	napi_value args[2];
	char path[WEIR_PATH_MAX];
	if (!weir_args(env, info, 2, args))
		return NULL;
	struct weir_bpf_object *object = (struct weir_bpf_object *)weir_handle_get(env, args[0], kind);
	if (!object || !weir_arg_string(env, args[1], "path", path, sizeof(path)))
		return NULL;
	/* Maps, programs and links all begin like weir_bpf_object. */
	if (bpf_obj_pin(object->fd, path) == 0)
		return NULL;
	int err = errno;
	char *slash = strrchr(path, '/');
	if (slash && err == EPERM) {
		*slash = '\0';
		if (!on_bpffs(path))
			return weir_throw_errno(env, err, "bpf_obj_pin",
						"Cannot pin in \"%s\", which is not on a BPF file system", path);
		*slash = '/';
		if (strchr(slash, '.'))
			return weir_throw_errno(env, err, "bpf_obj_pin",
						"Cannot pin at \"%s\": the BPF file system reserves names with a dot",
						path);
	}
	return weir_throw_errno(env, err, "bpf_obj_pin", "Cannot pin at \"%s\"", path);
}

/* The kernel names the kind of an anonymous descriptor only here: "anon_inode:bpf-map", "bpf-prog" or "bpf_link". */
static enum weir_kind kind_of_fd(int fd, char *target, size_t size)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t length = readlink(path, target, size - 1);
	target[length > 0 ? length : 0] = '\0';
	if (strstr(target, "bpf-map"))
		return WEIR_KIND_MAP;
	if (strstr(target, "bpf-prog"))
		return WEIR_KIND_PROGRAM;
	return strstr(target, "bpf_link") || strstr(target, "bpf-link") ? WEIR_KIND_LINK : 0;
}

int weir_open_pin(const char *path, enum weir_kind kind, struct weir_error *error)
{
	char target[64];
	int fd = bpf_obj_get(path);
	if (fd < 0) {
		weir_fail(error, errno, "bpf_obj_get", "Cannot open the pin \"%s\"", path);
		return -1;
	}
	if (kind_of_fd(fd, target, sizeof(target)) == kind)
		return fd;
	close(fd);
	const char *wanted = kind == WEIR_KIND_MAP ? "a map" : kind == WEIR_KIND_PROGRAM ? "a program" : "a link";
	weir_fail_code(error, WEIR_STATE, "Cannot open the pin \"%s\" as %s: it is \"%s\"", path, wanted, target);
	return -1;
}

/* mountBpffs(path): harmless if a BPF file system is there already. */
static napi_value mount_bpffs(napi_env env, napi_callback_info info)
{
	napi_value value;
	char path[WEIR_PATH_MAX];
	if (!weir_args(env, info, 1, &value) || !weir_arg_string(env, value, "path", path, sizeof(path)))
		return NULL;
	if (!on_bpffs(path) && mount("bpf", path, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0)
		return weir_throw_errno(env, errno, "mount", "Cannot mount a BPF file system at \"%s\"", path);
	return NULL;
}

static napi_value unmount_bpffs(napi_env env, napi_callback_info info)
{
	napi_value value;
	char path[WEIR_PATH_MAX];
	if (!weir_args(env, info, 1, &value) || !weir_arg_string(env, value, "path", path, sizeof(path)))
		return NULL;
	if (!on_bpffs(path))
		return weir_throw_argument(env, "path: \"%s\" is not on a BPF file system", path);
	if (umount2(path, UMOUNT_NOFOLLOW) != 0)
		return weir_throw_errno(env, errno, "umount2", "Cannot unmount \"%s\"", path);
	return NULL;
}

bool weir_init_bpf(napi_env env, napi_value exports)
{
	static const struct weir_function functions[] = {
	    {"mountBpffs", mount_bpffs},
	    {"unmountBpffs", unmount_bpffs},
	};
	static bool (*const parts[])(napi_env, napi_value) = {
	    weir_init_map,    weir_init_map_element, weir_init_map_batch, weir_init_map_scan,
	    weir_init_object, weir_init_load,	     weir_init_program,	  weir_init_link,
	    weir_init_tc,     weir_init_probe,	     weir_init_ring,
	};
	libbpf_set_print(append_log);
	for (size_t i = 0; i < COUNT_OF(parts); i++) {
		if (!parts[i](env, exports))
			return false;
	}
	return weir_export_functions(env, exports, functions, COUNT_OF(functions));
}
