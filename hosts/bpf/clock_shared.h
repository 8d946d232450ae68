/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clock_shared: what clock.bpf.c and clock.c both read and write, through mapped arrays.
 *
 * Only fixed-width types, no pointers; the including file brings uint32_t and uint64_t.
 */
#ifndef CLOSER_CLOCK_SHARED_H
#define CLOSER_CLOCK_SHARED_H

/* One thread, as the task iterator found it. 72 bytes, no hole. */
struct cl_clock_task {
	uint32_t tid, tgid;
	uint64_t start_ns; /* start_boottime: CLOCK_BOOTTIME ns */
	uint64_t run_ns;   /* se.sum_exec_runtime */
	uint64_t delay_ns; /* sched_info.run_delay */
	uint32_t cpu;
	uint32_t flags;      /* PF_* */
	uint32_t exit_state; /* not 0: dead, perhaps not yet reaped */
	uint32_t pad;
	char comm[16];
};

/*
 * Rows of the matrix runs[row * ncpu + cpu]: time of what is not followed, time of followed
 * processes that have no row of their own, then rows given to processes and threads. The idle task
 * has none.
 */
enum { CL_ROW_USER, CL_ROW_KERNEL, CL_ROW_UNSEEN, CL_ROW_FIRST };

#define CL_NO_MARK 0xffffffffffffffffull /* of a row that is no thread's */

/* A thread's row; start_ns tells a reused tid from the thread that was meant. */
struct cl_clock_row {
	uint64_t start_ns;
	uint32_t row;
	uint32_t pad;
};

/* Who is on a CPU now, and what its clock read when it got on. One cache line, written by that CPU
 * alone. */
struct cl_clock_cpu {
	uint64_t seq;       /* odd while it is being written */
	uint64_t since_ns;  /* CLOCK_MONOTONIC */
	uint64_t run_ns;    /* its sum_exec_runtime then */
	uint32_t tid, tgid; /* tid 0: idle */
	uint32_t flags;
	uint32_t valid; /* 0: no switch was seen on this CPU yet */
	uint64_t pad[3];
};

/* Argument of the syscall program. */
struct cl_clock_args {
	uint32_t processes; /* in: entries of `processes` to walk */
	uint32_t found;     /* out: entries written to `tasks` */
	uint32_t lost;      /* out: threads that did not fit */
	uint32_t pad;
};

/* A followed process. */
struct cl_clock_process {
	uint32_t row;   /* of what is not any thread's */
	uint32_t owner; /* domid + 1 of the guest that it works for, 0: none */
};

/*
 * For whom a handler or a softirq works shows in what it does: a packet or a request noted for each
 * guest.
 */
#define CL_CLOCK_NOTES 8u
struct cl_clock_note {
	uint32_t owner; /* domid + 1 */
	uint32_t count;
};
struct cl_clock_notes {
	struct cl_clock_note notes[CL_CLOCK_NOTES]; /* free ones are last, with owner 0 */
	uint32_t others; /* notes that had no room: of more guests at once */
	uint32_t last;   /* the owner noted last, 0: none since the context began */
};

/*
 * The honest clock's books of one CPU: at every boundary (switch, interrupt, softirq, poll) the
 * time since the last one goes to what the CPU was in, so the parts add up to total_ns. Whole cache
 * lines, written by that CPU alone.
 */
struct cl_clock_parts {
	uint64_t last_ns; /* the clock at the last boundary; 0: none was seen on this CPU yet */
	uint64_t total_ns, thread_ns, irq_ns, napi_ns, softirq_ns, tick_ns, idle_ns;
	uint64_t nobody_ns; /* of irq_ns, napi_ns and softirq_ns: no guest's */
	uint64_t given_ns;  /* of tick_ns and idle_ns: given to the guests that caused it */
	uint64_t start_ns;  /* start_boottime of the thread that is on */
	/* Not booked yet, since it is not known for whom it was: of this handler; of this softirq
	 * (it may be a poll's), and ticks on top of it; of handlers of devices that are nobody's,
	 * before the softirq that they raise; idle, since the last interrupt or switch; of IPIs,
	 * and of timers where the CPU was idle, since the last switch; of a worker, since its last
	 * work.
	 */
	uint64_t hard_ns, soft_ns, soft_tick_ns, device_ns, pause_ns, call_ns, worker_ns;
	uint32_t tid, tgid, flags;
	uint32_t row;     /* its row, as of `change` */
	uint32_t change;  /* which rows there were then */
	uint32_t irq;     /* number + 1 of the handler that runs, 0: none */
	uint32_t is_tick; /* it is a timer's or an IPI's */
	uint32_t is_ipi;
	uint32_t softirq; /* vector + 1, 0: none */
	/* Owners: domid + 1, 0: none is known. */
	uint32_t owner;      /* of the thread that is on */
	uint32_t is_lent;    /* it is a worker of the kernel's, and the owner is that of its work */
	uint32_t irq_owner;  /* of the handler that runs */
	uint32_t soft_owner; /* of this softirq's last poll */
	uint32_t last;       /* of what ran last, before the CPU was idle */
	uint32_t ticks;      /* that came since, while it was idle */
	struct cl_clock_notes hard, soft;
	uint32_t pad[3];
};

/* A guest's, of what serves several. */
struct cl_clock_guest {
	uint64_t shared_ns; /* kernel workers, devices' interrupts, softirqs */
	uint64_t wakeup_ns; /* idle entry and exit, IPIs, ticks */
};

struct cl_clock_request {
	uint32_t owner;
	uint32_t is_inserted; /* by whom is known from before it was issued */
};

/* A device's interrupt. One cache line. */
struct cl_clock_irq {
	uint64_t handler_ns;
	uint64_t napi_ns;    /* polls of the netback queue that it belongs to */
	uint64_t unowned_ns; /* of these: booked while whose it is was not known */
	uint64_t device;     /* its dev_id: an address, only compared */
	uint32_t seen;       /* 0: never fired */
	uint32_t cpu;
	uint32_t owner; /* domid + 1 of netback's and blkback's, 0: not known */
	uint32_t pad[3];
};

struct cl_clock_vif {
	uint64_t napi_ns;
	uint64_t tied_ns; /* of that in an interrupt's napi_ns */
};

struct cl_clock_vif_name {
	char name[16];
};

#define CL_CLOCK_IRQS_MAX     16384u
#define CL_CLOCK_VIFS_MAX     8192u
#define CL_CLOCK_GUESTS_MAX   8192u
#define CL_CLOCK_REQUESTS_MAX 16384u /* in flight, as of works */
#define CL_CLOCK_WORKERS_MAX  4096u  /* that have a work at one time */

#define CL_PF_WQ_WORKER      0x00000020u /* include/linux/sched.h */
#define CL_PF_KTHREAD        0x00200000u
#define CL_PF_NO_SETAFFINITY 0x04000000u

#endif
