/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of a scenario's keys, and the values that they are given. The manual is made of it. */
#include "setup.h"
#include "value.h"

#include "lib.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GB  UINT64_C(1000000000)
#define MIB UINT64_C(1048576)
#define MIN (60 * CL_NS_PER_S)
#define DAY (24 * 60 * MIN)

#define AT(type, member) offsetof(struct sim_setup_##type, member)

/* clang-format off */
#define SCENARIO(m) AT(scenario, m)
static const struct sim_load_param scenario_keys[] = {
	{ "title", "what it shows, in a line", SIM_TEXT, 0, 0, 0, SCENARIO(title) },
	{ "paper", "which paper's experiment it is, and where it is told", SIM_TEXT, 0, 0, 0, SCENARIO(paper) },
	{ "testbed", "the file with the costs and the machine, beside the scenarios, without .ini", SIM_TEXT, 0, 0, 0, SCENARIO(testbed) },
	{ "native", "what 'native' stands for here, in a line", SIM_TEXT, 0, 0, 0, SCENARIO(native) },
	{ "fidelity", "packet: every request, interrupt and dispatch; fluid: rates and shares, for days; by default packet", SIM_TEXT, 0, 0, 0, SCENARIO(fidelity) },
	{ "within", "fluid: how far its figures may be from packets', as a share; --check-fluid says if they are", SIM_PPM, 100000, 0, 10 * CL_PPM, SCENARIO(within) },
	{ "kinds", "report what dom0 does for guests by kind, too: guest.NAME.netback_rx and so on", SIM_BOOL, 0, 0, 1, SCENARIO(kinds) },
	{ "sample", "how often is looked at what dom0 needs and has: host.need and so on; 0 is not at all", SIM_NS, 0, 0, 3600 * CL_NS_PER_S, SCENARIO(sample_ns) },
	{ "duration", "how long it lasts, the warm-up included", SIM_NS, 10 * CL_NS_PER_S, CL_NS_PER_MS, 366 * DAY, SCENARIO(duration_ns) },
	{ "until", "a run is cut off then; 0 is at its end", SIM_NS, 0, 0, 366 * DAY, SCENARIO(until_ns) },
	{ "warmup", "what happens in it is not counted", SIM_NS, 2 * CL_NS_PER_S, 0, 366 * DAY, SCENARIO(warmup_ns) },
	{ "events", "a run with more events ends, and says so", SIM_COUNT, SIM_EVENTS_LIMIT, 1, SIM_EVENTS_LIMIT, SCENARIO(events) },
	{ "wall", "a run that takes longer than this ends, and says so", SIM_NS, 10 * MIN, CL_NS_PER_MS, DAY, SCENARIO(wall_ns) },
	{ 0 },
};
static const struct sim_load_param testbed_keys[] = {
	{ "title", "which machine it is", SIM_TEXT, 0, 0, 0, AT(testbed, title) },
	{ "source", "where it is described", SIM_TEXT, 0, 0, 0, AT(testbed, source) },
	{ 0 },
};
static const struct sim_load_param machine_keys[] = {
	{ "nodes", "NUMA nodes", SIM_COUNT, 1, 1, SIM_NODES_MAX, AT(machine, nodes) },
	{ "cores", "cores of each node", SIM_COUNT, 4, 1, SIM_PCPUS_MAX, AT(machine, cores) },
	{ "threads", "hardware threads of each core", SIM_COUNT, 1, 1, 2, AT(machine, threads) },
	{ "memory", "of each node", SIM_BYTES, 16384 * MIB, MIB, UINT64_C(1) << 50, AT(machine, memory) },
	{ "distance", "between two nodes, as ACPI's SLIT has it: 10 is no distance", SIM_COUNT, 20, 10, 254, AT(machine, distance) },
	{ "scrub_at_once", "freed memory is cleared by who frees it, as before Xen 4.10; else by idle pCPUs", SIM_BOOL, 0, 0, 1, AT(machine, scrub_at_once) },
	{ 0 },
};
#define X(member, unit_, doc_) { #member, doc_ " (" unit_ ")", COST_UNIT(unit_), 0, 0, COST_MOST(unit_), offsetof(struct sim_costs, member) },
/* by the unit's first letters: ns, bytes/s, 1/s, B, ppm, ps/byte */
#define COST_UNIT(u) \
	(u[0] == 'n' ? SIM_NS : u[0] == 'b' || u[0] == '1' ? SIM_PER_S : \
	 u[0] == 'B' ? SIM_BYTES : u[1] == 'p' ? SIM_PPM : SIM_COUNT)
#define COST_MOST(u) \
	(u[0] == 'n' ? 100 * CL_NS_PER_S : u[0] == 'b' ? 100000 * GB : u[0] == '1' ? 100000 : \
	 u[0] == 'B' ? UINT64_C(1) << 46 : u[1] == 'p' ? 1000 * CL_PPM : 1000000)
static const struct sim_load_param cost_keys[] = { SIM_COSTS(X) { 0 } };
#undef X
static const struct sim_load_param pool_keys[] = {
	{ "scheduler", "of the hypervisor; default credit2", SIM_TEXT, 0, 0, 0, AT(pool, scheduler) },
	{ "pcpus", "its pCPUs, such as 0-3,8; without it those that no other pool has", SIM_TEXT, 0, 0, 0, AT(pool, pcpus) },
	{ "slice", "credit's time slice; 0 is the scheduler's own", SIM_NS, 0, 0, CL_NS_PER_S, AT(pool, slice_ns) },
	{ "ratelimit", "credit's and credit2's least time before a vCPU is preempted; 0 is the scheduler's own", SIM_NS, 0, 0, CL_NS_PER_S, AT(pool, ratelimit_ns) },
	{ 0 },
};
#define DOMAIN(m) AT(domain, m)
#define MEMORY(def) { "memory", "what it has from the start", SIM_BYTES, def, MIB, UINT64_C(1) << 46, DOMAIN(memory) }
#define WHERE \
	{ "node", "the nodes that its memory is on, evenly, such as 0 or 0-1", SIM_TEXT, 0, 0, 0, DOMAIN(node) }, \
	{ "pcpus", "the pCPUs that its vCPUs may be on (hard affinity); without it all of its pool's", SIM_TEXT, 0, 0, 0, DOMAIN(pcpus) }, \
	{ "pool", "by default the first", SIM_TEXT, 0, 0, 0, DOMAIN(pool) }
#define SHARE \
	{ "weight", "against the others' (credit, credit2)", SIM_COUNT, 256, 1, 65535, DOMAIN(weight) }, \
	{ "cap", "of a CPU, 200% are two; 0 is none (credit, credit2)", SIM_PPM, 0, 0, 256 * CL_PPM, DOMAIN(cap) }, \
	{ "period", "of each vCPU (RTDS, SEDF); 0 is the scheduler's own", SIM_NS, 0, 0, CL_NS_PER_S, DOMAIN(period_ns) }, \
	{ "budget", "in each period (RTDS, SEDF); 0 is the scheduler's own", SIM_NS, 0, 0, CL_NS_PER_S, DOMAIN(budget_ns) }, \
	{ "extra", "takes part in time that is left (SEDF, RTDS)", SIM_BOOL, 1, 0, 1, DOMAIN(extra) }
static const struct sim_load_param dom0_keys[] = {
	{ "vcpus", "0 is one for each pCPU of its pool", SIM_COUNT, 0, 0, SIM_VCPUS_MAX, DOMAIN(vcpus) },
	{ "pinned", "each of them to one of these pCPUs, in their order (Xen's dom0_vcpus_pin)", SIM_BOOL, 0, 0, 1, DOMAIN(pinned) },
	{ "memory_max", "what its balloon may have at most (dom0_mem's max:); 0 is what it has from the start", SIM_BYTES, 0, 0, UINT64_C(1) << 46, DOMAIN(memory_max) },
	{ "steady", "memory that its main container needs all the time, by its management stack", SIM_BYTES, 512 * MIB, 0, UINT64_C(1) << 46, DOMAIN(steady) },
	MEMORY(1024 * MIB), WHERE, SHARE, { 0 },
};
static const struct sim_load_param driver_keys[] = {
	{ "vcpus", "how many", SIM_COUNT, 1, 1, SIM_VCPUS_MAX, DOMAIN(vcpus) },
	MEMORY(512 * MIB), WHERE, SHARE, { 0 },
};
static const struct sim_load_param guest_keys[] = {
	{ "count", "how many of this kind, called NAME-0 and so on", SIM_COUNT, 1, 1, SIM_DOMAINS_MAX, DOMAIN(count) },
	{ "vcpus", "of each", SIM_COUNT, 1, 1, SIM_VCPUS_MAX, DOMAIN(vcpus) },
	MEMORY(512 * MIB), WHERE, SHARE,
	{ "balloon", "the most that its balloon driver gives; 0: it has none", SIM_BYTES, UINT64_C(1) << 46, 0, UINT64_C(1) << 46, DOMAIN(balloon) },
	{ "nic", "the physical device that its virtual one leads to; by default the first, 'none' for none", SIM_TEXT, 0, 0, 0, DOMAIN(nic) },
	{ "queues", "of its network device", SIM_COUNT, 1, 1, SIM_QUEUES_MAX, DOMAIN(queues) },
	{ "disk", "the physical disk that its virtual one is on; by default the first, 'none' for none", SIM_TEXT, 0, 0, 0, DOMAIN(disk) },
	{ "rings", "of its disk", SIM_COUNT, 1, 1, SIM_QUEUES_MAX, DOMAIN(rings) },
	{ "indirect", "pages of one disk request; more than 11 need indirect segments", SIM_COUNT, 32, 1, 256, DOMAIN(indirect) },
	{ 0 },
};
static const struct sim_load_param nic_keys[] = {
	{ "rate", "of the line, bytes/s or such as 1Gbit/s", SIM_PER_S, 125000000, 1000, 100000 * GB, AT(nic, rate) },
	{ "wire", "time to whoever is outside", SIM_NS, 50000, 0, 10 * CL_NS_PER_S, AT(nic, wire_ns) },
	{ "moderation", "least time between two interrupts", SIM_NS, 0, 0, CL_NS_PER_S, AT(nic, moderation_ns) },
	{ "queues", "each with an interrupt", SIM_COUNT, 1, 1, SIM_QUEUES_MAX, AT(nic, queues) },
	{ "node", "that it is near to; without it it is equally far from all", SIM_TEXT, 0, 0, 0, AT(nic, node) },
	{ "domain", "the driver domain that has it; by default dom0", SIM_TEXT, 0, 0, 0, AT(nic, domain) },
	{ 0 },
};
static const struct sim_load_param disk_keys[] = {
	{ "seek", "where a request does not follow on the last", SIM_NS, 0, 0, 10 * CL_NS_PER_S, AT(disk, seek_ns) },
	{ "access", "of each request", SIM_NS, 100000, 0, 10 * CL_NS_PER_S, AT(disk, access_ns) },
	{ "bandwidth", "of all requests together", SIM_PER_S, 500000000, 1000, 100000 * GB, AT(disk, bandwidth) },
	{ "depth", "requests at a time", SIM_COUNT, 32, 1, 1024, AT(disk, depth) },
	{ "in_memory", "its work is done by who submits it", SIM_BOOL, 0, 0, 1, AT(disk, in_memory) },
	{ "node", "that it is near to, or made of; without it it is equally far from all", SIM_TEXT, 0, 0, 0, AT(disk, node) },
	{ "domain", "the driver domain that has it; by default dom0", SIM_TEXT, 0, 0, 0, AT(disk, domain) },
	{ 0 },
};
static const struct sim_load_param load_keys[] = {
	{ "guest", "in which guests it is, by name; * and ? as in file names; dom0 is one, too", SIM_TEXT, 0, 0, 0, AT(load, guest) },
	{ "type", "of load: it brings keys of its own", SIM_TEXT, 0, 0, 0, AT(load, type) },
	{ "start", "when it begins", SIM_NS, 0, 0, 366 * DAY, AT(load, start_ns) },
	{ "stop", "when it ends; 0 is with the run", SIM_NS, 0, 0, 366 * DAY, AT(load, stop_ns) },
	{ 0 },
};
static const struct sim_load_param event_keys[] = {
	{ "at", "when it happens", SIM_NS, 0, 0, 366 * DAY, AT(event, at_ns) },
	{ "what", "happens", SIM_TEXT, 0, 0, 0, AT(event, what) },
	{ "guest", "to which guests, by name; * and ? as in file names", SIM_TEXT, 0, 0, 0, AT(event, guest) },
	{ "value", "of what is set", SIM_TEXT, 0, 0, 0, AT(event, value) },
	{ 0 },
};
static const struct sim_load_param expect_keys[] = {
	{ "metric", "which of the run's, such as web.rate", SIM_TEXT, 0, 0, 0, AT(expect, metric) },
	{ "policy", "under which; by default closer; closer@VARIANT where there are variants", SIM_TEXT, 0, 0, 0, AT(expect, policy) },
	{ "against", "the policy that it is compared with: then the value is the difference", SIM_TEXT, 0, 0, 0, AT(expect, against) },
	{ "value", "the figure, with its unit; in per cent where policies are compared", SIM_TEXT, 0, 0, 0, AT(expect, value) },
	{ "direction", "rises, falls or same, against the other policy: what is shown without a figure", SIM_TEXT, 0, 0, 0, AT(expect, direction) },
	{ "source", "where the figure is printed", SIM_TEXT, 0, 0, 0, AT(expect, source) },
	{ "goal", "instead of a source: why it ought to be so; counted apart from what sources say", SIM_TEXT, 0, 0, 0, AT(expect, goal) },
	{ "tolerance", "by how much the figure may be missed, as a share of it; the difference that still is the same", SIM_PPM, 200000, 0, 10 * CL_PPM, AT(expect, tolerance) },
	{ 0 },
};

const struct sim_section_info sim_section_infos[SIM_SECTION_KINDS] = {
	{ "scenario", "what it is and how long it lasts", false, sizeof(struct sim_setup_scenario), scenario_keys },
	{ "testbed", "which machine the costs are of; in testbed files only", false, sizeof(struct sim_setup_testbed), testbed_keys },
	{ "machine", "nodes, cores and memory", false, sizeof(struct sim_setup_machine), machine_keys },
	{ "costs", "what things cost; a testbed gives all of them, each with KEY.source", false, sizeof(struct sim_costs), cost_keys },
	{ "closer", "closer's own parameters under the policy closer, see closer-params(5)", false, 0, sim_no_params },
	{ "pool", "a cpupool with a scheduler of its own; the first is dom0's", true, sizeof(struct sim_setup_pool), pool_keys },
	{ "dom0", "the privileged domain", false, sizeof(struct sim_setup_domain), dom0_keys },
	{ "driver", "a driver domain", true, sizeof(struct sim_setup_domain), driver_keys },
	{ "nic", "a physical network device", true, sizeof(struct sim_setup_nic), nic_keys },
	{ "disk", "a physical disk", true, sizeof(struct sim_setup_disk), disk_keys },
	{ "guest", "guests of a kind", true, sizeof(struct sim_setup_domain), guest_keys },
	{ "load", "what guests do", true, sizeof(struct sim_setup_load), load_keys },
	{ "event", "something that happens at a time", true, sizeof(struct sim_setup_event), event_keys },
	{ "variant", "the same scenario with other values: keys are SECTION.KEY, as of --set", true, 0, sim_no_params },
	{ "expect", "what a source says, or a goal, to be compared with", true, sizeof(struct sim_setup_expect), expect_keys },
};
/* clang-format on */

/* ---- from text to values ---- */

static const struct sim_load_param *find_key(const struct sim_load_param *keys, const char *name)
{
	for (; keys->name; keys++)
		if (strcmp(keys->name, name) == 0)
			return keys;
	return NULL;
}

static void set_defaults(const struct sim_load_param *keys, void *values)
{
	for (; keys->name; keys++)
		if (keys->unit != SIM_TEXT)
			memcpy((char *)values + keys->offset, &keys->def, sizeof(keys->def));
}

static int unknown_key(const struct sim_scenario *scenario, const struct sim_section *section,
		       const char *key, const struct sim_load_param *more, struct cl_error *reterr)
{
	const struct sim_load_param *lists[] = { sim_section_infos[section->kind].keys, more };
	const char *names[96] = { NULL };
	char near[96], clean[128];
	uint32_t n = 0;

	for (uint32_t i = 0; i < CL_COUNT(lists); i++)
		for (const struct sim_load_param *p = lists[i]; p->name && n < 95; p++)
			names[n++] = p->name;
	return sim_fail_at(scenario, section, key, reterr, ENOENT, "there is no key '%s'%s",
			   cl_escape(key, clean, sizeof(clean)),
			   sim_near(key, names, near, sizeof(near)));
}

static int set_param(struct sim_scenario *scenario, const struct sim_section *section,
		     const struct sim_line *entry, struct cl_error *reterr)
{
	int r = cl_param_set(&scenario->params, entry->key, entry->value);
	char clean[128];

	if (r == 0)
		return 0;
	if (r == -ENOENT) {
		const char *near = cl_param_nearest(entry->key);

		return sim_fail_at(scenario, section, entry->key, reterr, ENOENT,
				   "there is no parameter '%s'%s%s%s",
				   cl_escape(entry->key, clean, sizeof(clean)),
				   near ? ", did you mean '" : "", near ? near : "",
				   near ? "'?" : "");
	}
	return sim_fail_at(scenario, section, entry->key, reterr, -r, "'%s' is no value for %s%s",
			   cl_escape(entry->value, clean, sizeof(clean)), entry->key,
			   r == -ERANGE ? ": out of its range" : "");
}

/* "irq_ns.source": a cost's, which is there to be read by people. */
static bool is_source(const struct sim_section *section, const char *key)
{
	size_t len = strlen(key);

	return section->kind == SIM_IN_COSTS && len > 7 && strcmp(key + len - 7, ".source") == 0;
}

/* A load's file is named as seen from the scenario's. */
static void beside(const struct sim_scenario *scenario, const struct sim_load_param *key,
		   void *values)
{
	char *text = (char *)values + key->offset, path[2 * CL_PATH_MAX];

	if (!*text || *text == '/' ||
	    (strcmp(key->name, "trace") != 0 && strcmp(key->name, "file") != 0))
		return;
	snprintf(path, sizeof(path), "%s/%s", scenario->dir, text);
	if (strlen(path) < CL_PATH_MAX)
		strcpy(text, path);
}

static int set_entry(struct sim_scenario *scenario, struct sim_section *section,
		     const struct sim_line *entry, struct cl_error *reterr)
{
	const struct sim_section_info *info = &sim_section_infos[section->kind];
	const struct sim_load_param *key = find_key(info->keys, entry->key), *more = sim_no_params;
	void *values = section->values;
	struct cl_error err;

	if (section->kind == SIM_IN_VARIANT) /* looked at where it is chosen */
		return 0;
	if (section->kind == SIM_IN_CLOSER)
		return set_param(scenario, section, entry, reterr);
	if (is_source(section, entry->key))
		return 0;
	if (!key && section->kind == SIM_IN_LOAD) {
		const struct sim_setup_load *load = section->values;

		more = load->ops ? load->ops->params : sim_no_params;
		key = find_key(more, entry->key);
		values = load->values;
	}
	if (!key)
		return unknown_key(scenario, section, entry->key, more, reterr);
	int r = sim_value_set(key, entry->value, values, &err);

	if (r == 0 && key->unit == SIM_TEXT && more != sim_no_params)
		beside(scenario, key, values);
	return r < 0 ? sim_fail_at(scenario, section, entry->key, reterr, -r, "%s", err.text) : 0;
}

/* The type is known before the load's own keys are. */
static int set_type(struct sim_scenario *scenario, struct sim_section *section,
		    struct cl_error *reterr)
{
	struct sim_setup_load *load = section->values;
	const char *names[64] = { NULL };
	char near[96], clean[128];

	for (uint32_t i = 0; i < section->entry_count; i++)
		if (strcmp(section->entries[i].key, "type") == 0)
			snprintf(load->type, sizeof(load->type), "%s", section->entries[i].value);
	if (!load->type[0])
		return sim_fail_at(scenario, section, NULL, reterr, EINVAL, "type is missing");
	load->ops = sim_load_find(load->type);
	for (uint32_t i = 0; sim_loads[i] && i < CL_COUNT(names) - 1; i++)
		names[i] = sim_loads[i]->name;
	if (!load->ops)
		return sim_fail_at(scenario, section, "type", reterr, ENOENT,
				   "there is no load '%s'%s",
				   cl_escape(load->type, clean, sizeof(clean)),
				   sim_near(load->type, names, near, sizeof(near)));
	load->values = calloc(1, load->ops->bytes);
	if (!load->values)
		return cl_fail(reterr, ENOMEM, "reading a scenario: no memory");
	set_defaults(load->ops->params, load->values);
	return 0;
}

int sim_scenario_values(struct sim_scenario *scenario, struct cl_error *reterr)
{
	int r = 0;

	cl_params_default(&scenario->params);
	for (uint32_t s = 0; r == 0 && s < scenario->section_count; s++) {
		struct sim_section *section = scenario->sections[s];

		if (section->values)
			set_defaults(sim_section_infos[section->kind].keys, section->values);
		if (section->kind == SIM_IN_LOAD)
			r = set_type(scenario, section, reterr);
		for (uint32_t i = 0; r == 0 && i < section->entry_count; i++)
			r = set_entry(scenario, section, &section->entries[i], reterr);
		if (r == 0 && section->kind == SIM_IN_COSTS)
			memcpy(&scenario->costs, section->values, sizeof(scenario->costs));
	}
	return r;
}
