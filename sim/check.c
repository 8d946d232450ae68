/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Is such a machine, and what is to happen on it, possible? Everything is refused before anything
 * is built. */
#include "setup.h"
#include "value.h"

#include "lib.h"

#include <errno.h>
#include <string.h>

uint32_t sim_setup_pcpus(const struct sim_scenario *scenario)
{
	const struct sim_setup_machine *machine = SIM_SETUP(scenario, SIM_IN_MACHINE, machine);

	return (uint32_t)(machine->nodes * machine->cores * machine->threads);
}

int sim_check_cpus(const struct sim_scenario *scenario, const struct sim_section *section,
		   const char *key, const char *text, uint32_t most, struct cl_cpuset *ret_set,
		   struct cl_error *reterr)
{
	char clean[128];

	cl_escape(text, clean, sizeof(clean));
	cl_cpuset_zero(ret_set);
	if (!*text)
		return 0;
	if (!cl_cpuset_parse(text, strlen(text), ret_set) || cl_cpuset_empty(ret_set))
		return sim_fail_at(scenario, section, key, reterr, EINVAL,
				   "'%s' is no list for %s: give one such as 0-1,3", clean, key);
	if (cl_cpuset_next(ret_set, most) != CL_NONE)
		return sim_fail_at(scenario, section, key, reterr, ERANGE,
				   "%s '%s' is not there: this machine has 0 to %u", key, clean,
				   most - 1);
	return 0;
}

static const struct sim_line *find_entry(const struct sim_section *section, const char *key)
{
	for (uint32_t i = section->entry_count; i-- > 0;)
		if (strcmp(section->entries[i].key, key) == 0)
			return &section->entries[i];
	return NULL;
}

static int check_times(const struct sim_scenario *scenario, struct cl_error *reterr)
{
	const struct sim_section *section = sim_section_find(scenario, SIM_IN_SCENARIO, NULL);
	const struct sim_setup_scenario *setup = section->values;
	char clean[128];

	if (setup->warmup_ns >= setup->duration_ns)
		return sim_fail_at(scenario, section, "warmup", reterr, EINVAL,
				   "the warm-up is as long as the run, or longer: nothing would be "
				   "counted");
	section = sim_section_find(scenario, SIM_IN_TESTBED, NULL);
	if (section->lines[SIM_OF_SCENARIO])
		return sim_fail_at(scenario, section, NULL, reterr, EINVAL,
				   "belongs into a testbed's file; here it is [scenario] testbed");
	section = sim_section_find(scenario, SIM_IN_CLOSER, NULL);
	const char *name;

	if (!cl_params_check(&scenario->params, &name))
		return sim_fail_at(scenario, section, name, reterr, EINVAL,
				   "%s does not go with the other parameters",
				   cl_escape(name, clean, sizeof(clean)));
	return 0;
}

static int check_machine(const struct sim_scenario *scenario, struct cl_error *reterr)
{
	const struct sim_section *section = sim_section_find(scenario, SIM_IN_MACHINE, NULL);

	if (sim_setup_pcpus(scenario) > SIM_PCPUS_MAX)
		return sim_fail_at(scenario, section, "cores", reterr, ERANGE,
				   "%u pCPUs: a simulated machine has at most %u",
				   sim_setup_pcpus(scenario), SIM_PCPUS_MAX);
	return 0;
}

/* A cost that nobody has given would be zero, and nothing would say so. */
static int check_costs(const struct sim_scenario *scenario, struct cl_error *reterr)
{
	const struct sim_section *section = sim_section_find(scenario, SIM_IN_COSTS, NULL);
	char source[64];

	for (const struct sim_load_param *key = sim_section_infos[SIM_IN_COSTS].keys; key->name;
	     key++) {
		const struct sim_line *entry = find_entry(section, key->name);

		if (!entry)
			return sim_fail_at(scenario, section, NULL, reterr, EINVAL,
					   "%s is missing: %s; [scenario] testbed names a file "
					   "that has them",
					   key->name, key->doc);
		snprintf(source, sizeof(source), "%s.source", key->name);
		if (entry->file == SIM_OF_TESTBED && !find_entry(section, source))
			return sim_fail_at(scenario, section, key->name, reterr, EINVAL,
					   "%s has no source: say in %s where it is from",
					   key->name, source);
	}
	if (scenario->costs.smt_speed > CL_PPM)
		return sim_fail_at(scenario, section, "smt_speed", reterr, ERANGE,
				   "smt_speed is at most 100%%: a shared core is not faster");
	return 0;
}

static int check_scheduler(const struct sim_scenario *scenario, const struct sim_section *section,
			   const char *name, struct cl_error *reterr)
{
	const char *names[32] = { NULL };
	char near[64], clean[64];

	for (uint32_t i = 0; sim_scheds[i] && i < CL_COUNT(names) - 1; i++)
		names[i] = sim_scheds[i]->name;
	if (sim_sched_find(name))
		return 0;
	return sim_fail_at(scenario, section, "scheduler", reterr, ENOENT,
			   "there is no scheduler '%s'%s", cl_escape(name, clean, sizeof(clean)),
			   sim_near(name, names, near, sizeof(near)));
}

/* Pools with a list first, then those that take what is left: one, and not nothing. */
static int check_pools(struct sim_scenario *scenario, struct cl_error *reterr)
{
	struct cl_cpuset free_cpus = { 0 };
	struct sim_section *section;
	int r = 0;

	for (uint32_t p = 0; p < sim_setup_pcpus(scenario); p++)
		cl_cpuset_add(&free_cpus, p);
	for (uint32_t pass = 0; pass < 2; pass++) {
		for (uint32_t at = 0;
		     r == 0 && (section = sim_section_next(scenario, SIM_IN_POOL, &at));) {
			struct sim_setup_pool *pool = section->values;

			if (!pool->scheduler[0])
				strcpy(pool->scheduler, SIM_DEFAULT_SCHEDULER);
			if (pass == 0)
				r = check_scheduler(scenario, section, pool->scheduler, reterr);
			if (r == 0 && pass == 0)
				r = sim_check_cpus(scenario, section, "pcpus", pool->pcpus,
						   sim_setup_pcpus(scenario), &pool->set, reterr);
			if (r < 0 || (pool->pcpus[0] != '\0') != (pass == 0))
				continue;
			if (pass == 1)
				pool->set = free_cpus;
			if (cl_cpuset_empty(&pool->set) ||
			    !cl_cpuset_subset(&pool->set, &free_cpus))
				return sim_fail_at(scenario, section, "pcpus", reterr, EINVAL,
						   "its pCPUs are another pool's already");
			cl_cpuset_andnot(&free_cpus, &pool->set);
		}
	}
	return r;
}

static bool any_guest(const struct sim_scenario *scenario, const char *pattern)
{
	const struct sim_section *section;

	for (uint32_t at = 0; (section = sim_section_next(scenario, SIM_IN_GUEST, &at));) {
		const struct sim_setup_domain *domain = section->values;

		for (uint32_t i = 0; i < domain->count; i++)
			if (sim_guest_fits(section, i, pattern))
				return true;
	}
	return false;
}

static int check_guest_named(const struct sim_scenario *scenario, const struct sim_section *section,
			     const char *pattern, bool dom0_too, struct cl_error *reterr)
{
	const char *names[64] = { NULL };
	const struct sim_section *guest;
	char near[64], clean[64];
	uint32_t n = 0;

	if (!*pattern)
		return sim_fail_at(scenario, section, "guest", reterr, EINVAL, "guest is missing");
	if (any_guest(scenario, pattern) ||
	    (dom0_too &&
	     (strcmp(pattern, "dom0") == 0 || sim_section_find(scenario, SIM_IN_DRIVER, pattern))))
		return 0;
	for (uint32_t at = 0; n < 62 && (guest = sim_section_next(scenario, SIM_IN_GUEST, &at));)
		names[n++] = guest->name;
	return sim_fail_at(scenario, section, "guest", reterr, ENOENT, "no guest is called '%s'%s",
			   cl_escape(pattern, clean, sizeof(clean)),
			   sim_near(pattern, names, near, sizeof(near)));
}

static int check_loads(const struct sim_scenario *scenario, struct cl_error *reterr)
{
	const struct sim_section *section;
	uint64_t end = sim_scenario_duration_ns(scenario);
	int r = 0;

	for (uint32_t at = 0; r == 0 && (section = sim_section_next(scenario, SIM_IN_LOAD, &at));) {
		const struct sim_setup_load *load = section->values;

		r = check_guest_named(scenario, section, load->guest, true, reterr);
		if (r == 0 &&
		    (strcmp(section->name, "host") == 0 || strcmp(section->name, "guest") == 0))
			r = sim_fail_at(scenario, section, NULL, reterr, EINVAL,
					"host and guest are no names for a load: the run's own "
					"figures are called so");
		if (r == 0 && load->start_ns >= end)
			r = sim_fail_at(scenario, section, "start", reterr, ERANGE,
					"it would start after the end of the run");
		if (r == 0 && load->stop_ns && load->stop_ns <= load->start_ns)
			r = sim_fail_at(scenario, section, "stop", reterr, ERANGE,
					"it would stop before it starts");
	}
	return r;
}

static int check_event_value(const struct sim_scenario *scenario, const struct sim_section *section,
			     struct cl_error *reterr)
{
	struct sim_setup_event *event = section->values;
	struct sim_load_param value = event->kind->value;
	struct cl_error err;
	int r;

	if (!event->kind->has_value)
		return event->value[0] == '\0'
			       ? 0
			       : sim_fail_at(scenario, section, "value", reterr, EINVAL,
					     "%s takes no value", event->kind->name);
	value.name = "value";
	value.offset = 0;
	r = sim_value_set(&value, event->value, &event->number, &err);
	return r < 0 ? sim_fail_at(scenario, section, "value", reterr, -r, "%s", err.text) : 0;
}

static int check_event(const struct sim_scenario *scenario, const struct sim_section *section,
		       struct cl_error *reterr)
{
	struct sim_setup_event *event = section->values;
	const char *names[64] = { NULL };
	char near[64], clean[64];

	for (uint32_t i = 0; sim_event_kinds[i].name && i < CL_COUNT(names) - 1; i++) {
		names[i] = sim_event_kinds[i].name;
		if (strcmp(names[i], event->what) == 0)
			event->kind = &sim_event_kinds[i];
	}
	if (!event->kind)
		return sim_fail_at(scenario, section, "what", reterr, ENOENT,
				   "there is no event '%s'%s",
				   cl_escape(event->what, clean, sizeof(clean)),
				   sim_near(event->what, names, near, sizeof(near)));
	if (event->at_ns >= sim_scenario_duration_ns(scenario))
		return sim_fail_at(scenario, section, "at", reterr, ERANGE,
				   "it would happen after the end of the run");
	int r = check_guest_named(scenario, section, event->guest,
				  strcmp(event->what, "create") != 0, reterr);

	return r < 0 ? r : check_event_value(scenario, section, reterr);
}

static int check_events(const struct sim_scenario *scenario, struct cl_error *reterr)
{
	const struct sim_section *section;
	int r = 0;

	for (uint32_t at = 0;
	     r == 0 && (section = sim_section_next(scenario, SIM_IN_EVENT, &at));) {
		const struct sim_setup_event *event = section->values;
		struct sim_section *guest;

		r = check_event(scenario, section, reterr);
		for (uint32_t g = 0; r == 0 && strcmp(event->what, "create") == 0 &&
				     (guest = sim_section_next(scenario, SIM_IN_GUEST, &g));)
			if (sim_guest_fits(guest, 0, event->guest))
				((struct sim_setup_domain *)guest->values)->later = true;
	}
	return r;
}

/* "closer", or "closer@n8" where there are variants. */
static int check_arm(const struct sim_scenario *scenario, const struct sim_section *section,
		     const char *key, const char *text, struct cl_error *reterr)
{
	const char *at = strchr(text, '@');
	bool any = sim_section_find(scenario, SIM_IN_VARIANT, NULL) != NULL;
	char clean[128];

	if (!*text || (at ? sim_section_find(scenario, SIM_IN_VARIANT, at + 1) != NULL : !any))
		return 0;
	return sim_fail_at(scenario, section, key, reterr, ENOENT,
			   at ? "'%s': there is no such variant"
			      : "'%s': there are variants: say which, as POLICY@VARIANT",
			   cl_escape(text, clean, sizeof(clean)));
}

static int check_expect(const struct sim_scenario *scenario, const struct sim_section *section,
			struct cl_error *reterr)
{
	static const char *const turns[] = { "", "rises", "falls", "same", NULL };
	struct sim_setup_expect *expect = section->values;
	bool percent = false, known = false;
	char clean[64], near[64];

	if (!expect->policy[0])
		strcpy(expect->policy, "closer");
	if (!expect->metric[0] || (expect->source[0] != '\0') == (expect->goal[0] != '\0'))
		return sim_fail_at(scenario, section, NULL, reterr, EINVAL,
				   "metric and either source or goal must be given");
	expect->has_figure = expect->value[0] != '\0';
	if (expect->has_figure && (!sim_figure_parse(expect->value, &expect->figure, &percent) ||
				   percent != (expect->against[0] != '\0')))
		return sim_fail_at(scenario, section, "value", reterr, EINVAL,
				   "'%s' is no figure: give one with the metric's unit, or in %% "
				   "where against is given",
				   cl_escape(expect->value, clean, sizeof(clean)));
	for (uint32_t i = 0; turns[i]; i++) {
		if (strcmp(turns[i], expect->direction) == 0) {
			expect->turns = (enum sim_direction)i;
			known = true;
		}
	}
	if (!known)
		return sim_fail_at(scenario, section, "direction", reterr, EINVAL,
				   "'%s' is no direction%s: rises, falls or same",
				   cl_escape(expect->direction, clean, sizeof(clean)),
				   sim_near(expect->direction, turns + 1, near, sizeof(near)));
	int r = check_arm(scenario, section, "policy", expect->policy, reterr);

	if (r == 0)
		r = check_arm(scenario, section, "against", expect->against, reterr);
	if (r < 0)
		return r;
	if (!expect->has_figure && (expect->turns == SIM_ANY || !expect->against[0]))
		return sim_fail_at(scenario, section, NULL, reterr, EINVAL,
				   "give a value, or a direction with against");
	return 0;
}

int sim_scenario_check(struct sim_scenario *scenario, struct cl_error *reterr)
{
	const struct sim_section *section;
	int r = check_times(scenario, reterr);

	if (r == 0)
		r = check_machine(scenario, reterr);
	if (r == 0)
		r = check_costs(scenario, reterr);
	if (r == 0)
		r = check_pools(scenario, reterr);
	if (r == 0)
		r = sim_check_domains(scenario, reterr);
	if (r == 0)
		r = check_loads(scenario, reterr);
	if (r == 0)
		r = check_events(scenario, reterr);
	for (uint32_t at = 0; r == 0 && (section = sim_section_next(scenario, SIM_IN_EXPECT, &at));)
		r = check_expect(scenario, section, reterr);
	return r < 0 ? r : sim_check_fluid(scenario, reterr);
}
