/* SPDX-License-Identifier: GPL-2.0-or-later */
/* blind: takes the BPF clock of this process off sched_switch, as if the kernel did not trace it.
 * Included by tests, after unit.h. */
#ifndef CLOSER_TESTS_BLIND_H
#define CLOSER_TESTS_BLIND_H

#include "lib.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>

struct blind {
	int link; /* the number that the clock knows its link by */
	int prog;
};

/* The lowest descriptor of this process whose fdinfo has both texts. */
static int fd_that_has(const char *one, const char *other)
{
	char path[64], text[1024];

	for (int fd = 0; fd < 1024; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
		if (cl_read_file(AT_FDCWD, path, text, sizeof(text)) > 0 && strstr(text, one) &&
		    strstr(text, other))
			return fd;
	}
	fail_msg("no descriptor has %s and %s in its fdinfo", one, other);
	return -1;
}

static struct blind blind_clock(void)
{
	struct blind blind = { .link = fd_that_has("link_type:", "tp_name:\tsched_switch\n") };
	char path[64], text[1024], id[34];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", blind.link);
	assert_true(cl_read_file(AT_FDCWD, path, text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "prog_id:"));
	assert_int_equal(sscanf(strstr(text, "prog_id:"), "%31[^\n]", id), 1);
	strcat(id, "\n");
	blind.prog = fd_that_has("prog_type:", id);
	/* The number stays taken, for the link to come. */
	int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_int_equal(dup3(nothing, blind.link, O_CLOEXEC), blind.link);
	close(nothing);
	return blind;
}

static void sight_clock(const struct blind *blind)
{
	union bpf_attr attr = { .raw_tracepoint.prog_fd = (uint32_t)blind->prog };
	int link = (int)syscall(SYS_bpf, BPF_RAW_TRACEPOINT_OPEN, &attr, sizeof(attr));

	assert_true(link >= 0);
	assert_int_equal(dup3(link, blind->link, O_CLOEXEC), blind->link);
	close(link);
}

#endif
