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

/* It never runs again: its loads end, its devices are free. Its record stays until the run ends,
 * since what it has used is reported. */
static void gone(struct sim_run *run, struct sim_run_guest *guest)
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
			gone(run, &run->guests[i]);
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

static void created(struct sim_op *op)
{
	struct sim_run *run = sim_op_order(op)->owner;
	struct sim_run_guest *guest = run->guests;

	while (guest->domain != sim_op_guest(op))
		guest++;
	guest->building = false;
	if (sim_op_result(op)->code != 0 || sim_run_equip(run, guest, &run->trouble) < 0)
		return;
	for (uint32_t i = 0; i < run->load_count; i++) {
		const struct sim_setup_load *load = run->loads[i].section->values;

		if (run->loads[i].guest == guest && load->start_ns <= run->world->queue.now_ns)
			sim_run_begin_load(&run->loads[i]);
	}
}

void sim_run_create(struct sim_run *run, struct sim_run_guest *guest)
{
	const struct sim_setup_domain *setup = guest->section->values;
	struct sim_world *world = run->world;
	char name[32];
	struct sim_order order = {
		.kind = SIM_OP_CREATE,
		.name = sim_guest_name(guest->section, guest->index, name),
		.vcpus = (uint32_t)setup->vcpus,
		.pool = sim_run_pool(run, setup),
		.bytes = setup->memory,
		.nodes = setup->nodes,
		.done = created,
		.owner = run,
	};

	if (guest->domain || sim_manage(world->manager, &order, &run->trouble) < 0)
		return;
	guest->domain = world->domains[world->domain_count - 1]; /* the newest */
	guest->building = true;
}

void sim_run_balloon(struct sim_run *run, struct sim_run_guest *guest, uint64_t bytes)
{
	if (guest->domain && guest->domain->alive && sim_domain_bytes(guest->domain) != bytes)
		sim_manage_event(run->world, "balloon", guest->domain->name, bytes, &run->trouble);
}
