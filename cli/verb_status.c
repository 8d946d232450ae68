/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status: what each guest costs, inside and outside of it, and where that ran. */
#include "cli.h"

static const struct cl_guest *guest_at(const struct cli_row *row)
{
	return &row->snap->guests[row->at];
}
static const struct cl_guest_books *books_at(const struct cli_row *row)
{
	return &row->plan->guest_books[row->at];
}

/* A guest that was not there in both snapshots has no figures yet. */
static uint64_t span_at(const struct cli_row *row)
{
	return books_at(row)->counted ? row->plan->books.span_ns : 0;
}

static void guest_name(const struct cli_column *column, const struct cli_row *row, char *buf,
		       size_t size)
{
	cli_guest_name(row->snap, (struct cl_guest_ix){ row->at }, buf, size < 41 ? size : 41);
}

static void guest_vcpus(const struct cli_column *column, const struct cli_row *row, char *buf,
			size_t size)
{
	snprintf(buf, size, "%u", guest_at(row)->vcpu_count);
}

static void guest_cpu(const struct cli_column *column, const struct cli_row *row, char *buf,
		      size_t size)
{
	cli_percent(books_at(row)->guest_ns, span_at(row), buf, size);
}

static void host_cpu(const struct cli_column *column, const struct cli_row *row, char *buf,
		     size_t size)
{
	cli_work_percent(row->snap, books_at(row)->host_ns, span_at(row), buf, size);
}

static void weighed_cpu(const struct cli_column *column, const struct cli_row *row, char *buf,
			size_t size)
{
	uint64_t ns = books_at(row)->weighed_ns;
	char percent[32];

	if (ns == CL_UNKNOWN)
		return;
	cli_percent(ns, span_at(row), percent, sizeof(percent));
	snprintf(buf, size, "~%s", percent);
}

static void kind_cpu(const struct cli_column *column, const struct cli_row *row, char *buf,
		     size_t size)
{
	uint64_t ns = books_at(row)->kind_ns[column->number];

	if (ns > 0)
		cli_work_percent(row->snap, ns, span_at(row), buf, size);
}

static void share_cell(uint64_t part, const struct cli_row *row, char *buf, size_t size)
{
	uint64_t whole = books_at(row)->host_ns;
	char share[32];

	if (whole == 0 || span_at(row) == 0)
		snprintf(buf, size, "-");
	else
		snprintf(buf, size, "%s%s", cli_estimate(row->snap),
			 cl_share_text((uint64_t)(cl_share(part, whole) * (double)CL_PPM), share,
				       sizeof(share)));
}

static void main_share(const struct cli_column *column, const struct cli_row *row, char *buf,
		       size_t size)
{
	share_cell(books_at(row)->main_ns, row, buf, size);
}

static void far_share(const struct cli_column *column, const struct cli_row *row, char *buf,
		      size_t size)
{
	share_cell(books_at(row)->far_ns, row, buf, size);
}

static void guest_home(const struct cli_column *column, const struct cli_row *row, char *buf,
		       size_t size)
{
	cli_nodes_text(guest_at(row)->home, buf, size < 33 ? size : 33);
}

static void guest_note(const struct cli_column *column, const struct cli_row *row, char *buf,
		       size_t size)
{
	if (!books_at(row)->counted)
		snprintf(buf, size, "new");
	else if (!guest_at(row)->described)
		snprintf(buf, size, "not described: its monitor is busy or taken");
}

#define KIND(id, kind_name, origin, kind_doc)                                                      \
	{ .title = kind_name,                                                                      \
	  .right = true,                                                                           \
	  .spare = true,                                                                           \
	  .number = CL_WORK_##id,                                                                  \
	  .cell = kind_cpu },
static const struct cli_column guest_columns[] = {
	{ .title = "GUEST", .cell = guest_name },
	{ .title = "VCPUS", .right = true, .cell = guest_vcpus },
	{ .title = "GUEST-CPU%", .right = true, .cell = guest_cpu },
	{ .title = "HOST-CPU%", .right = true, .cell = host_cpu },
	CL_WORK_KINDS(KIND){
		.title = "WEIGHED%", .right = true, .spare = true, .cell = weighed_cpu },
	{ .title = "ON-MAIN", .right = true, .cell = main_share },
	{ .title = "FAR", .right = true, .cell = far_share },
	{ .title = "HOME", .cell = guest_home },
	{ .title = "NOTE", .spare = true, .cell = guest_note },
};
#undef KIND

static const struct cl_work *work_at(const struct cli_row *row)
{
	return &row->snap->works[row->at];
}

static void work_guest(const struct cli_column *column, const struct cli_row *row, char *buf,
		       size_t size)
{
	cli_guest_name(row->snap, work_at(row)->guest, buf, size < 41 ? size : 41);
}

static void work_tid(const struct cli_column *column, const struct cli_row *row, char *buf,
		     size_t size)
{
	snprintf(buf, size, "%d", work_at(row)->thread.tid);
}

static void work_name(const struct cli_column *column, const struct cli_row *row, char *buf,
		      size_t size)
{
	cl_escape(work_at(row)->name, buf, size);
}

static void work_kind(const struct cli_column *column, const struct cli_row *row, char *buf,
		      size_t size)
{
	snprintf(buf, size, "%s", cl_work_kind_name(work_at(row)->kind));
}

static void work_cpu(const struct cli_column *column, const struct cli_row *row, char *buf,
		     size_t size)
{
	cli_work_percent(row->snap, row->plan->work_books[row->at].run_ns, row->plan->books.span_ns,
			 buf, size);
}

static void work_where(const struct cli_column *column, const struct cli_row *row, char *buf,
		       size_t size)
{
	if (work_at(row)->cpu.v != CL_NONE)
		snprintf(buf, size, "%u", work_at(row)->cpu.v);
	else
		snprintf(buf, size, "?");
}

static void work_mask(const struct cli_column *column, const struct cli_row *row, char *buf,
		      size_t size)
{
	if (work_at(row)->mask.v < row->snap->n.masks)
		cli_list_text(cl_snapshot_set(row->snap, work_at(row)->mask), buf,
			      size < 33 ? size : 33);
	else
		snprintf(buf, size, "?");
}

static void work_verdict(const struct cli_column *column, const struct cli_row *row, char *buf,
			 size_t size)
{
	const struct cl_verdict *verdict = &row->plan->verdicts[row->at];

	snprintf(buf, size, "%s",
		 cl_reason_name(verdict->left.code != CL_REASON_NONE ? verdict->left.code
								     : verdict->placed.code));
}

static const struct cli_column work_columns[] = {
	{ .title = "GUEST", .cell = work_guest },
	{ .title = "THREAD", .right = true, .cell = work_tid },
	{ .title = "NAME", .cell = work_name },
	{ .title = "KIND", .cell = work_kind },
	{ .title = "CPU%", .right = true, .cell = work_cpu },
	{ .title = "ON", .right = true, .cell = work_where },
	{ .title = "MAY-USE", .cell = work_mask },
	{ .title = "VERDICT", .cell = work_verdict },
};

static void print_total(const char *what, uint64_t ns, uint64_t span_ns, const char *note)
{
	char percent[32];

	cli_percent(ns, span_ns, percent, sizeof(percent));
	printf("%-18s %8s %%%s%s\n", what, percent, *note ? "  " : "", note);
}

static void print_work_total(const struct cl_snapshot *snap, const char *what, uint64_t ns,
			     uint64_t span_ns, const char *note)
{
	char percent[32];

	cli_work_percent(snap, ns, span_ns, percent, sizeof(percent));
	printf("%-18s %8s %%  %s\n", what, percent, note);
}

static void print_totals(const struct cl_snapshot *snap, const struct cl_plan *plan)
{
	const struct cl_books *b = &plan->books;
	double gap = b->span_ns ? 100.0 * (double)b->gap_ns / (double)b->span_ns : 0;
	char cpus[256], tasks[352], share[32], main_part[96];

	snprintf(tasks, sizeof(tasks), "%s; its CPUs: %s",
		 b->main_measured ? "the host's own tasks"
				  : "not measured here: part of unattributed",
		 cli_list_text(&plan->main_cpus, cpus, sizeof(cpus)));
	cl_share_text((uint64_t)(cl_share(b->main_part_ns, b->host_ns) * (double)CL_PPM), share,
		      sizeof(share));
	snprintf(main_part, sizeof(main_part), "%s of it on the main container's CPUs%s", share,
		 b->estimated ? " (an estimate)" : "");
	printf("\n");
	print_total("guests", b->guest_ns, b->span_ns,
		    snap->guests_outside ? "in their vCPUs, outside of what is counted below"
					 : "in their vCPUs");
	print_work_total(snap, "guests' host work", b->host_ns, b->span_ns, main_part);
	print_total("main container", b->main_measured ? b->main_ns : CL_UNKNOWN, b->span_ns,
		    tasks);
	if (b->overhead_ns > 0)
		print_total("overhead", b->overhead_ns, b->span_ns,
			    "ticks, IPIs, idle entry and exit: nobody's");
	print_work_total(snap, "unattributed", b->unattributed_ns, b->span_ns,
			 "not shown to be anybody's of these");
	print_total("busy in all", b->busy_ns, b->span_ns,
		    snap->guests_outside
			    ? "the time of this domain's vCPUs, as the hypervisor counts it"
			    : "by the kernel's own count");
	printf("%-18s %8.1f %%  the parts above less that count\n", "gap", gap);
	cli_estimate_note(snap);
	if (plan->n.guests > 0 && b->span_ns && plan->guest_books[0].weighed_ns != CL_UNKNOWN)
		printf("packets and requests at calibrated costs (`closer calibrate --show`)%s: an estimate\n",
		       CL_CAN(snap, CLOCK) ? " are WEIGHED%"
					   : " stand for the time of devices' work");
}

static void print_status(const struct cli_call *call, const char *uri,
			 const struct cl_snapshot *snap, const struct cl_plan *plan)
{
	char span[32], host[CL_PATH_MAX];

	printf("%s over %s\n\n", cli_host_text(uri, host, sizeof(host)),
	       cl_time_text(plan->books.span_ns, span, sizeof(span)));
	if (snap->n.guests > 0)
		cli_table(call, guest_columns, (uint32_t)CL_COUNT(guest_columns), snap, plan,
			  snap->n.guests);
	else
		printf("no guests\n");
	if (call->v.works && snap->n.works > 0) {
		printf("\n");
		cli_table(call, work_columns, (uint32_t)CL_COUNT(work_columns), snap, plan,
			  snap->n.works);
	}
	print_totals(snap, plan);
}

static enum cli_exit print_once(const struct cli_call *call, const struct cl_engine *engine)
{
	const struct cl_snapshot *snap = cl_engine_now(engine);
	const struct cl_plan *plan = cl_engine_plan(engine);

	if (call->v.json && call->v.watch)
		return cli_json_line(call, cl_json_books(cl_engine_uri(engine), snap, plan));
	if (call->v.json)
		return cli_json(call, cl_json_books(cl_engine_uri(engine), snap, plan));
	if (call->v.watch && isatty(STDOUT_FILENO))
		fputs("\033[H\033[2J", stdout);
	print_status(call, cl_engine_uri(engine), snap, plan);
	if (call->v.watch && !isatty(STDOUT_FILENO))
		printf("\n");
	return CLI_OK;
}

static enum cli_exit run(const struct cli_call *call)
{
	cli_autoengine struct cl_engine *engine = NULL;
	bool ended = false;
	struct cl_error err;
	int r = cli_open(call, false, NULL, &engine, &err);

	if (r == 0)
		r = cli_observe_twice(call, engine, &err);
	while (r == 0) {
		enum cli_exit code = print_once(call, engine);

		if (code != CLI_OK || !call->v.watch || cli_output_lost())
			return code;
		r = cli_sleep(engine, call->v.params.interval, &ended, &err);
		if (r == 0 && ended)
			return CLI_OK;
		if (r == 0)
			r = cli_observe(engine, NULL, &err);
	}
	return cli_error(call, &err);
}

static const struct cli_option options[] = {
	{ "works", 'w', CLI_FLAG, NULL, CLI_AT(works), CLI_GROUP_ALL,
	  "list the threads that work for guests, too" },
	{ "watch", 'W', CLI_FLAG, NULL, CLI_AT(watch), CLI_GROUP_ALL,
	  "repeat until interrupted, each interval" },
	{ NULL, 0, CLI_FLAG, NULL, 0, CLI_GROUP_ALL, NULL },
};

const struct cli_verb cli_verb_status = {
	.name = "status",
	.groups = CLI_GROUP_HOST | CLI_GROUP_DIR | CLI_GROUP_JSON,
	.options = options,
	.doc = "print what each guest costs, inside it and outside it",
	.text = "Observes the host twice, an interval apart. Per guest: what its vCPUs used, what "
		"ran outside them on its behalf (by kind of work), the share of that on the main "
		"container's CPUs, the share on nodes that do not hold its memory, and its home "
		"nodes. Then the main container, what could be attributed to nobody, and the total "
		"that the kernel counted, or under Xen what Xen counted for this domain. 100 % is "
		"one CPU.",
	.run = run,
};
