/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hyper: what Xen itself is asked. The only file that knows libxenctrl, but for tbuf.c.
 *
 *   open -> { domains | vcpu | vcpu_cpus | home | dump_pages | machine | port }* -> close
 *
 * Each call is one hypercall, or a few; buffers are kept. Only cl_hyper_set_vcpu_cpus and
 * cl_hyper_entitle change anything.
 */
#ifndef CLOSER_XEN_HYPER_H
#define CLOSER_XEN_HYPER_H

#include <closer/base.h>

#define CL_HYPER_DOMAINS_MAX 4096u

struct cl_hyper;

struct cl_hyper_domain {
	uint32_t domid;
	struct cl_uuid id;
	bool dying, paused, hvm;
	uint32_t vcpu_count; /* of ids 0 to vcpu_count - 1; some may be offline */
	uint64_t mem_bytes, mem_max_bytes;
	uint32_t cpupool;
};

struct cl_hyper_vcpu {
	bool online, running;
	uint32_t pcpu; /* where it is, or was last */
	uint64_t cpu_ns;
};

struct cl_hyper_node {
	bool there;
	uint64_t mem_total_bytes, mem_free_bytes;
	uint32_t distance[CL_NODES_MAX];
};

struct cl_hyper_pcpu {
	bool online;
	uint32_t node, core; /* core: unique over the host */
};

struct cl_hyper_machine {
	uint32_t pcpu_count, node_count;
	struct cl_hyper_pcpu pcpus[CL_CPUS_MAX];
	struct cl_hyper_node nodes[CL_NODES_MAX];
};

int cl_hyper_open(struct cl_hyper **ret_hyper, struct cl_error *reterr);
void cl_hyper_close(struct cl_hyper *hyper);                       /* NULL is fine */
struct xc_interface_core *cl_hyper_handle(struct cl_hyper *hyper); /* libxenctrl's; hyper's own */

/* All domains by rising domid, dom0 first; valid until the next call. */
int cl_hyper_domains(struct cl_hyper *hyper, const struct cl_hyper_domain **ret_domains,
		     uint32_t *ret_count, struct cl_error *reterr);
/* -ESRCH: there is no domain with this number. */
int cl_hyper_domain(struct cl_hyper *hyper, uint32_t domid, struct cl_hyper_domain *ret_domain);
/* -ESRCH: no such domain or vCPU. */
int cl_hyper_vcpu(struct cl_hyper *hyper, uint32_t domid, uint32_t vcpu,
		  struct cl_hyper_vcpu *ret_vcpu);
/* pCPUs that it may run on (hard affinity), and that it prefers (soft; may be NULL). */
int cl_hyper_vcpu_cpus(struct cl_hyper *hyper, uint32_t domid, uint32_t vcpu,
		       struct cl_cpuset *ret_pcpus, struct cl_cpuset *ret_soft);
/* Hard affinity; soft affinity stays. -EINVAL: none of these is in its cpupool. */
int cl_hyper_set_vcpu_cpus(struct cl_hyper *hyper, uint32_t domid, uint32_t vcpu,
			   const struct cl_cpuset *pcpus);
/* Node affinity, one bit a node. */
int cl_hyper_home(struct cl_hyper *hyper, uint32_t domid, uint64_t *ret_nodes);
/*
 * What Xen's console has of its debug key 'u', which says where all domains' pages lie; valid until
 * the next call. Slow: Xen walks all pages. Text that others write there meanwhile is among it.
 */
int cl_hyper_dump_pages(struct cl_hyper *hyper, const char **ret_text, size_t *ret_len,
			struct cl_error *reterr);
int cl_hyper_machine(struct cl_hyper *hyper, struct cl_hyper_machine *ret_machine,
		     struct cl_error *reterr);
/* Memory of the nodes' free that is promised to domains being made (claims). */
int cl_hyper_claimed(struct cl_hyper *hyper, uint64_t *ret_bytes);
/*
 * The vCPU of domid that is told of events on this port of it, if the other end is dom0: ports come
 * from the guest. -ENOENT otherwise.
 */
int cl_hyper_port(struct cl_hyper *hyper, uint32_t domid, uint32_t port, uint32_t *ret_vcpu);

struct cl_hyper_entitlement { /* in the terms of its pool's scheduler; CL_UNKNOWN: it has none */
	uint64_t weight, cap_ppm; /* cap: of a CPU, 0: none */
	uint64_t period_ns, budget_ns;
};

struct cl_hyper_pool {
	uint32_t id, sched_id, domains;
	const char *scheduler;
	uint64_t slice_ns, ratelimit_ns; /* CL_UNKNOWN: it has none */
	struct cl_cpuset pcpus;
};

/* The pool with the lowest id from this one on. -ENOENT: none. Allocates: not for each tick. */
int cl_hyper_pool(struct cl_hyper *hyper, uint32_t from, struct cl_hyper_pool *ret_pool);
/* sched_id: of its pool. -ESRCH: no such domain. Unknown where the vCPUs of one under RTDS differ.
 */
int cl_hyper_entitlement(struct cl_hyper *hyper, uint32_t domid, uint32_t sched_id,
			 struct cl_hyper_entitlement *ret);
/* Sets what is not CL_UNKNOWN; a budget to each vCPU, its period stays. -EOPNOTSUPP: this scheduler
 * has no such thing. */
int cl_hyper_entitle(struct cl_hyper *hyper, uint32_t domid, uint32_t sched_id,
		     const struct cl_hyper_entitlement *to);

/* For check: "4.17.7", "credit2". */
int cl_hyper_version(struct cl_hyper *hyper, char *buf, size_t size);
const char *cl_hyper_scheduler(struct cl_hyper *hyper);
#endif
