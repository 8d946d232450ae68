/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a run counted: of its loads, of its guests, of the host. */
#include "run.h"

#include "lib.h"

#include <string.h>

static void cpu_of(const struct sim_world *world, const struct sim_domain *domain,
		   uint64_t *ret_cpu_ns, uint64_t *ret_wait_ns)
{
	*ret_cpu_ns = *ret_wait_ns = 0;
	for (uint32_t i = 0; domain && i < domain->vcpu_count; i++) {
		*ret_cpu_ns += sim_vcpu_cpu_ns(world, &domain->vcpus[i]);
		*ret_wait_ns += domain->vcpus[i].wait_ns;
	}
}

/* What dom0's threads and interrupts ran for a guest. */
static uint64_t host_of(const struct sim_world *world, const struct sim_domain *domain)
{
	const struct sim_domain *dom0 = world->domains[0];
	uint64_t ns = 0;

	for (uint32_t i = 0; domain && i < dom0->task_count; i++)
		if (dom0->tasks[i]->guest == domain->id)
			ns += dom0->tasks[i]->cpu_ns;
	for (uint32_t i = 0; domain && i < world->irq_count; i++)
		if (world->irqs[i]->guest == domain->id)
			ns += world->irqs[i]->cpu_ns;
	return ns;
}

/* The vCPUs that the scenario says are the main container's: as many are there under any policy. */
static uint64_t main_of(const struct sim_run *run, uint64_t *ret_vcpus)
{
	const struct cl_cpuset *main_cpus = &sim_scenario_params(run->scenario)->main_cpus;
	const struct sim_domain *dom0 = run->world->domains[0];
	uint64_t cpu_ns = 0;

	*ret_vcpus = 0;
	for (uint32_t i = 0; i < dom0->vcpu_count; i++) {
		if (!cl_cpuset_has(main_cpus, i))
			continue;
		cpu_ns += sim_vcpu_cpu_ns(run->world, &dom0->vcpus[i]);
		++*ret_vcpus;
	}
	return cpu_ns;
}

static void base_of(const struct sim_run *run, struct sim_run_base *ret)
{
	const struct sim_world *world = run->world;
	uint64_t cpu, wait, vcpus;

	memset(ret, 0, sizeof(*ret));
	cpu_of(world, world->domains[0], &ret->dom0_ns, &ret->dom0_wait_ns);
	ret->main_ns = main_of(run, &vcpus);
	for (uint32_t i = 0; i < run->driver_count; i++) {
		cpu_of(world, run->drivers[i], &cpu, &wait);
		ret->driver_ns += cpu;
	}
	for (uint32_t i = 0; i < world->pcpu_count; i++)
		ret->switches += world->pcpus[i].switches;
	for (uint32_t d = 0; d < world->domain_count; d++)
		for (uint32_t i = 0; i < world->domains[d]->vcpu_count; i++)
			ret->moves += world->domains[d]->vcpus[i].moves;
}

static void latency_of(const struct sim_run_guest *guest, uint64_t ret_ns[3], uint64_t *ret_count)
{
	const struct sim_domain *domain = guest->domain;

	memcpy(ret_ns, guest->gone_t_ns, 3 * sizeof(ret_ns[0]));
	*ret_count = guest->gone_count;
	for (const struct sim_vif *vif = domain ? domain->vifs : NULL; vif; vif = vif->next) {
		for (uint32_t t = 0; t < 3; t++)
			ret_ns[t] += vif->t_ns[t];
		*ret_count += vif->t_count;
	}
}

/* What dom0's threads and interrupts have done for a guest that is there. */
static void kinds_of(const struct sim_run *run, const struct sim_run_guest *guest,
		     uint64_t ret_ns[CL_WORK_KIND_COUNT])
{
	const struct sim_world *world = run->world;
	const struct sim_domain *dom0 = world->domains[0], *domain = guest->domain;

	memset(ret_ns, 0, CL_WORK_KIND_COUNT * sizeof(ret_ns[0]));
	for (uint32_t i = 0; domain && i < dom0->task_count; i++)
		if (dom0->tasks[i]->guest == domain->id)
			ret_ns[dom0->tasks[i]->kind] += dom0->tasks[i]->cpu_ns;
	for (uint32_t i = 0; domain && i < world->irq_count; i++)
		if (world->irqs[i]->guest == domain->id)
			ret_ns[CL_WORK_INTERRUPT] += world->irqs[i]->cpu_ns;
}

static bool wants_kinds(const struct sim_run *run)
{
	return SIM_SETUP(run->scenario, SIM_IN_SCENARIO, scenario)->kinds != 0;
}

void sim_run_count(struct sim_run *run)
{
	sim_settle(run->world);
	run->counting = true;
	run->warm_ns = run->world->queue.now_ns;
	base_of(run, &run->base);
	sim_need_count(run);
	memset(run->world->manager->counts, 0, sizeof(run->world->manager->counts));
	for (uint32_t i = 0; i < run->guest_count; i++) {
		struct sim_run_guest *guest = &run->guests[i];

		cpu_of(run->world, guest->domain, &guest->cpu_ns, &guest->wait_ns);
		guest->host_ns = host_of(run->world, guest->domain);
		latency_of(guest, guest->t_ns, &guest->t_count);
		if (wants_kinds(run))
			kinds_of(run, guest, guest->kind_ns);
	}
	for (uint32_t i = 0; i < run->load_count; i++) {
		struct sim_run_load *load = &run->loads[i];

		if (load->ended) /* all of it was in the warm-up */
			load->ended->count = 0;
		if (!load->load || load->ended)
			continue;
		load->load->ops->reset(load->load);
		load->since_ns = run->warm_ns;
	}
}

/* ---- loads: what they have in several guests becomes one ---- */

/* Rates and amounts add up; times and shares are those of one. */
static bool adds_up(const struct sim_metric *metric)
{
	return strcmp(metric->unit, "ns") != 0 && strcmp(metric->unit, "share") != 0;
}

static struct sim_metric *find(struct sim_report *report, const char *name)
{
	for (uint32_t i = 0; i < report->count; i++)
		if (strcmp(report->metrics[i].name, name) == 0)
			return &report->metrics[i];
	return NULL;
}

struct merged {
	struct sim_report report;
	uint32_t guests[SIM_METRICS_MAX]; /* that have counted it */
};

static void merge(struct merged *into, const struct sim_report *one)
{
	for (uint32_t i = 0; i < one->count; i++) {
		const struct sim_metric *metric = &one->metrics[i];
		struct sim_metric *known = find(&into->report, metric->name);

		if (known)
			known->value += metric->value;
		else
			sim_report_add(&into->report, "", metric->name, metric->unit, metric->value,
				       metric->better);
		known = find(&into->report, metric->name);
		if (known)
			into->guests[known - into->report.metrics]++;
	}
}

static void report_loads(const struct sim_run *run, const struct sim_section *section,
			 struct sim_report *report)
{
	uint64_t now = run->world->queue.now_ns;
	struct merged all = { .report = { .count = 0 } };

	for (uint32_t i = 0; i < run->load_count; i++) {
		const struct sim_run_load *load = &run->loads[i];
		struct sim_report one = { .count = 0 };

		if (load->section != section || (!load->load && !load->ended))
			continue;
		if (!load->ended && now > load->since_ns)
			load->load->ops->report(load->load, now - load->since_ns, &one);
		merge(&all, load->ended ? load->ended : &one);
	}
	for (uint32_t i = 0; i < all.report.count; i++) {
		struct sim_metric *metric = &all.report.metrics[i];

		/* Who has counted nothing of it has no part in the mean. */
		if (!adds_up(metric))
			metric->value /= all.guests[i];
		sim_report_add(report, "", metric->name, metric->unit, metric->value,
			       metric->better);
	}
}

/* ---- guests ---- */

struct guest_sums {
	uint64_t cpu_ns, wait_ns, host_ns, t_ns[3], t_count;
};

static void add_guest(const struct sim_run *run, const struct sim_run_guest *guest,
		      struct guest_sums *sums)
{
	uint64_t cpu, wait, t[3], count, host = host_of(run->world, guest->domain);

	cpu_of(run->world, guest->domain, &cpu, &wait);
	latency_of(guest, t, &count);
	sums->host_ns += host > guest->host_ns ? host - guest->host_ns : 0; /* work may end */
	sums->cpu_ns += cpu - guest->cpu_ns;
	sums->wait_ns += wait - guest->wait_ns;
	for (uint32_t i = 0; i < 3; i++)
		sums->t_ns[i] += t[i] - guest->t_ns[i];
	sums->t_count += count - guest->t_count;
}

static void report_kinds(const struct sim_run *run, const struct sim_section *section,
			 const char *prefix, uint64_t span_ns, struct sim_report *report)
{
	static const char *const names[] = {
#define X(id, name, origin, doc) name,
		CL_WORK_KINDS(X)
#undef X
	};
	uint64_t sums[CL_WORK_KIND_COUNT] = { 0 }, now[CL_WORK_KIND_COUNT];

	for (uint32_t i = 0; i < run->guest_count; i++) {
		if (run->guests[i].section != section)
			continue;
		kinds_of(run, &run->guests[i], now);
		for (uint32_t k = 0; k < CL_WORK_KIND_COUNT; k++)
			sums[k] += now[k] - (now[k] < run->guests[i].kind_ns[k]
						     ? now[k]
						     : run->guests[i].kind_ns[k]);
	}
	for (uint32_t k = 0; k < CL_WORK_KIND_COUNT; k++)
		if (sums[k])
			sim_report_add(report, prefix, names[k], "CPUs",
				       (double)sums[k] / (double)span_ns, SIM_NEITHER);
}

static void report_guests(const struct sim_run *run, const struct sim_section *section,
			  uint64_t span_ns, struct sim_report *report)
{
	static const char *const parts[3] = { "t1", "t2", "t3" };
	struct guest_sums sums = { 0 }, all = { 0 };
	char prefix[SIM_NAME_MAX + 8];

	for (uint32_t i = 0; i < run->guest_count; i++) {
		add_guest(run, &run->guests[i], &all);
		if (run->guests[i].section == section)
			add_guest(run, &run->guests[i], &sums);
	}
	snprintf(prefix, sizeof(prefix), "guest.%s", section->name);
	sim_report_add(report, prefix, "cpu", "CPUs", (double)sums.cpu_ns / (double)span_ns,
		       SIM_NEITHER);
	sim_report_add(report, prefix, "host", "CPUs", (double)sums.host_ns / (double)span_ns,
		       SIM_NEITHER);
	sim_report_add(report, prefix, "both", "CPUs",
		       (double)(sums.cpu_ns + sums.host_ns) / (double)span_ns, SIM_NEITHER);
	if (all.cpu_ns + all.host_ns > 0)
		sim_report_add(report, prefix, "share", "share",
			       (double)(sums.cpu_ns + sums.host_ns) /
				       (double)(all.cpu_ns + all.host_ns),
			       SIM_NEITHER);
	if (sums.cpu_ns + sums.wait_ns > 0)
		sim_report_add(report, prefix, "wait", "share",
			       (double)sums.wait_ns / (double)(sums.cpu_ns + sums.wait_ns),
			       SIM_LOWER);
	for (uint32_t i = 0; i < 3 && sums.t_count > 0; i++)
		sim_report_add(report, prefix, parts[i], "ns",
			       (double)sums.t_ns[i] / (double)sums.t_count, SIM_LOWER);
	if (wants_kinds(run))
		report_kinds(run, section, prefix, span_ns, report);
}

/* ---- the host ---- */

static void report_host(const struct sim_run *run, uint64_t span_ns, struct sim_report *report)
{
	const struct sim_run_base *base = &run->base;
	struct sim_run_base now;
	double span = (double)span_ns;
	uint64_t vcpus;

	base_of(run, &now);
	main_of(run, &vcpus);
	uint64_t cpu = now.dom0_ns - base->dom0_ns, wait = now.dom0_wait_ns - base->dom0_wait_ns;

	sim_report_add(report, "host", "dom0", "CPUs", (double)cpu / span, SIM_NEITHER);
	if (cpu + wait > 0)
		sim_report_add(report, "host", "dom0_wait", "share",
			       (double)wait / (double)(cpu + wait), SIM_LOWER);
	if (vcpus > 0)
		sim_report_add(report, "host", "main", "share",
			       (double)(now.main_ns - base->main_ns) / span / (double)vcpus,
			       SIM_NEITHER);
	if (run->driver_count > 0)
		sim_report_add(report, "host", "drivers", "CPUs",
			       (double)(now.driver_ns - base->driver_ns) / span, SIM_NEITHER);
	if (run->world->fluid)
		return;
	sim_report_add(report, "host", "switches", "1/s",
		       (double)(now.switches - base->switches) * 1e9 / span, SIM_NEITHER);
	sim_report_add(report, "host", "moves", "1/s",
		       (double)(now.moves - base->moves) * 1e9 / span, SIM_NEITHER);
}

void sim_run_report(struct sim_run *run, struct sim_report *ret_report)
{
	uint64_t span_ns = run->world->queue.now_ns - run->warm_ns;
	const struct sim_section *section;

	sim_settle(run->world);
	ret_report->count = 0;
	if (span_ns == 0 || !run->counting)
		return;
	for (uint32_t at = 0; (section = sim_section_next(run->scenario, SIM_IN_LOAD, &at));)
		report_loads(run, section, ret_report);
	for (uint32_t at = 0; (section = sim_section_next(run->scenario, SIM_IN_GUEST, &at));)
		report_guests(run, section, span_ns, ret_report);
	report_host(run, span_ns, ret_report);
	sim_need_report(run, ret_report);
	sim_manage_report(run->world->manager, ret_report);
}
