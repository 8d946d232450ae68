/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guests: the monitors and guests of a QEMU host, and who is asked when.
 *
 *   scan(): sockets and processes -> monitors, guests      pump(): conversations side by side until
 * a deadline
 *
 * A conversation that hangs, floods or lies costs the others nothing: all are polled together, each
 * may read a bounded part at a time, and only healthy and new monitors are waited for; those that
 * failed once are served between ticks, ever more seldom.
 */
#ifndef CLOSER_QEMU_GUESTS_H
#define CLOSER_QEMU_GUESTS_H

#include <closer/host.h>

#include "build.h"
#include "cgroup.h"
#include "discover.h"
#include "linux.h"
#include "threads.h"
#include "topology.h"

#define CL_QEMU_TALKS_MAX 64u /* conversations at a time: 1 MiB each at most */
#define CL_QEMU_BEGIN_NS                                                                           \
	(20 * CL_NS_PER_MS) /* spent on beginning some before those under way are served */
#define CL_QEMU_GREETING_NS (300 * CL_NS_PER_MS) /* no byte by then: the monitor is taken */
#define CL_QEMU_TALK_NS     (2 * CL_NS_PER_S)    /* not over by then: it hangs */
#define CL_QEMU_REFRESH_NS                                                                         \
	(8 * CL_NS_PER_S) /* and up to 2 s more, by pid, so that not all come at once */
#define CL_QEMU_WANTED_NS (1 * CL_NS_PER_S)  /* least time between two descriptions of one guest */
#define CL_QEMU_SCAN_NS   (10 * CL_NS_PER_S) /* folders and processes anew, whatever inotify said */
#define CL_QEMU_HOME_NS   (60 * CL_NS_PER_S) /* where the memory lies: a walk of the page tables */
#define CL_QEMU_RETRY_NS                                                                           \
	(500 * CL_NS_PER_MS) /* after the first failure; doubles, up to 128 times */
#define CL_QEMU_TRUST_NS                                                                           \
	(30 * CL_NS_PER_S) /* described for this long while its monitor is taken                   \
			    */

enum cl_qemu_source { CL_QEMU_SOURCE_INOTIFY, CL_QEMU_SOURCE_MONITOR, CL_QEMU_SOURCE_GUEST };

/* How a monitor was found: X(ID, level for `check`, what it means, what to do) */
#define CL_QEMU_MOODS(X)                                                                           \
	X(NEW, "note", "not asked so far", "")                                                     \
	X(GOOD, "ok", "answers", "")                                                               \
	X(TAKEN, "lost", "is taken by another program",                                            \
	  "give QEMU a monitor for closer: -qmp unix:PATH,server=on,wait=off")                     \
	X(SILENT, "lost", "stopped answering", "see whether the guest's QEMU hangs")               \
	X(BROKEN, "bad", "does not speak QMP as QEMU does",                                        \
	  "its guest may have broken out: look at the process")                                    \
	X(LIAR, "bad", "claims threads that are not its own",                                      \
	  "its guest may have broken out: look at the process")                                    \
	X(DEAD, "note", "has nobody listening", "remove the socket that a dead QEMU left")         \
	X(DENIED, "lost", "may not be connected to", "run closer as root")                         \
	X(STRANGER, "lost", "belongs to a process that is no QEMU",                                \
	  "narrow the pattern down to QMP sockets")

enum cl_qemu_mood {
#define X(id, level, text, todo) CL_QEMU_##id,
	CL_QEMU_MOODS(X)
#undef X
};

struct cl_qemu_monitor {
	enum cl_qemu_source source; /* first: what epoll hands back points here */
	char path[CL_QEMU_PATH_MAX];
	bool present; /* at the last scan */
	enum cl_qemu_mood mood;
	char problem[CL_ERROR_MAX];
	struct cl_qemu_guest *guest; /* whose it is, once known */
	struct cl_qmp *qmp;          /* the conversation under way, */
	struct cl_qemu_facts facts;  /* what it has told so far, */
	uint64_t begun_ns;           /* and when it began */
	uint64_t retry_ns;           /* not before */
	uint32_t failures;           /* in a row */
};

enum cl_qemu_id_from { CL_QEMU_ID_NONE, CL_QEMU_ID_ARGS, CL_QEMU_ID_MONITOR, CL_QEMU_ID_DERIVED };

struct cl_qemu_nic {
	char name[16];
	int counters[4]; /* kept descriptors: rx_packets rx_bytes tx_packets tx_bytes, or -1 */
};

struct cl_qemu_guest {
	enum cl_qemu_source source;
	uint32_t slot; /* in the host's table, and the tag of its threads */
	struct cl_tid process;
	int pidfd; /* readable: it died */
	int statm; /* kept descriptor of /proc/PID/statm */
	bool gone;
	bool talking;                 /* one of its monitors is being asked */
	char where[CL_QEMU_PATH_MAX]; /* the socket by which it was found, or "" */
	char name[CL_NAME_MAX];
	struct cl_uuid id, args_id;
	bool has_args_id, names_threads;
	enum cl_qemu_id_from id_from;
	bool disputed;              /* the uuid that it claims is another guest's */
	bool contradicts;           /* its monitor says another uuid than its arguments */
	struct cl_qemu_facts facts; /* the last description */
	bool described;             /* it stands */
	bool wanted;                /* a thread came that it does not explain */
	uint64_t described_ns, due_ns;
	uint64_t
		born_before; /* it explains threads that started before this, in ticks since boot */
	struct cl_qemu_nic nics[CL_QEMU_TAPS_MAX];
	uint32_t nic_count;
	int32_t vhosts[CL_QEMU_VHOSTS_MAX];
	uint32_t vhost_count;
	uint64_t vfio[CL_QEMU_VFIO_MAX];
	uint32_t vfio_count;
	uint64_t home, home_ns;
	struct cl_node_ix home_most;
	uint64_t claimed[CL_QEMU_VCPUS_MAX /
			 64];  /* vCPU indices that the description gives to threads */
	bool named;            /* a thread had a vCPU's name in it */
	struct cl_guest_ix ix; /* in the snapshot being made */
};

struct cl_qemu {
	struct cl_host host;
	struct cl_qemu_place place;
	struct cl_cgroup cgroup;
	struct cl_qemu_procs *procs;
	struct cl_qemu_monitor **monitors;
	uint32_t monitor_count, monitor_cap; /* by path */
	struct cl_qemu_guest **guests;       /* by slot; NULL: free */
	uint32_t guest_count, guest_cap;     /* slots in use or free, room */
	uint32_t talks;
	int epoll, inotify;
	enum cl_qemu_source inotify_source;
	bool dirty;   /* a socket came or went */
	bool cut;     /* more sockets than are looked at */
	bool stirred; /* something that the next tick should see at once */
	uint64_t scanned_ns;
	/* Made at the first observation, when the capacities are known. */
	struct cl_limits limits;
	struct cl_threads *threads;
	struct cl_topology *topology;
	struct cl_build *build;
	struct cl_irqs *irqs;
	char irq_problem[CL_ERROR_MAX], home_problem[CL_ERROR_MAX];
	uint32_t dropped_guests;
	struct cl_qemu_held held; /* scratch */
};

/* Finds sockets and processes that came or went, and drops guests that died; does little when
 * nothing did. */
int cl_qemu_scan(struct cl_qemu *q, uint64_t now_ns, struct cl_error *reterr);
/* Carries conversations on until none is under way that is worth waiting for, or until_ns. */
void cl_qemu_pump(struct cl_qemu *q, uint64_t until_ns);
/* One round: starts what is due, waits for an event, or fd if it is >= 0, or until until_ns; serves
 * what is ready. */
void cl_qemu_round(struct cl_qemu *q, uint64_t until_ns, int fd, bool *ret_fd_ready);
/* Gives each guest its identity, in the order in which their processes started. */
void cl_qemu_settle_ids(struct cl_qemu *q);
void cl_qemu_drop_gone(struct cl_qemu *q);
void cl_qemu_drop_all(struct cl_qemu *q);

const char *cl_qemu_mood_level(enum cl_qemu_mood mood);
const char *cl_qemu_mood_text(enum cl_qemu_mood mood);
const char *cl_qemu_mood_todo(enum cl_qemu_mood mood);

/* fill.c: the snapshot out of all this. */
void cl_qemu_read_homes(struct cl_qemu *q, uint64_t deadline_ns);
int cl_qemu_fill(struct cl_qemu *q, struct cl_snapshot *snap, struct cl_error *reterr);
/* check.c: what an operator should know. */
void cl_qemu_check(struct cl_qemu *q, void (*say)(void *ctx, const char *level, const char *text),
		   void *ctx);

#endif
