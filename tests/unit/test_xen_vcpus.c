/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Domains' vCPUs, entitlements and memory, compared and set on a Xen made of lines. */
#include "xen/entitle.c"
#include "xen/memory.c"
#include "xen/vcpus.c"

#include "unit.h"

struct cl_hyper { /* one domain with one vCPU */
	struct cl_hyper_domain domain;
	struct cl_cpuset pcpus;
	int fail;   /* of setting */
	bool other; /* what is set is taken otherwise */
	uint32_t sets;
	uint32_t pool; /* that there is */
	struct cl_hyper_entitlement paid;
};

int cl_hyper_pool(struct cl_hyper *hyper, uint32_t from, struct cl_hyper_pool *ret_pool)
{
	*ret_pool = (struct cl_hyper_pool){ .id = hyper->pool, .sched_id = 6 };
	return hyper->pool >= from ? 0 : -ENOENT;
}

int cl_hyper_entitlement(struct cl_hyper *hyper, uint32_t domid, uint32_t sched_id,
			 struct cl_hyper_entitlement *ret)
{
	assert_int_equal(sched_id, 6);
	*ret = hyper->paid;
	return domid == hyper->domain.domid ? 0 : -ESRCH;
}

int cl_hyper_entitle(struct cl_hyper *hyper, uint32_t domid, uint32_t sched_id,
		     const struct cl_hyper_entitlement *to)
{
	uint64_t *const is[] = { &hyper->paid.weight, &hyper->paid.cap_ppm,
				 &hyper->paid.budget_ns };
	const uint64_t want[] = { to->weight, to->cap_ppm, to->budget_ns };

	assert_int_equal(domid, hyper->domain.domid);
	if (hyper->fail)
		return -hyper->fail;
	hyper->sets++;
	for (size_t i = 0; i < CL_COUNT(is); i++)
		if (want[i] != CL_UNKNOWN)
			*is[i] = want[i] + hyper->other;
	return 0;
}

int cl_hyper_domain(struct cl_hyper *hyper, uint32_t domid, struct cl_hyper_domain *ret_domain)
{
	*ret_domain = hyper->domain;
	return domid == hyper->domain.domid ? 0 : -ESRCH;
}

int cl_hyper_vcpu_cpus(struct cl_hyper *hyper, uint32_t domid, uint32_t vcpu,
		       struct cl_cpuset *ret_pcpus, struct cl_cpuset *ret_soft)
{
	assert_null(ret_soft);
	*ret_pcpus = hyper->pcpus;
	return domid == hyper->domain.domid && vcpu == 0 ? 0 : -ESRCH;
}

int cl_hyper_set_vcpu_cpus(struct cl_hyper *hyper, uint32_t domid, uint32_t vcpu,
			   const struct cl_cpuset *pcpus)
{
	assert_int_equal(domid, hyper->domain.domid);
	if (hyper->fail)
		return -hyper->fail;
	hyper->sets++;
	hyper->pcpus = *pcpus;
	if (hyper->other)
		cl_cpuset_add(&hyper->pcpus, 9);
	return 0;
}

/* Xenstore: one domain's target, in KiB; "": none. */
static struct {
	char path[CL_PATH_MAX], value[64];
	int open, writes, fail;
} shelf;

int cl_store_open(struct cl_store *ret_store, cl_store_event_fn event, void *ctx,
		  struct cl_error *reterr)
{
	ret_store->fd = -1;
	if (shelf.fail)
		return cl_fail(reterr, shelf.fail, "no xenstored");
	shelf.open++;
	return 0;
}

void cl_store_close(struct cl_store *store)
{
	shelf.open--;
}

int cl_store_number(struct cl_store *store, const char *path, uint64_t deadline_ns, uint64_t most,
		    uint64_t *ret_value, struct cl_error *reterr)
{
	if (strcmp(path, shelf.path) != 0 || !shelf.value[0])
		return cl_fail(reterr, ENOENT, "%s is not there", path);
	*ret_value = strtoull(shelf.value, NULL, 10);
	return 0;
}

int cl_store_write(struct cl_store *store, const char *path, const char *value,
		   uint64_t deadline_ns, struct cl_error *reterr)
{
	assert_string_equal(path, shelf.path);
	snprintf(shelf.value, sizeof(shelf.value), "%s", value);
	shelf.writes++;
	return 0;
}

static struct cl_cpuset cpus(const char *list)
{
	struct cl_cpuset set;

	assert_true(cl_cpuset_parse(list, strlen(list), &set));
	return set;
}

static struct cl_hyper xen(uint32_t domid, uint8_t uuid, const char *pcpus)
{
	struct cl_hyper hyper = { .domain = { .domid = domid }, .pcpus = cpus(pcpus) };

	hyper.domain.id.b[15] = uuid;
	return hyper;
}

static struct cl_change change(uint32_t domid, uint8_t uuid, const char *from, const char *to)
{
	struct cl_change c = { .kind = CL_CHANGE_VCPU, .domid = domid };

	c.domain.b[15] = uuid;
	c.from.cpus = cpus(from);
	c.to.cpus = cpus(to);
	c.from.present = c.to.present = true;
	return c;
}

static void is_on(const struct cl_hyper *hyper, const char *list)
{
	struct cl_cpuset want = cpus(list);

	assert_true(cl_cpuset_equal(&hyper->pcpus, &want));
}

static void test_compare_and_set(void **state)
{
	struct cl_hyper h = xen(7, 3, "0-3");
	struct cl_change c = change(7, 3, "0-3", "1-3");
	struct cl_error err;

	assert_int_equal(cl_xen_vcpu_apply(&h, &c, &err), 0);
	is_on(&h, "1-3");
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, &err), 0); /* is so: not written again */
	assert_int_equal(h.sets, 1);
	h.pcpus = cpus("0");
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, &err), -ESTALE);
	assert_non_null(strstr(err.text, "physical CPUs 0, not on 0-3"));
	is_on(&h, "0");
}

static void test_refused(void **state)
{
	struct cl_hyper h = xen(7, 3, "0-3");
	struct cl_change c = change(7, 3, "0-3", "2");
	struct cl_error err;

	h.fail = EINVAL;
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, &err), -EINVAL);
	assert_non_null(strstr(err.text, "cpupool"));
	h.fail = 0;
	h.other = true;
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, &err), -EIO);
	assert_non_null(strstr(err.text, "given physical CPUs 2, and Xen took 2,9"));
}

/* The number alone names nobody but dom0. */
static void test_gone(void **state)
{
	struct cl_hyper h = xen(7, 3, "0-3");
	struct cl_change c = change(7, 4, "0-3", "1");
	struct cl_setting is;

	assert_int_equal(cl_xen_vcpu_apply(&h, &c, NULL), -ESRCH);
	c = change(8, 3, "0-3", "1");
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, NULL), -ESRCH);
	c = change(7, 3, "0-3", "1");
	c.vcpu = 1;
	assert_int_equal(cl_xen_vcpu_read(&h, &c, &is, NULL), -ESRCH);
	c.vcpu = 0;
	h.domain.dying = true;
	assert_int_equal(cl_xen_vcpu_read(&h, &c, &is, NULL), -ESRCH);
	is_on(&h, "0-3");
	h = xen(0, 5, "0-3"); /* dom0 may be given a uuid: toolstacks do */
	c = change(0, 0, "0-3", "0");
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, NULL), 0);
	is_on(&h, "0");
}

/* Two domains of one uuid for a while, or none: known by what was made of uuid and number. */
static void test_own_id(void **state)
{
	struct cl_hyper h = xen(7, 3, "0-3");
	struct cl_change c = change(7, 0, "0-3", "1");
	struct cl_uuid another;

	cl_xen_own_id(&h.domain.id, h.domain.domid, &c.domain);
	assert_int_not_equal(cl_uuid_compare(&c.domain, &h.domain.id), 0);
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, NULL), 0);
	is_on(&h, "1");
	h.domain.domid = c.domid = 8; /* of the same uuid, under another number: another */
	cl_xen_own_id(&h.domain.id, h.domain.domid, &another);
	assert_int_not_equal(cl_uuid_compare(&c.domain, &another), 0);
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, NULL), -ESRCH);
}

static struct cl_change entitles(enum cl_change_kind kind, int64_t from, int64_t to)
{
	struct cl_change c = { .kind = kind, .domid = 7 };

	c.domain.b[15] = 3;
	c.from.number = from;
	c.to.number = to;
	return c;
}

/* One setting of a domain, and no other; what somebody else has set is left to him. */
static void test_entitlement(void **state)
{
	struct cl_hyper h = xen(7, 3, "0");
	struct cl_change c = entitles(CL_CHANGE_CAP, 600000, 370000);
	struct cl_setting is;
	struct cl_error err;

	h.paid = (struct cl_hyper_entitlement){ 256, 600000, CL_UNKNOWN, CL_UNKNOWN };
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, &err), 0);
	assert_int_equal(h.paid.cap_ppm, 370000);
	assert_int_equal(h.paid.weight, 256);
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, &err), 0); /* it is so already */
	assert_int_equal(h.sets, 1);
	assert_int_equal(cl_xen_vcpu_read(&h, &c, &is, &err), 0);
	assert_int_equal(is.number, 370000);
	h.paid.cap_ppm = 800000;
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, &err), -ESTALE);
	assert_non_null(strstr(err.text, "somebody else"));
	assert_int_equal(h.paid.cap_ppm, 800000);
	c = entitles(CL_CHANGE_WEIGHT, 256, 128);
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, &err), 0);
	assert_int_equal(h.paid.weight, 128);
	c = entitles(CL_CHANGE_BUDGET, 4000000, 2000000); /* none under credit */
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, &err), -ENOENT);
	h.paid = (struct cl_hyper_entitlement){ CL_UNKNOWN, CL_UNKNOWN, 10000000, 4000000 };
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, &err), 0);
	assert_int_equal(h.paid.budget_ns, 2000000);
	h.other = true;
	c = entitles(CL_CHANGE_BUDGET, 2000000, 4000000);
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, &err), -EIO);
}

static void test_entitlement_gone(void **state)
{
	struct cl_hyper h = xen(7, 3, "0");
	struct cl_change c = entitles(CL_CHANGE_WEIGHT, 256, 128);

	h.paid.weight = 256;
	h.fail = EPERM;
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, NULL), -EPERM);
	h.fail = 0;
	h.pool = 1; /* its own is gone, and this is another */
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, NULL), -ENOENT);
	h.pool = 0;
	c.domain.b[15] = 4; /* the number is another's by now */
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, NULL), -ESRCH);
	assert_int_equal(h.sets, 0);
}

static struct cl_change memory(uint32_t domid, uint8_t uuid, int64_t from_mib, int64_t to_mib)
{
	struct cl_change c = { .kind = CL_CHANGE_MEMORY, .domid = domid };

	c.domain.b[15] = uuid;
	c.from.present = c.to.present = true;
	c.from.number = from_mib << 20;
	c.to.number = to_mib << 20;
	snprintf(shelf.path, sizeof(shelf.path), "/local/domain/%u/memory/target", domid);
	return c;
}

static void test_memory(void **state)
{
	struct cl_hyper h = xen(7, 3, "0");
	struct cl_change c = memory(7, 3, 1024, 1008);
	struct cl_setting is;
	struct cl_error err;

	strcpy(shelf.value, "1048576");
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, &err), 0);
	assert_string_equal(shelf.value, "1032192");
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, &err), 0); /* is so: not written again */
	assert_int_equal(shelf.writes, 1);
	assert_int_equal(cl_xen_vcpu_read(&h, &c, &is, &err), 0);
	assert_int_equal(is.number, INT64_C(1008) << 20);
	strcpy(shelf.value, "900000"); /* somebody's */
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, &err), -ESTALE);
	assert_string_equal(shelf.value, "900000");
	c.domain.b[15] = 4; /* another domain has the number */
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, &err), -ESRCH);
	/* dom0 is named by its number; what is not there is what it has */
	h = xen(0, 9, "0");
	h.domain.mem_bytes = UINT64_C(1024) << 20;
	c = memory(0, 0, 1024, 1040);
	shelf.value[0] = '\0';
	assert_int_equal(cl_xen_vcpu_read(&h, &c, &is, &err), 0);
	assert_int_equal(is.number, INT64_C(1024) << 20);
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, &err), 0);
	assert_string_equal(shelf.value, "1064960");
	c.to.number++;
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, &err), -EINVAL);
	shelf.fail = ECONNREFUSED;
	c.to.number--;
	assert_int_equal(cl_xen_vcpu_apply(&h, &c, &err), -ECONNREFUSED);
	assert_int_equal(shelf.open, 0);
}

/* What a guest says that it uses; more free than it has is nothing. */
static void test_used(void **state)
{
	struct cl_hyper_domain domain = { .domid = 7, .mem_bytes = UINT64_C(512) << 20 };
	struct cl_store store = { .fd = -1 };
	uint64_t used = 1;
	struct cl_error err;

	strcpy(shelf.path, "/local/domain/7/memory/meminfo");
	strcpy(shelf.value, "102400");
	assert_int_equal(cl_xen_used(&store, &domain, 0, &used, &err), 0);
	assert_int_equal(used, UINT64_C(100) << 20);
	strcpy(shelf.path, "/local/domain/7/data/meminfo_free");
	assert_int_equal(cl_xen_used(&store, &domain, 0, &used, &err), 0);
	assert_int_equal(used, UINT64_C(412) << 20);
	strcpy(shelf.value, "524289"); /* a KiB more than all of it */
	assert_int_equal(cl_xen_used(&store, &domain, 0, &used, &err), -ERANGE);
	assert_int_equal(used, UINT64_C(412) << 20);
	shelf.value[0] = '\0';
	assert_int_equal(cl_xen_used(&store, &domain, 0, &used, &err), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare_and_set),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_used),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_own_id),
		cmocka_unit_test(test_entitlement),
		cmocka_unit_test(test_entitlement_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
