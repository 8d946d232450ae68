/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * discover: where QEMU is: sockets by folder or pattern, processes by /proc, and what they hold
 * open.
 *
 *   "qemu:" ARG -> place -> sockets        /proc -> procs (QEMU's, with their arguments) -> who
 * listens where
 */
#ifndef CLOSER_QEMU_DISCOVER_H
#define CLOSER_QEMU_DISCOVER_H

#include "describe.h"

#define CL_QEMU_PATHS_MAX  8192u /* sockets looked at */
#define CL_QEMU_TAPS_MAX   32u   /* interfaces of one guest */
#define CL_QEMU_VHOSTS_MAX 64u   /* vhost kernel threads of one guest */

enum cl_qemu_where { CL_QEMU_DIR, CL_QEMU_PATTERN, CL_QEMU_AUTO };

struct cl_qemu_place {
	enum cl_qemu_where where;
	char path[CL_PATH_MAX]; /* folder, or glob(7) pattern */
};

/* What follows "qemu:". -ENOENT: no such folder; the error says what may be given. */
int cl_qemu_place_parse(const char *arg, struct cl_qemu_place *ret_place, struct cl_error *reterr);

/* QEMU's processes as /proc has them. */
struct cl_qemu_process {
	int32_t pid;
	struct cl_qemu_args args;
};
struct cl_qemu_procs;
int cl_qemu_procs_new(struct cl_qemu_procs **ret_procs, struct cl_error *reterr);
void cl_qemu_procs_free(struct cl_qemu_procs *procs); /* NULL is fine */
/*
 * Looks at the processes that are new since the last time, twice each, since a child is forked
 * before it becomes QEMU; anew: at all of them. Without new processes: no open, no malloc. true:
 * QEMU processes came or went.
 */
bool cl_qemu_procs_scan(struct cl_qemu_procs *procs, bool anew);
uint32_t cl_qemu_procs_count(const struct cl_qemu_procs *procs);
const struct cl_qemu_process *cl_qemu_procs_at(const struct cl_qemu_procs *procs,
					       uint32_t i); /* by pid */
/* Whose arguments name this socket, or who holds it open (libvirt hands over descriptors); 0:
 * nobody we know. */
int32_t cl_qemu_procs_owner(const struct cl_qemu_procs *procs, const char *socket_path);

/*
 * The sockets of a place, sorted, each once. In a folder: those that a process declares as QMP or
 * whose names say so
 * (*.qmp, *qmp*.sock, *monitor*); by pattern: all that match; auto: those that processes declare.
 */
struct cl_qemu_paths {
	char (*path)[CL_QEMU_PATH_MAX];
	uint32_t n;
	bool cut; /* there were more, or longer ones */
};
int cl_qemu_paths_read(const struct cl_qemu_place *place, const struct cl_qemu_procs *procs,
		       struct cl_qemu_paths *ret_paths, struct cl_error *reterr);
void cl_qemu_paths_done(struct cl_qemu_paths *paths);
/* Folders to be watched for sockets that come and go; the same type, since these are paths too. */
int cl_qemu_paths_watch(const struct cl_qemu_place *place, const struct cl_qemu_paths *sockets,
			struct cl_qemu_paths *ret_dirs, struct cl_error *reterr);

/* Is this process a QEMU by its executable? And its arguments; false: gone, or not to be read. */
bool cl_qemu_is_qemu(int32_t pid);
bool cl_qemu_args_read(int32_t pid, struct cl_qemu_args *ret_args);
/* Is the process behind a socket a guest's? It is QEMU, or says "qemu", or its arguments name the
 * socket. */
bool cl_qemu_confirm(int32_t pid, const char *socket_path);

/* What a QEMU process holds open. */
struct cl_qemu_held {
	char taps[CL_QEMU_TAPS_MAX][16]; /* interfaces */
	uint32_t tap_count;
	bool vhost;
	/* Kernel threads vhost-PID, before Linux 6.4; since then they are threads of the process.
	 */
	int32_t vhosts[CL_QEMU_VHOSTS_MAX];
	uint32_t vhost_count;
};
void cl_qemu_held_read(int32_t pid, struct cl_qemu_held *ret_held);
/* "iff:\ttap0" in the text of a tun descriptor's fdinfo. Pure. */
bool cl_qemu_tap_parse(const char *fdinfo, char ret_name[16]);

#endif
