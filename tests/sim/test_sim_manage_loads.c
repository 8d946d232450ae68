/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Loads of dom0: guests that come and go, and a management stack whose heartbeat is waited for. */
#include "manage_world.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>

static struct host host;

static struct sim_load *load_new(const char *type)
{
	const struct sim_load_ops *ops = sim_load_find(type);

	assert_non_null(ops);
	struct sim_load *load = sim_load_new(host.world, ops, host.dom0, "it", 7);

	assert_non_null(load);
	return load;
}

static void *param_of(struct sim_load *load, const char *name)
{
	const struct sim_load_param *param = load->ops->params;

	while (strcmp(param->name, name) != 0) {
		param++;
		assert_non_null(param->name);
	}
	return (char *)load + param->offset;
}

static void set(struct sim_load *load, const char *name, uint64_t value)
{
	memcpy(param_of(load, name), &value, sizeof(value));
}

static double metric(struct sim_load *load, uint64_t span_ns, const char *name)
{
	struct sim_report report = { 0 };

	load->ops->report(load, span_ns, &report);
	for (uint32_t i = 0; i < report.count; i++)
		if (strcmp(report.metrics[i].name, name) == 0)
			return report.metrics[i].value;
	fail_msg("there is no metric %s", name);
	return 0;
}

static void begin(struct sim_load *load)
{
	struct cl_error err = { 0 };

	if (load->ops->start(load, &err) < 0)
		fail_msg("%s", err.text);
	load->ops->reset(load);
}

/* ---- guests come and go ---- */

static void come_and_go(const char *end)
{
	char name[32];

	host_begin(&host, 1, 2, 0);
	host.world->costs.create_ns = 300 * MS;
	host.world->costs.destroy_ns = 100 * MS;
	struct sim_load *load = load_new("operations");

	strcpy(param_of(load, "end"), end);
	begin(load);
	host_run(&host, 60 * S);
	assert_in_range(metric(load, 60 * S, "it.create.time"), 300 * MS, 300 * MS + 1000);
	assert_true(metric(load, 60 * S, "it.create.done") >= 10);
	assert_true(metric(load, 60 * S, "it.create.failed") == 0);
	assert_true(metric(load, 60 * S, "it.refused") == 0);
	snprintf(name, sizeof(name), "it.%s.time", end);
	assert_true(metric(load, 60 * S, name) >= 100e6);
	/* Those that are gone have left nothing. */
	assert_in_range(host.world->domain_count, 1, 2);
	sim_load_free(load);
	host_end(&host);
}

static void operations(void **state)
{
	come_and_go("destroy");
	come_and_go("shutdown");
	come_and_go("migrate");
	come_and_go("save");
}

/* A guest that writes is copied more than once, and stands still for longer. */
static void writing_guests(void **state)
{
	double standstill[2];

	for (uint32_t writes = 0; writes < 2; writes++) {
		host_begin(&host, 1, 2, 0);
		struct sim_load *load = load_new("operations");

		strcpy(param_of(load, "end"), "migrate");
		set(load, "dirty", writes * 200000);
		begin(load);
		host_run(&host, 60 * S);
		standstill[writes] = metric(load, 60 * S, "it.migrate.standstill");
		sim_load_free(load);
		host_end(&host);
	}
	assert_true(standstill[1] > 5 * standstill[0]);
}

static void no_room(void **state)
{
	host_begin(&host, 1, 2, 0);
	struct sim_load *load = load_new("operations");

	set(load, "memory", 20 * GIB);
	begin(load);
	host_run(&host, 10 * S);
	assert_true(metric(load, 10 * S, "it.refused") >= 9);
	assert_true(metric(load, 10 * S, "it.create.done") == 0);
	sim_load_free(load);
	host_end(&host);
}

/* Somebody else destroys its guests, in every state. */
static void interfered(void **state)
{
	host_begin(&host, 1, 2, 0);
	host.world->costs.create_ns = 300 * MS;
	host.world->costs.destroy_ns = 100 * MS;
	struct sim_load *load = load_new("operations");

	strcpy(param_of(load, "end"), "migrate");
	set(load, "dirty", 1000);
	set(load, "life", 200 * MS);
	begin(load);
	for (uint32_t i = 0; i < 100; i++) {
		host_run(&host, (300 + i * 137 % 1000) * MS);
		for (uint32_t d = 1; d < host.world->domain_count; d++)
			if (host.world->domains[d]->alive)
				sim_manage_event(host.world, "destroy",
						 host.world->domains[d]->name, 0, NULL);
	}
	assert_true(metric(load, 88 * S, "it.create.done") > 5);
	assert_true(metric(load, 88 * S, "it.create.failed") > 5);
	assert_true(metric(load, 88 * S, "it.migrate.failed") > 5);
	load->ops->stop(load);
	load->ops->stop(load);
	host_run(&host, 10 * S);
	sim_load_free(load);
	host_end(&host);
}

static void bad_end(void **state)
{
	struct cl_error err = { 0 };

	host_begin(&host, 1, 2, 0);
	struct sim_load *load = load_new("operations");

	strcpy(param_of(load, "end"), "explode");
	assert_int_equal(load->ops->start(load, &err), -EINVAL);
	strcpy(param_of(load, "end"), "migrate");
	host.manager->nic = NULL;
	assert_int_equal(load->ops->start(load, &err), -ENODEV);
	sim_load_free(load);
	load = load_new("manager");
	strcpy(param_of(load, "stack"), "openstick");
	assert_int_equal(load->ops->start(load, &err), -EINVAL);
	assert_string_equal(err.text, "load it: there is no stack 'openstick'");
	sim_load_free(load);
	host_end(&host);
}

/* ---- a management stack ---- */

static void stacks(void **state)
{
	assert_int_equal(sim_stack_find("openstack")->vcpus, 2);
	assert_int_equal(sim_stack_find("openstack")->mem_bytes, 2 * GIB);
	assert_int_equal(sim_stack_find("opennebula")->vcpus, 2);
	assert_int_equal(sim_stack_find("opennebula")->mem_bytes >> 20, 1894); /* 1.85 GiB */
	assert_int_equal(sim_stack_find("eucalyptus")->vcpus, 1);
	assert_int_equal(sim_stack_find("eucalyptus")->mem_bytes, GIB * 3 / 2);
	assert_null(sim_stack_find("openstick"));
	assert_null(sim_stack_find(""));
}

struct outcome {
	double cpu, given_up, dead, heartbeat;
};

/* dom0 has one vCPU; so many processes burn CPU beside the manager's. */
static struct outcome managed(const char *stack, uint32_t hogs, uint64_t timeout_ns)
{
	struct outcome outcome;

	host_begin(&host, 1, 2, 0);
	struct sim_load *load = load_new("manager");

	strcpy(param_of(load, "stack"), stack);
	set(load, "timeout", timeout_ns);
	for (uint32_t i = 0; i < hogs; i++)
		bench_load(&host.bench, host.dom0, 0, 5 * MS, 0);
	begin(load);
	host_run(&host, 600 * S);
	outcome.cpu = metric(load, 600 * S, "it.cpu");
	outcome.given_up = metric(load, 600 * S, "it.given_up");
	outcome.dead = metric(load, 600 * S, "it.dead");
	outcome.heartbeat = metric(load, 600 * S, "it.heartbeat");
	sim_load_free(load);
	host_end(&host);
	return outcome;
}

static void heartbeats(void **state)
{
	struct outcome idle = managed("eucalyptus", 0, 60 * S);

	/* 20 ms each 100 ms; and 5 ms each 10 s. */
	assert_true(idle.cpu > 0.19 && idle.cpu < 0.212);
	assert_true(idle.given_up == 0 && idle.dead == 0);
	assert_true(idle.heartbeat >= 5e6 && idle.heartbeat < 50e6);

	/* Two processes, twice as much. */
	struct outcome two = managed("openstack", 0, 60 * S);

	assert_true(two.cpu > 0.38 && two.cpu < 0.424);

	/* A third of the CPU is more than it needs: later, but in time. */
	struct outcome busy = managed("eucalyptus", 2, 60 * S);

	assert_true(busy.given_up == 0);
	assert_true(busy.heartbeat > 1.5 * idle.heartbeat);
	assert_true(busy.cpu > 0.19);

	/* A ninth is less: jobs pile up, and the host is given up. */
	struct outcome starved = managed("eucalyptus", 8, 60 * S);

	assert_true(starved.given_up >= 1);
	assert_true(starved.dead > 0.3);
	assert_true(starved.cpu < 0.13);

	/* A patient controller notices later, or not at all. */
	assert_true(managed("eucalyptus", 8, 400 * S).dead < starved.dead);
}

/* It comes back when there is CPU again. */
static void recovers(void **state)
{
	struct load *hogs[8];

	host_begin(&host, 1, 2, 0);
	struct sim_load *load = load_new("manager");

	strcpy(param_of(load, "stack"), "eucalyptus");
	begin(load);
	for (uint32_t i = 0; i < 8; i++)
		hogs[i] = bench_load(&host.bench, host.dom0, 0, 5 * MS, 0);
	host_run(&host, 300 * S);
	assert_true(metric(load, 300 * S, "it.given_up") >= 1);
	for (uint32_t i = 0; i < 8; i++)
		hogs[i]->sleep_ns = 1000 * S;
	host_run(&host, 100 * S);
	load->ops->reset(load);
	host_run(&host, 100 * S);
	assert_true(metric(load, 100 * S, "it.given_up") == 0);
	assert_true(metric(load, 100 * S, "it.dead") == 0);
	sim_load_free(load);
	host_end(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operations), cmocka_unit_test(writing_guests),
		cmocka_unit_test(no_room),    cmocka_unit_test(interfered),
		cmocka_unit_test(bad_end),    cmocka_unit_test(stacks),
		cmocka_unit_test(heartbeats), cmocka_unit_test(recovers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
