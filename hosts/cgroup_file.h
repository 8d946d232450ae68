/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cgroup_file: what cgroup.c (finding, reading) and cgroup_edit.c (making, moving) share; nobody
 * else's. */
#ifndef CLOSER_CGROUP_FILE_H
#define CLOSER_CGROUP_FILE_H

#include "cgroup.h"
#include "lib.h"

#define CL_CGROUP_FILE_MAX (2 * CL_PATH_MAX + 64) /* mount + path + name of a file */
#define CL_CGROUP_LIST_MAX 24576 /* a list of CPUs: at most 2,048 ranges of up to 10 bytes */

/* -EINVAL unless the path is absolute, without "..", "." and empty components. */
int cl_cgroup_path_check(const char *path, struct cl_error *reterr);
/* Is token one of the words of text, which are separated by the characters of sep? */
bool cl_cgroup_has_word(const char *text, size_t len, const char *sep, const char *token);
/* Opens a file of a group by the name that it has with prefix; v1 with noprefix has it without.
 * Descriptor or -errno. */
int cl_cgroup_open_file(const struct cl_cgroup *cgroup, const char *path, const char *name,
			int flags);
/* A group's file as a whole: bytes read, or -errno; 0 or -errno. An empty text is one newline. */
ssize_t cl_cgroup_read_file(const struct cl_cgroup *cgroup, const char *path, const char *name,
			    char *buf, size_t size);
int cl_cgroup_write_file(const struct cl_cgroup *cgroup, const char *path, const char *name,
			 const char *text);
bool cl_cgroup_there(const struct cl_cgroup *cgroup, const char *path);
/* Cuts the last component; false at the root. */
bool cl_cgroup_to_parent(char path[CL_PATH_MAX]);

#endif
