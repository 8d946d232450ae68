/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ns-3's event loop on the hold model. */
#include "peers.h"

#include <ns3/object-factory.h>
#include <ns3/simulator.h>

static struct peers_task task;
static uint64_t happened, begin_ns, end_ns, dice = 88172645463325252u;

static void fire()
{
	happened++;
	if (happened == task.count)
		begin_ns = peers_cpu_ns();
	if (happened == task.count + task.events) {
		end_ns = peers_cpu_ns();
		ns3::Simulator::Stop();
		return;
	}
	ns3::Simulator::Schedule(ns3::NanoSeconds(peers_pause(&dice)), &fire);
}

struct peers_result peers_ns3_hold(const char *scheduler, struct peers_task asked)
{
	ns3::ObjectFactory factory;
	double before = peers_resident();
	struct peers_result result;

	task = asked;
	factory.SetTypeId(scheduler);
	ns3::Simulator::SetScheduler(factory);
	for (uint64_t i = 0; i < task.count; i++)
		ns3::Simulator::Schedule(ns3::NanoSeconds(peers_pause(&dice)), &fire);
	ns3::Simulator::Run();
	result.ns = double(end_ns - begin_ns) / double(task.events);
	result.bytes = (peers_resident() - before) / double(task.count);
	return result;
}
