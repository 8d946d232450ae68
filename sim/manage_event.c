/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Operations by name: what a scenario asks for. */
#include "manage.h"

#include <errno.h>
#include <string.h>

static struct sim_domain *find(const struct sim_world *world, const char *name)
{
	for (uint32_t i = 0; i < world->domain_count; i++)
		if (world->domains[i]->alive && strcmp(world->domains[i]->name, name) == 0)
			return world->domains[i];
	return NULL;
}

static int pause(struct sim_world *world, const char *name, bool on, struct cl_error *reterr)
{
	struct sim_domain *guest = find(world, name);

	if (!guest || guest->kind != SIM_GUEST)
		return cl_fail(reterr, ESRCH, "%s: there is no guest %.60s",
			       on ? "pause" : "unpause", name);
	sim_domain_pause(world, guest, on);
	return 0;
}

/* The guest is to have so many bytes: more or less than now. */
static int aim(struct sim_order *order, struct sim_domain *guest, uint64_t bytes,
	       struct cl_error *reterr)
{
	uint64_t now = sim_domain_bytes(guest);

	if (bytes == now)
		return cl_fail(reterr, EALREADY, "balloon: %s has %llu MiB already", guest->name,
			       (unsigned long long)(bytes >> 20));
	order->bytes = bytes > now ? bytes - now : now - bytes;
	if (bytes > now)
		order->taker = guest;
	else
		order->guest = guest;
	return 0;
}

static int fill(struct sim_world *world, struct sim_order *order, const char *name, uint64_t number,
		struct cl_error *reterr)
{
	struct sim_domain *guest = find(world, name);
	bool makes = order->kind == SIM_OP_CREATE || order->kind == SIM_OP_RESTORE;

	if (makes && guest)
		return cl_fail(reterr, EEXIST, "%s: there is a guest %.60s already",
			       sim_op_name(order->kind), name);
	if (!makes && !guest)
		return cl_fail(reterr, ESRCH, "%s: there is no guest %.60s",
			       sim_op_name(order->kind), name);
	if (order->kind == SIM_OP_BALLOON)
		return aim(order, guest, number, reterr);
	order->guest = guest;
	order->name = name;
	order->vcpus = 1;
	order->bytes = order->guest_ns = number;
	return 0;
}

int sim_manage_event(struct sim_world *world, const char *what, const char *guest, uint64_t number,
		     struct cl_error *reterr)
{
	struct sim_order order = { 0 };
	uint32_t kind = 0;
	int r;

	if (strcmp(what, "pause") == 0 || strcmp(what, "unpause") == 0)
		return pause(world, guest, *what == 'p', reterr);
	while (kind < SIM_OP_COUNT && strcmp(sim_op_name((enum sim_op_kind)kind), what) != 0)
		kind++;
	if (kind == SIM_OP_COUNT)
		return cl_fail(reterr, EINVAL, "%.60s: there is no such operation", what);
	if (!world->manager && !sim_manager_new(world))
		return cl_fail(reterr, ENOMEM, "%s: no memory", what);
	order.kind = (enum sim_op_kind)kind;
	r = fill(world, &order, guest, number, reterr);
	return r < 0 ? r : sim_manage(world->manager, &order, reterr);
}
