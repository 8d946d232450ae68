/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mon: what `closer mon` shows of Xen's trace, and how.
 *
 *   windows (xen/trace_sum.h) -> mon_window() -> a table, CSV, JSON, or a screen with keys
 */
#ifndef CLOSER_CLI_MON_H
#define CLOSER_CLI_MON_H

#include "cli.h"
#include "xen/trace_sum.h"

enum mon_sort { /* as --sort numbers its words */
		MON_SORT_DOMID = 1,
		MON_SORT_GOTTEN,
		MON_SORT_ALLOCATED,
		MON_SORT_WAITED,
		MON_SORT_BLOCKED,
		MON_SORT_EXECUTIONS,
		MON_SORT_IO,
};
#define MON_SORTS "domid|gotten|allocated|waited|blocked|executions|io"

struct mon_screen;

struct mon {
	const struct cli_call *call;
	struct mon_screen *screen; /* or NULL */
	bool live;
	uint64_t hz;
	enum mon_sort sort;
	bool per_vcpu, paused;
	bool titled, ended;           /* CSV's first line is out; nobody reads the output */
	uint64_t jumps;               /* cl_trace_jumps */
	uint64_t own_ns, own_span_ns; /* CPU time of this process, and in what time */
	json_t *windows;              /* --json of a file: those so far */
	json_t *total;                /* the last */
	enum cli_exit code;
};

/* ---- mon_show.c ---- a cl_trace_window_fn; ctx: struct mon */
void mon_window(void *ctx, const struct cl_trace_window *window);
/* The window as a table; colours as call says. */
void mon_print(const struct mon *mon, FILE *out, const struct cl_trace_window *window);
/* What a reader of figures must know of them, on stderr: losses, the clock, what was left out. */
void mon_warn(const struct mon *mon, const struct cl_trace_window *total);

/* ---- mon_screen.c ---- NULL: this terminal, or this build, has none; then windows follow each
 * other */
struct mon_screen *mon_screen_open(void);
void mon_screen_close(struct mon_screen *screen); /* NULL is fine */
void mon_screen_show(struct mon *mon, const struct cl_trace_window *window);
/* Takes what was typed: s sort, v vCPUs, p pause. True: q, to end. */
bool mon_screen_keys(struct mon *mon);

#endif
