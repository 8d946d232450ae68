/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guests: what the Xen host keeps between observations. Domains come from Xen at each tick; what
 * xenstore says of one is read when it is new or a watch fired; threads are looked for when
 * something changed, and now and then.
 */
#ifndef CLOSER_XEN_GUESTS_H
#define CLOSER_XEN_GUESTS_H

#include "xen/hyper.h"
#include "xen/parse.h"
#include "xen/store.h"
#include "xen/vcpus.h"
#include "xen/xen.h"

#include "build.h"
#include "linux.h"
#include "scale.h"
#include "topology.h"

#include <dirent.h>

#define CL_XEN_DEVICES_MAX 64u /* of one guest: its xenstore quota lets it ask for more */
#define CL_XEN_QUEUES_MAX  64u
#define CL_XEN_WORKS_MAX   65536u
#define CL_XEN_POOLS_MAX   64u
#define CL_XEN_TOOLS_MAX   256u            /* processes of the toolstack at one time */
#define CL_XEN_BLKBACK_IRQ "blkif-backend" /* drivers/block/xen-blkback/xenbus.c */

enum cl_xen_device_kind { CL_XEN_VIF, CL_XEN_VBD, CL_XEN_QDISK };

struct cl_xen_port {
	uint32_t tx, rx; /* the guest's; 0: none. The same where it has one for both */
};

struct cl_xen_device {
	enum cl_xen_device_kind kind;
	uint32_t handle;
	char name[CL_NAME_MAX]; /* as in its threads' names: "vif1.0", "1.xvda" */
	uint64_t device;        /* behind a disk: major << 32 | minor, or CL_UNKNOWN */
	int counters[4];        /* descriptors; nic: rx packets, bytes, tx; disk: rd, wr, sectors */
	int threaded;           /* descriptor; -1 if it is no nic's */
	uint32_t ifindex;       /* of a nic; 0: not known */
	uint32_t port_count;
	struct cl_xen_port ports[CL_XEN_QUEUES_MAX];
};

struct cl_xen_guest {
	struct cl_hyper_domain domain;
	struct cl_uuid id;     /* domain.id, unless another has it too */
	struct cl_guest_ix ix; /* in the snapshot being built */
	char name[CL_NAME_MAX];
	bool dirty, described, housed; /* housed: home is not asked again */
	uint64_t described_ns;
	uint64_t home;  /* 0: not known */
	uint64_t paged; /* as home, by where its pages lie; where paged_ns is not 0 */
	struct cl_node_ix paged_most;
	uint64_t paged_ns;     /* when that was read */
	uint64_t target_bytes; /* memory/target; CL_UNKNOWN */
	uint64_t used_bytes;   /* what it says that it uses; CL_UNKNOWN */
	int32_t model;         /* pid of its device model, or 0 */
	uint32_t driver_domid; /* of a back end that is not in dom0, or 0 */
	struct cl_xen_device *devices;
	uint32_t device_count;
};

struct cl_xen_work {
	int32_t pid; /* 0: a free slot */
	uint64_t start;
	uint32_t domid;
	enum cl_work_kind kind;
	bool is_kernel, is_tool;
	bool found; /* by the scan that goes on */
	uint32_t device, queue, vcpu;
};

enum cl_xen_tool_kind {
	CL_XEN_TOOL_XL,     /* a command that runs */
	CL_XEN_TOOL_HELPER, /* saves or restores */
	CL_XEN_TOOL_CHILD,  /* what one of these started */
	CL_XEN_TOOL_WAITER, /* xl that waits for the guest's end */
};

struct cl_xen_tool {
	int32_t pid, parent;
	uint64_t start;
	enum cl_xen_tool_kind kind;
	uint32_t ticks;         /* since it was found, up to where it is young no more */
	uint32_t domid;         /* CL_NONE: of no guest that is there */
	char name[CL_NAME_MAX]; /* of the guest that it makes or waits for, or "" */
};

struct cl_xen {
	struct cl_host host; /* first */
	struct cl_hyper *hyper;
	struct cl_store store;
	char store_problem[CL_ERROR_MAX]; /* "" while it answers */
	uint64_t store_retry_ns;
	struct cl_cgroup cgroup;
	struct cl_topology *topology;
	struct cl_threads *threads;
	struct cl_scale scale; /* where the threads' clock is not honest */
	struct cl_build *build;
	struct cl_irqs *irqs;
	char irq_problem[CL_ERROR_MAX];
	struct cl_hyper_machine machine;
	bool pages;        /* where pages lie is asked for */
	uint64_t pages_ns; /* when that was done last; 0: never */
	char pages_problem[CL_ERROR_MAX];
	struct cl_hyper_domain dom0;
	uint64_t dom0_target_bytes; /* CL_UNKNOWN */
	uint32_t target_next;       /* the guest whose target is read next */
	char manager[CL_XEN_COMM];  /* a daemon that moves domains' memory itself; "": none */
	struct cl_hyper_pool pools[CL_XEN_POOLS_MAX];
	uint32_t pool_count;
	uint64_t machine_ns;
	struct cl_xen_guest *guests, *guests_next; /* by domid */
	uint32_t guest_count, dropped_guests;
	struct cl_xen_work *works;
	uint32_t work_top;
	struct cl_xen_tool tools[CL_XEN_TOOLS_MAX];
	uint32_t tool_count;
	int loadavg;               /* /proc/loadavg: its last field is the last number given */
	int32_t born, born_before; /* that number, at the last tick and at the one before */
	DIR *proc;
	struct cl_xen_device scratch[CL_XEN_DEVICES_MAX]; /* of the guest being described */
	char list[CL_STORE_PAYLOAD];
	bool stirred, rescan; /* something happened; threads are to be looked for */
	uint64_t scan_ns, scan_cost_ns, settle_ns;
	uint32_t dom0_vcpus, dom0_pool;
	struct cl_cpuset dom0_pins[CL_CPUS_MAX]; /* pCPUs of each of dom0's vCPUs */
	uint64_t dom0_ns[CL_CPUS_MAX];           /* its time */
	uint32_t dom0_at[CL_CPUS_MAX];           /* where it is; CL_NONE: nowhere */
	uint32_t cpu_of[CL_CPUS_MAX];            /* pCPU -> index in the snapshot */
};

/* guests.c */
int cl_xen_list_guests(struct cl_xen *xen, struct cl_error *reterr);
struct cl_xen_guest *cl_xen_find(struct cl_xen *xen, uint32_t domid);
void cl_xen_drop_guests(struct cl_xen *xen);
void cl_xen_stir(struct cl_xen *xen, uint32_t domid);

/*
 * describe.c: reads what xenstore says of the dirty guests, as far as there is time; an answer that
 * takes longer than answer_ns is not waited for, and the others are asked of another time.
 */
void cl_xen_describe(struct cl_xen *xen, uint64_t deadline_ns, uint64_t answer_ns);
void cl_xen_forget_devices(struct cl_xen_guest *guest);
void cl_xen_event(void *ctx, const char *path);

/* works.c: looks for the back ends' threads if it is time to, and for the toolstack's processes. */
void cl_xen_scan(struct cl_xen *xen);
void cl_xen_look_at_kernel(struct cl_xen *xen, int32_t pid);
bool cl_xen_read_stat(const struct cl_xen *xen, int32_t pid, struct cl_xen_stat *ret_stat);
void cl_xen_keep(struct cl_xen *xen, const struct cl_xen_work *seen);
void cl_xen_role(void *ctx, const struct cl_thread *thread, struct cl_build_role *ret_role);
struct cl_guest_ix cl_xen_irq_owner(void *ctx, const char *name);
/* The guest's vCPU that is told of a vif's interrupt by this name, or CL_NONE. */
uint32_t cl_xen_irq_vcpu(struct cl_xen *xen, const char *name);

/* tools.c: takes a process up if it is the toolstack's; stat may be NULL. */
void cl_xen_look_at_process(struct cl_xen *xen, int32_t pid, const struct cl_xen_stat *stat);
void cl_xen_look_at_born(struct cl_xen *xen);
/* Forgets those that are gone, finds the guests of the others; all: waiters too. */
void cl_xen_settle_tools(struct cl_xen *xen, bool all);

/* fill.c */
int cl_xen_fill(struct cl_xen *xen, struct cl_snapshot *snap, struct cl_error *reterr);

/* pages.c: where guests' pages lie, where that is asked for and it is time for it. */
void cl_xen_read_pages(struct cl_xen *xen);

/* targets.c: reads what balloons are set to: dom0's, and of some guests at each call. */
void cl_xen_read_targets(struct cl_xen *xen, uint64_t deadline_ns);
/* A change of a domain's target was made: what was read before is old. */
void cl_xen_targeted(struct cl_xen *xen, const struct cl_change *change);
/* Into the snapshot; can: may it be set here? */
void cl_xen_fill_memory(struct cl_xen *xen, struct cl_snapshot *snap);
/* Does a process of this name move domains' memory, as Qubes' qmemman and XAPI's squeezed do? */
bool cl_xen_moves_memory(const char *comm);

/* check.c */
void cl_xen_check(struct cl_xen *xen, void (*say)(void *ctx, const char *level, const char *text),
		  void *ctx);

#endif
