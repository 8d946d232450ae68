/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events that a scenario may ask for: a guest comes or goes, a setting changes. */
#include "run.h"

#include <string.h>

/* Calls fn for each guest that the event names. */
static void each_guest(struct sim_run *run, const struct sim_setup_event *event,
		       void (*fn)(struct sim_run *run, struct sim_run_guest *guest,
				  uint64_t number))
{
	for (uint32_t i = 0; i < run->guest_count && !run->trouble.code; i++)
		if (sim_guest_fits(run->guests[i].section, run->guests[i].index, event->guest))
			fn(run, &run->guests[i], event->number);
}

/* ---- by the toolstack: it takes dom0's time ---- */

static void create_one(struct sim_run *run, struct sim_run_guest *guest, uint64_t number)
{
	sim_run_create(run, guest);
}

static void create(struct sim_run *run, const struct sim_setup_event *event)
{
	each_guest(run, event, create_one);
}

static void destroy_one(struct sim_run *run, struct sim_run_guest *guest, uint64_t number)
{
	sim_run_order(run, guest, SIM_OP_DESTROY, 0);
}

static void destroy(struct sim_run *run, const struct sim_setup_event *event)
{
	each_guest(run, event, destroy_one);
}

static void shut_one_down(struct sim_run *run, struct sim_run_guest *guest, uint64_t number)
{
	sim_run_order(run, guest, SIM_OP_SHUTDOWN, number);
}

static void shut_down(struct sim_run *run, const struct sim_setup_event *event)
{
	each_guest(run, event, shut_one_down);
}

static void save_one(struct sim_run *run, struct sim_run_guest *guest, uint64_t number)
{
	sim_run_order(run, guest, SIM_OP_SAVE, 0);
}

static void save(struct sim_run *run, const struct sim_setup_event *event)
{
	each_guest(run, event, save_one);
}

static void migrate_one(struct sim_run *run, struct sim_run_guest *guest, uint64_t number)
{
	sim_run_order(run, guest, SIM_OP_MIGRATE, 0);
}

static void migrate(struct sim_run *run, const struct sim_setup_event *event)
{
	each_guest(run, event, migrate_one);
}

static void balloon(struct sim_run *run, const struct sim_setup_event *event)
{
	each_guest(run, event, sim_run_balloon);
}

/* ---- at once ---- */

static void pause_one(struct sim_run *run, struct sim_run_guest *guest, uint64_t number)
{
	if (guest->domain && guest->domain->alive)
		sim_domain_pause(run->world, guest->domain, number != 0);
}

static void pause(struct sim_run *run, const struct sim_setup_event *event)
{
	struct sim_setup_event on = *event;

	on.number = 1;
	each_guest(run, &on, pause_one);
}

static void unpause(struct sim_run *run, const struct sim_setup_event *event)
{
	struct sim_setup_event off = *event;

	off.number = 0;
	each_guest(run, &off, pause_one);
}

/* ---- settings ---- */

/* dom0 has a weight and a cap, too. */
static void each_domain(struct sim_run *run, const struct sim_setup_event *event, bool weight)
{
	for (uint32_t i = 0; i < run->world->domain_count; i++) {
		struct sim_domain *domain = run->world->domains[i];
		bool named = strcmp(domain->name, event->guest) == 0;

		for (uint32_t g = 0; g < run->guest_count; g++)
			named = named || (run->guests[g].domain == domain &&
					  sim_guest_fits(run->guests[g].section,
							 run->guests[g].index, event->guest));
		if (!named || !domain->alive)
			continue;
		if (weight)
			domain->weight = event->number;
		else
			domain->cap = event->number;
		domain->pool->ops->changed(domain->pool, domain);
	}
}

static void set_weight(struct sim_run *run, const struct sim_setup_event *event)
{
	each_domain(run, event, true);
}

static void set_cap(struct sim_run *run, const struct sim_setup_event *event)
{
	each_domain(run, event, false);
}

/* clang-format off */
const struct sim_event_kind sim_event_kinds[] = {
	{ "create", "the toolstack makes a guest that is not there until then; its loads begin when it is done", false, { 0 }, create },
	{ "destroy", "a guest runs no more; the toolstack ends its loads and gives its memory back", false, { 0 }, destroy },
	{ "pause", "a guest runs no more", false, { 0 }, pause },
	{ "unpause", "it runs again", false, { 0 }, unpause },
	{ "shutdown", "a guest stops, which takes it so much CPU time; the toolstack does the rest", true, { .unit = SIM_NS, .most = UINT64_C(3600) * CL_NS_PER_S }, shut_down },
	{ "save", "the toolstack writes a guest to the first disk; it is gone", false, { 0 }, save },
	{ "migrate", "the toolstack moves a guest to another host, over the first nic", false, { 0 }, migrate },
	{ "balloon", "a guest is to have so much memory", true, { .unit = SIM_BYTES, .least = 4096, .most = UINT64_C(1) << 46 }, balloon },
	{ "weight", "of a domain", true, { .unit = SIM_COUNT, .least = 1, .most = 65535 }, set_weight },
	{ "cap", "of a domain, of one CPU; 0 is none", true, { .unit = SIM_PPM, .most = 256 * CL_PPM }, set_cap },
	{ 0 },
};
/* clang-format on */
