/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Domains' vCPUs as objects of a change. */
#include "xen/vcpus.h"
#include "xen/entitle.h"
#include "xen/memory.h"
#include "xen/parse.h"

#include "lib.h"

#include <errno.h>
#include <string.h>

#define SHOWN 128 /* of a list of CPUs, in messages */

int cl_xen_find_domain(struct cl_hyper *hyper, const struct cl_change *change,
		       struct cl_hyper_domain *ret_domain, struct cl_error *reterr)
{
	struct cl_hyper_domain domain;
	struct cl_uuid own;
	int r = cl_hyper_domain(hyper, change->domid, &domain);

	if (r < 0 && r != -ESRCH)
		return cl_fail(reterr, -r, "asking Xen for domain %u: %s", change->domid,
			       strerror(-r));
	if (r == 0) {
		cl_xen_own_id(&domain.id, domain.domid, &own);
		/* dom0 is named by its number; it may have a uuid for all that. */
		if (!domain.dying &&
		    (change->domid == 0 || cl_uuid_compare(&domain.id, &change->domain) == 0 ||
		     cl_uuid_compare(&own, &change->domain) == 0)) {
			*ret_domain = domain;
			return 0;
		}
	}
	return cl_fail(reterr, ESRCH, "domain %u is gone, or another has its number",
		       change->domid);
}

static int fail_vcpu(int r, const char *what, const struct cl_change *change,
		     struct cl_error *reterr)
{
	return cl_fail(reterr, -r, "%s the physical CPUs of vCPU %u of domain %u: %s", what,
		       change->vcpu, change->domid,
		       r == -ESRCH    ? "it is gone"
		       : r == -EINVAL ? "none of them is in the domain's cpupool"
		       : r == -EPERM  ? "Xen does not let this domain do that"
				      : strerror(-r));
}

static int read_cpus(struct cl_hyper *hyper, const struct cl_change *change,
		     struct cl_setting *ret_setting, struct cl_error *reterr)
{
	int r;

	memset(ret_setting, 0, sizeof(*ret_setting));
	ret_setting->present = true;
	r = cl_hyper_vcpu_cpus(hyper, change->domid, change->vcpu, &ret_setting->cpus, NULL);
	return r < 0 ? fail_vcpu(r, "reading", change, reterr) : 0;
}

int cl_xen_vcpu_read(struct cl_hyper *hyper, const struct cl_change *change,
		     struct cl_setting *ret_setting, struct cl_error *reterr)
{
	struct cl_hyper_domain domain;
	int r = cl_xen_find_domain(hyper, change, &domain, reterr);

	if (r < 0)
		return r;
	if (change->kind == CL_CHANGE_MEMORY)
		return cl_xen_memory_read(change, &domain, ret_setting, reterr);
	return cl_change_entitles(change->kind)
		       ? cl_xen_entitlement_read(hyper, change, &domain, ret_setting, reterr)
		       : read_cpus(hyper, change, ret_setting, reterr);
}

static int fail_stale(const struct cl_change *change, const struct cl_setting *is,
		      struct cl_error *reterr)
{
	char now[SHOWN], then[SHOWN];

	cl_cpuset_format(&is->cpus, now, sizeof(now));
	cl_cpuset_format(&change->from.cpus, then, sizeof(then));
	return cl_fail(
		reterr, ESTALE,
		"vCPU %u of domain %u may be on physical CPUs %s, not on %s as expected: somebody "
		"else has set it, so it was left alone",
		change->vcpu, change->domid, now, then);
}

int cl_xen_vcpu_apply(struct cl_hyper *hyper, const struct cl_change *change,
		      struct cl_error *reterr)
{
	struct cl_setting is;
	char want[SHOWN], have[SHOWN];
	int r;

	if (change->kind == CL_CHANGE_MEMORY)
		return cl_xen_memory_apply(hyper, change, reterr);
	if (cl_change_entitles(change->kind))
		return cl_xen_entitlement_apply(hyper, change, reterr);
	r = cl_xen_vcpu_read(hyper, change, &is, reterr);
	if (r < 0 || cl_cpuset_equal(&is.cpus, &change->to.cpus))
		return r;
	if (!cl_cpuset_equal(&is.cpus, &change->from.cpus))
		return fail_stale(change, &is, reterr);
	r = cl_hyper_set_vcpu_cpus(hyper, change->domid, change->vcpu, &change->to.cpus);
	if (r < 0)
		return fail_vcpu(r, "setting", change, reterr);
	r = cl_xen_vcpu_read(hyper, change, &is, reterr);
	if (r < 0 || cl_cpuset_equal(&is.cpus, &change->to.cpus))
		return r;
	cl_cpuset_format(&change->to.cpus, want, sizeof(want));
	cl_cpuset_format(&is.cpus, have, sizeof(have));
	return cl_fail(reterr, EIO,
		       "vCPU %u of domain %u was given physical CPUs %s, and Xen took %s",
		       change->vcpu, change->domid, want, have);
}
