/* SPDX-License-Identifier: GPL-2.0-or-later */
/* advise: how large dom0 should be, beside what others' rules and the present setting give. */
#include "cli.h"

#include "manage.h"

#include <closer/advise.h>

#include <errno.h>
#include <string.h>

#define SAMPLES_MAX 100000u
#define FOR_NS      (10 * CL_NS_PER_S)
#define MIB         (UINT64_C(1) << 20)

/* One figure over time. */
struct series {
	uint64_t *values;
	uint32_t count;
};

enum { MAIN_CPU, WORK_CPU, USED, CPU_STALL, MEM_STALL, SERIES };

struct watch {
	struct series series[SERIES];
	uint64_t prev_stall[2], prev_ns; /* of the last snapshot */
	uint64_t began_ns, ended_ns;
};

struct quantiles {
	uint64_t p50, p99, peak; /* CL_UNKNOWN: nothing was measured */
};

struct rule {
	const char *name;
	uint32_t vcpus; /* 0: it says nothing of them */
	uint64_t mem_mib;
};

struct finding {
	struct quantiles of[SERIES];
	struct cl_advice_input in;
	struct cl_advice advice;
	struct rule rules[3];
	const struct sim_stack *stack;
	bool assumed; /* nobody named the stack */
};

/* ---- watching ---- */

static int add(struct series *series, uint64_t value, struct cl_error *reterr)
{
	if (value == CL_UNKNOWN)
		return 0;
	if (series->count == SAMPLES_MAX)
		return cl_fail(reterr, E2BIG,
			       "more than %u observations: choose a longer --interval or a "
			       "shorter --for",
			       SAMPLES_MAX);
	if (!series->values)
		series->values = malloc(SAMPLES_MAX * sizeof(*series->values));
	if (!series->values)
		return cl_fail(reterr, ENOMEM, "advising: no memory");
	series->values[series->count++] = value;
	return 0;
}

static uint64_t ppm(uint64_t part, uint64_t whole)
{
	return whole ? (uint64_t)((unsigned __int128)part * CL_PPM / whole) : 0;
}

static uint64_t stalled(uint64_t before, uint64_t after, uint64_t span_ns)
{
	if (before == CL_UNKNOWN || after == CL_UNKNOWN || after < before)
		return CL_UNKNOWN;
	return ppm(after - before, span_ns);
}

static int look(struct watch *w, const struct cl_engine *engine, struct cl_error *reterr)
{
	const struct cl_snapshot *snap = cl_engine_now(engine);
	const struct cl_books *b = &cl_engine_plan(engine)->books;
	/* Where its tasks are not told apart: all that was not shown to be somebody's. */
	uint64_t main_ns = b->main_measured ? b->main_ns : b->unattributed_ns;
	uint64_t span = snap->taken_ns - w->prev_ns;
	int r = add(&w->series[USED], cl_memory_used(snap), reterr);

	if (r == 0 && b->span_ns > 0)
		r = add(&w->series[MAIN_CPU], ppm(main_ns, b->span_ns), reterr);
	if (r == 0 && b->span_ns > 0)
		r = add(&w->series[WORK_CPU], ppm(main_ns + b->host_ns, b->span_ns), reterr);
	if (r == 0 && w->prev_ns)
		r = add(&w->series[CPU_STALL],
			stalled(w->prev_stall[0], snap->memory.cpu_stall_ns, span), reterr);
	if (r == 0 && w->prev_ns)
		r = add(&w->series[MEM_STALL],
			stalled(w->prev_stall[1], snap->memory.mem_stall_ns, span), reterr);
	w->prev_stall[0] = snap->memory.cpu_stall_ns;
	w->prev_stall[1] = snap->memory.mem_stall_ns;
	w->prev_ns = w->ended_ns = snap->taken_ns;
	w->began_ns = w->began_ns ? w->began_ns : snap->taken_ns;
	return r;
}

static int watch(const struct cli_call *call, struct cl_engine *engine, struct watch *w,
		 struct cl_error *reterr)
{
	uint64_t for_ns = call->v.for_ns ? call->v.for_ns : FOR_NS;
	bool ended = false;

	for (;;) {
		int r = cli_observe(engine, NULL, reterr);

		if (r == 0)
			r = look(w, engine, reterr);
		if (r < 0 || w->ended_ns - w->began_ns >= for_ns)
			return r;
		r = cli_sleep(engine, call->v.params.interval, &ended, reterr);
		if (r < 0 || ended)
			return r;
	}
}

/* ---- what follows ---- */

static struct quantiles quantiles_of(struct series *s)
{
	if (s->count == 0)
		return (struct quantiles){ CL_UNKNOWN, CL_UNKNOWN, CL_UNKNOWN };
	return (struct quantiles){ cl_percentile(s->values, s->count, 50),
				   cl_percentile(s->values, s->count, 99),
				   cl_percentile(s->values, s->count, 100) };
}

/* Of the host: those that the hypervisor has, or the kernel's. */
static uint32_t pcpus_of(const struct cl_snapshot *snap)
{
	struct cl_cpuset pcpus;
	uint32_t own = 0;

	cl_cpuset_zero(&pcpus);
	for (uint32_t c = 0; c < snap->n.cpus; c++) {
		own += snap->cpus[c].online;
		if (snap->cpus[c].online && snap->cpus[c].pcpu < CL_CPUS_MAX)
			cl_cpuset_add(&pcpus, snap->cpus[c].pcpu);
	}
	return cl_cpuset_empty(&pcpus) ? own : cl_cpuset_count(&pcpus);
}

static uint64_t host_bytes(const struct cl_snapshot *snap)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < snap->n.nodes; i++)
		if (snap->nodes[i].mem_total_bytes != CL_UNKNOWN)
			bytes += snap->nodes[i].mem_total_bytes;
	return bytes;
}

/* What the privileged side has now: dom0's vCPUs and memory; of a KVM host its main container's. */
static struct rule present(const struct cl_snapshot *snap, const struct cl_plan *plan)
{
	const struct cl_memory *m = &snap->memory;
	uint64_t bytes = m->target_bytes != CL_UNKNOWN ? m->target_bytes : m->total_bytes;
	uint32_t vcpus = cl_cpuset_count(&plan->main_cpus);

	if (snap->guests_outside && snap->allowed.v != CL_NONE)
		vcpus = cl_cpuset_count(cl_snapshot_set(snap, snap->allowed));
	return (struct rule){ "present", vcpus, bytes == CL_UNKNOWN ? CL_UNKNOWN : bytes / MIB };
}

static void conclude(const struct cli_call *call, const struct cl_engine *engine, struct watch *w,
		     struct finding *f)
{
	const struct cl_snapshot *snap = cl_engine_now(engine);
	uint64_t bytes = host_bytes(snap), xenserver = cl_rule_xenserver_mib(bytes);
	uint32_t pcpus = pcpus_of(snap);

	for (uint32_t i = 0; i < SERIES; i++)
		f->of[i] = quantiles_of(&w->series[i]);
	/* Nothing is known of its memory: the one of the table that needs most is safe. */
	f->assumed = !f->stack && f->of[USED].peak == CL_UNKNOWN;
	if (f->assumed)
		f->stack = &sim_stacks[0];
	f->in = (struct cl_advice_input){
		.host_bytes = bytes,
		.pcpus = pcpus,
		.nodes = snap->n.nodes,
		.devices = snap->n.nics + snap->n.disks,
		.stack_vcpus = f->stack ? f->stack->vcpus : 0,
		.stack_bytes = f->stack ? f->stack->mem_bytes : 0,
		.main_peak = f->of[MAIN_CPU].peak,
		.work_peak = f->of[WORK_CPU].peak,
		.used_peak = f->of[USED].peak,
		.contribute = cl_contribute_most(snap, &call->v.params),
	};
	cl_advise(&f->in, &f->advice);
	f->rules[0] = (struct rule){ "oracle", 0, cl_rule_oracle_mib(bytes) };
	f->rules[1] = (struct rule){ "xenserver", cl_rule_xenserver_vcpus(xenserver * MIB, pcpus),
				     xenserver };
	f->rules[2] = present(snap, cl_engine_plan(engine));
}

static void xen_line(const struct cl_advice *a, char *buf, size_t size)
{
	snprintf(buf, size, "dom0_mem=%lluM,max:%lluM dom0_max_vcpus=%u",
		 (unsigned long long)a->mem_mib, (unsigned long long)a->max_mib, a->vcpus);
}

#define XL_LINE "autoballoon=\"off\""

/* ---- shown ---- */

static void print_series(const char *what, const struct quantiles *q, bool is_bytes)
{
	char p50[32], p99[32], peak[32];
	char *(*text)(uint64_t, char *, size_t) = is_bytes ? cl_bytes_text : cl_share_text;

	if (q->peak == CL_UNKNOWN) {
		printf("  %-34s not measured here\n", what);
		return;
	}
	printf("  %-34s %10s %10s %10s\n", what, text(q->p50, p50, sizeof(p50)),
	       text(q->p99, p99, sizeof(p99)), text(q->peak, peak, sizeof(peak)));
}

/* "+512MiB more than needed" */
static void print_rule(const struct rule *r, const struct cl_advice *a)
{
	char vcpus[32] = "-", mem[32] = "-", by[32];
	uint64_t need = a->mem_mib;

	if (r->vcpus)
		snprintf(vcpus, sizeof(vcpus), "%u", r->vcpus);
	if (r->mem_mib != CL_UNKNOWN)
		snprintf(mem, sizeof(mem), "%lluM", (unsigned long long)r->mem_mib);
	printf("  %-12s %6s %10s ", r->name, vcpus, mem);
	if (r->mem_mib != CL_UNKNOWN && r->mem_mib != need)
		printf("  %s %s",
		       cl_bytes_text((r->mem_mib > need ? r->mem_mib - need : need - r->mem_mib) *
					     MIB,
				     by, sizeof(by)),
		       r->mem_mib > need ? "wasted" : "short");
	if (r->vcpus && r->vcpus < a->busy_vcpus)
		printf("  %u vCPU(s) short at the peak", a->busy_vcpus - r->vcpus);
	if (r->vcpus && r->vcpus < a->vcpus)
		printf("  %u pCPU(s) without one", a->vcpus - r->vcpus);
	printf("\n");
}

static void print_all(const struct cl_engine *engine, const struct watch *w,
		      const struct finding *f)
{
	char host[CL_PATH_MAX], span[32], bytes[32], line[128];
	const struct cl_advice *a = &f->advice;
	struct rule ours = { "closer", a->vcpus, a->mem_mib };

	printf("%s over %s: %u CPUs on %u node%s, %s\n\n",
	       cli_host_text(cl_engine_uri(engine), host, sizeof(host)),
	       cl_time_text(w->ended_ns - w->began_ns, span, sizeof(span)), f->in.pcpus,
	       f->in.nodes, f->in.nodes == 1 ? "" : "s",
	       cl_bytes_text(f->in.host_bytes, bytes, sizeof(bytes)));
	printf("  %-34s %10s %10s %10s\n", "", "p50", "p99", "peak");
	print_series("main container, of a CPU", &f->of[MAIN_CPU], false);
	print_series("with guests' work", &f->of[WORK_CPU], false);
	print_series("memory in use", &f->of[USED], true);
	print_series("a task waited for a CPU", &f->of[CPU_STALL], false);
	print_series("a task waited for memory", &f->of[MEM_STALL], false);
	if (f->stack)
		printf("  stack %s: %u vCPU(s), %s%s\n", f->stack->name, f->stack->vcpus,
		       cl_bytes_text(f->stack->mem_bytes, bytes, sizeof(bytes)),
		       f->assumed ? " (assumed, the largest of the table: name yours by --stack)"
				  : "");
	printf("\n  %-12s %6s %10s\n", "", "vCPUs", "memory");
	for (size_t i = 0; i < CL_COUNT(f->rules); i++)
		print_rule(&f->rules[i], a);
	print_rule(&ours, a);
	xen_line(a, line, sizeof(line));
	printf("\nXen's command line   %s\nxl.conf              %s\n", line, XL_LINE);
	if (a->too_small)
		printf("the host has less memory than that: nothing would be left to guests; use a "
		       "smaller stack (--stack), or a larger host\n");
	printf("%u of the vCPUs for the main container; the others are idle until guests need them. "
	       "Up to %s may come from guests (size=1)\n",
	       a->main_vcpus, cl_bytes_text(f->in.contribute, bytes, sizeof(bytes)));
}

static json_t *number(uint64_t value)
{
	return value == CL_UNKNOWN ? json_null() : json_integer((json_int_t)value);
}

static json_t *series_json(const struct quantiles *q)
{
	return json_pack("{s:o,s:o,s:o}", "p50", number(q->p50), "p99", number(q->p99), "peak",
			 number(q->peak));
}

static json_t *rule_json(const struct rule *r, const struct cl_advice *a)
{
	bool known = r->mem_mib != CL_UNKNOWN;
	uint64_t need = a->mem_mib;

	return json_pack(
		"{s:s,s:o,s:o,s:o,s:o,s:I}", "rule", r->name, "vcpus",
		r->vcpus ? json_integer(r->vcpus) : json_null(), "mem_mib", number(r->mem_mib),
		"wasted_mib",
		known ? number(r->mem_mib > need ? r->mem_mib - need : 0) : json_null(),
		"short_mib",
		known ? number(r->mem_mib < need ? need - r->mem_mib : 0) : json_null(),
		"short_vcpus",
		(json_int_t)(r->vcpus && r->vcpus < a->busy_vcpus ? a->busy_vcpus - r->vcpus : 0));
}

static json_t *all_json(const struct cl_engine *engine, const struct watch *w,
			const struct finding *f)
{
	char line[128], uri[4 * CL_PATH_MAX];
	const struct cl_advice *a = &f->advice;
	struct rule ours = { "closer", a->vcpus, a->mem_mib };
	json_t *rules = json_array();

	for (size_t i = 0; i < CL_COUNT(f->rules); i++)
		json_array_append_new(rules, rule_json(&f->rules[i], a));
	json_array_append_new(rules, rule_json(&ours, a));
	xen_line(a, line, sizeof(line));
	return json_pack(
		"{s:s,s:I,s:I,s:I,s:I,s:{s:o,s:o,s:o,s:o,s:o},s:o,s:b,s:o,s:{s:I,s:I,s:I,s:I,s:I,s:b,"
		"s:s,s:s}}",
		"host", cl_escape(cl_engine_uri(engine), uri, sizeof(uri)), "observed_ns",
		(json_int_t)(w->ended_ns - w->began_ns), "cpus", (json_int_t)f->in.pcpus, "nodes",
		(json_int_t)f->in.nodes, "mem_bytes", (json_int_t)f->in.host_bytes, "measured",
		"main_cpu_ppm", series_json(&f->of[MAIN_CPU]), "with_work_cpu_ppm",
		series_json(&f->of[WORK_CPU]), "used_bytes", series_json(&f->of[USED]),
		"cpu_stall_ppm", series_json(&f->of[CPU_STALL]), "mem_stall_ppm",
		series_json(&f->of[MEM_STALL]), "stack",
		f->stack ? json_string(f->stack->name) : json_null(), "stack_assumed", f->assumed,
		"rules", rules, "advice", "main_vcpus", (json_int_t)a->main_vcpus, "vcpus",
		(json_int_t)a->vcpus, "mem_mib", (json_int_t)a->mem_mib, "max_mib",
		(json_int_t)a->max_mib, "contribute_bytes", (json_int_t)f->in.contribute,
		"host_too_small", a->too_small, "xen_command_line", line, "xl_conf", XL_LINE);
}

static enum cli_exit no_stack(const struct cli_call *call)
{
	char names[256] = "";

	for (const struct sim_stack *s = sim_stacks; s->name; s++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			 names[0] ? ", " : "", s->name);
	return cli_usage(call, "there is no stack '%s' in the table: %s", call->v.stack, names);
}

static enum cli_exit run(const struct cli_call *call)
{
	cli_autoengine struct cl_engine *engine = NULL;
	struct finding f = { .stack = call->v.stack ? sim_stack_find(call->v.stack) : NULL };
	enum cli_exit code = CLI_OK;
	struct watch w = { 0 };
	struct cl_error err;

	if (call->v.stack && !f.stack)
		return no_stack(call);
	int r = cli_open(call, false, NULL, &engine, &err);

	if (r == 0)
		r = watch(call, engine, &w, &err);
	if (r < 0) {
		code = cli_error(call, &err);
	} else {
		conclude(call, engine, &w, &f);
		if (call->v.json)
			code = cli_json(call, all_json(engine, &w, &f));
		else
			print_all(engine, &w, &f);
	}
	for (uint32_t i = 0; i < SERIES; i++)
		free(w.series[i].values);
	return code;
}

static const struct cli_option options[] = {
	{ "stack", 0, CLI_STRING, "NAME", CLI_AT(stack), CLI_GROUP_ALL,
	  "the management stack: openstack, opennebula or eucalyptus" },
	{ "for", 'f', CLI_TIME, "TIME", CLI_AT(for_ns), CLI_GROUP_ALL,
	  "observe for TIME; default 10s" },
	{ NULL, 0, CLI_FLAG, NULL, 0, CLI_GROUP_ALL, NULL },
};

const struct cli_verb cli_verb_advise = {
	.name = "advise",
	.groups = CLI_GROUP_HOST | CLI_GROUP_DIR | CLI_GROUP_JSON,
	.options = options,
	.doc = "say how large dom0 should be, and what others' rules would waste or lack",
	.text = "Observes the host for a while: the main container's CPU and memory, and how long "
		"its tasks waited for either (the median, the 99th percentile and the peak). With "
		"that, and with what the named management stack is known to need (Mvondo 2017, table "
		"3.2), it prints Xen's command line and the line of xl.conf for dom0, beside what "
		"Oracle's and XenServer's rules and the present setting give. Under dom0_mem= is what "
		"dom0 itself needs, under max: also what guests may contribute while their I/O needs "
		"it. On a KVM host it says what a dom0 of the same work would need.",
	.run = run,
};
