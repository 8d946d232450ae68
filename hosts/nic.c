/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nic.h"

#include "lib.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define PATH_SIZE (CL_PATH_MAX + 32)

bool cl_nic_can(void)
{
	return access("/sys/class/net/lo/threaded", W_OK) == 0;
}

/* A name of the kernel's, in a folder of the kernel's: not one that leads out of it. */
static int path_of(const struct cl_change *change, char *path, struct cl_error *reterr)
{
	const char *name = change->path;

	if (!name[0] || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return cl_fail(reterr, EINVAL, "'%.64s' is no network device", name);
	snprintf(path, PATH_SIZE, "/sys/class/net/%s/threaded", name);
	return 0;
}

uint32_t cl_nic_threaded(int fd)
{
	char text[16];

	if (fd < 0 || cl_read_fd(fd, text, sizeof(text)) <= 0)
		return CL_NONE;
	return strcmp(text, "0\n") == 0 ? 0 : strcmp(text, "1\n") == 0 ? 1 : CL_NONE;
}

int cl_nic_read(const struct cl_change *change, struct cl_setting *ret_setting,
		struct cl_error *reterr)
{
	char path[PATH_SIZE];
	int r = path_of(change, path, reterr);

	if (r < 0)
		return r;
	cl_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return cl_fail(reterr, errno, "opening %.128s: %s", path, strerror(errno));
	uint32_t is = cl_nic_threaded(fd);
	if (is == CL_NONE)
		return cl_fail(reterr, EBADMSG, "%.128s says neither 0 nor 1", path);
	memset(ret_setting, 0, sizeof(*ret_setting));
	ret_setting->present = true;
	ret_setting->number = is;
	return 0;
}

int cl_nic_write(const struct cl_change *change, struct cl_error *reterr)
{
	char path[PATH_SIZE];
	struct cl_setting is;
	int r = path_of(change, path, reterr);

	if (r == 0)
		r = cl_write_file(AT_FDCWD, path, change->to.number ? "1" : "0");
	else
		return r;
	if (r < 0)
		return cl_fail(reterr, -r, "writing to %.128s: %s", path, strerror(-r));
	r = cl_nic_read(change, &is, reterr);
	if (r == 0 && is.number != change->to.number)
		r = cl_fail(reterr, EIO, "%.128s did not take %d", path, (int)change->to.number);
	return r;
}
