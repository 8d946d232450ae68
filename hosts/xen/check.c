/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an operator should know of a Xen host, and the line that mends it. */
#include "speak.h"
#include "xen/guests.h"

#include "lib.h"

#include <string.h>

#define POOLS_MAX 256u

static void check_hypervisor(struct cl_xen *xen, const struct speaker *to)
{
	char version[64] = "of unknown version";

	cl_hyper_version(xen->hyper, version, sizeof(version));
	speak(to, "ok", "Xen %s, scheduler %s, %u CPUs on %u nodes", version,
	      cl_hyper_scheduler(xen->hyper), xen->machine.pcpu_count, xen->machine.node_count);
}

/* How many physical CPUs its pool has; 0: not known. */
static uint32_t dom0_pcpus(const struct cl_xen *xen)
{
	struct cl_hyper_pool pool;

	if (cl_hyper_pool(xen->hyper, xen->dom0_pool, &pool) < 0 || pool.id != xen->dom0_pool)
		return 0;
	return cl_cpuset_count(&pool.pcpus);
}

static void check_pins(struct cl_xen *xen, const struct speaker *to)
{
	struct cl_cpuset taken;
	uint32_t loose = 0, shared = 0, pcpus = dom0_pcpus(xen);

	cl_cpuset_zero(&taken);
	for (uint32_t v = 0; v < xen->dom0_vcpus && v < CL_CPUS_MAX; v++) {
		struct cl_cpuset pins;

		if (cl_hyper_vcpu_cpus(xen->hyper, 0, v, &pins, NULL) < 0)
			continue;
		if (cl_cpuset_count(&pins) != 1) {
			loose++;
		} else if (cl_cpuset_meets(&pins, &taken)) {
			shared++;
		}
		cl_cpuset_or(&taken, &pins);
	}
	if (loose)
		speak(to, "note",
		      "%u of dom0's %u vCPUs are not pinned: closer pins those that nobody has set "
		      "when it acts (pin=1); until then where work runs is a sample, and beside a "
		      "guest is a guess",
		      loose, xen->dom0_vcpus);
	else if (shared)
		speak(to, "lost",
		      "%u of dom0's vCPUs share a CPU with another: xl vcpu-pin 0 VCPU CPU gives "
		      "each its own",
		      shared);
	else
		speak(to, "ok", "dom0's %u vCPUs are pinned one to one", xen->dom0_vcpus);
	if (pcpus && xen->dom0_vcpus > pcpus)
		speak(to, "lost",
		      "dom0 has %u vCPUs and its cpupool %u CPUs: %u vCPUs have none of their own, and "
		      "move about; boot Xen with dom0_max_vcpus=%u",
		      xen->dom0_vcpus, pcpus, xen->dom0_vcpus - pcpus, pcpus);
	if (xen->dom0_vcpus < xen->machine.pcpu_count)
		speak(to, "lost",
		      "dom0 has %u vCPUs and the host %u CPUs: guests on the others get the nearest; "
		      "boot Xen with dom0_max_vcpus=%u",
		      xen->dom0_vcpus, xen->machine.pcpu_count, xen->machine.pcpu_count);
}

static void check_pools(struct cl_xen *xen, const struct speaker *to)
{
	uint32_t pool = 0;

	for (uint32_t i = 0; i < POOLS_MAX; i++, pool++) {
		struct cl_hyper_pool is;
		char list[128];

		if (cl_hyper_pool(xen->hyper, pool, &is) < 0)
			return;
		pool = is.id;
		cl_cpuset_format(&is.pcpus, list, sizeof(list));
		speak(to, i == 0 ? "ok" : "note", "cpupool %u: CPUs %s, scheduler %s, %u domains%s",
		      pool, list, is.scheduler, is.domains,
		      pool ? "; dom0 has no CPU there: their work runs on the nearest" : "");
	}
}

/* What is on every CPU whatever is done: said once, so that nobody looks for it in vain. */
static void check_bound(const struct speaker *to)
{
	char names[600];
	uint32_t threads = cl_linux_bound(names, sizeof(names));

	speak(to, "note",
	      "on every CPU, fence or not: %u threads that the kernel binds (%s), its timer ticks, "
	      "interrupts between CPUs, and workers that it makes later for work of no CPU, of loop "
	      "and dm-crypt too (/sys/devices/virtual/workqueue/cpumask)",
	      threads, names);
}

/* Seen with systemd 252: reloads and units that come and go leave the containers and their
 * partition as they are, and all slices are outside of it. */
static void check_systemd(const struct cl_xen *xen, const struct speaker *to)
{
	if (access("/run/systemd/system", F_OK) < 0)
		return;
	if (xen->cgroup.version == 2)
		speak(to, "note",
		      "systemd manages cgroups here, and leaves /closer alone; AllowedCPUs= of a slice "
		      "or unit that names secondary CPUs takes the fence down");
	else
		speak(to, "note",
		      "systemd manages cgroups here: services that it starts later are outside of a "
		      "fence of masks (CPUAffinity= in system.conf holds for all)");
}

/* What Algorithm 1 (size=1) would find here. */
static void check_memory(const struct cl_xen *xen, const struct speaker *to)
{
	uint64_t target = xen->dom0_target_bytes, max = xen->dom0.mem_max_bytes;

	if (xen->manager[0])
		speak(to, "lost",
		      "%s runs here and moves domains' memory: closer leaves it to that, and only says "
		      "what it would move (size=1)",
		      xen->manager);
	if (target == CL_UNKNOWN)
		speak(to, "lost",
		      "xenstore does not say what dom0's memory is set to: no guest's memory is moved "
		      "to it");
	else if (max == CL_UNKNOWN)
		speak(to, "note",
		      "dom0's memory has no limit: boot Xen with dom0_mem=%lluM,max:... so that there is "
		      "room for what guests contribute (closer advise)",
		      (unsigned long long)(target >> 20));
	else if (max <= target)
		speak(to, "lost",
		      "dom0 has all of the memory that it may have (%llu MiB): nothing can be moved to "
		      "it; boot Xen with a larger dom0_mem=...,max: (closer advise), or raise its limit if "
		      "xl mem-set lowered it (xl mem-max 0)",
		      (unsigned long long)(max >> 20));
	else
		speak(to, "ok", "dom0 has %llu MiB and may have %llu MiB",
		      (unsigned long long)(target >> 20), (unsigned long long)(max >> 20));
}

static void check_guest(const struct cl_xen_guest *guest, const struct speaker *to)
{
	static const struct cl_uuid none;
	char name[256];

	cl_escape(guest->name, name, sizeof(name));
	if (guest->driver_domid)
		speak(to, "lost",
		      "guest '%s' (domain %u) has a back end in driver domain %u: its work there is "
		      "not seen from here",
		      name, guest->domain.domid, guest->driver_domid);
	if (!guest->described)
		speak(to, "lost",
		      "guest %u could not be described yet: its back ends are left alone",
		      guest->domain.domid);
	if (cl_uuid_compare(&guest->domain.id, &none) == 0)
		speak(to, "note",
		      "guest '%s' (domain %u) has no uuid: it has one for as long as it lives",
		      name, guest->domain.domid);
}

static void check_pages(struct cl_xen *xen, const struct speaker *to)
{
	uint32_t known = 0;

	if (!xen->pages) {
		speak(to, "note",
		      "a guest's home is where its affinity says; --host xen:pages asks Xen where "
		      "its pages are");
		return;
	}
	cl_xen_read_pages(xen);
	for (uint32_t i = 0; i < xen->guest_count; i++)
		known += xen->guests[i].paged_ns != 0;
	speak(to, known == xen->guest_count ? "ok" : "lost",
	      "it is known of %u of %u guests on which nodes their pages are%s%s", known,
	      xen->guest_count, xen->pages_problem[0] ? ": " : "", xen->pages_problem);
}

void cl_xen_check(struct cl_xen *xen, void (*say)(void *ctx, const char *level, const char *text),
		  void *ctx)
{
	const struct speaker to = { say, ctx };
	struct cl_error err;
	uint32_t works = 0;

	if (cl_xen_list_guests(xen, &err) < 0 ||
	    cl_hyper_machine(xen->hyper, &xen->machine, &err) < 0) {
		speak(&to, "bad", "%s", err.text);
		return;
	}
	cl_xen_describe(xen, cl_clock_ns() + CL_NS_PER_S, CL_NS_PER_S);
	cl_xen_scan(xen);
	for (uint32_t i = 0; i < xen->work_top; i++)
		works += xen->works[i].pid != 0;
	check_hypervisor(xen, &to);
	speak(&to, xen->guest_count ? "ok" : "note",
	      "%u guest%s, %u threads and processes work for them", xen->guest_count,
	      xen->guest_count == 1 ? "" : "s", works);
	if (xen->store_problem[0])
		speak(&to, "bad", "%s", xen->store_problem);
	check_pins(xen, &to);
	check_pools(xen, &to);
	cl_xen_read_targets(xen, cl_clock_ns() + CL_NS_PER_S);
	check_memory(xen, &to);
	check_pages(xen, &to);
	for (uint32_t i = 0; i < xen->guest_count; i++)
		check_guest(&xen->guests[i], &to);
	if (xen->dropped_guests)
		speak(&to, "lost", "more than %u guests: the others are left out",
		      cl_limits_default.guests);
	if (!cl_threads_honest(xen->threads))
		speak(&to, "lost",
		      "interrupts of netback are placed; those of blkback carry no name of their guest, "
		      "and stay where they are without BPF: %s",
		      cl_threads_why_not_bpf(xen->threads));
	if (xen->cgroup.why_not[0])
		speak(&to, "lost", "%s", xen->cgroup.why_not);
	else
		speak(&to, "ok", "containers are cgroups v%d at %.300s", xen->cgroup.version,
		      xen->cgroup.mount);
	if (xen->irq_problem[0])
		speak(&to, "lost", "%s", xen->irq_problem);
	check_systemd(xen, &to);
	check_bound(&to);
}
