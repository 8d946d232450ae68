/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Xen's trace buffers through libxenctrl, libxenforeignmemory and libxenevtchn. */
#include "xen/tbuf.h"

#include "lib.h"
#include "xen/hyper.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xen/trace.h>

struct ring {
	struct t_buf *meta; /* NULL: a pCPU that was off when Xen made the buffers */
	const uint8_t *data;
	uint32_t cons; /* as it was left */
};

struct cl_tbuf {
	struct cl_hyper *hyper;
	xc_interface *xc;
	xenforeignmemory_handle *memory;
	xenevtchn_handle *events;
	evtchn_port_t port;
	bool on;
	uint64_t hz;
	struct t_info *info;
	size_t info_pages;
	struct ring *rings;
	uint32_t ring_count, pages, data_bytes;
};

static void tbuf_close(struct cl_tbuf *tbuf)
{
	if (!tbuf)
		return;
	if (tbuf->on)
		xc_tbuf_disable(tbuf->xc);
	for (uint32_t i = 0; i < tbuf->ring_count; i++)
		if (tbuf->rings[i].meta)
			xenforeignmemory_unmap(tbuf->memory, tbuf->rings[i].meta, tbuf->pages);
	free(tbuf->rings);
	if (tbuf->info)
		xenforeignmemory_unmap(tbuf->memory, tbuf->info, tbuf->info_pages);
	if (tbuf->events)
		xenevtchn_close(tbuf->events);
	cl_hyper_close(tbuf->hyper);
	free(tbuf);
}

/* Whoever has Xen's interrupt for it reads the trace: xentrace takes it, too. */
static int take_interrupt(struct cl_tbuf *tbuf, struct cl_error *reterr)
{
	tbuf->events = xenevtchn_open(NULL, 0);
	if (!tbuf->events)
		return cl_fail(reterr, errno,
			       "opening event channels (/dev/xen/evtchn): %s; load xen-evtchn, and "
			       "run closer as root",
			       strerror(errno));
	int port = xenevtchn_bind_virq(tbuf->events, VIRQ_TBUF);

	if (port < 0 && (errno == EEXIST || errno == EBUSY))
		return cl_fail(reterr, EBUSY,
			       "another program reads Xen's trace already (xentrace, or another "
			       "`closer mon`), and two would each get a part of it: end that one, "
			       "or read its file with --trace FILE");
	if (port < 0)
		return cl_fail(reterr, errno, "binding Xen's interrupt for its trace: %s",
			       strerror(errno));
	tbuf->port = (evtchn_port_t)port;
	return 0;
}

static int trace_all_cpus(struct cl_tbuf *tbuf)
{
	xc_cpumap_t map = xc_cpumap_alloc(tbuf->xc);
	int bytes = xc_get_cpumap_size(tbuf->xc), r = -1;

	if (map && bytes > 0) {
		memset(map, 0xff, (size_t)bytes);
		r = xc_tbuf_set_cpu_mask(tbuf->xc, map);
	}
	free(map);
	return r;
}

static int switch_on(struct cl_tbuf *tbuf, uint32_t mask, unsigned long *ret_mfn,
		     struct cl_error *reterr)
{
	unsigned long bytes = 0;
	xc_physinfo_t machine;

	if (xc_physinfo(tbuf->xc, &machine) < 0)
		return cl_fail(reterr, errno, "asking Xen for its clock's rate: %s",
			       strerror(errno));
	tbuf->hz = (uint64_t)machine.cpu_khz * 1000;
	tbuf->ring_count = machine.max_cpu_id + 1;
	if (tbuf->hz < CL_TRACE_HZ_LEAST || tbuf->hz > CL_TRACE_HZ_MOST ||
	    tbuf->ring_count > CL_CPUS_MAX)
		return cl_fail(reterr, ERANGE, "Xen has %u CPUs of %u kHz: closer cannot read that",
			       tbuf->ring_count, machine.cpu_khz);
	if (trace_all_cpus(tbuf) < 0 || xc_tbuf_set_evt_mask(tbuf->xc, mask) < 0 ||
	    xc_tbuf_enable(tbuf->xc, CL_TBUF_PAGES, ret_mfn, &bytes) < 0)
		return cl_fail(reterr, errno,
			       "switching Xen's trace on: %s; it must be built with "
			       "CONFIG_TRACEBUFFER, and have %u pages a CPU left",
			       strerror(errno), CL_TBUF_PAGES);
	tbuf->on = true;
	tbuf->info_pages = (bytes + XC_PAGE_SIZE - 1) / XC_PAGE_SIZE;
	if (*ret_mfn == 0 || tbuf->info_pages == 0)
		return cl_fail(reterr, ENOSYS, "Xen says that it has no trace buffers");
	return 0;
}

static void *map_pages(struct cl_tbuf *tbuf, int prot, const xen_pfn_t *pages, size_t count)
{
	return xenforeignmemory_map(tbuf->memory, DOMID_XEN, prot, count, pages, NULL);
}

static int map_ring(struct cl_tbuf *tbuf, uint32_t pcpu, xen_pfn_t *pages)
{
	const uint32_t *words = (const uint32_t *)tbuf->info;
	uint32_t at = tbuf->info->mfn_offset[pcpu];
	struct ring *ring = &tbuf->rings[pcpu];

	if (at == 0)
		return 0;
	if ((at + tbuf->pages) * sizeof(words[0]) > tbuf->info_pages * XC_PAGE_SIZE)
		return -ERANGE;
	for (uint32_t i = 0; i < tbuf->pages; i++)
		pages[i] = words[at + i];
	ring->meta = map_pages(tbuf, PROT_READ | PROT_WRITE, pages, tbuf->pages);
	if (!ring->meta)
		return -errno;
	ring->data = (const uint8_t *)(ring->meta + 1);
	return 0;
}

/* What is there was recorded for somebody else, and before. All at once: what one pCPU records says
 * what the others do. */
static void discard(struct cl_tbuf *tbuf)
{
	for (uint32_t i = 0; i < tbuf->ring_count; i++) {
		struct ring *ring = &tbuf->rings[i];

		if (!ring->meta)
			continue;
		ring->cons = __atomic_load_n(&ring->meta->prod, __ATOMIC_ACQUIRE);
		__atomic_store_n(&ring->meta->cons, ring->cons, __ATOMIC_RELEASE);
	}
}

static int map_rings(struct cl_tbuf *tbuf, unsigned long mfn, struct cl_error *reterr)
{
	cl_autofree xen_pfn_t *pages = calloc(tbuf->info_pages, sizeof(pages[0]));
	int r = 0;

	tbuf->rings = calloc(tbuf->ring_count, sizeof(tbuf->rings[0]));
	if (!tbuf->rings || !pages)
		return cl_fail(reterr, ENOMEM, "mapping Xen's trace: no memory");
	for (size_t i = 0; i < tbuf->info_pages; i++)
		pages[i] = mfn + i;
	tbuf->info = map_pages(tbuf, PROT_READ, pages, tbuf->info_pages);
	if (!tbuf->info)
		return cl_fail(reterr, errno, "mapping the list of Xen's trace buffers: %s",
			       strerror(errno));
	tbuf->pages = tbuf->info->tbuf_size;
	tbuf->data_bytes = (uint32_t)(tbuf->pages * XC_PAGE_SIZE - sizeof(struct t_buf));
	cl_autofree xen_pfn_t *list = calloc(tbuf->pages + 1u, sizeof(list[0]));

	for (uint32_t i = 0; list && r == 0 && i < tbuf->ring_count; i++)
		r = map_ring(tbuf, i, list);
	if (!list || tbuf->pages == 0 || r < 0)
		return cl_fail(reterr, r < 0 ? -r : ENOMEM, "mapping Xen's trace buffers: %s",
			       strerror(r < 0 ? -r : ENOMEM));
	discard(tbuf);
	return 0;
}

static int tbuf_open(uint32_t mask, struct cl_tbuf **ret_tbuf, struct cl_error *reterr)
{
	struct cl_tbuf *tbuf = calloc(1, sizeof(*tbuf));
	unsigned long mfn = 0;
	int r;

	if (!tbuf)
		return cl_fail(reterr, ENOMEM, "opening Xen's trace: no memory");
	r = cl_hyper_open(&tbuf->hyper, reterr);
	if (r == 0) {
		tbuf->xc = cl_hyper_handle(tbuf->hyper);
		tbuf->memory = xc_interface_fmem_handle(tbuf->xc);
		r = take_interrupt(tbuf, reterr);
	}
	if (r == 0)
		r = switch_on(tbuf, mask, &mfn, reterr);
	if (r < 0)
		tbuf->ring_count = 0; /* there are no rings yet */
	if (r == 0)
		r = map_rings(tbuf, mfn, reterr);
	if (r < 0) {
		if (!tbuf->rings)
			tbuf->ring_count = 0;
		tbuf_close(tbuf);
		return r;
	}
	*ret_tbuf = tbuf;
	return 0;
}

static enum cl_trace_state state_of(const struct cl_hyper_domain *domain, const xc_vcpuinfo_t *vcpu)
{
	if (vcpu->running)
		return CL_TRACE_RUNNING;
	if (!vcpu->online || domain->paused)
		return CL_TRACE_OFFLINE;
	return vcpu->blocked ? CL_TRACE_BLOCKED : CL_TRACE_RUNNABLE;
}

static int tbuf_states(struct cl_tbuf *tbuf, cl_tbuf_state_fn fn, void *ctx,
		       struct cl_error *reterr)
{
	const struct cl_hyper_domain *domains;
	uint32_t count;
	int r = cl_hyper_domains(tbuf->hyper, &domains, &count, reterr);

	for (uint32_t d = 0; r == 0 && d < count; d++) {
		for (uint32_t v = 0; v < domains[d].vcpu_count; v++) {
			xc_vcpuinfo_t info;

			if (xc_vcpu_getinfo(tbuf->xc, domains[d].domid, v, &info) == 0)
				fn(ctx, domains[d].domid, v, state_of(&domains[d], &info),
				   info.cpu < CL_CPUS_MAX ? info.cpu : 0);
		}
	}
	return r;
}

static int tbuf_fd(struct cl_tbuf *tbuf)
{
	return xenevtchn_fd(tbuf->events);
}

static int read_ring(struct cl_tbuf *tbuf, uint32_t pcpu, cl_tbuf_take_fn take, void *ctx,
		     struct cl_error *reterr)
{
	struct ring *ring = &tbuf->rings[pcpu];
	uint32_t prod = __atomic_load_n(&ring->meta->prod, __ATOMIC_ACQUIRE);
	struct cl_trace_piece pieces[2];
	int r = 0;

	if (__atomic_load_n(&ring->meta->cons, __ATOMIC_RELAXED) != ring->cons)
		return cl_fail(reterr, EBUSY,
			       "another program takes records from Xen's trace at the same time: "
			       "end it; what was read so far may lack what it took");
	if (!cl_trace_pieces(ring->cons, prod, tbuf->data_bytes, pieces))
		return cl_fail(reterr, EBADMSG,
			       "Xen's trace buffer of CPU %u says %u and %u of %u bytes: it has "
			       "another form than this Xen's public trace.h",
			       pcpu, ring->cons, prod, tbuf->data_bytes);
	for (uint32_t i = 0; r == 0 && i < 2 && pieces[i].len > 0; i++)
		r = take(ctx, pcpu, ring->data + pieces[i].at, pieces[i].len, reterr);
	ring->cons = prod;
	__atomic_store_n(&ring->meta->cons, prod, __ATOMIC_RELEASE);
	return r;
}

static int tbuf_read(struct cl_tbuf *tbuf, cl_tbuf_take_fn take, void *ctx, struct cl_error *reterr)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < tbuf->ring_count; i++)
		if (tbuf->rings[i].meta)
			r = read_ring(tbuf, i, take, ctx, reterr);
	/* unmasked by each read, whether it came or not: a read that found it late loses nothing */
	struct pollfd ready = { tbuf_fd(tbuf), POLLIN, 0 };
	while (poll(&ready, 1, 0) > 0) {
		int port = xenevtchn_pending(tbuf->events);

		if (port < 0)
			break;
		xenevtchn_unmask(tbuf->events, (evtchn_port_t)port);
	}
	return r;
}

static uint64_t tbuf_hz(const struct cl_tbuf *tbuf)
{
	return tbuf->hz;
}

static uint32_t tbuf_pages(const struct cl_tbuf *tbuf)
{
	return tbuf->pages;
}

const struct cl_xen_tbuf cl_xen_tbuf = { tbuf_open, tbuf_states, tbuf_fd,   tbuf_read,
					 tbuf_hz,   tbuf_pages,  tbuf_close };
