/* SPDX-License-Identifier: GPL-2.0-or-later */
/* irq: lines of /proc/interrupts, this machine's interrupts observed, and one moved there and back.
 */
#include "lib.h"
#include "linux.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct cl_cgroup cgroup; /* no interrupt is in one */
static struct cl_cpuset all, first,
	second; /* of the CPUs that we have; second is empty on a machine with one */

static struct cl_setting setting(const struct cl_cpuset *cpus)
{
	return (struct cl_setting){ .present = true, .cpus = *cpus };
}

static int apply(const struct cl_change *change, struct cl_error *reterr)
{
	return cl_linux_apply(&cgroup, change, reterr);
}

static bool irq_mask(uint32_t irq, struct cl_cpuset *ret_cpus)
{
	char name[64], text[1024] = "";

	snprintf(name, sizeof(name), "/proc/irq/%u/smp_affinity_list", irq);
	FILE *f = fopen(name, "re");
	bool ok =
		f && fgets(text, sizeof(text), f) && cl_cpuset_parse(text, strlen(text), ret_cpus);

	if (f)
		fclose(f);
	return ok;
}

static struct cl_guest_ix own_all(void *ctx, const char *name)
{
	return (struct cl_guest_ix){ 0 };
}

/*
 * Is the interrupt's mask, as a host observes it time after time, what the kernel has? False: it is
 * not listed, since no driver has asked for it.
 */
static bool assert_observed(struct cl_irqs *irqs, struct cl_snapshot *snap, uint32_t number)
{
	struct cl_cpuset is;
	bool listed = false;

	cl_snapshot_reset(snap);
	assert_non_null(cl_snapshot_add_guests(snap));
	assert_int_equal(cl_irqs_observe(irqs, snap, own_all, NULL, NULL), 0);
	assert_true(irq_mask(number, &is));
	for (uint32_t i = 0; i < snap->n.irqs; i++) {
		if (snap->irqs[i].number != number)
			continue;
		listed = true;
		assert_true(cl_cpuset_equal(cl_snapshot_set(snap, snap->irqs[i].mask), &is));
	}
	return listed;
}

static void test_irq(void **state)
{
	struct cl_snapshot *snap = cl_snapshot_new(&cl_limits_small);
	struct cl_irqs *irqs;
	struct cl_change change = { .kind = CL_CHANGE_IRQ, .irq = 4000000 };
	struct cl_error error;
	struct cl_setting now;
	bool moved = false;

	assert_int_equal(cl_irqs_new(&irqs, &error), 0);
	change.from = change.to = setting(&first);
	assert_int_equal(cl_linux_read(&cgroup, &change, &now, &error), -ENOENT);
	assert_int_equal(apply(&change, &error), -ENOENT);
	if (cl_cpuset_empty(&second) || access("/proc/irq/default_smp_affinity", W_OK) < 0)
		skip();
	/* Some the kernel manages itself, and says so: -EIO. One that can be moved is moved there
	 * and back. */
	for (uint32_t irq = 1; irq < 1024 && !moved; irq++) {
		struct cl_cpuset was, is;

		if (!irq_mask(irq, &was))
			continue;
		if (!assert_observed(irqs, snap, irq))
			continue;
		change.irq = irq;
		change.from = setting(&was);
		change.to = setting(cl_cpuset_equal(&was, &first) ? &second : &first);
		int r = apply(&change, &error);
		struct cl_change undo = change, stale = change;

		undo.from = change.to;
		undo.to = change.from;

		assert_true(irq_mask(irq, &is));
		if (r < 0) {
			assert_true(cl_cpuset_equal(&is, &was) && strlen(error.text) > 0);
			continue;
		}
		moved = true;
		assert_true(cl_cpuset_equal(&is, &change.to.cpus));
		assert_true(assert_observed(irqs, snap, irq));
		stale.from = change.from;
		stale.to = setting(cl_cpuset_equal(&was, &all) ? &second : &all);
		int r_stale = apply(&stale, &error);
		assert_int_equal(apply(&undo, &error), 0);
		assert_int_equal(r_stale, -ESTALE);

		assert_true(irq_mask(irq, &is));
		assert_true(cl_cpuset_equal(&is, &was));
		assert_true(assert_observed(irqs, snap, irq));
	}
	cl_irqs_free(irqs);
	cl_snapshot_free(snap);
	if (!moved)
		skip();
}

static void test_irq_lines(void **state)
{
	char name[CL_NAME_MAX], tiny[4];
	uint32_t number = 0;
	uint64_t count = 0;

	assert_true(cl_irq_parse_line(
		" 38:          0        993 PCI-MSIX-0000:00:03.0   1-edge      virtio2-input.0\n",
		&number, &count, name, sizeof(name)));
	assert_int_equal(number, 38);
	assert_int_equal(count, 993);
	assert_string_equal(name, "virtio2-input.0");
	assert_true(cl_irq_parse_line("120: 7 5  xen-dyn    -event     vif1.0-q0-tx", &number,
				      &count, name, sizeof(name)));
	assert_string_equal(name, "vif1.0-q0-tx");
	assert_true(cl_irq_parse_line("11: 1 2 GICv3  27 Level     arch_timer", &number, &count,
				      name, sizeof(name)));
	assert_string_equal(name, "arch_timer");
	assert_int_equal(count, 3);
	assert_true(cl_irq_parse_line("40: 1 IR-PCI-MSI 5-edge vfio-msix[3](0000:3b:00.0), other  ",
				      &number, &count, name, sizeof(name)));
	assert_string_equal(name, "vfio-msix[3](0000:3b:00.0), other");
	assert_true(cl_irq_parse_line("40: 1 IR-PCI-MSI 5-edge long-name", &number, &count, tiny,
				      sizeof(tiny)));
	assert_string_equal(tiny, "lon");
	assert_true(cl_irq_parse_line("9:", &number, &count, name, sizeof(name)));
	assert_string_equal(name, "");
	assert_int_equal(count, 0);
	assert_true(cl_irq_parse_line("9: 18446744073709551615 5 c h n", &number, &count, name,
				      sizeof(name)));
	assert_true(count == UINT64_MAX);
	assert_false(cl_irq_parse_line("           CPU0       CPU1       ", &number, &count, name,
				       sizeof(name)));
	assert_false(cl_irq_parse_line("LOC:      22637      19872   Local timer", &number, &count,
				       name, sizeof(name)));
	assert_false(
		cl_irq_parse_line("99999999999: 1 a b c", &number, &count, name, sizeof(name)));
	assert_false(cl_irq_parse_line("", &number, &count, name, sizeof(name)));
}

struct seen {
	char name[CL_NAME_MAX];
	uint32_t calls;
};

static struct cl_guest_ix own_one(void *ctx, const char *name)
{
	struct seen *seen = ctx;

	seen->calls++;
	if (!seen->name[0])
		snprintf(seen->name, sizeof(seen->name), "%s", name);
	return (struct cl_guest_ix){ strcmp(name, seen->name) == 0 ? 0 : CL_NONE };
}

static void test_irqs_observed(void **state)
{
	struct cl_snapshot *snap = cl_snapshot_new(&cl_limits_small);
	struct cl_error error;
	struct cl_irqs *irqs;
	struct seen seen = { 0 };
	struct cl_cpuset now;

	assert_int_equal(cl_irqs_new(&irqs, &error), 0);
	for (int i = 0; i < 2; i++) {
		cl_snapshot_reset(snap);
		assert_non_null(cl_snapshot_add_guests(snap));
		assert_int_equal(cl_irqs_observe(irqs, snap, own_one, &seen, &error), 0);
		if (seen.calls == 0)
			skip(); /* a machine without a named interrupt */
		assert_true(snap->n.irqs >= 1);
		assert_string_equal(cl_snapshot_str(snap, snap->irqs[0].name), seen.name);
		assert_true(irq_mask(snap->irqs[0].number, &now));
		assert_true(cl_cpuset_equal(cl_snapshot_set(snap, snap->irqs[0].mask), &now));
		assert_true(snap->part_ns[CL_PART_IRQS] > 0);
	}
	cl_irqs_free(irqs);
	cl_irqs_free(NULL);
	cl_snapshot_free(snap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_irq),
		cmocka_unit_test(test_irq_lines),
		cmocka_unit_test(test_irqs_observed),
	};
	uint32_t cpu;

	if (sched_getaffinity(0, sizeof(all.w), (cpu_set_t *)all.w) < 0)
		return 1;
	cpu = cl_cpuset_next(&all, 0);
	cl_cpuset_add(&first, cpu);
	cpu = cl_cpuset_next(&all, cpu + 1);
	if (cpu != CL_NONE)
		cl_cpuset_add(&second, cpu);
	return cmocka_run_group_tests_name("irq", tests, NULL, NULL);
}
