/* SPDX-License-Identifier: GPL-2.0-or-later */
/* threads_proc: what /proc says of one thread: parsers, kept descriptors, the list of a process'
 * threads. */
#include "threads_proc.h"
#include "lib.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>

#define RESERVE 256u /* descriptors left to everybody else in this process */

/* The next number after spaces; a sign is passed over, since no signed field is used. */
static bool next_number(const char **text, uint64_t *ret_value)
{
	const char *p = *text;

	while (*p == ' ')
		p++;
	if (*p == '-')
		p++;
	return cl_parse_u64(p, ret_value, text);
}

bool cl_stat_parse(const char *text, struct cl_stat *ret_stat)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	struct cl_stat stat = { 0 };
	uint64_t field = 0;

	if (!open || !close || close < open || close[1] != ' ' || !close[2])
		return false;
	size_t len = (size_t)(close - open - 1);

	memcpy(stat.comm, open + 1, len < sizeof(stat.comm) ? len : sizeof(stat.comm) - 1);
	stat.state = close[2];
	const char *p = close + 3;

	for (unsigned number = 4; number <= 39; number++) {
		if (!next_number(&p, &field))
			return false;
		if (number == 9)
			stat.flags = (uint32_t)field;
		else if (number == 22)
			stat.start = field;
	}
	if (field >= CL_CPUS_MAX)
		return false;
	stat.cpu = (uint32_t)field;
	*ret_stat = stat;
	return true;
}

bool cl_schedstat_parse(const char *text, uint64_t *ret_run_ns, uint64_t *ret_wait_ns)
{
	uint64_t run, wait, slices;

	if (!next_number(&text, &run) || !next_number(&text, &wait) ||
	    !next_number(&text, &slices) || *text != '\n')
		return false;
	*ret_run_ns = run;
	*ret_wait_ns = wait;
	return true;
}

ssize_t cl_proc_pread(int fd, char *buf)
{
	ssize_t n;

	do
		n = pread(fd, buf, CL_PROC_TEXT - 1, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return n;
}

int cl_proc_open(int task_dir, int32_t tid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "%d/%s", tid, name);
	int fd = openat(task_dir, path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	return errno == ENOENT ? -ESRCH : -errno;
}

int cl_proc_mask(int32_t tid, struct cl_cpuset *ret_mask)
{
	struct cl_cpuset mask = { 0 };

	/* The kernel's mask is an array of longs from CPU 0 up; so is ours. */
	_Static_assert(sizeof(unsigned long) == sizeof(mask.w[0]), "a 64-bit machine");
	if (sched_getaffinity(tid, sizeof(mask), (cpu_set_t *)(void *)&mask) < 0)
		return -errno;
	*ret_mask = mask;
	return 0;
}

int cl_proc_each(int task_dir, int (*fn)(void *ctx, int32_t tid), void *ctx)
{
	_Alignas(struct dirent64) char buf[8192];
	ssize_t len;

	if (lseek(task_dir, 0, SEEK_SET) < 0)
		return -errno;
	while ((len = getdents64(task_dir, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < len;) {
			const struct dirent64 *entry =
				(const struct dirent64 *)(const void *)(buf + at);
			const char *end;
			uint64_t tid;

			at += entry->d_reclen;
			if (!cl_parse_u64(entry->d_name, &tid, &end) || *end || tid > INT32_MAX)
				continue;
			int r = fn(ctx, (int32_t)tid);

			if (r)
				return r;
		}
	}
	return len < 0 ? -errno : 0;
}

uint32_t cl_proc_descriptors(uint32_t wanted)
{
	struct rlimit limit, more;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return RESERVE;
	more = limit;
	if (more.rlim_max <
	    (rlim_t)wanted + RESERVE) /* needs CAP_SYS_RESOURCE; without it, what there is */
		more.rlim_max = (rlim_t)wanted + RESERVE;
	more.rlim_cur = more.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &more) < 0) {
		more = limit;
		more.rlim_cur = more.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &more) < 0)
			more = limit;
	}
	if (more.rlim_cur > 2 * RESERVE)
		more.rlim_cur -= RESERVE;
	else
		more.rlim_cur /= 2;
	return more.rlim_cur > UINT32_MAX ? UINT32_MAX : (uint32_t)more.rlim_cur;
}

/* "Tgid:" of /proc/TID/status. */
static bool status_tgid(const char *text, int32_t *ret_tgid)
{
	uint64_t value;

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, "Tgid:\t", 6) != 0)
			continue;
		if (!cl_parse_u64(line + 6, &value, NULL) || value > INT32_MAX)
			return false;
		*ret_tgid = (int32_t)value;
		return true;
	}
	return false;
}

int cl_thread_identify(int32_t tid, struct cl_tid *ret_id, int32_t *ret_process,
		       struct cl_error *reterr)
{
	char path[32], stat_text[CL_PROC_TEXT], status[4096];
	struct cl_stat stat;
	int32_t process;

	snprintf(path, sizeof(path), "/proc/%d", tid);
	/* Both files below one descriptor: they are the same thread's, or the second is not there.
	 */
	cl_autoclose int dir = open(path, O_DIRECTORY | O_PATH | O_CLOEXEC);

	if (dir < 0)
		return cl_fail(reterr, errno == ENOENT ? ESRCH : errno, "thread %d: %s", tid,
			       errno == ENOENT ? "there is no such thread" : strerror(errno));
	ssize_t n = cl_read_file(dir, "stat", stat_text, sizeof(stat_text));

	if (n >= 0) {
		n = cl_read_file(dir, "status", status, sizeof(status));
		if (n == -EFBIG) /* Tgid is near its start */
			n = 0;
	}
	if (n < 0)
		return cl_fail(reterr, n == -ENOENT ? ESRCH : (int)-n,
			       "thread %d: it went while it was read", tid);
	if (!cl_stat_parse(stat_text, &stat) || !status_tgid(status, &process))
		return cl_fail(reterr, EBADMSG, "%s/stat or status: not in the format of proc(5)",
			       path);
	ret_id->tid = tid;
	ret_id->start = stat.start;
	*ret_process = process;
	return 0;
}
