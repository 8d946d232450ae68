/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine: the impure loop around core, and the way back.
 *
 *   tick: observe -> check -> decide -> expand -> journal (one sync) -> apply, one by one ->
 * outcomes to state undo: journal -> newest first, compare, restore, verify      supervisor: undo
 * when we are gone
 */
#ifndef CLOSER_ENGINE_H
#define CLOSER_ENGINE_H

#include <closer/host.h>
#include <closer/state.h>

#define CL_STATE_DIR                                                                               \
	"/run/closer" /* journal, lock, adopt requests; --state-dir or CLOSER_STATE_DIR */

/* engine/hosts.c: the table of hosts, NULL-terminated. */
extern const struct cl_host_ops *const cl_hosts[];
/*
 * uri: "qemu:/run/vms"; NULL or "auto": each host's detect() in the table's order. The error names
 * the hosts there are.
 */
int cl_host_open(const char *uri, struct cl_host **ret_host, char *ret_uri, size_t uri_size,
		 struct cl_error *reterr);
void cl_host_close(struct cl_host *host);
/* Is it of a kind that is gone with this process? By its scheme; nothing is opened. */
bool cl_host_simulated(const char *uri);

/* ---- journal: engine/journal.c ----
 *
 * Expanded text, one record a line, each line ending in " #" and the XXH32 of what is before it in
 * 8 hex digits: closer-journal 1 boot <boot_id> id <16 hex digits> another one after every undo
 *   host <uri, escaped>
 *   plan <n> <wall clock ISO 8601> ticks <since boot>
 *   change <id> thread <tid> start <ticks> process <pid> from cgroup <path> cpus <list>
 *          to cgroup <path> cpus <list> why <name>                       (one line)
 *   change <id> irq <n> from cpus <list> to cpus <list> why <name>
 *   change <id> group <path> from absent | cpus <list> to absent | cpus <list> why <name>
 *   change <id> vcpu <n> domain <domid> uuid <uuid> from cpus <list> to cpus <list> why <name>
 *   change <id> cap | weight | budget | memory domain <domid> uuid <uuid> from number <n> to number
 *          <n> why <name>; cap in ppm of a CPU, budget in ns of each period, memory in bytes; why
 *          reborn: as inherited below
 *   drop thread <tid> start <ticks> | drop irq <n>      somebody else has changed it: no longer
 * ours to undo done <id> | failed <id> <errno name>                not synced: undo compares anyway
 *   until <CLOCK_MONOTONIC ns>           all is undone then unless confirmed; the earliest holds
 *   confirmed | undone
 *   change <id> fence / | /closer from number 0 cpus - to number 1 cpus <list> why fence
 * A plan after `confirmed` is not confirmed. A thread's `why fence`: what the fence means for it;
 * to is what the kernel makes of it, and what it makes of it again without the fence is no
 * hindrance to undo. `why inherited`: from is what the thread inherited of ours, so undo goes to
 * `to`. Paths are escaped (spaces, backslash, control characters as \xNN). "-" is "not part of it".
 */
struct cl_journal_entry {        /* all changes of one object, folded */
	struct cl_change change; /* from: the first; to: the last */
	uint32_t change_first,
		change_count; /* into journal.changes: every value that was ever intended */
	bool dropped;
};

struct cl_journal_note { /* one per change, beside it */
	/* when its plan was journalled, clock ticks since boot: what is born later may have
	 * inherited */
	uint64_t ticks;
	/* undoes an inheritance: from and to are exchanged in `changes`, so that all undo alike */
	bool inherited;
	bool fenced; /* of a thread that the fence keeps on other CPUs */
};

struct cl_journal { /* a journal as read */
	char host[CL_PATH_MAX];
	char boot[64];
	uint64_t id;
	struct cl_change *changes;
	struct cl_journal_note *notes;
	uint32_t change_count;
	struct cl_journal_entry *entries;
	uint32_t entry_count; /* in order of first change */
	bool confirmed;
	bool undone;
	uint64_t until_ns;           /* when it is undone unless it is confirmed before; 0: never */
	uint32_t last_id, last_plan; /* where a writer goes on */
	size_t bytes;                /* up to the end of the last whole line */
	uint32_t skipped;            /* corrupt lines passed over, where that was asked for */
	bool torn;                   /* the last line was cut: not synced, so never applied */
};

/*
 * 0; -ENOENT: there is none; -EBADMSG: line number and what is wrong with it. Limits: 16 MiB,
 * 200,000 changes.
 */
int cl_journal_read(const char *dir, struct cl_journal *ret_journal, struct cl_error *reterr);
int cl_journal_parse(const char *text, size_t len, struct cl_journal *ret_journal,
		     struct cl_error *reterr);
void cl_journal_done(struct cl_journal *journal); /* frees what it holds */

/*
 * Writing, by whoever holds the lock. open: archives another boot's journal (journal.<boot>),
 * refuses a corrupt one, appends to
 * this boot's; there is no file before the first plan. host_uri NULL: only to an existing one
 * (-ENOENT).
 */
struct cl_journal_writer;
int cl_journal_open(const char *dir, const char *host_uri, struct cl_journal_writer **ret_writer,
		    struct cl_error *reterr);
/*
 * All changes of a plan, one fdatasync; on failure (full disk) the file is cut back to what it was:
 * nothing may be applied. ret_ids: n ids.
 */
int cl_journal_plan(struct cl_journal_writer *writer, const struct cl_change *changes,
		    const enum cl_reason *why, uint32_t n, uint32_t *ret_ids,
		    struct cl_error *reterr);
int cl_journal_outcome(struct cl_journal_writer *writer, uint32_t id, int code);
int cl_journal_drop(struct cl_journal_writer *writer, const struct cl_change *change,
		    struct cl_error *reterr);
int cl_journal_confirm(struct cl_journal_writer *writer, struct cl_error *reterr);
/* For who reads it: that it happens is the supervisor's business. */
int cl_journal_until(struct cl_journal_writer *writer, uint64_t until_ns);
void cl_journal_close(struct cl_journal_writer *writer);

/* ---- undo: engine/undo.c ---- */
struct cl_undo_report {
	uint32_t objects, restored, already, gone, left, failed;
	bool verified; /* a second pass found all at `from`, gone, or left to somebody */
};
/* One line an object that was left or could not be restored. */
typedef void (*cl_undo_say)(void *ctx, const struct cl_change *change, const char *text);
/*
 * Undoes the journal in dir, newest phase first; threads that inherited one of our masks or sit in
 * one of our groups go
 * back to where their process came from; our groups are removed. On full success the journal is
 * removed. -ENOENT: nothing to undo. 0 also where something could not be put back: then failed > 0
 * and the journal is kept. skip_corrupt: pass over bad lines instead of refusing. The caller holds
 * the lock. While `apply --for` waits nobody holds it, so that confirm, undo and other closers may
 * act; its deadline covers all that the journal then holds, unless `confirmed` comes after the last
 * plan.
 */
int cl_undo(const char *dir, bool skip_corrupt, cl_undo_say say, void *ctx,
	    struct cl_undo_report *ret_report, struct cl_error *reterr);

/* ---- lock: engine/lock.c ---- */
#define CL_MACHINE_LOCK "/run/closer.lock"
/*
 * One closer acts at a time: root's on the machine, another user's in the state directory. -EBUSY:
 * the error names the pid that holds it. The descriptor is inherited by a supervisor.
 */
int cl_lock(const char *dir, int *ret_fd, struct cl_error *reterr);
/* Makes the directory (0700) and says what to do if it cannot. */
int cl_state_dir(const char *dir, struct cl_error *reterr);

/* ---- supervisor: engine/supervisor.c ---- */
struct cl_supervisor;
/*
 * Forks a small process in its own session that holds a pidfd of the caller and the lock. When the
 * caller dies without
 * release(), it undoes. until_ns > 0 (CLOCK_MONOTONIC): after release_until() it stays, and undoes
 * at that time unless the
 * journal says confirmed. If it is killed itself, alive() says so and the caller starts another.
 */
int cl_supervisor_start(const char *dir, int lock_fd, struct cl_supervisor **ret_supervisor,
			struct cl_error *reterr);
bool cl_supervisor_alive(struct cl_supervisor *supervisor);
void cl_supervisor_release(struct cl_supervisor *supervisor); /* done: the changes stay; frees it */
void cl_supervisor_release_until(struct cl_supervisor *supervisor,
				 uint64_t until_ns); /* frees it */

/* ---- adopt: engine/adopt.c ---- a request is a line in dir/adopt, taken by whoever acts next */
int cl_adopt_request(const char *dir, const struct cl_object *object, bool irq,
		     struct cl_error *reterr);

/* ---- tick: engine/engine.c ---- */
struct cl_engine_options {
	const char *host_uri;  /* NULL: found by itself */
	const char *state_dir; /* NULL: CL_STATE_DIR */
	struct cl_params params;
	const struct cl_limits *limits; /* NULL: default */
	bool act; /* journal (unless the host is simulated) and apply; else only observe and decide
		   */
	const char *record; /* file, or NULL */
	const char *ledger; /* file that each interval is billed to (bill.h), or NULL */
};

struct cl_tick {                        /* what one tick did */
	uint32_t done, failed, skipped; /* actions */
	uint64_t observe_ns, decide_ns, apply_ns;
	enum cl_snapshot_fault fault; /* not NONE: the snapshot was refused, nothing was decided */
	struct cl_error unbilled;     /* code not 0: why the interval is not in the ledger yet */
	bool supervisor_restarted;    /* it had been killed: another was started */
};

struct cl_engine;
/* With act: takes the lock, starts the supervisor, reads this boot's journal and tells the state
 * what is owned. None of that for a simulated host: nothing of it is left when this process ends,
 * and its threads' and interrupts' numbers are others' on this machine. */
int cl_engine_open(const struct cl_engine_options *options, struct cl_engine **ret_engine,
		   struct cl_error *reterr);
/* The same on a host that is open already; the engine owns it from now on, also on failure. */
int cl_engine_open_host(const struct cl_engine_options *options, struct cl_host *host,
			const char *uri, struct cl_engine **ret_engine, struct cl_error *reterr);
/* observe + decide */
int cl_engine_observe(struct cl_engine *engine, struct cl_tick *ret_tick, struct cl_error *reterr);
/*
 * Journals and applies the plan of the last observe, tells state and recording the outcomes. say:
 * one call an action, may be NULL.
 */
int cl_engine_apply(struct cl_engine *engine,
		    void (*say)(void *ctx, const struct cl_action *action, int code,
				const char *text),
		    void *ctx, struct cl_tick *ret_tick, struct cl_error *reterr);
int cl_engine_wait(struct cl_engine *engine, uint64_t ns, int fd, enum cl_wake *ret_why,
		   struct cl_error *reterr);
/* What durations are measured with: CLOCK_MONOTONIC, or a simulated host's own clock. */
uint64_t cl_engine_clock_ns(const struct cl_engine *engine);
const struct cl_snapshot *
cl_engine_prev(const struct cl_engine *engine); /* NULL before the second tick */
const struct cl_snapshot *cl_engine_now(const struct cl_engine *engine);
const struct cl_plan *cl_engine_plan(const struct cl_engine *engine);
const struct cl_state *cl_engine_state(const struct cl_engine *engine);
struct cl_host *cl_engine_host(const struct cl_engine *engine);
const char *cl_engine_uri(const struct cl_engine *engine);
/*
 * How to end: undo everything (run); keep (apply); keep until a time unless confirmed (apply
 * --for). Frees it in each case.
 */
enum cl_ending { CL_END_UNDO, CL_END_KEEP, CL_END_KEEP_UNTIL };
int cl_engine_close(struct cl_engine *engine, enum cl_ending ending, uint64_t until_ns,
		    struct cl_undo_report *ret_report, struct cl_error *reterr); /* NULL is fine */

#endif
