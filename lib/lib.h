/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lib: the few helpers that every impure room shares. No policy, no machine.
 */
#ifndef CLOSER_LIB_H
#define CLOSER_LIB_H

#include <closer/state.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Cleanup attributes: cl_autofree char *p = NULL; cl_autoclose int fd = -1; */
static inline void cl_cleanup_free(void *p)
{
	free(*(void **)p);
}
static inline void cl_cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
static inline void cl_cleanup_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
}
#define cl_autofree   __attribute__((cleanup(cl_cleanup_free)))
#define cl_autoclose  __attribute__((cleanup(cl_cleanup_close)))
#define cl_autofclose __attribute__((cleanup(cl_cleanup_fclose)))

#define CL_COUNT(array) (sizeof(array) / sizeof((array)[0]))

uint64_t cl_clock_ns(void); /* CLOCK_MONOTONIC */

/*
 * Reads all of a small file into buf, NUL-terminated, at most size - 1 bytes; returns the length or
 * -errno
 * (-EFBIG: longer). at: a directory descriptor or AT_FDCWD.
 */
ssize_t cl_read_file(int at, const char *path, char *buf, size_t size);
/* The same from a kept descriptor, by pread at 0: no open. */
ssize_t cl_read_fd(int fd, char *buf, size_t size);
/* Writes the whole text in one write(2). 0 or -errno. */
int cl_write_file(int at, const char *path, const char *text);

/* The field's digits as an unsigned decimal; false if there are none or it overflows. *ret_end may
 * be NULL. */
bool cl_parse_u64(const char *text, uint64_t *ret_value, const char **ret_end);

/*
 * Hostile text made printable: control characters, non-ASCII bytes and backslash become \xNN.
 * Writes at most size bytes with NUL; returns buf.
 */
char *cl_escape(const char *text, char *buf, size_t size);

/* The candidate (NULL-terminated list) nearest to a misspelt word by edit distance; NULL if none is
 * near. */
const char *cl_nearest(const char *word, const char *const *candidates);

/* One allocation each; NULL when there is no memory. _free(NULL) is fine. */
struct cl_snapshot *cl_snapshot_new(const struct cl_limits *cap);
void cl_snapshot_free(struct cl_snapshot *snap);
struct cl_plan *cl_plan_new(const struct cl_limits *cap);
void cl_plan_free(struct cl_plan *plan);
struct cl_state *cl_state_new(const struct cl_limits *cap);
void cl_state_free(struct cl_state *state);

/*
 * The path of a group by meaning: "/closer", "/closer/<uuid>", "/closer/<uuid>/node0",
 * "/closer/<uuid>/all"; of a SEEN one that of the snapshot. False: NONE, or too long.
 */
bool cl_group_path(const struct cl_group_ref *ref, const struct cl_snapshot *snap,
		   char buf[CL_PATH_MAX]);

#endif
