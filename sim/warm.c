/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * warm: what a back end's turn costs after a pause. What runs leaves its footprint in caches (code,
 * data, translations), others and time take it away, and it is loaded again when it next runs: the
 * reload transient of Thiebaut and Stone (1987). A part of the footprint is the path's own, a part
 * all back ends' (the kernel's and the hypervisor's ways in and out), each gone after an idle time
 * t but for exp(-t / cold_ns).
 */
#include "io.h"

#define ONE (UINT64_C(1) << 31)

/* exp(-x), of ONE. */
uint64_t sim_exp_minus(uint64_t x_ppm)
{
	unsigned __int128 all = (unsigned __int128)x_ppm * ONE / (CL_PPM * 1024);
	uint64_t part = all < ONE ? (uint64_t)all : ONE, value = ONE - part;

	for (unsigned i = 0; i < 10; i++)
		value = value * value / ONE;
	return value;
}

static uint64_t share(uint64_t value, uint64_t ppm)
{
	return sim_scale(value, ppm, CL_PPM);
}

uint64_t sim_turn_of(const struct sim_costs *costs, uint64_t ns, uint64_t own_ppm,
		     uint64_t shared_ppm)
{
	uint64_t cold =
		share(own_ppm, CL_PPM - costs->cold_shared) + share(shared_ppm, costs->cold_shared);

	return share(ns, costs->warm + share(CL_PPM - costs->warm, cold));
}

/* What of a footprint is gone, of one that was last used then; 0: never. */
static uint64_t gone_ppm(const struct sim_world *world, uint64_t then_ns)
{
	uint64_t idle = world->queue.now_ns - then_ns, cold = world->costs.cold_ns;

	if (!then_ns || !cold || idle / 64 > cold)
		return CL_PPM;
	return CL_PPM - sim_exp_minus(idle * CL_PPM / cold) * CL_PPM / ONE;
}

bool sim_turn_follows(enum sim_turn turn)
{
	return turn == SIM_TURN_DEALLOC || turn == SIM_TURN_BLKBACK;
}

uint64_t sim_turn_ns(struct sim_domain *back, enum sim_turn turn, uint64_t ns)
{
	const struct sim_world *world = back->world;
	uint64_t own = back->turned_ns[turn], any = back->turned_ns[SIM_TURNS];

	if (world->costs.warm >= CL_PPM)
		return ns;
	back->turned_ns[turn] = back->turned_ns[SIM_TURNS] = world->queue.now_ns;
	return sim_turn_of(&world->costs, ns, gone_ppm(world, own),
			   sim_turn_follows(turn) ? 0 : gone_ppm(world, any));
}
