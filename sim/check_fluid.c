/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Can a scenario be simulated by rates and shares? What cannot is refused, not left out. */
#include "setup.h"

#include "lib.h"

#include <errno.h>
#include <string.h>

#define OR_PACKET "; or take [scenario] fidelity = packet"

/* "hog, trace, web": loads that can be rates. */
static const char *able(char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = '\0';
	for (uint32_t i = 0; sim_loads[i]; i++)
		if (sim_loads[i]->begin && len < size)
			len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? ", " : "",
						sim_loads[i]->name);
	return buf;
}

static int check_load(const struct sim_scenario *scenario, const struct sim_section *section,
		      struct cl_error *reterr)
{
	const struct sim_setup_load *load = section->values;
	char names[160];

	if (load->ops->begin)
		return 0;
	return sim_fail_at(scenario, section, "type", reterr, ENOTSUP,
			   "%s is no rate, and fluid has only rates: %s" OR_PACKET, load->ops->name,
			   able(names, sizeof(names)));
}

/* Periods and budgets are no weights. */
static int check_pool(const struct sim_scenario *scenario, const struct sim_section *section,
		      struct cl_error *reterr)
{
	const struct sim_setup_pool *pool = section->values;

	if (strncmp(pool->scheduler, "credit", 6) == 0)
		return 0;
	return sim_fail_at(scenario, section, "scheduler", reterr, ENOTSUP,
			   "%s shares by periods, and fluid by weights: credit, credit2" OR_PACKET,
			   pool->scheduler);
}

int sim_check_fluid(struct sim_scenario *scenario, struct cl_error *reterr)
{
	struct sim_section *section = sim_section_find(scenario, SIM_IN_SCENARIO, NULL);
	struct sim_setup_scenario *setup = section->values;
	const char *const names[] = { "packet", "fluid", NULL };
	char clean[64], near[64];
	int r = 0;

	setup->fluid = strcmp(setup->fidelity, "fluid") == 0;
	if (setup->fidelity[0] && !setup->fluid && strcmp(setup->fidelity, "packet") != 0)
		return sim_fail_at(scenario, section, "fidelity", reterr, ENOENT,
				   "there is no fidelity '%s'%s: packet or fluid",
				   cl_escape(setup->fidelity, clean, sizeof(clean)),
				   sim_near(setup->fidelity, names, near, sizeof(near)));
	if (!setup->fluid)
		return 0;
	section = sim_section_find(scenario, SIM_IN_DRIVER, NULL);
	if (section)
		return sim_fail_at(scenario, section, NULL, reterr, ENOTSUP,
				   "fluid has no driver domains: leave it out" OR_PACKET);
	for (uint32_t at = 0; r == 0 && (section = sim_section_next(scenario, SIM_IN_POOL, &at));)
		r = check_pool(scenario, section, reterr);
	for (uint32_t at = 0; r == 0 && (section = sim_section_next(scenario, SIM_IN_LOAD, &at));)
		r = check_load(scenario, section, reterr);
	return r;
}
