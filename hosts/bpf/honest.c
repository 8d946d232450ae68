/* SPDX-License-Identifier: GPL-2.0-or-later */
/* honest: the reader of honest.bpf.h's books, for the kernel of a Xen domain. */
#include "clock_private.h"
#include "lib.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

/* What is attached: X(program, event, can it be done without?). The flush is run by hand. */
/* clang-format off */
#define PROGRAMS(X) \
	X(honest_switch, "sched_switch", false) \
	X(honest_irq_entry, "irq_handler_entry", false) \
	X(honest_irq_exit, "irq_handler_exit", false) \
	X(honest_softirq_entry, "softirq_entry", false) \
	X(honest_softirq_exit, "softirq_exit", false) \
	X(honest_napi_poll, "napi_poll", false) \
	X(cause_queue, "workqueue_queue_work", true) \
	X(cause_begin, "workqueue_execute_start", true) \
	X(cause_end, "workqueue_execute_end", true) \
	X(cause_insert, "block_rq_insert", true) \
	X(cause_issue, "block_rq_issue", true) \
	X(cause_complete, "block_rq_complete", true) \
	X(cause_packet, "net_dev_start_xmit", true) \
	X(cause_sent, "consume_skb", true)
/* clang-format on */

enum {
#define X(program, event, spare) AT_##program,
	PROGRAMS(X)
#undef X
		PROGRAM_COUNT
};

struct cl_honest {
	struct bpf_link *links[PROGRAM_COUNT];
	struct cl_clock_parts *parts; /* mapped, as the next */
	struct cl_clock_irq *irqs;
	size_t parts_bytes, irqs_bytes;
	int vifs_fd, guests_fd, interfaces_fd, flush_fd;
};

static void programs_of(const struct cl_clock *clock,
			struct bpf_program *ret_programs[PROGRAM_COUNT])
{
#define X(program, event, spare) ret_programs[AT_##program] = clock->bpf->progs.program;
	PROGRAMS(X)
#undef X
}

static void choose_programs(const struct cl_clock *clock, const struct btf *btf, bool honest)
{
	static const struct {
		const char *event;
		bool is_spare;
	} events[] = {
#define X(program, event, spare) { "btf_trace_" event, spare },
		PROGRAMS(X)
#undef X
	};
	struct bpf_program *programs[PROGRAM_COUNT];

	programs_of(clock, programs);
	for (uint32_t i = 0; i < PROGRAM_COUNT; i++) {
		bool is_there = !events[i].is_spare ||
				btf__find_by_name_kind(btf, events[i].event, BTF_KIND_TYPEDEF) >= 0;

		bpf_program__set_autoload(programs[i], honest && is_there);
	}
	bpf_program__set_autoload(clock->bpf->progs.honest_flush, honest);
	bpf_program__set_autoload(clock->bpf->progs.on_switch, !honest);
}

/* A kernel that can run on Xen has xen_runstate wherever it runs; only below Xen is it written. */
static bool is_on_xen(void)
{
	char text[16];

	return cl_read_file(AT_FDCWD, "/sys/hypervisor/type", text, sizeof(text)) > 0 &&
	       strncmp(text, "xen", 3) == 0;
}

int cl_honest_prepare(struct cl_clock *clock, enum cl_clock_time time, const struct btf *btf,
		      struct cl_error *reterr)
{
	struct cl_clock_bpf *bpf = clock->bpf;
	bool known = is_on_xen() && btf__find_by_name_kind(btf, "xen_runstate", BTF_KIND_VAR) >= 0;
	bool honest = time == CL_CLOCK_TIME_HONEST || (time == CL_CLOCK_TIME_AUTO && known);
	uint32_t n = honest ? clock->cpu_count : 1;
	int r = 0;

	/* Half of it, BPF's figures by the kernel's clock, would be neither true nor to be scaled.
	 */
	if (time == CL_CLOCK_TIME_AUTO && is_on_xen() && !known)
		return cl_fail(reterr, ENOENT,
			       "this kernel runs on Xen and does not say where its runstate is "
			       "(no xen_runstate in /sys/kernel/btf/vmlinux): a clock that leaves "
			       "out what Xen gave to others cannot be had");
	choose_programs(clock, btf, honest);
	bpf->rodata->runstate_known = known;
	r |= bpf_map__set_max_entries(bpf->maps.parts, n);
	r |= bpf_map__set_max_entries(bpf->maps.irqs, honest ? CL_CLOCK_IRQS_MAX : 1);
	r |= bpf_map__set_max_entries(bpf->maps.vifs, honest ? CL_CLOCK_VIFS_MAX : 1);
	r |= bpf_map__set_max_entries(bpf->maps.interfaces, honest ? CL_CLOCK_VIFS_MAX : 1);
	r |= bpf_map__set_max_entries(bpf->maps.guests, honest ? CL_CLOCK_GUESTS_MAX : 1);
	r |= bpf_map__set_max_entries(bpf->maps.workers, honest ? CL_CLOCK_WORKERS_MAX : 1);
	r |= bpf_map__set_max_entries(bpf->maps.works, honest ? CL_CLOCK_REQUESTS_MAX : 1);
	r |= bpf_map__set_max_entries(bpf->maps.requests, honest ? CL_CLOCK_REQUESTS_MAX : 1);
	if (r)
		return cl_fail(reterr, EINVAL, "BPF clock: %u CPUs do not fit a BPF map", n);
	if (!honest)
		return 0;
	clock->honest = calloc(1, sizeof(*clock->honest));
	return clock->honest ? 0 : cl_fail(reterr, ENOMEM, "BPF clock: out of memory");
}

int cl_honest_attach(struct cl_clock *clock, struct cl_error *reterr)
{
	struct cl_honest *honest = clock->honest;
	struct bpf_program *programs[PROGRAM_COUNT];
	struct cl_clock_bpf *bpf = clock->bpf;

	programs_of(clock, programs);
	honest->parts = cl_clock_map(bpf->maps.parts, sizeof(*honest->parts), clock->cpu_count,
				     PROT_READ, &honest->parts_bytes);
	honest->irqs = cl_clock_map(bpf->maps.irqs, sizeof(*honest->irqs), CL_CLOCK_IRQS_MAX,
				    PROT_READ | PROT_WRITE, &honest->irqs_bytes);
	if (!honest->parts || !honest->irqs)
		return cl_fail(reterr, errno, "mapping the BPF arrays: %s", strerror(errno));
	honest->vifs_fd = bpf_map__fd(bpf->maps.vifs);
	honest->guests_fd = bpf_map__fd(bpf->maps.guests);
	honest->interfaces_fd = bpf_map__fd(bpf->maps.interfaces);
	honest->flush_fd = bpf_program__fd(bpf->progs.honest_flush);
	for (uint32_t i = 0; i < PROGRAM_COUNT; i++) {
		if (!bpf_program__autoload(programs[i]))
			continue;
		honest->links[i] = bpf_program__attach(programs[i]);
		if (!honest->links[i])
			return cl_clock_refused(errno, "attaching the honest BPF clock", reterr);
	}
	/* Begins the books of every CPU that is online. */
	return cl_honest_flush(clock, reterr);
}

void cl_honest_close(struct cl_honest *honest)
{
	if (!honest)
		return;
	for (uint32_t i = 0; i < PROGRAM_COUNT; i++)
		bpf_link__destroy(honest->links[i]);
	if (honest->parts)
		munmap(honest->parts, honest->parts_bytes);
	if (honest->irqs)
		munmap(honest->irqs, honest->irqs_bytes);
	free(honest);
}

int cl_honest_flush(struct cl_clock *clock, struct cl_error *reterr)
{
	const struct cl_honest *honest = clock->honest;

	for (uint32_t cpu = 0; cpu < clock->cpu_count; cpu++) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .flags = BPF_F_TEST_RUN_ON_CPU, .cpu = cpu);
		const volatile struct cl_clock_parts *parts = &honest->parts[cpu];

		/* An idle vCPU does not run: what is open there is nothing, and is not worth waking
		 * it. */
		if (parts->last_ns && !parts->tid && !parts->softirq && !parts->irq)
			continue;
		int r = bpf_prog_test_run_opts(honest->flush_fd, &opts);

		if (r < 0 && r != -ENXIO) /* offline */
			return cl_fail(reterr, -r, "closing the books of CPU %u by BPF: %s", cpu,
				       strerror(-r));
	}
	return 0;
}

bool cl_clock_honest(const struct cl_clock *clock)
{
	return clock->honest != NULL;
}

uint32_t cl_clock_ran(struct cl_clock *clock, uint32_t row, struct cl_thread_run *buf,
		      uint32_t size, uint64_t *ret_ran_ns)
{
	uint32_t count = 0;

	*ret_ran_ns = 0;
	if (!row)
		return 0;
	const uint64_t *cells = cells_of(clock, row);
	uint64_t *told = told_of(clock, row);

	for (uint32_t cpu = 0; cpu < clock->cpu_count && count < size; cpu++) {
		uint64_t ns = __atomic_load_n(&cells[cpu], __ATOMIC_RELAXED) - told[cpu];

		if (!ns)
			continue;
		buf[count++] = (struct cl_thread_run){ .cpu = cpu, .ns = ns };
		told[cpu] += ns;
		*ret_ran_ns += ns;
	}
	return count;
}

bool cl_clock_irq(const struct cl_clock *clock, uint32_t number, uint64_t *ret_ns,
		  uint32_t *ret_cpu, uint32_t *ret_domid)
{
	if (!clock->honest || number >= CL_CLOCK_IRQS_MAX)
		return false;
	const volatile struct cl_clock_irq *irq = &clock->honest->irqs[number];
	uint32_t owner = irq->owner;

	if (!irq->seen)
		return false;
	*ret_ns = irq->handler_ns + irq->napi_ns;
	/* Booked as nobody's: not the owner's that is known since. */
	if (owner)
		*ret_ns -= irq->unowned_ns;
	*ret_cpu = irq->cpu;
	*ret_domid = owner ? owner - 1 : CL_NONE;
	return true;
}

bool cl_clock_vif(const struct cl_clock *clock, const char *name, uint64_t *ret_ns,
		  uint64_t *ret_tied_ns)
{
	struct cl_clock_vif_name key = { { 0 } };
	struct cl_clock_vif vif;
	size_t len = strlen(name);

	if (!clock->honest || len >= sizeof(key.name))
		return false;
	memcpy(key.name, name, len);
	if (bpf_map_lookup_elem(clock->honest->vifs_fd, &key, &vif) < 0)
		return false;
	*ret_ns = vif.napi_ns;
	*ret_tied_ns = vif.tied_ns;
	return true;
}

void cl_clock_own_irq(struct cl_clock *clock, uint32_t number, uint32_t domid)
{
	if (clock->honest && number < CL_CLOCK_IRQS_MAX)
		clock->honest->irqs[number].owner = domid + 1;
}

void cl_clock_own_interface(struct cl_clock *clock, uint32_t ifindex, uint32_t domid)
{
	uint32_t owner = domid + 1;

	if (!clock->honest || !ifindex)
		return;
	if (domid == CL_NONE)
		bpf_map_delete_elem(clock->honest->interfaces_fd, &ifindex);
	else
		bpf_map_update_elem(clock->honest->interfaces_fd, &ifindex, &owner, BPF_ANY);
}

bool cl_clock_guest(struct cl_clock *clock, uint32_t domid, uint64_t *ret_shared_ns,
		    uint64_t *ret_wakeup_ns)
{
	struct cl_clock_guest guest = { 0 };

	if (!clock->honest)
		return false;
	if (bpf_map_lookup_elem(clock->honest->guests_fd, &domid, &guest) < 0 &&
	    bpf_map_update_elem(clock->honest->guests_fd, &domid, &guest, BPF_NOEXIST) < 0)
		return false;
	*ret_shared_ns = guest.shared_ns;
	*ret_wakeup_ns = guest.wakeup_ns;
	return true;
}

void cl_clock_guest_gone(struct cl_clock *clock, uint32_t domid)
{
	if (clock->honest)
		bpf_map_delete_elem(clock->honest->guests_fd, &domid);
}

bool cl_clock_rests(const struct cl_clock *clock, uint32_t cpu, uint64_t *ret_nobody_ns,
		    uint64_t *ret_overhead_ns)
{
	if (!clock->honest || cpu >= clock->cpu_count)
		return false;
	const volatile struct cl_clock_parts *parts = &clock->honest->parts[cpu];
	/* First what was given: it is part of what is read then. */
	uint64_t given_ns = parts->given_ns;

	*ret_nobody_ns = parts->nobody_ns;
	*ret_overhead_ns = parts->tick_ns + parts->idle_ns - given_ns;
	return true;
}

bool cl_clock_parts(const struct cl_clock *clock, uint32_t cpu, struct cl_threads_parts *ret_parts)
{
	if (!clock->honest || cpu >= clock->cpu_count)
		return false;
	const volatile struct cl_clock_parts *parts = &clock->honest->parts[cpu];

	*ret_parts = (struct cl_threads_parts){
		.thread_ns = parts->thread_ns,
		.irq_ns = parts->irq_ns,
		.napi_ns = parts->napi_ns,
		.softirq_ns = parts->softirq_ns,
		.tick_ns = parts->tick_ns,
		.idle_ns = parts->idle_ns,
	};
	/* The CPU goes on meanwhile, and a softirq's time is booked at its end: what was read is
	 * what is summed. */
	ret_parts->total_ns = ret_parts->thread_ns + ret_parts->irq_ns + ret_parts->napi_ns +
			      ret_parts->softirq_ns + ret_parts->tick_ns + ret_parts->idle_ns;
	return true;
}
