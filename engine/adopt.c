/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Adopt requests: lines "thread <tid> start <ticks>" or "irq <n>" in dir/adopt, written by `closer
 * adopt` and taken by whoever acts next. The file is renamed before it is read, so that a line is
 * taken once.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define ADOPT_FILE      "adopt"
#define ADOPT_TAKEN     "adopt.taken"
#define ADOPT_BYTES_MAX (64u << 10)

int cl_adopt_request(const char *dir, const struct cl_object *object, bool irq,
		     struct cl_error *reterr)
{
	cl_autoclose int dir_fd = -1, fd = -1;
	char line[80];
	int n, r = cl_dir_open(dir, &dir_fd, reterr);
	struct stat st;

	if (r < 0)
		return r;
	fd = openat(dir_fd, ADOPT_FILE,
		    O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return cl_fail(reterr, errno, "opening %s/%s to leave a request: %s", dir,
			       ADOPT_FILE, strerror(errno));
	if (st.st_size > (off_t)(ADOPT_BYTES_MAX - sizeof(line)))
		return cl_fail(
			reterr, EFBIG,
			"%s/%s is full of requests that nobody takes: start `closer run`, or "
			"remove it",
			dir, ADOPT_FILE);
	if (irq)
		n = snprintf(line, sizeof(line), "irq %u\n", object->irq);
	else
		n = snprintf(line, sizeof(line), "thread %d start %llu\n", object->thread.tid,
			     (unsigned long long)object->thread.start);
	if (write(fd, line, (size_t)n) != n) {
		int code = errno ? errno : EIO;

		(void)!ftruncate(fd, st.st_size);
		return cl_fail(reterr, code, "writing %s/%s: %s", dir, ADOPT_FILE, strerror(code));
	}
	return 0;
}

static bool word(const char **p, const char *text)
{
	size_t len = strlen(text);

	if (strncmp(*p, text, len) != 0)
		return false;
	*p += len;
	return true;
}

static bool parse(const char *line, struct cl_adopt *ret)
{
	const char *p = line;
	uint64_t number, start;

	memset(ret, 0, sizeof(*ret));
	if (word(&p, "irq ")) {
		if (!cl_parse_u64(p, &number, &p) || *p || number > INT32_MAX)
			return false;
		ret->irq = true;
		ret->number = (uint32_t)number;
		return true;
	}
	if (!word(&p, "thread ") || !cl_parse_u64(p, &number, &p) || number == 0 ||
	    number > INT32_MAX || !word(&p, " start ") || !cl_parse_u64(p, &start, &p) || *p)
		return false;
	ret->thread = (struct cl_tid){ .tid = (int32_t)number, .start = start };
	return true;
}

int cl_adopt_take(int dir_fd, struct cl_adopt *list, uint32_t *count, struct cl_error *reterr)
{
	cl_autofree char *buf = NULL;
	ssize_t len;
	char *line, *rest;

	/* The usual case, once a tick: there is none, and nothing is opened to learn that. */
	if (renameat(dir_fd, ADOPT_FILE, dir_fd, ADOPT_TAKEN) < 0)
		return errno == ENOENT ? 0
				       : cl_fail(reterr, errno, "taking adopt requests: %s",
						 strerror(errno));
	buf = malloc(ADOPT_BYTES_MAX);
	if (!buf)
		return cl_fail(reterr, ENOMEM, "taking adopt requests: no memory");
	len = cl_read_file(dir_fd, ADOPT_TAKEN, buf, ADOPT_BYTES_MAX);
	unlinkat(dir_fd, ADOPT_TAKEN, 0);
	if (len < 0)
		return cl_fail(reterr, (int)-len, "reading adopt requests: %s",
			       strerror((int)-len));
	for (rest = buf; (line = strsep(&rest, "\n")) && rest && *count < CL_ADOPT_MAX;) {
		if (parse(line, &list[*count]))
			(*count)++;
	}
	return 0;
}
