/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of xen_gauge share: see xen_gauge.c. */
#ifndef CLOSER_LAB_XEN_GAUGE_H
#define CLOSER_LAB_XEN_GAUGE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#define XG_NS_PER_S   UINT64_C(1000000000)
#define XG_NS_PER_MS  UINT64_C(1000000)
#define XG_REPLY_MAX  8192u
#define XG_GUESTS_MAX 16u

struct xg_guest {
	const char *name, *ip;
};

/* xen_gauge.c */
_Noreturn void xg_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t xg_now(void);
void xg_sleep_until(uint64_t due_ns);
uint64_t xg_dom0_ns(void); /* what all of dom0's vCPUs ran, as Xen counts it */

/* xen_gauge_counts.c: interrupts and wakes of the back ends since _begin; members of an object */
void xg_counts_begin(void);
void xg_counts_print(FILE *out);

/* xen_gauge_run.c: the processes that run beside the windows, and the guests */
pthread_t xg_thread(void *(*run)(void *), void *arg);
/* Until a SIGTERM, which ends closer status too; 0, or 1 if that failed. */
int xg_books(const char *interval);
void xg_task_start(const char *config);
void xg_task_end(void); /* after a step that is under way; the task's guest is gone */
/* One line to the guest's port (lab/xen/domu_answer), the JSON line that it answers. */
bool xg_ask(const struct xg_guest *guest, const char *line, char *reply, size_t size);

#endif
