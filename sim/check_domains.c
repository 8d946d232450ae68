/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The part of the check that is about dom0, driver domains, guests and the devices between them. */
#include "setup.h"

#include "lib.h"

#include <errno.h>
#include <string.h>

static uint32_t node_count(const struct sim_scenario *scenario)
{
	return (uint32_t)SIM_SETUP(scenario, SIM_IN_MACHINE, machine)->nodes;
}

/* A section by the name that another one gives; "" is the first. */
static int check_ref(const struct sim_scenario *scenario, const struct sim_section *section,
		     const char *key, enum sim_section_kind kind, const char *name,
		     struct sim_section **ret, struct cl_error *reterr)
{
	const char *names[64] = { NULL };
	struct sim_section *other;
	char near[64], clean[64];
	uint32_t n = 0;

	*ret = sim_section_find(scenario, kind, *name ? name : NULL);
	if (*ret || !*name)
		return 0;
	for (uint32_t at = 0; n < 62 && (other = sim_section_next(scenario, kind, &at));)
		names[n++] = other->name;
	return sim_fail_at(scenario, section, key, reterr, ENOENT, "there is no [%s %s]%s",
			   sim_section_infos[kind].name, cl_escape(name, clean, sizeof(clean)),
			   sim_near(name, names, near, sizeof(near)));
}

static int check_nodes(const struct sim_scenario *scenario, const struct sim_section *section,
		       struct cl_error *reterr)
{
	struct sim_setup_domain *domain = section->values;
	struct cl_cpuset set;
	int r = sim_check_cpus(scenario, section, "node", domain->node, node_count(scenario), &set,
			       reterr);

	for (uint32_t i = 0; r == 0 && i < node_count(scenario); i++)
		domain->nodes |= cl_cpuset_has(&set, i) ? UINT64_C(1) << i : 0;
	return r;
}

static int check_placed(const struct sim_scenario *scenario, const struct sim_section *section,
			struct cl_error *reterr)
{
	struct sim_setup_domain *domain = section->values;
	const struct sim_setup_pool *pool;
	int r = check_ref(scenario, section, "pool", SIM_IN_POOL, domain->pool, &domain->in_pool,
			  reterr);

	if (r == 0)
		r = check_nodes(scenario, section, reterr);
	if (r == 0)
		r = sim_check_cpus(scenario, section, "pcpus", domain->pcpus,
				   sim_setup_pcpus(scenario), &domain->hard, reterr);
	pool = r == 0 && domain->in_pool ? domain->in_pool->values : NULL;
	if (pool && !cl_cpuset_subset(&domain->hard, &pool->set))
		r = sim_fail_at(scenario, section, "pcpus", reterr, EINVAL,
				"not all of these pCPUs are in its pool");
	if (r == 0 && domain->budget_ns > domain->period_ns)
		r = sim_fail_at(scenario, section, "budget", reterr, EINVAL,
				"a budget is at most its period");
	return r;
}

/* Memory of domains that are there from the start; those that come later may be refused then. */
static int check_memory(const struct sim_scenario *scenario, struct cl_error *reterr)
{
	static const enum sim_section_kind kinds[] = { SIM_IN_DOM0, SIM_IN_DRIVER, SIM_IN_GUEST };
	uint64_t node_bytes = SIM_SETUP(scenario, SIM_IN_MACHINE, machine)->memory;
	uint64_t left[SIM_NODES_MAX], all = node_bytes * node_count(scenario);
	struct sim_section *section;

	for (uint32_t i = 0; i < node_count(scenario); i++)
		left[i] = node_bytes;
	for (uint32_t k = 0; k < CL_COUNT(kinds); k++) {
		for (uint32_t at = 0; (section = sim_section_next(scenario, kinds[k], &at));) {
			const struct sim_setup_domain *domain = section->values;
			uint64_t count = kinds[k] == SIM_IN_GUEST ? domain->count : 1;
			uint64_t wanted = count * domain->memory, each = wanted;

			if (domain->nodes)
				each = wanted / (uint64_t)__builtin_popcountll(domain->nodes);
			for (uint32_t i = 0; i < node_count(scenario); i++) {
				if (!(domain->nodes >> i & 1))
					continue;
				if (each > left[i])
					return sim_fail_at(scenario, section, "memory", reterr,
							   ENOSPC,
							   "node %u has not that much memory", i);
				left[i] -= each;
			}
			if (wanted > all)
				return sim_fail_at(scenario, section, "memory", reterr, ENOSPC,
						   "the machine has not that much memory");
			all -= wanted;
		}
	}
	return 0;
}

static int check_guest(struct sim_scenario *scenario, struct sim_section *section,
		       struct cl_error *reterr)
{
	struct sim_setup_domain *domain = section->values;
	int r = check_placed(scenario, section, reterr);

	scenario->domain_count += (uint32_t)domain->count;
	if (r == 0 && scenario->domain_count > SIM_DOMAINS_MAX)
		r = sim_fail_at(scenario, section, "count", reterr, E2BIG,
				"more than %u guests altogether", SIM_DOMAINS_MAX);
	if (r == 0 && strcmp(section->name, "dom0") == 0)
		r = sim_fail_at(scenario, section, NULL, reterr, EINVAL,
				"dom0 is no name for a guest");
	if (r == 0 && strcmp(domain->nic, "none") != 0)
		r = check_ref(scenario, section, "nic", SIM_IN_NIC, domain->nic, &domain->has_nic,
			      reterr);
	if (r == 0 && strcmp(domain->disk, "none") != 0)
		r = check_ref(scenario, section, "disk", SIM_IN_DISK, domain->disk,
			      &domain->has_disk, reterr);
	return r;
}

static int check_device(struct sim_scenario *scenario, struct sim_section *section,
			const char *node, uint32_t *ret_node, const char *domain,
			struct sim_section **ret_domain, struct cl_error *reterr)
{
	struct cl_cpuset set;
	int r = sim_check_cpus(scenario, section, "node", node, node_count(scenario), &set, reterr);

	if (r == 0)
		*ret_node = cl_cpuset_next(&set, 0);
	if (r == 0 && cl_cpuset_count(&set) > 1)
		r = sim_fail_at(scenario, section, "node", reterr, EINVAL,
				"a device is near to one node");
	if (r == 0 && *domain && strcmp(domain, "dom0") != 0)
		r = check_ref(scenario, section, "domain", SIM_IN_DRIVER, domain, ret_domain,
			      reterr);
	return r;
}

static int check_section(struct sim_scenario *scenario, struct sim_section *section,
			 struct cl_error *reterr)
{
	struct sim_setup_nic *nic = section->values;
	struct sim_setup_disk *disk = section->values;

	switch (section->kind) {
	case SIM_IN_DOM0:
	case SIM_IN_DRIVER:
		return check_placed(scenario, section, reterr);
	case SIM_IN_NIC:
		return check_device(scenario, section, nic->node, &nic->on_node, nic->domain,
				    &nic->in_domain, reterr);
	case SIM_IN_DISK:
		return check_device(scenario, section, disk->node, &disk->on_node, disk->domain,
				    &disk->in_domain, reterr);
	case SIM_IN_GUEST:
		return check_guest(scenario, section, reterr);
	case SIM_IN_SCENARIO:
	case SIM_IN_TESTBED:
	case SIM_IN_MACHINE:
	case SIM_IN_COSTS:
	case SIM_IN_CLOSER:
	case SIM_IN_POOL:
	case SIM_IN_LOAD:
	case SIM_IN_EVENT:
	case SIM_IN_VARIANT:
	case SIM_IN_EXPECT:
	case SIM_SECTION_KINDS:
		break;
	}
	return 0;
}

/* "web-1" beside [guest web] of two would be two guests of that name. */
static int check_names(const struct sim_scenario *scenario, struct cl_error *reterr)
{
	struct sim_section *section, *other;
	char name[32];

	for (uint32_t at = 0; (section = sim_section_next(scenario, SIM_IN_GUEST, &at));) {
		for (uint32_t to = 0; (other = sim_section_next(scenario, SIM_IN_GUEST, &to));) {
			const struct sim_setup_domain *domain = other->values;

			for (uint32_t i = 0; other != section && i < domain->count; i++)
				if (strcmp(sim_guest_name(other, i, name), section->name) == 0)
					return sim_fail_at(scenario, section, NULL, reterr, EEXIST,
							   "[guest %s] has a guest of that name",
							   other->name);
		}
	}
	return 0;
}

int sim_check_domains(struct sim_scenario *scenario, struct cl_error *reterr)
{
	int r = 0;

	for (uint32_t s = 0; r == 0 && s < scenario->section_count; s++)
		r = check_section(scenario, scenario->sections[s], reterr);
	if (r == 0)
		r = check_names(scenario, reterr);
	return r == 0 ? check_memory(scenario, reterr) : r;
}
