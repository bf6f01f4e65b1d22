// SPDX-License-Identifier: Apache-2.0
/* Attachments that the kernel keeps as links: tcx, XDP, cgroup. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bpf.h"
#include "netns.h"

static napi_value handle_from_fd(napi_env env, int fd)
{
	struct weir_error error = {0};
	struct weir_bpf_object *link = weir_bpf_object_from_fd(fd, WEIR_KIND_LINK, &error);
	return link ? weir_handle_new(env, &link->object) : weir_throw(env, &error);
}

struct device_attachment {
	struct weir_work work;
	struct weir_bpf_object *program;
	int32_t ifindex;
	uint32_t attach_type;
	uint32_t flags;
	int fd;
	char netns[WEIR_PATH_MAX];
};

/* Waits for a grace period of the kernel's where the hook is a tcx one. */
static bool attach_to_device(struct weir_work *work, struct weir_error *error)
{
	struct device_attachment *self = (struct device_attachment *)work;
	struct weir_netns netns;
	if (!weir_netns_enter(&netns, self->netns, error))
		return false;
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = self->flags);
	self->fd = bpf_link_create(self->program->fd, self->ifindex, self->attach_type, &opts);
	int err = errno;
	weir_netns_leave(&netns);
	return self->fd >= 0 ||
	       weir_fail(error, err, "bpf_link_create",
			 "Cannot attach to interface %d%s%s (attach type %u, flags 0x%x)", self->ifindex,
			 self->netns[0] ? " of " : "", self->netns, self->attach_type, self->flags);
}

static napi_value complete_attachment(napi_env env, struct weir_work *work)
{
	struct device_attachment *self = (struct device_attachment *)work;
	int fd = self->fd;
	self->fd = -1;
	return handle_from_fd(env, fd);
}

static void release_attachment(struct weir_work *work)
{
	struct device_attachment *self = (struct device_attachment *)work;
	if (self->fd >= 0)
		close(self->fd);
	weir_object_unref(&self->program->object);
	free(self);
}

static struct weir_work *make_attachment(napi_env env, napi_callback_info info)
{
	napi_value args[5];
	struct weir_bpf_object *program = weir_args(env, info, 5, args) ? weir_program_get(env, args[0]) : NULL;
	if (!program)
		return NULL;
	struct device_attachment *self = calloc(1, sizeof(*self));
	if (!self) {
		weir_throw_errno(env, ENOMEM, "calloc", "Cannot attach a program");
		return NULL;
	}
	self->work.execute = attach_to_device;
	self->work.complete = complete_attachment;
	self->work.release = release_attachment;
	self->program = program;
	self->fd = -1;
	weir_object_ref(&program->object);
	if (weir_arg_i32(env, args[1], "ifindex", &self->ifindex) &&
	    weir_arg_u32(env, args[2], "attachType", &self->attach_type) &&
	    weir_arg_u32(env, args[3], "flags", &self->flags) &&
	    weir_arg_string(env, args[4], "netns", self->netns, sizeof(self->netns)))
		return &self->work;
	release_attachment(&self->work);
	return NULL;
}

/* linkCreateDevice(program, ifindex, attachType, flags, netns) → handle; tcx and XDP. netns "" is the caller's own. */
static napi_value link_create_device(napi_env env, napi_callback_info info)
{
	struct weir_work *work = make_attachment(env, info);
	return work ? weir_work_run(env, work) : NULL;
}

static napi_value link_create_device_async(napi_env env, napi_callback_info info)
{
	struct weir_work *work = make_attachment(env, info);
	return work ? weir_work_start(env, work, "weir:attach") : NULL;
}

/* linkCreateCgroup(program, cgroupPath, attachType) → handle */
static napi_value link_create_cgroup(napi_env env, napi_callback_info info)
{
	napi_value args[3];
	uint32_t attach_type;
	char path[WEIR_PATH_MAX];
	if (!weir_args(env, info, 3, args))
		return NULL;
	struct weir_bpf_object *program = weir_program_get(env, args[0]);
	if (!program || !weir_arg_string(env, args[1], "cgroupPath", path, sizeof(path)) ||
	    !weir_arg_u32(env, args[2], "attachType", &attach_type))
		return NULL;
	int cgroup = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup < 0)
		return weir_throw_errno(env, errno, "open", "Cannot open the cgroup \"%s\"", path);
	int fd = bpf_link_create(program->fd, cgroup, attach_type, NULL);
	int err = errno;
	close(cgroup);
	if (fd < 0)
		return weir_throw_errno(env, err, "bpf_link_create",
					"Cannot attach to the cgroup \"%s\" (attach type %u)", path, attach_type);
	return handle_from_fd(env, fd);
}

static napi_value link_open_pinned(napi_env env, napi_callback_info info)
{
	napi_value value;
	char path[WEIR_PATH_MAX];
	struct weir_error error = {0};
	if (!weir_args(env, info, 1, &value) || !weir_arg_string(env, value, "path", path, sizeof(path)))
		return NULL;
	int fd = weir_open_pin(path, WEIR_KIND_LINK, &error);
	return fd < 0 ? weir_throw(env, &error) : handle_from_fd(env, fd);
}

/* linkUpdate(link, program): the next packet runs the new program, none runs neither. */
static napi_value link_update(napi_env env, napi_callback_info info)
{
	napi_value args[2];
	if (!weir_args(env, info, 2, args))
		return NULL;
	struct weir_bpf_object *link = weir_link_get(env, args[0]);
	struct weir_bpf_object *program = link ? weir_program_get(env, args[1]) : NULL;
	if (program && bpf_link_update(link->fd, program->fd, NULL) != 0)
		return weir_throw_errno(env, errno, "bpf_link_update", "Cannot replace the program of a link");
	return NULL;
}

static napi_value link_detach(napi_env env, napi_callback_info info)
{
	napi_value handle;
	if (!weir_args(env, info, 1, &handle))
		return NULL;
	struct weir_bpf_object *link = weir_link_get(env, handle);
	if (link && bpf_link_detach(link->fd) != 0)
		return weir_throw_errno(env, errno, "bpf_link_detach", "Cannot detach a link");
	return NULL;
}

static napi_value link_pin(napi_env env, napi_callback_info info)
{
	return weir_pin(env, info, WEIR_KIND_LINK);
}

/* linkInfo(link) → {id, type, programId, words}: `words` are the bytes that depend on the type, as 32-bit numbers. */
static napi_value link_info(napi_env env, napi_callback_info info)
{
	napi_value handle, result, words;
	struct bpf_link_info found = {0};
	uint32_t length = sizeof(found), detail[4];
	if (!weir_args(env, info, 1, &handle))
		return NULL;
	struct weir_bpf_object *link = weir_link_get(env, handle);
	if (!link)
		return NULL;
	if (bpf_obj_get_info_by_fd(link->fd, &found, &length) != 0)
		return weir_throw_errno(env, errno, "bpf_obj_get_info_by_fd", "Cannot inspect a link");
	/* The header of libbpf 1.1 knows no tcx, whose words lie like those of netns: ifindex, attach type. */
	memcpy(detail, &found.xdp, sizeof(detail));
	WEIR_NAPI(env, napi_create_object(env, &result));
	WEIR_NAPI(env, napi_create_array(env, &words));
	for (uint32_t i = 0; i < COUNT_OF(detail); i++)
		WEIR_NAPI(env, napi_set_element(env, words, i, weir_number(env, detail[i])));
	weir_set(env, result, "id", weir_number(env, found.id));
	weir_set(env, result, "type", weir_number(env, found.type));
	weir_set(env, result, "programId", weir_number(env, found.prog_id));
	weir_set(env, result, "words", words);
	return result;
}

bool weir_init_link(napi_env env, napi_value exports)
{
	static const struct weir_function functions[] = {
	    {"linkCreateDevice", link_create_device},
	    {"linkCreateDeviceAsync", link_create_device_async},
	    {"linkCreateCgroup", link_create_cgroup},
	    {"linkOpenPinned", link_open_pinned},
	    {"linkUpdate", link_update},
	    {"linkDetach", link_detach},
	    {"linkPin", link_pin},
	    {"linkInfo", link_info},
	};
	return weir_export_functions(env, exports, functions, COUNT_OF(functions));
}
