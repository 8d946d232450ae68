/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A scenario's orders to the toolstack; what becomes of a guest that is gone by one. */
#include "run.h"

/* The first network device leads to other hosts, the first disk holds saved guests. */
bool sim_run_manager(struct sim_run *run)
{
	struct sim_manager *manager = sim_manager_new(run->world);

	if (!manager)
		return false;
	manager->scrub_at_once = SIM_SETUP(run->scenario, SIM_IN_MACHINE, machine)->scrub_at_once;
	manager->nic = run->nic_count ? run->nics[0] : NULL;
	manager->disk = run->disk_count ? run->disks[0] : NULL;
	return true;
}

void sim_run_gone(struct sim_run *run, struct sim_run_guest *guest)
{
	for (uint32_t i = 0; i < run->load_count; i++)
		if (run->loads[i].guest == guest)
			sim_run_end_load(&run->loads[i]);
	sim_run_free_devices(run, guest);
}

static void over(struct sim_op *op)
{
	struct sim_run *run = sim_op_order(op)->owner;

	for (uint32_t i = 0; i < run->guest_count; i++)
		if (run->guests[i].domain == sim_op_guest(op) && !run->guests[i].domain->alive)
			sim_run_gone(run, &run->guests[i]);
}

void sim_run_order(struct sim_run *run, struct sim_run_guest *guest, enum sim_op_kind kind,
		   uint64_t guest_ns)
{
	struct sim_order order = { .kind = kind,
				   .guest = guest->domain,
				   .guest_ns = guest_ns,
				   .done = over,
				   .owner = run };

	if (guest->domain && guest->domain->alive)
		sim_manage(run->world->manager, &order, &run->trouble);
}

void sim_run_balloon(struct sim_run *run, struct sim_run_guest *guest, uint64_t bytes)
{
	if (guest->domain && guest->domain->alive && sim_domain_bytes(guest->domain) != bytes)
		sim_manage_event(run->world, "balloon", guest->domain->name, bytes, &run->trouble);
}
