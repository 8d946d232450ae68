/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * internal: what the files of the engine, and their tests, share among themselves. Nobody else
 * includes it.
 */
#ifndef CLOSER_ENGINE_INTERNAL_H
#define CLOSER_ENGINE_INTERNAL_H

#include "engine.h"
#include "lib.h"

#include <sys/types.h>

#define CL_JOURNAL_FILE        "journal"
#define CL_JOURNAL_MAGIC       "closer-journal 1"
#define CL_JOURNAL_BYTES_MAX   (16u << 20)
#define CL_JOURNAL_CHANGES_MAX 200000u

/* ---- change.c ---- */

/*
 * Could this change stand in a journal? Ids in range, paths absolute and without "..", containers
 * below /closer only. What is not sound is neither written nor, found in a file, believed.
 */
bool cl_change_sound(const struct cl_change *change);
bool cl_change_limits(enum cl_change_kind kind); /* RATE, QUOTA, IO, PACKETS */
bool cl_path_ours(const char *path);             /* "/closer" or below */
/* By object; values are not compared. */
int cl_change_compare(const struct cl_change *a, const struct cl_change *b);
bool cl_change_same(const struct cl_change *a, const struct cl_change *b);

/* ---- journal.c, journal_file.c, lock.c ---- */
/* cl_journal_parse; skip: bad lines are counted and passed over, except for a wrong magic. */
int cl_journal_parse_with(const char *text, size_t len, bool skip, struct cl_journal *ret_journal,
			  struct cl_error *reterr);
int cl_journal_load(int dir_fd, const char *dir, bool skip, struct cl_journal *ret_journal,
		    struct cl_error *reterr);
/* The journal's boot alone, from its first lines, so that another boot's may be archived whatever
 * else it holds. */
int cl_journal_peek(int dir_fd, const char *dir, char ret_boot[64], struct cl_error *reterr);
/* Its descriptor: -ENOENT; -EPERM: it is a file that others may have written. */
int cl_journal_file(int dir_fd, const char *dir, int flags, int *ret_fd, struct cl_error *reterr);
/* The state directory, refused if others may write to it. */
int cl_dir_open(const char *dir, int *ret_fd, struct cl_error *reterr);
int cl_boot_id(char ret_boot[64], struct cl_error *reterr);

/* ---- journal_write.c ---- */

/* journal_file.c: renames another boot's journal to journal.<boot>; *ret_archived says whether
 * there was one. */
int cl_journal_archive(int dir_fd, const char *dir, bool *ret_archived, struct cl_error *reterr);
/* Says undone and moves it to journal.undone. */
int cl_journal_finish(int dir_fd, const char *dir, struct cl_error *reterr);

/* ---- lock.c ---- */

/* As cl_lock, but waits for whoever holds it. */
int cl_lock_wait(const char *dir, int *ret_fd, struct cl_error *reterr);
/* Writes who holds it, for the next one's error; supervisor: 0 if there is none. */
void cl_lock_name(int lock_fd, pid_t pid, pid_t supervisor);

/* ---- undo.c, undo_world.c ---- */

/* What undo does to a machine. The real one is Linux itself and the hypervisor below it, needing no
 * host; tests make another. */
struct cl_undo_world {
	int (*read)(void *ctx, const struct cl_change *change, struct cl_setting *ret,
		    struct cl_error *reterr);
	int (*apply)(void *ctx, const struct cl_change *change, struct cl_error *reterr);
	/* What the kernel gives a thread that is moved into a group: its effective CPUs. */
	int (*group_cpus)(void *ctx, const char *path, struct cl_cpuset *ret,
			  struct cl_error *reterr);
	/* A thread's process and that one's parent. -ESRCH. */
	int (*identify)(void *ctx, int32_t tid, struct cl_tid *ret_id, int32_t *ret_process,
			int32_t *ret_parent);
	/* Of one process; 0: of all. */
	int (*each_thread)(void *ctx, int32_t process, int (*fn)(void *arg, int32_t tid),
			   void *arg);
	int (*each_member)(void *ctx, const char *path, int (*fn)(void *arg, int32_t tid),
			   void *arg);
	/* How many groups are below one; the name of one of them. */
	uint32_t (*children)(void *ctx, const char *path, char *ret_one, size_t size);
};

struct cl_undo_linux;
int cl_undo_linux_new(struct cl_undo_linux **ret, struct cl_error *reterr);
void cl_undo_linux_free(struct cl_undo_linux *ctx);
extern const struct cl_undo_world cl_undo_linux;
/* Threads of one process, or of one group, that are looked at. */
#define CL_UNDO_THREADS_MAX 262144u

/* One journal against one world. */
int cl_undo_run(const struct cl_journal *journal, const struct cl_undo_world *world,
		void *world_ctx, cl_undo_say say, void *say_ctx, struct cl_undo_report *ret_report,
		struct cl_error *reterr);

/* ---- adopt.c ---- */

#define CL_ADOPT_MAX 256u

struct cl_adopt { /* one request; irq or thread */
	bool irq;
	uint32_t number;
	struct cl_tid thread;
	uint32_t tries;
};

/* Requests in dir/adopt are moved into list, at most CL_ADOPT_MAX altogether; *count goes in and
 * out. */
int cl_adopt_take(int dir_fd, struct cl_adopt *list, uint32_t *count, struct cl_error *reterr);

#endif
