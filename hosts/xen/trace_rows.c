/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of vCPUs that a trace tells of, and the rows that are made of it. */
#include "xen/trace_private.h"

#include "lib.h"

#include <string.h>

#define FIRST_VCPUS 64u

/* ---- the table of vCPUs ---- */

static uint32_t *slot_of(const struct cl_trace_sum *sum, uint32_t key)
{
	uint32_t mask = sum->vcpu_cap * 2 - 1, at = (key * 0x9e3779b1u) >> 7 & mask;

	while (sum->table[at] != 0 && sum->vcpus[sum->table[at] - 1].key != key)
		at = (at + 1) & mask;
	return &sum->table[at];
}

bool cl_trace_grow(struct cl_trace_sum *sum)
{
	uint32_t cap = sum->vcpu_cap ? sum->vcpu_cap * 2 : FIRST_VCPUS;
	struct cl_trace_vcpu *vcpus = realloc(sum->vcpus, cap * sizeof(vcpus[0]));
	uint32_t *order = realloc(sum->order, cap * sizeof(order[0]));
	struct cl_trace_row *rows = realloc(sum->rows, 2 * cap * sizeof(rows[0]));
	uint32_t *table = calloc(2 * cap, sizeof(table[0]));

	sum->vcpus = vcpus ? vcpus : sum->vcpus;
	sum->order = order ? order : sum->order;
	sum->rows = rows ? rows : sum->rows;
	if (!vcpus || !order || !rows || !table) {
		free(table);
		sum->failed = true;
		return false;
	}
	free(sum->table);
	sum->table = table;
	sum->vcpu_cap = cap;
	for (uint32_t i = 0; i < sum->vcpu_count; i++)
		*slot_of(sum, sum->vcpus[i].key) = i + 1;
	return true;
}

static void insert_ordered(struct cl_trace_sum *sum, uint32_t index)
{
	uint32_t at = sum->vcpu_count, key = sum->vcpus[index].key;

	while (at > 0 && sum->vcpus[sum->order[at - 1]].key > key)
		at--;
	memmove(&sum->order[at + 1], &sum->order[at],
		(sum->vcpu_count - at) * sizeof(sum->order[0]));
	sum->order[at] = index;
}

struct cl_trace_vcpu *cl_trace_entry(struct cl_trace_sum *sum, uint32_t key)
{
	uint32_t known = *slot_of(sum, key);

	if (known != 0)
		return &sum->vcpus[known - 1];
	if (sum->vcpu_count == CL_TRACE_VCPUS_MAX ||
	    (sum->vcpu_count == sum->vcpu_cap && !cl_trace_grow(sum))) {
		sum->left_out++;
		return NULL;
	}
	uint32_t index = sum->vcpu_count;

	*slot_of(sum, key) = index + 1;
	sum->vcpus[index] = (struct cl_trace_vcpu){
		.key = key,
		.pcpu = CL_NONE,
		.since_ns = sum->begin_ns,
		.lossy_ns = sum->begin_lossy_ns,
	};
	insert_ordered(sum, index);
	sum->vcpu_count++;
	return &sum->vcpus[index];
}

void cl_trace_add_figures(struct cl_trace_figures *to, const struct cl_trace_figures *f)
{
	to->gotten_ns += f->gotten_ns;
	to->waited_ns += f->waited_ns;
	to->blocked_ns += f->blocked_ns;
	to->offline_ns += f->offline_ns;
	to->allocated_ns += f->allocated_ns;
	to->executions += f->executions;
	to->io += f->io;
	to->uncertain_ns += f->uncertain_ns;
	if (f->slices == 0)
		return;
	if (to->slices == 0 || f->slice_least_ns < to->slice_least_ns)
		to->slice_least_ns = f->slice_least_ns;
	if (f->slice_most_ns > to->slice_most_ns)
		to->slice_most_ns = f->slice_most_ns;
	to->slices += f->slices;
}

static void fill_row(const struct cl_trace_sum *sum, const struct cl_trace_vcpu *v,
		     struct cl_trace_row *row)
{
	uint64_t have = sum->number < CL_TRACE_LONG ? sum->number + 1 : CL_TRACE_LONG;

	*row = (struct cl_trace_row){ .domid = DOMAIN_OF(v->key), .vcpu = VCPU_OF(v->key) };
	row->recent = v->ended[sum->number % CL_TRACE_LONG];
	for (uint64_t i = 0; i < have; i++)
		cl_trace_add_figures(&row->lately, &v->ended[i]);
	row->all = v->all;
	row->all.uncertain_ns += v->unconfirmed_ns;
}

static void add_to_domain(struct cl_trace_row *domain, const struct cl_trace_row *row)
{
	cl_trace_add_figures(&domain->recent, &row->recent);
	cl_trace_add_figures(&domain->lately, &row->lately);
	cl_trace_add_figures(&domain->all, &row->all);
}

/* Rows by key; a domain's own entry is behind its vCPUs. */
static void fill_rows(struct cl_trace_sum *sum, bool all, struct cl_trace_window *window)
{
	struct cl_trace_row *vcpus = sum->rows, *domains = sum->rows + sum->vcpu_cap;
	uint32_t v_count = 0, d_count = 0;

	for (uint32_t i = 0; i < sum->vcpu_count; i++) {
		const struct cl_trace_vcpu *v = &sum->vcpus[sum->order[i]];
		uint32_t domid = DOMAIN_OF(v->key);
		struct cl_trace_row row;
		struct cl_trace_row *domain = d_count ? &domains[d_count - 1] : NULL;
		bool begun = domain && domain->domid == domid,
		     own = VCPU_OF(v->key) == CL_TRACE_DOMAIN;

		if (domid == CL_TRACE_IDLE ||
		    (own ? !begun
			 : !v->seen || (v->gone_at > 0 && v->gone_at <= sum->number && !all)))
			continue;
		fill_row(sum, v, &row);
		if (!begun) {
			domain = &domains[d_count++];
			*domain = (struct cl_trace_row){ .domid = domid,
							 .vcpu = CL_TRACE_DOMAIN,
							 .first = v_count };
		}
		add_to_domain(domain, &row);
		if (own)
			continue;
		vcpus[v_count++] = row;
		domain->count++;
	}
	for (uint32_t i = 0; i < d_count; i++) {
		window->uncertain_ns += domains[i].recent.uncertain_ns;
		window->all_uncertain_ns += domains[i].all.uncertain_ns;
	}
	window->domains = domains;
	window->domain_count = d_count;
	window->vcpus = vcpus;
	window->vcpu_count = v_count;
}

static void fill_pcpus(struct cl_trace_sum *sum, struct cl_trace_window *window)
{
	for (uint32_t i = 0; i < sum->pcpu_count; i++) {
		if (sum->pcpus[i].there)
			sum->pcpu_rows[window->pcpu_count++] =
				(struct cl_trace_pcpu){ i, sum->pcpus[i].gotten_ns,
							sum->pcpus[i].idle_ns };
	}
	window->pcpus = sum->pcpu_rows;
}

void cl_trace_report(struct cl_trace_sum *sum, uint64_t end_ns, bool last)
{
	struct cl_trace_window window = {
		.number = sum->number,
		.begin_ns = sum->begin_ns,
		.span_ns = end_ns - sum->begin_ns,
		.all_span_ns = end_ns,
		.lost_records = sum->lost,
		.all_lost_records = sum->all_lost,
		.late_records = sum->late,
		.breaks = sum->breaks,
		.left_out = sum->left_out,
		.last = last,
	};

	for (uint32_t i = 0; i < CL_TRACE_LONG; i++)
		window.lately_span_ns += sum->spans[i];
	fill_rows(sum, last, &window);
	fill_pcpus(sum, &window);
	sum->fn(sum->ctx, &window);
}
