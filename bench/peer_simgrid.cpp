/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SimGrid's event loop: actors that sleep, on one host, with the smallest stacks that it allows. */
#include "peers.h"

#include <simgrid/s4u.hpp>

#include <unistd.h>

static struct peers_task task;
static uint64_t happened, begin_ns, end_ns, dice = 88172645463325252u;
static double before, after;

static void report()
{
	after = peers_resident();
	end_ns = peers_cpu_ns();
	simgrid::s4u::Actor::kill_all(); /* but for who says so */
}

static void live()
{
	while (end_ns == 0) {
		simgrid::s4u::this_actor::sleep_for(double(peers_pause(&dice)) * 1e-9);
		happened++;
		if (happened == task.count)
			begin_ns = peers_cpu_ns();
		if (happened == task.count + task.events)
			report();
	}
}

struct peers_result peers_simgrid_sleep(struct peers_task asked)
{
	char name[] = "bench", stack[] = "--cfg=contexts/stack-size:16",
	     guard[] = "--cfg=contexts/guard-size:0",
	     /* The pauses are ns: a kernel that rounds to 1e-5 s would wake many at once. */
		precision[] = "--cfg=surf/precision:1e-9", quiet[] = "--log=root.thres:critical";
	char *argv[] = { name, stack, guard, precision, quiet, nullptr };
	int argc = 5;
	struct peers_result result;

	task = asked;
	simgrid::s4u::Engine engine(&argc, argv);
	auto *zone = simgrid::s4u::create_full_zone("zone");
	auto *host = zone->create_host("host", 1e9);

	zone->seal();
	before = peers_resident();
	for (uint64_t i = 0; i < task.count; i++)
		simgrid::s4u::Actor::create("actor", host, live);
	engine.run();
	result.ns = double(end_ns - begin_ns) / double(task.events);
	result.bytes = (after - before) / double(task.count);
	return result;
}
