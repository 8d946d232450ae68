/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hypercalls through libxenctrl. */
#include "xen/hyper.h"

#include "lib.h"

#include <errno.h>
#include <string.h>
#include <xenctrl.h>
#include <xentoollog.h>

#define BATCH          256u /* domains a hypercall */
#define PERCENT        (CL_PPM / 100)
#define RTDS_VCPUS_MAX 512u
#define CONSOLE        (UINT32_C(1) << 20)

struct cl_hyper {
	xc_interface *xc;
	xentoollog_logger *logger;
	size_t map_bytes;
	xc_cpumap_t map, soft;
	xc_nodemap_t nodes;
	size_t nodemap_bytes;
	xc_cputopo_t *topo;
	unsigned int topo_cap;
	xc_meminfo_t *mem;
	uint32_t *distance;
	unsigned int node_cap;
	xc_domaininfo_t batch[BATCH];
	struct xen_domctl_schedparam_vcpu rtds[RTDS_VCPUS_MAX];
	struct cl_hyper_domain domains[CL_HYPER_DOMAINS_MAX];
	uint32_t console_at; /* what was read of Xen's console */
	char *console;       /* CONSOLE bytes, once they are needed */
};

static int fail_call(const char *what, struct cl_error *reterr)
{
	int code = errno;

	/* Xen answers EACCES to another version of its interface, EPERM to another domain. */
	return cl_fail(reterr, code, "asking Xen for %s: %s", what,
		       code == EACCES
			       ? "it has another interface than the one that closer's module "
				 "was built for; build the module with this Xen's libxen-dev"
		       : code == EPERM ? "this domain may not ask; run closer in dom0 as root"
				       : strerror(code));
}

void cl_hyper_close(struct cl_hyper *hyper)
{
	if (!hyper)
		return;
	if (hyper->xc)
		xc_interface_close(hyper->xc);
	if (hyper->logger)
		xtl_logger_destroy(hyper->logger);
	free(hyper->map);
	free(hyper->soft);
	free(hyper->nodes);
	free(hyper->topo);
	free(hyper->mem);
	free(hyper->distance);
	free(hyper->console);
	free(hyper);
}

struct xc_interface_core *cl_hyper_handle(struct cl_hyper *hyper)
{
	return hyper->xc;
}

static int make_buffers(struct cl_hyper *hyper, struct cl_error *reterr)
{
	int cpus = xc_get_cpumap_size(hyper->xc), nodes = xc_get_nodemap_size(hyper->xc);
	int max_cpus = xc_get_max_cpus(hyper->xc), max_nodes = xc_get_max_nodes(hyper->xc);

	if (cpus <= 0 || nodes <= 0 || max_cpus <= 0 || max_nodes <= 0)
		return fail_call("the number of its CPUs and nodes", reterr);
	hyper->map_bytes = (size_t)cpus;
	hyper->nodemap_bytes = (size_t)nodes;
	hyper->topo_cap = (unsigned int)max_cpus;
	hyper->node_cap = (unsigned int)max_nodes;
	hyper->map = xc_cpumap_alloc(hyper->xc);
	hyper->soft = xc_cpumap_alloc(hyper->xc);
	hyper->nodes = xc_nodemap_alloc(hyper->xc);
	hyper->topo = calloc(hyper->topo_cap, sizeof(hyper->topo[0]));
	hyper->mem = calloc(hyper->node_cap, sizeof(hyper->mem[0]));
	hyper->distance =
		calloc((size_t)hyper->node_cap * hyper->node_cap, sizeof(hyper->distance[0]));
	if (!hyper->map || !hyper->soft || !hyper->nodes || !hyper->topo || !hyper->mem ||
	    !hyper->distance)
		return cl_fail(reterr, ENOMEM, "asking Xen: no memory");
	return 0;
}

int cl_hyper_open(struct cl_hyper **ret_hyper, struct cl_error *reterr)
{
	struct cl_hyper *hyper = calloc(1, sizeof(*hyper));
	int r;

	if (!hyper)
		return cl_fail(reterr, ENOMEM, "asking Xen: no memory");
	/* Without a logger of ours libxenctrl would write to stderr. */
	hyper->logger = (xentoollog_logger *)xtl_createlogger_stdiostream(stderr, XTL_CRITICAL, 0);
	hyper->xc = hyper->logger ? xc_interface_open(hyper->logger, hyper->logger, 0) : NULL;
	if (!hyper->xc)
		r = cl_fail(reterr, errno,
			    "opening the way to Xen (/dev/xen/privcmd): %s; load xen-privcmd, and "
			    "run closer as root",
			    strerror(errno));
	else
		r = make_buffers(hyper, reterr);
	if (r < 0) {
		cl_hyper_close(hyper);
		return r;
	}
	*ret_hyper = hyper;
	return 0;
}

static void take_domain(const xc_domaininfo_t *from, struct cl_hyper_domain *to)
{
	const uint64_t page = XC_PAGE_SIZE;

	*to = (struct cl_hyper_domain){
		.domid = from->domain,
		.dying = from->flags & XEN_DOMINF_dying,
		.paused = from->flags & XEN_DOMINF_paused,
		.hvm = from->flags & XEN_DOMINF_hvm_guest,
		.vcpu_count =
			from->max_vcpu_id == XEN_INVALID_MAX_VCPU_ID ? 0 : from->max_vcpu_id + 1,
		.mem_bytes = from->tot_pages * page,
		/* "no limit" is all ones or nearly: what dom0 has */
		.mem_max_bytes = from->max_pages < UINT64_MAX / page / 2 ? from->max_pages * page
									 : CL_UNKNOWN,
		.cpupool = from->cpupool,
	};
	memcpy(to->id.b, from->handle, sizeof(to->id.b));
}

int cl_hyper_domains(struct cl_hyper *hyper, const struct cl_hyper_domain **ret_domains,
		     uint32_t *ret_count, struct cl_error *reterr)
{
	uint32_t first = 0, count = 0;

	for (;;) {
		int n = xc_domain_getinfolist(hyper->xc, first, BATCH, hyper->batch);

		if (n < 0)
			return fail_call("its domains", reterr);
		for (int i = 0; i < n && count < CL_HYPER_DOMAINS_MAX; i++)
			take_domain(&hyper->batch[i], &hyper->domains[count++]);
		if (n < (int)BATCH || count == CL_HYPER_DOMAINS_MAX)
			break;
		first = hyper->batch[n - 1].domain + 1u;
	}
	*ret_domains = hyper->domains;
	*ret_count = count;
	return 0;
}

int cl_hyper_domain(struct cl_hyper *hyper, uint32_t domid, struct cl_hyper_domain *ret_domain)
{
	xc_domaininfo_t info;
	int n = xc_domain_getinfolist(hyper->xc, domid, 1, &info);

	if (n < 0)
		return -errno;
	if (n == 0 || info.domain != domid) /* the next one that there is */
		return -ESRCH;
	take_domain(&info, ret_domain);
	return 0;
}

int cl_hyper_vcpu(struct cl_hyper *hyper, uint32_t domid, uint32_t vcpu,
		  struct cl_hyper_vcpu *ret_vcpu)
{
	xc_vcpuinfo_t info;

	if (xc_vcpu_getinfo(hyper->xc, domid, vcpu, &info) < 0)
		return -errno;
	*ret_vcpu = (struct cl_hyper_vcpu){ info.online != 0, info.running != 0, info.cpu,
					    info.cpu_time };
	return 0;
}

static void take_map(const struct cl_hyper *hyper, const uint8_t *map, struct cl_cpuset *ret_set)
{
	cl_cpuset_zero(ret_set);
	for (uint32_t cpu = 0; cpu < hyper->map_bytes * 8 && cpu < CL_CPUS_MAX; cpu++)
		if (map[cpu / 8] >> (cpu % 8) & 1)
			cl_cpuset_add(ret_set, cpu);
}

int cl_hyper_vcpu_cpus(struct cl_hyper *hyper, uint32_t domid, uint32_t vcpu,
		       struct cl_cpuset *ret_pcpus, struct cl_cpuset *ret_soft)
{
	if (xc_vcpu_getaffinity(hyper->xc, domid, (int)vcpu, hyper->map, hyper->soft,
				XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT) < 0)
		return -errno;
	take_map(hyper, hyper->map, ret_pcpus);
	if (ret_soft)
		take_map(hyper, hyper->soft, ret_soft);
	return 0;
}

int cl_hyper_set_vcpu_cpus(struct cl_hyper *hyper, uint32_t domid, uint32_t vcpu,
			   const struct cl_cpuset *pcpus)
{
	memset(hyper->map, 0, hyper->map_bytes);
	for (uint32_t cpu = cl_cpuset_next(pcpus, 0); cpu != CL_NONE;
	     cpu = cl_cpuset_next(pcpus, cpu + 1)) {
		if (cpu >= hyper->map_bytes * 8)
			return -EINVAL;
		hyper->map[cpu / 8] |= (uint8_t)(1u << cpu % 8);
	}
	if (xc_vcpu_setaffinity(hyper->xc, domid, (int)vcpu, hyper->map, hyper->soft,
				XEN_VCPUAFFINITY_HARD) < 0)
		return -errno;
	return 0;
}

int cl_hyper_home(struct cl_hyper *hyper, uint32_t domid, uint64_t *ret_nodes)
{
	uint64_t nodes = 0;

	memset(hyper->nodes, 0, hyper->nodemap_bytes);
	if (xc_domain_node_getaffinity(hyper->xc, domid, hyper->nodes) < 0)
		return -errno;
	for (uint32_t node = 0; node < hyper->nodemap_bytes * 8 && node < CL_NODES_MAX; node++)
		if (hyper->nodes[node / 8] >> (node % 8) & 1)
			nodes |= UINT64_C(1) << node;
	*ret_nodes = nodes;
	return 0;
}

/* What is new on Xen's console, as far as there is room. */
static int read_console(struct cl_hyper *hyper, size_t *ret_len)
{
	size_t len = 0;

	for (;;) {
		unsigned int n = (unsigned int)(CONSOLE - len);

		if (n == 0)
			break;
		if (xc_readconsolering(hyper->xc, hyper->console + len, &n, 0, 1,
				       &hyper->console_at) < 0)
			return -errno;
		if (n == 0)
			break;
		len += n;
	}
	*ret_len = len;
	return 0;
}

int cl_hyper_dump_pages(struct cl_hyper *hyper, const char **ret_text, size_t *ret_len,
			struct cl_error *reterr)
{
	size_t len;

	if (!hyper->console && !(hyper->console = malloc(CONSOLE)))
		return cl_fail(reterr, ENOMEM, "asking Xen for its pages: no memory");
	do {
		if (read_console(hyper, &len) < 0)
			return fail_call("its console", reterr);
	} while (len == CONSOLE);
	if (xc_send_debug_keys(hyper->xc, "u") < 0)
		return fail_call("the nodes of all pages (debug key u)", reterr);
	if (read_console(hyper, &len) < 0)
		return fail_call("its console", reterr);
	*ret_text = hyper->console;
	*ret_len = len;
	return 0;
}

int cl_hyper_machine(struct cl_hyper *hyper, struct cl_hyper_machine *ret_machine,
		     struct cl_error *reterr)
{
	unsigned int cpus = hyper->topo_cap, nodes = hyper->node_cap;

	if (xc_cputopoinfo(hyper->xc, &cpus, hyper->topo) < 0)
		return fail_call("its CPUs", reterr);
	if (xc_numainfo(hyper->xc, &nodes, hyper->mem, hyper->distance) < 0)
		return fail_call("its nodes", reterr);
	memset(ret_machine, 0, sizeof(*ret_machine));
	for (uint32_t cpu = 0; cpu < cpus && cpu < hyper->topo_cap && cpu < CL_CPUS_MAX; cpu++) {
		const xc_cputopo_t *from = &hyper->topo[cpu];
		struct cl_hyper_pcpu *to = &ret_machine->pcpus[cpu];

		/* Of a CPU that does not say what core it is, as one alone in its package, Xen
		 * knows the node only; of one that is not there, nothing. */
		bool has_core =
			from->core != XEN_INVALID_CORE_ID && from->socket != XEN_INVALID_SOCKET_ID;

		to->online = has_core || from->node != XEN_INVALID_NODE_ID;
		to->node = from->node < CL_NODES_MAX ? from->node : CL_NONE;
		/* Xen counts cores within a socket. */
		to->core = has_core ? from->socket << 16 | (from->core & 0xffff)
				    : UINT32_C(1) << 31 | cpu;
		if (to->online)
			ret_machine->pcpu_count = cpu + 1;
	}
	for (uint32_t i = 0; i < nodes && i < hyper->node_cap && i < CL_NODES_MAX; i++) {
		struct cl_hyper_node *to = &ret_machine->nodes[i];

		to->there = hyper->mem[i].memsize != XEN_INVALID_MEM_SZ;
		to->mem_total_bytes = to->there ? hyper->mem[i].memsize : 0;
		to->mem_free_bytes = to->there ? hyper->mem[i].memfree : 0;
		for (uint32_t k = 0; k < nodes && k < CL_NODES_MAX; k++) {
			uint32_t distance = hyper->distance[i * nodes + k];

			to->distance[k] = distance == XEN_INVALID_NODE_DIST ? 255 : distance;
		}
		if (to->there)
			ret_machine->node_count = i + 1;
	}
	return 0;
}

int cl_hyper_claimed(struct cl_hyper *hyper, uint64_t *ret_bytes)
{
	xc_physinfo_t info = { 0 };

	if (xc_physinfo(hyper->xc, &info) < 0)
		return -errno;
	*ret_bytes = info.outstanding_pages * XC_PAGE_SIZE;
	return 0;
}

int cl_hyper_port(struct cl_hyper *hyper, uint32_t domid, uint32_t port, uint32_t *ret_vcpu)
{
	xc_evtchn_status_t status = { .dom = (domid_t)domid, .port = port };

	if (xc_evtchn_status(hyper->xc, &status) < 0)
		return -errno;
	if (status.status != EVTCHNSTAT_interdomain || status.u.interdomain.dom != 0)
		return -ENOENT;
	*ret_vcpu = status.vcpu;
	return 0;
}

int cl_hyper_version(struct cl_hyper *hyper, char *buf, size_t size)
{
	xen_extraversion_t extra = "";
	int version = xc_version(hyper->xc, XENVER_version, NULL);

	if (version < 0 || xc_version(hyper->xc, XENVER_extraversion, extra) < 0)
		return -errno;
	snprintf(buf, size, "%d.%d%.15s", version >> 16, version & 0xffff, extra);
	return 0;
}

static const char *scheduler_name(uint32_t id)
{
	switch (id) {
	case XEN_SCHEDULER_CREDIT:
		return "credit";
	case XEN_SCHEDULER_CREDIT2:
		return "credit2";
	case XEN_SCHEDULER_ARINC653:
		return "arinc653";
	case XEN_SCHEDULER_RTDS:
		return "rtds";
	case XEN_SCHEDULER_NULL:
		return "null";
	default:
		return "one that closer does not know";
	}
}

const char *cl_hyper_scheduler(struct cl_hyper *hyper)
{
	int id;

	return xc_sched_id(hyper->xc, &id) < 0 ? "unknown" : scheduler_name((uint32_t)id);
}

static void ask_pool_params(struct cl_hyper *hyper, struct cl_hyper_pool *pool)
{
	struct xen_sysctl_credit_schedule credit;
	struct xen_sysctl_credit2_schedule credit2;

	pool->slice_ns = pool->ratelimit_ns = CL_UNKNOWN;
	if (pool->sched_id == XEN_SCHEDULER_CREDIT &&
	    xc_sched_credit_params_get(hyper->xc, pool->id, &credit) == 0) {
		pool->slice_ns = credit.tslice_ms * CL_NS_PER_MS;
		pool->ratelimit_ns = credit.ratelimit_us * CL_NS_PER_US;
	}
	if (pool->sched_id == XEN_SCHEDULER_CREDIT2 &&
	    xc_sched_credit2_params_get(hyper->xc, pool->id, &credit2) == 0)
		pool->ratelimit_ns = credit2.ratelimit_us * CL_NS_PER_US;
}

int cl_hyper_pool(struct cl_hyper *hyper, uint32_t from, struct cl_hyper_pool *ret_pool)
{
	xc_cpupoolinfo_t *info = xc_cpupool_getinfo(hyper->xc, from);

	if (!info)
		return -ENOENT;
	*ret_pool = (struct cl_hyper_pool){ .id = info->cpupool_id,
					    .sched_id = info->sched_id,
					    .domains = info->n_dom,
					    .scheduler = scheduler_name(info->sched_id) };
	take_map(hyper, info->cpumap, &ret_pool->pcpus);
	xc_cpupool_infofree(hyper->xc, info);
	ask_pool_params(hyper, ret_pool);
	return 0;
}

/*
 * RTDS keeps budgets by vCPU; asked for a domain's, Xen answers with its defaults whatever was set.
 * *ret_vcpus: how many are in hyper->rtds. -ERANGE: more than closer knows of.
 */
static int ask_rtds(struct cl_hyper *hyper, uint32_t domid, uint32_t *ret_vcpus)
{
	struct cl_hyper_domain domain;
	int r = cl_hyper_domain(hyper, domid, &domain);

	if (r < 0)
		return r;
	if (domain.vcpu_count > RTDS_VCPUS_MAX)
		return -ERANGE;
	for (uint32_t i = 0; i < domain.vcpu_count; i++)
		hyper->rtds[i].vcpuid = i;
	*ret_vcpus = domain.vcpu_count;
	return domain.vcpu_count > 0 && xc_sched_rtds_vcpu_get(hyper->xc, domid, hyper->rtds,
							       domain.vcpu_count) < 0
		       ? -errno
		       : 0;
}

/* That of all its vCPUs; unknown where they differ. */
static int rtds_entitlement(struct cl_hyper *hyper, uint32_t domid,
			    struct cl_hyper_entitlement *ret)
{
	const struct xen_domctl_sched_rtds *first = &hyper->rtds[0].u.rtds;
	uint32_t vcpus;
	int r = ask_rtds(hyper, domid, &vcpus);

	if (r < 0 || vcpus == 0)
		return r == -ERANGE ? 0 : r;
	for (uint32_t i = 1; i < vcpus; i++)
		if (hyper->rtds[i].u.rtds.period != first->period ||
		    hyper->rtds[i].u.rtds.budget != first->budget)
			return 0;
	ret->period_ns = first->period * CL_NS_PER_US;
	ret->budget_ns = first->budget * CL_NS_PER_US;
	return 0;
}

static int set_rtds(struct cl_hyper *hyper, uint32_t domid, uint64_t budget_ns)
{
	uint32_t vcpus;
	int r = ask_rtds(hyper, domid, &vcpus);

	if (r < 0 || vcpus == 0)
		return r;
	for (uint32_t i = 0; i < vcpus; i++) /* its flags stay as they are */
		hyper->rtds[i].u.rtds.budget = (uint32_t)(budget_ns / CL_NS_PER_US);
	return xc_sched_rtds_vcpu_set(hyper->xc, domid, hyper->rtds, vcpus) < 0 ? -errno : 0;
}

/* Asked for first: what is not to be changed is set to what it is. */
static int set_credit(struct cl_hyper *hyper, uint32_t domid, const uint64_t *cap_ppm,
		      const uint64_t *weight)
{
	struct xen_domctl_sched_credit is;

	if (xc_sched_credit_domain_get(hyper->xc, domid, &is) < 0)
		return -errno;
	if (cap_ppm)
		is.cap = (uint16_t)(*cap_ppm / PERCENT);
	if (weight)
		is.weight = (uint16_t)*weight;
	return xc_sched_credit_domain_set(hyper->xc, domid, &is) < 0 ? -errno : 0;
}

static int set_credit2(struct cl_hyper *hyper, uint32_t domid, const uint64_t *cap_ppm,
		       const uint64_t *weight)
{
	struct xen_domctl_sched_credit2 is;

	if (xc_sched_credit2_domain_get(hyper->xc, domid, &is) < 0)
		return -errno;
	if (cap_ppm)
		is.cap = (uint16_t)(*cap_ppm / PERCENT);
	if (weight)
		is.weight = (uint16_t)*weight;
	return xc_sched_credit2_domain_set(hyper->xc, domid, &is) < 0 ? -errno : 0;
}

int cl_hyper_entitle(struct cl_hyper *hyper, uint32_t domid, uint32_t sched_id,
		     const struct cl_hyper_entitlement *to)
{
	const uint64_t *cap = to->cap_ppm == CL_UNKNOWN ? NULL : &to->cap_ppm;
	const uint64_t *weight = to->weight == CL_UNKNOWN ? NULL : &to->weight;

	if ((cap && *cap / PERCENT >= UINT16_MAX) || (weight && *weight > UINT16_MAX))
		return -EINVAL;
	switch (sched_id) {
	case XEN_SCHEDULER_CREDIT:
		return cap || weight ? set_credit(hyper, domid, cap, weight) : -EOPNOTSUPP;
	case XEN_SCHEDULER_CREDIT2:
		return cap || weight ? set_credit2(hyper, domid, cap, weight) : -EOPNOTSUPP;
	case XEN_SCHEDULER_RTDS:
		return to->budget_ns != CL_UNKNOWN && to->budget_ns / CL_NS_PER_US <= UINT32_MAX
			       ? set_rtds(hyper, domid, to->budget_ns)
			       : -EOPNOTSUPP;
	default:
		return -EOPNOTSUPP;
	}
}

int cl_hyper_entitlement(struct cl_hyper *hyper, uint32_t domid, uint32_t sched_id,
			 struct cl_hyper_entitlement *ret)
{
	struct xen_domctl_sched_credit credit;
	struct xen_domctl_sched_credit2 credit2;

	*ret = (struct cl_hyper_entitlement){ CL_UNKNOWN, CL_UNKNOWN, CL_UNKNOWN, CL_UNKNOWN };
	switch (sched_id) {
	case XEN_SCHEDULER_CREDIT:
		if (xc_sched_credit_domain_get(hyper->xc, domid, &credit) < 0)
			return -errno;
		ret->weight = credit.weight;
		ret->cap_ppm = credit.cap * PERCENT;
		break;
	case XEN_SCHEDULER_CREDIT2:
		if (xc_sched_credit2_domain_get(hyper->xc, domid, &credit2) < 0)
			return -errno;
		ret->weight = credit2.weight;
		ret->cap_ppm = credit2.cap * PERCENT;
		break;
	case XEN_SCHEDULER_RTDS:
		return rtds_entitlement(hyper, domid, ret);
	default: /* null, arinc653: none of these */
		break;
	}
	return 0;
}
