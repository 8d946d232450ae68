/* SPDX-License-Identifier: GPL-2.0-or-later */
/* told: the processes that the template host was told of, and which of them are there. */
#ifndef CLOSER_TEMPLATE_TOLD_H
#define CLOSER_TEMPLATE_TOLD_H

#include "lib.h"
#include "template/list.h"
#include "threads.h"

#include <sys/stat.h>

#define CL_TOLD_MAX 4096u

struct cl_told_process { /* a free slot has id.tid 0 */
	struct cl_listed listed;
	struct cl_tid id;
	struct cl_uuid uuid;
	struct cl_guest_ix ix;             /* in the snapshot being built */
	uint64_t node_bytes[CL_NODES_MAX]; /* read once; zeros: not known */
	int pidfd, statm;
};

struct cl_told {
	char file[CL_PATH_MAX];             /* "": the list was given as text */
	struct stat seen;                   /* the file when it was read */
	char problem[CL_ERROR_MAX];         /* with the file, for check */
	uint32_t listed_count, listed_next; /* next: the first that was not looked for yet */
	struct cl_listed listed[CL_TOLD_MAX];
	uint32_t top;                                  /* slots that were ever used */
	struct cl_told_process processes[CL_TOLD_MAX]; /* the index is the tag of its threads */
};

/* "PID[=NAME],..." or "@FILE". told is zeroed memory. */
int cl_told_open(struct cl_told *told, const char *arg, struct cl_error *reterr);
/* Lets go of all. */
void cl_told_close(struct cl_told *told, struct cl_threads *threads);
/* Is the file another than when it was read? One stat(2). */
bool cl_told_changed(const struct cl_told *told);
/*
 * Reads a changed file, drops who has ended or is not listed any more, takes up the newly listed
 * until the deadline (the rest at the next call).
 */
void cl_told_follow(struct cl_told *told, struct cl_threads *threads, uint64_t deadline_ns);

#endif
