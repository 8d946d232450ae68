/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small files, numbers, hostile text, and the paths of groups. */
#include "lib.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

uint64_t cl_clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * CL_NS_PER_S + (uint64_t)ts.tv_nsec;
}

ssize_t cl_read_fd(int fd, char *buf, size_t size)
{
	size_t len = 0;

	assert(size > 0);
	while (len < size) {
		ssize_t n = pread(fd, buf + len, size - len, (off_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) {
			buf[len] = '\0';
			return (ssize_t)len;
		}
		len += (size_t)n;
	}
	buf[size - 1] = '\0';
	return -EFBIG;
}

ssize_t cl_read_file(int at, const char *path, char *buf, size_t size)
{
	cl_autoclose int fd = openat(at, path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : cl_read_fd(fd, buf, size);
}

int cl_write_file(int at, const char *path, const char *text)
{
	cl_autoclose int fd = openat(at, path, O_WRONLY | O_CLOEXEC);
	size_t len = strlen(text);

	if (fd < 0)
		return -errno;
	ssize_t n = write(fd, text, len);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

bool cl_parse_u64(const char *text, uint64_t *ret_value, const char **ret_end)
{
	uint64_t value = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (p == text)
		return false;
	*ret_value = value;
	if (ret_end)
		*ret_end = p;
	return true;
}

char *cl_escape(const char *text, char *buf, size_t size)
{
	size_t at = 0;

	assert(size > 0);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = c >= 0x20 && c < 0x7f && c != '\\';
		size_t need = plain ? 1 : 4;

		if (at + need >= size)
			break;
		if (plain)
			buf[at] = (char)c;
		else
			snprintf(buf + at, 5, "\\x%02x", c);
		at += need;
	}
	buf[at] = '\0';
	return buf;
}

bool cl_group_path(const struct cl_group_ref *ref, const struct cl_snapshot *snap,
		   char buf[CL_PATH_MAX])
{
	char uuid[CL_UUID_TEXT];
	int n = -1;

	cl_uuid_format(&ref->guest, uuid);
	switch (ref->tag) {
	case CL_GROUP_NONE:
		return false;
	case CL_GROUP_SEEN:
		if (ref->seen.v >= snap->n.groups)
			return false;
		n = snprintf(buf, CL_PATH_MAX, "%s",
			     cl_snapshot_str(snap, snap->groups[ref->seen.v].path));
		break;
	case CL_GROUP_ROOT:
		n = snprintf(buf, CL_PATH_MAX, "/closer");
		break;
	case CL_GROUP_GUEST:
		n = snprintf(buf, CL_PATH_MAX, "/closer/%s", uuid);
		break;
	case CL_GROUP_GUEST_NODE:
		n = snprintf(buf, CL_PATH_MAX, "/closer/%s/node%u", uuid, ref->node.v);
		break;
	case CL_GROUP_GUEST_ALL:
		n = snprintf(buf, CL_PATH_MAX, "/closer/%s/all", uuid);
		break;
	}
	return n >= 0 && n < (int)CL_PATH_MAX;
}
