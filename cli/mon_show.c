/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Windows of Xen's trace as tables, CSV and JSON. */
#include "mon.h"

#include <string.h>

struct line { /* of a table: a domain or a vCPU */
	const struct cl_trace_row *row;
	const struct cl_trace_figures *recent, *lately;
};

struct lines {
	const struct cl_trace_window *window;
	uint64_t span_ns, lately_span_ns;
	uint32_t count;
	struct line *lines;
};

/* ---- order ---- */

static uint64_t key_of(const struct cl_trace_figures *f, enum mon_sort sort)
{
	switch (sort) {
	case MON_SORT_GOTTEN:
		return f->gotten_ns;
	case MON_SORT_ALLOCATED:
		return f->allocated_ns;
	case MON_SORT_WAITED:
		return f->waited_ns;
	case MON_SORT_BLOCKED:
		return f->blocked_ns;
	case MON_SORT_EXECUTIONS:
		return f->executions;
	case MON_SORT_IO:
		return f->io;
	case MON_SORT_DOMID:
		break;
	}
	return 0;
}

struct order {
	enum mon_sort sort;
	bool all;
};

static int by_key(const void *a, const void *b, void *ctx)
{
	const struct cl_trace_row *x = a, *y = b;
	const struct order *order = ctx;
	uint64_t p = key_of(order->all ? &x->all : &x->recent, order->sort);
	uint64_t q = key_of(order->all ? &y->all : &y->recent, order->sort);

	if (p != q)
		return p > q ? -1 : 1; /* the most first */
	return x->domid < y->domid ? -1 : x->domid > y->domid;
}

/* The window's domains in the order asked for: malloc'ed; NULL: none, or no memory. */
static struct cl_trace_row *sorted(const struct mon *mon, const struct cl_trace_window *w)
{
	struct order order = { mon->sort, w->last };
	struct cl_trace_row *domains = calloc(w->domain_count + 1u, sizeof(domains[0]));

	if (!domains || w->domain_count == 0)
		return domains;
	memcpy(domains, w->domains, w->domain_count * sizeof(domains[0]));
	qsort_r(domains, w->domain_count, sizeof(domains[0]), by_key, &order);
	return domains;
}

/* ---- tables ---- */

static const struct line *line_of(const struct cli_row *row)
{
	return &((const struct lines *)row->data)->lines[row->at];
}

static uint64_t span_of(const struct cli_row *row, bool lately)
{
	const struct lines *lines = row->data;

	return lately ? lines->lately_span_ns : lines->span_ns;
}

static const struct cl_trace_figures *figures_of(const struct cli_row *row, bool lately)
{
	return lately ? line_of(row)->lately : line_of(row)->recent;
}

static void domain(const struct cli_column *column, const struct cli_row *row, char *buf,
		   size_t size)
{
	snprintf(buf, size, "%u", line_of(row)->row->domid);
}

static void vcpu(const struct cli_column *column, const struct cli_row *row, char *buf, size_t size)
{
	const struct cl_trace_row *is = line_of(row)->row;

	if (is->vcpu == CL_TRACE_DOMAIN)
		snprintf(buf, size, "all %u", is->count);
	else
		snprintf(buf, size, "%u", is->vcpu);
}

/* Number: 0 to 2 of the window, 3 to 5 the same of the last ten; totals have no such. */
static void share(const struct cli_column *column, const struct cli_row *row, char *buf,
		  size_t size)
{
	bool lately = column->number > 2;
	const struct cl_trace_figures *f = figures_of(row, lately);
	const uint64_t ns[] = { f->gotten_ns, f->waited_ns, f->blocked_ns };

	if (!lately || !((const struct lines *)row->data)->window->last)
		cli_percent(ns[column->number % 3], span_of(row, lately), buf, size);
}

static void uncertain(const struct cli_column *column, const struct cli_row *row, char *buf,
		      size_t size)
{
	uint64_t ns = figures_of(row, false)->uncertain_ns;

	if (ns > 0)
		cli_percent(ns, span_of(row, false), buf, size);
}

static void each(uint64_t ns, uint64_t of, char *buf, size_t size)
{
	if (of > 0)
		snprintf(buf, size, "%.3f", (double)ns / (double)of / 1e6);
	else
		snprintf(buf, size, "-");
}

static void slice(const struct cli_column *column, const struct cli_row *row, char *buf,
		  size_t size)
{
	const struct cl_trace_figures *f = figures_of(row, false);
	const uint64_t ns[] = { f->slice_least_ns, f->slice_most_ns };

	if (column->number == 2)
		cli_percent(f->allocated_ns, span_of(row, false), buf, size);
	else
		each(ns[column->number], f->slices > 0, buf, size);
}

static void blocked_per_io(const struct cli_column *column, const struct cli_row *row, char *buf,
			   size_t size)
{
	const struct cl_trace_figures *f = figures_of(row, false);

	each(f->blocked_ns, f->io, buf, size);
}

static void per_second(const struct cli_column *column, const struct cli_row *row, char *buf,
		       size_t size)
{
	const struct cl_trace_figures *f = figures_of(row, false);
	uint64_t count = column->number ? f->io : f->executions;
	double s = (double)span_of(row, false) / 1e9;

	snprintf(buf, size, "%.0f", s > 0 ? (double)count / s : 0.0);
}

static const struct cli_column columns[] = {
	{ "domain", true, false, 0, domain },     { "vcpu", true, false, 0, vcpu },
	{ "gotten%", true, false, 0, share },     { "waited%", true, false, 1, share },
	{ "blocked%", true, false, 2, share },    { "+-%", true, true, 0, uncertain },
	{ "x10: gotten%", true, true, 3, share }, { "waited%", true, true, 4, share },
	{ "blocked%", true, true, 5, share },     { "exec/s", true, false, 0, per_second },
	{ "I/O/s", true, false, 1, per_second },  { "ms/I/O", true, false, 0, blocked_per_io },
	{ "given%", true, false, 2, slice },      { "least ms", true, false, 0, slice },
	{ "most ms", true, false, 1, slice },
};

static struct line line_for(const struct cl_trace_window *w, const struct cl_trace_row *row)
{
	return (struct line){ row, w->last ? &row->all : &row->recent, &row->lately };
}

void mon_print(const struct mon *mon, FILE *out, const struct cl_trace_window *w)
{
	cl_autofree struct cl_trace_row *domains = sorted(mon, w);
	cl_autofree struct line *lines =
		calloc(w->domain_count + w->vcpu_count + 1u, sizeof(lines[0]));
	struct lines of = { w, w->last ? w->all_span_ns : w->span_ns, w->lately_span_ns, 0, lines };
	const struct cli_row row = { .data = &of };
	uint64_t lost = w->last ? w->all_lost_records : w->lost_records;
	uint64_t begin_ns = w->last ? 0 : w->begin_ns;
	uint64_t doubt_ns = w->last ? w->all_uncertain_ns : w->uncertain_ns;

	if (!domains || !lines)
		return;
	fprintf(out, "%s%s from %.3f s, %.3f s long", cli_colour(mon->call, "title"),
		w->last ? "all" : "window", (double)begin_ns / 1e9, (double)of.span_ns / 1e9);
	if (lost > 0)
		fprintf(out, ", %llu records lost, %.3f ms of vCPUs' time uncertain",
			(unsigned long long)lost, (double)doubt_ns / 1e6);
	else
		fprintf(out, ", no record lost");
	if (mon->live && mon->own_span_ns > 0)
		fprintf(out, ", closer itself %.2f %% of a CPU",
			100.0 * (double)mon->own_ns / (double)mon->own_span_ns);
	fprintf(out, "%s\n", cli_colour_off(mon->call));
	for (uint32_t i = 0; i < w->domain_count; i++) {
		lines[of.count++] = line_for(w, &domains[i]);
		for (uint32_t v = 0; mon->per_vcpu && v < domains[i].count; v++)
			lines[of.count++] = line_for(w, &w->vcpus[domains[i].first + v]);
	}
	cli_table_to(out, mon->call, columns, (uint32_t)CL_COUNT(columns), &row, of.count);
}

/* ---- CSV ---- */

static void csv_line(const struct cl_trace_window *w, const struct cl_trace_row *row)
{
	const struct cl_trace_figures *both[] = { &row->recent, &row->lately };
	char vcpu_text[16] = "";

	if (row->vcpu != CL_TRACE_DOMAIN)
		snprintf(vcpu_text, sizeof(vcpu_text), "%u", row->vcpu);
	printf("%llu,%llu,%u,%s,%llu", (unsigned long long)w->begin_ns,
	       (unsigned long long)w->span_ns, row->domid, vcpu_text,
	       (unsigned long long)w->lost_records);
	for (uint32_t i = 0; i < 2; i++)
		printf(",%llu,%llu,%llu,%llu,%llu,%llu,%llu,%llu",
		       (unsigned long long)both[i]->gotten_ns,
		       (unsigned long long)both[i]->allocated_ns,
		       (unsigned long long)both[i]->waited_ns,
		       (unsigned long long)both[i]->blocked_ns,
		       (unsigned long long)both[i]->offline_ns,
		       (unsigned long long)both[i]->executions, (unsigned long long)both[i]->io,
		       (unsigned long long)both[i]->uncertain_ns);
	putchar('\n');
}

static void csv(struct mon *mon, const struct cl_trace_window *w)
{
	cl_autofree struct cl_trace_row *domains = sorted(mon, w);

	if (!mon->titled)
		printf("begin_ns,span_ns,domid,vcpu,lost_records,gotten_ns,allocated_ns,waited_ns,"
		       "blocked_ns,offline_ns,executions,io,uncertain_ns,gotten10_ns,"
		       "allocated10_ns,waited10_ns,blocked10_ns,offline10_ns,executions10,io10,"
		       "uncertain10_ns\n");
	mon->titled = true;
	for (uint32_t i = 0; domains && i < w->domain_count; i++) {
		csv_line(w, &domains[i]);
		for (uint32_t v = 0; mon->per_vcpu && v < domains[i].count; v++)
			csv_line(w, &w->vcpus[domains[i].first + v]);
	}
}

/* ---- JSON ---- */

static json_int_t number(uint64_t value)
{
	return value > INT64_MAX ? INT64_MAX : (json_int_t)value;
}

static json_t *figures_json(const struct cl_trace_figures *f)
{
	json_t *json = json_pack(
		"{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "gotten_ns", number(f->gotten_ns),
		"allocated_ns", number(f->allocated_ns), "waited_ns", number(f->waited_ns),
		"blocked_ns", number(f->blocked_ns), "offline_ns", number(f->offline_ns), "slices",
		number(f->slices), "slice_least_ns", number(f->slice_least_ns), "slice_most_ns",
		number(f->slice_most_ns), "executions", number(f->executions), "io", number(f->io),
		"uncertain_ns", number(f->uncertain_ns));

	if (json)
		json_object_set_new(json, "blocked_per_io_ns",
				    f->io ? json_integer(number(f->blocked_ns / f->io))
					  : json_null());
	return json;
}

static json_t *row_json(const struct cl_trace_window *w, const struct cl_trace_row *row)
{
	bool of_domain = row->vcpu == CL_TRACE_DOMAIN;
	json_t *json = json_pack("{s:I}", of_domain ? "domid" : "vcpu",
				 number(of_domain ? row->domid : row->vcpu));

	json_object_update_new(json, figures_json(w->last ? &row->all : &row->recent));
	if (!w->last)
		json_object_set_new(json, "lately", figures_json(&row->lately));
	return json;
}

static json_t *domains_json(const struct mon *mon, const struct cl_trace_window *w)
{
	cl_autofree struct cl_trace_row *domains = sorted(mon, w);
	json_t *list = json_array();

	for (uint32_t i = 0; domains && i < w->domain_count; i++) {
		json_t *json = row_json(w, &domains[i]), *vcpus = json_array();

		for (uint32_t v = 0; v < domains[i].count; v++)
			json_array_append_new(vcpus, row_json(w, &w->vcpus[domains[i].first + v]));
		json_object_set_new(json, "vcpus", vcpus);
		json_array_append_new(list, json);
	}
	return list;
}

static json_t *window_json(const struct mon *mon, const struct cl_trace_window *w)
{
	json_t *pcpus = json_array();

	for (uint32_t i = 0; !w->last && i < w->pcpu_count; i++)
		json_array_append_new(pcpus,
				      json_pack("{s:I,s:I,s:I}", "pcpu", number(w->pcpus[i].pcpu),
						"gotten_ns", number(w->pcpus[i].gotten_ns),
						"idle_ns", number(w->pcpus[i].idle_ns)));
	json_t *json = json_pack(
		"{s:b,s:I,s:I,s:o,s:I,s:I,s:I,s:I,s:I}", "total", (int)w->last, "begin_ns",
		number(w->last ? 0 : w->begin_ns), "span_ns",
		number(w->last ? w->all_span_ns : w->span_ns), "domains", domains_json(mon, w),
		"lost_records", number(w->last ? w->all_lost_records : w->lost_records),
		"uncertain_ns", number(w->last ? w->all_uncertain_ns : w->uncertain_ns),
		"late_records", number(w->late_records), "clock_breaks", number(w->breaks),
		"left_out", number(w->left_out));

	if (!w->last) {
		json_object_set_new(json, "lately_span_ns",
				    json_integer(number(w->lately_span_ns)));
		json_object_set(json, "pcpus", pcpus);
	}
	json_decref(pcpus);
	if (w->last)
		json_object_set_new(json, "clock_jumps", json_integer(number(mon->jumps)));
	if (mon->live) {
		json_object_set_new(json, "own_ns", json_integer(number(mon->own_ns)));
		json_object_set_new(json, "own_span_ns", json_integer(number(mon->own_span_ns)));
	}
	return json;
}

static void json(struct mon *mon, const struct cl_trace_window *w)
{
	json_t *of_window = window_json(mon, w);

	if (mon->live)
		mon->code = cli_json_line(mon->call, of_window);
	else if (w->last)
		mon->total = of_window;
	else
		json_array_append_new(mon->windows, of_window);
}

/* ---- a window ---- */

void mon_warn(const struct mon *mon, const struct cl_trace_window *w)
{
	if (w->all_lost_records > 0)
		cli_say(mon->call,
			"%llu records were lost, since the buffers were full: %.3f ms of vCPUs' "
			"time are uncertain by that, each figure by no more than its uncertain_ns",
			(unsigned long long)w->all_lost_records, (double)w->all_uncertain_ns / 1e6);
	if (mon->jumps > 0 || w->breaks > 0)
		cli_say(mon->call,
			"the clock of the records jumped %llu times: single records were given the "
			"time of those before; where it was set, which was %llu times, what lay "
			"between is in no window",
			(unsigned long long)(mon->jumps > w->breaks ? mon->jumps : w->breaks),
			(unsigned long long)w->breaks);
	if (w->left_out > 0)
		cli_say(mon->call,
			"%llu records were of vCPUs beyond the %u that there is room for: they "
			"are in no figure",
			(unsigned long long)w->left_out, CL_TRACE_VCPUS_MAX);
}

void mon_window(void *ctx, const struct cl_trace_window *w)
{
	struct mon *mon = ctx;
	const struct cli_values *v = &mon->call->v;

	if (w->last)
		mon_screen_close(mon->screen);
	if (w->last)
		mon->screen = NULL;
	if (v->json)
		json(mon, w);
	else if (v->csv && !w->last)
		csv(mon, w);
	else if (mon->screen)
		mon_screen_show(mon, w);
	else if (!v->csv && (mon->live || v->window_ns > 0 || w->last)) {
		mon_print(mon, stdout, w);
		if (!w->last)
			putchar('\n');
	}
	mon->ended = cli_output_lost();
	if (w->last)
		mon_warn(mon, w);
}
