/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host: a machine that runs guests, as a back end sees it. The only way to touch one.
 *
 *   open -> { wait -> observe -> (core) -> apply* }* -> close        undo: open -> read, apply* ->
 * close
 *
 * Implemented once per kind of host as a const struct at the foot of its file, listed in
 * engine/hosts.c. All functions return 0 or -errno with *reterr set; no function logs. One thread
 * uses a host.
 */
#ifndef CLOSER_HOST_H
#define CLOSER_HOST_H

#include <closer/plan.h>

/*
 * A change: an action made independent of any snapshot, as it is written to the journal. What undo
 * reads back is a change with from and to exchanged.
 */
enum cl_change_kind {
	CL_CHANGE_THREAD, /* cgroup and mask of a thread: cgroup first, then mask, in both
			     directions */
	CL_CHANGE_IRQ,    /* smp_affinity of an interrupt */
	CL_CHANGE_GROUP,  /* a container: absent, or present with these CPUs */
	CL_CHANGE_FENCE,  /* a container is a partition of its own (1) or a plain member (0); "/": a
			     mark in the journal that masks are the fence */
	CL_CHANGE_VCPU,   /* physical CPUs that a domain's vCPU may be on (hard affinity) */
	CL_CHANGE_NIC,    /* a network device's NAPI runs in threads (1) or in softirqs (0) */
	CL_CHANGE_CAP,    /* a domain's cap, ppm of a CPU */
	CL_CHANGE_WEIGHT, /* a domain's weight */
	CL_CHANGE_BUDGET, /* the budget of a domain's vCPUs in each period, ns */
	CL_CHANGE_RATE,   /* bytes that a Xen network back end takes from its guest */
	CL_CHANGE_QUOTA,  /* CPU time of a container, ns */
	CL_CHANGE_IO,     /* bytes that a container reads from a disk, and as many written */
	CL_CHANGE_PACKETS, /* packets that go out of a network device, to its guest */
	CL_CHANGE_MEMORY,  /* what a domain's balloon leaves it, bytes */
};

struct cl_setting {
	bool present;  /* GROUP: exists; THREAD, IRQ: always true; RATE, QUOTA, IO, PACKETS:
			  there is a limit */
	bool has_path; /* THREAD: path is part of it */
	char path[CL_PATH_MAX]; /* cgroup path inside its hierarchy (v1: cpuset's; v2: the unified
				   one) */
	struct cl_cpuset cpus;  /* THREAD, IRQ, GROUP, VCPU; FENCE: what is left to all others */
	/*
	 * FENCE, NIC, CAP, WEIGHT, BUDGET, MEMORY; GROUP, absent: 1: nor had the group above it
	 * passed the cpuset controller down (v2); QUOTA, IO, absent: 1: likewise the controller
	 * that they need; RATE, QUOTA, IO, PACKETS, present: so much each period
	 */
	int64_t number;
	uint64_t period_ns; /* of these four, present */
};

struct cl_change {
	enum cl_change_kind kind;
	struct cl_tid thread; /* THREAD */
	int32_t process;      /* THREAD: its process (tgid), for finding what it gave birth to; 0 =
				 itself, which cgroup v2 moves as a whole */
	uint32_t irq;         /* IRQ */
	char path[CL_PATH_MAX]; /* GROUP, FENCE, QUOTA, IO; NIC, PACKETS: the device's name */
	struct cl_uuid domain;  /* VCPU, CAP, WEIGHT, BUDGET, MEMORY, RATE; all zero: the privileged
				   domain  itself */
	uint32_t domid;         /* likewise: its number then; another domain may have it by now */
	uint32_t vcpu;          /* VCPU */
	uint32_t handle;        /* RATE: the device's number in xenstore */
	uint64_t device;        /* IO: major << 32 | minor */
	struct cl_setting from, to;
};

/* Is it of what a domain is entitled to, CPU or memory: a number on the domain itself? */
static inline bool cl_change_entitles(enum cl_change_kind kind)
{
	return kind == CL_CHANGE_CAP || kind == CL_CHANGE_WEIGHT || kind == CL_CHANGE_BUDGET ||
	       kind == CL_CHANGE_MEMORY;
}

/* Why wait() came back. */
enum cl_wake { CL_WAKE_TIMER, CL_WAKE_EVENT, CL_WAKE_SIGNAL, CL_WAKE_END };

struct cl_host; /* each back end's own; the first member is ops */

struct cl_host_ops {
	const char *name; /* the URI's scheme: "qemu" of qemu:/run/vms */
	const char *doc;  /* one line for help and man page */
	const char *uri;  /* what follows the colon, for help: "DIR or PATTERN" */
	/* It is in this process, and gone with it: no journal, no lock, nothing to undo; time is
	 * its own clock's. */
	bool simulated;
	/* Is there such a host on this machine? Writes the URI that opens it. NULL: never found by
	 * itself. */
	bool (*detect)(char *ret_uri, size_t size);
	/* arg: what follows the colon. The host is the caller's, to be closed. */
	int (*open)(const char *arg, struct cl_host **ret_host, struct cl_error *reterr);
	/*
	 * Fills snap (initialised, contents lost), complete and sorted, within the deadline
	 * (CLOCK_MONOTONIC ns, or the host's own clock): what was not read by then keeps its old
	 * read time. Fails only if nothing can be said; one bad guest is no failure of the others.
	 * In a steady state: no open, fork or malloc.
	 */
	int (*observe)(struct cl_host *host, uint64_t deadline_ns, struct cl_snapshot *snap,
		       struct cl_error *reterr);
	/*
	 * The present setting of a change's object into *ret_setting. -ESRCH: the thread is gone or
	 * another has its id; -ENOENT: no such interrupt. An absent group is present = false, no
	 * failure.
	 */
	int (*read)(struct cl_host *host, const struct cl_change *change,
		    struct cl_setting *ret_setting, struct cl_error *reterr);
	/* Compare and set: -ESTALE and nothing written if the present setting is neither from nor
	 * to; 0 at once if it is to. */
	int (*apply)(struct cl_host *host, const struct cl_change *change, struct cl_error *reterr);
	/*
	 * What a change means for threads that closer does not place, each as a change of its own:
	 * journalled with it, applied after it. Only a fence has any. NULL: never. fn: 0 or -errno,
	 * which ends it.
	 */
	int (*along)(struct cl_host *host, const struct cl_change *change,
		     int (*fn)(void *ctx, const struct cl_change *along), void *ctx,
		     struct cl_error *reterr);
	/* Blocks until then at the latest; EVENT: a guest or thread came or went; SIGNAL: fd became
	 * readable; END: a replay is over. */
	int (*wait)(struct cl_host *host, uint64_t until_ns, int fd, enum cl_wake *ret_why,
		    struct cl_error *reterr);
	uint64_t (*now_ns)(struct cl_host *host);
	/* One line a problem or a fact worth knowing, for `closer check`: level 'ok', 'note',
	 * 'lost', 'bad'. */
	void (*check)(struct cl_host *host,
		      void (*say)(void *ctx, const char *level, const char *text), void *ctx);
	void (*close)(struct cl_host *host); /* NULL is fine */
};

struct cl_host {
	const struct cl_host_ops *ops;
};

#endif
