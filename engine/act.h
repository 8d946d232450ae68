/* SPDX-License-Identifier: GPL-2.0-or-later */
/* act: the engine's inside, shared by engine.c (open, observe, close) and act.c (a plan made true).
 */
#ifndef CLOSER_ACT_H
#define CLOSER_ACT_H

#include "internal.h"

#include "bill.h"
#include "record.h"

#include <sys/stat.h>

struct cl_engine {
	struct cl_host *host;
	char uri[CL_PATH_MAX];
	char dir[CL_PATH_MAX]; /* state directory */
	struct cl_params params;
	bool act;
	bool keeps; /* what it does outlives it unless undone: with lock, supervisor and journal */
	struct cl_snapshot *snaps[2];
	uint32_t now;  /* which of them; the other is the previous one */
	uint32_t seen; /* sound snapshots so far, 0, 1, or 2 for more */
	struct cl_state *state;
	struct cl_plan *plan;
	bool fresh; /* the plan is of the last observation and was not applied yet */
	struct cl_recorder *recorder;
	struct cl_error unrecorded; /* code not 0: why the recording ended before we did */
	struct cl_bill *bill;
	uint64_t wall_ns;   /* simulated: when its clock was 0 */
	bool owing;         /* the state was told what guests owe by the ledger */
	struct stat looked; /* without act: the journal's file when it was last read */
	/* if it keeps */
	int dir_fd, lock_fd;
	struct cl_supervisor *supervisor;
	struct cl_journal_writer *writer;
	bool owned; /* the state was told what the journal says */
	struct cl_adopt adopt[CL_ADOPT_MAX];
	uint32_t adopt_count;
};

/*
 * act.c: what becomes of r, a recorder's answer with its error. One that only observes fails with
 * it; one that acts goes on acting, without the recording, and keeps the error for its end.
 */
int cl_engine_recorded(struct cl_engine *engine, int r, const struct cl_error *err,
		       struct cl_error *reterr);

/* own.c: what core is to know before it decides on the last observation. */
int cl_engine_tell(struct cl_engine *engine, struct cl_error *reterr);

/* act.c: another supervisor if it was killed; *ret_again says so. */
int cl_engine_guard(struct cl_engine *engine, bool *ret_again, struct cl_error *reterr);

#endif
