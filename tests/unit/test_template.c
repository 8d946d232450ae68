/* SPDX-License-Identifier: GPL-2.0-or-later */
/* template: a real child process as guest, seen and changed through the host's operations alone. */
#include "template/template.h"
#include "cgroup.h"
#include "crowd.h"
#include "lib.h"
#include "template/list.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char *const names[] = {
	"CPU 0/TCG", "CPU 1/TCG", "busy", "CPU 1/copy", "CPU x", NULL
};
static struct crowd crowd;
static struct cl_host *host;
static struct cl_snapshot *snap, *before;
static char file[64], made[CL_PATH_MAX]; /* what teardown removes, whatever happened */

static void open_host(const char *arg)
{
	struct cl_error error;

	assert_int_equal(cl_host_template.open(arg, &host, &error), 0);
}

static void observe(void)
{
	struct cl_snapshot *other = before;
	struct cl_error error;

	before = snap;
	snap = other;
	assert_int_equal(
		host->ops->observe(host, host->ops->now_ns(host) + CL_NS_PER_S, snap, &error), 0);
	assert_string_equal(
		cl_snapshot_fault_text(cl_snapshot_check(before->taken_ns ? before : NULL, snap)),
		"sound");
}

static int setup(void **state)
{
	crowd = crowd_start(names);
	host = NULL;
	snap = cl_snapshot_new(&cl_limits_small);
	before = cl_snapshot_new(&cl_limits_small);
	snprintf(file, sizeof(file), "/tmp/closer-test-%d", getpid());
	return snap && before ? 0 : -1;
}

static int teardown(void **state)
{
	struct cl_cgroup cgroup;

	cl_host_template.close(host);
	crowd_end(&crowd);
	cl_snapshot_free(snap);
	cl_snapshot_free(before);
	unlink(file);
	cl_cgroup_find(&cgroup);
	if (made[0]) {
		cl_cgroup_remove(&cgroup, made, NULL);
		cl_cgroup_remove(&cgroup, "/closer", NULL);
	}
	made[0] = '\0';
	return 0;
}

static const struct cl_work *work_of(pid_t tid)
{
	for (uint32_t i = 0; i < snap->n.works; i++)
		if (snap->works[i].thread.tid == tid)
			return &snap->works[i];
	return NULL;
}

static void write_list(const char *format, ...)
{
	char name[96];
	va_list ap;

	snprintf(name, sizeof(name), "%s.new", file);
	FILE *f = fopen(name, "we");
	assert_non_null(f);
	va_start(ap, format);
	vfprintf(f, format, ap);
	va_end(ap);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(name, file), 0);
}

static void test_list(void **state)
{
	struct cl_listed list[3];
	struct cl_error error;

	assert_int_equal(cl_list_parse_arg("12,34=a name,12=again", list, 3, &error), 2);
	assert_int_equal(list[0].pid, 12);
	assert_string_equal(list[0].name, "");
	assert_int_equal(list[1].pid, 34);
	assert_string_equal(list[1].name, "a name");
	assert_int_equal(cl_list_parse_arg("1,2,3,4", list, 3, &error), -E2BIG);
	static const char *const bad[] = { "",           "x",   "1,",   "0", "-1",
					   "2147483648", "1 2", "1x=2", ",1" };
	for (size_t i = 0; i < CL_COUNT(bad); i++)
		assert_int_equal(cl_list_parse_arg(bad[i], list, 3, &error), -EINVAL);
	assert_int_equal(cl_list_parse_file("# those\n\n12 a name\n34\n#", list, 3, &error), 2);
	assert_string_equal(list[0].name, "a name");
	assert_int_equal(cl_list_parse_file("", list, 3, &error), 0);
	assert_int_equal(cl_list_parse_file("12\nx\n", list, 3, &error), -EINVAL);
	assert_non_null(strstr(error.text, "line 2"));
}

static void test_seen(void **state)
{
	char arg[64];

	snprintf(arg, sizeof(arg), "%d=my guest,%d", crowd.pid,
		 crowd.tids[0]); /* a thread is no process */
	open_host(arg);
	observe();
	assert_int_equal(snap->n.guests, 1);
	const struct cl_guest *guest = &snap->guests[0];
	assert_string_equal(cl_snapshot_str(snap, guest->name), "my guest");
	assert_int_equal(guest->process.tid, crowd.pid);
	assert_int_equal(guest->id.b[6] >> 4, 8);
	assert_int_equal(guest->id.b[8] >> 6, 2);
	assert_true(guest->mem_bytes > 0 && guest->mem_bytes != CL_UNKNOWN);
	if (CL_CAN(snap, MEMORY_NODES)) {
		assert_true(guest->home != 0);
		assert_true(guest->home >> guest->home_most.v & 1);
	}
	/* Two vCPUs; who claims to be one that is there, and who is none, is work; so are "busy"
	 * and the main thread. */
	assert_int_equal(guest->vcpu_count, 2);
	assert_int_equal(guest->work_count, 4);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(snap->vcpus[i].index, i);
		assert_true(snap->vcpus[i].cpu.v < snap->n.cpus);
		assert_true(cl_cpuset_count(cl_snapshot_set(snap, snap->vcpus[i].mask)) > 0);
	}
	assert_int_equal(snap->vcpus[0].thread.tid, crowd.tids[0]);
	assert_non_null(work_of(crowd.pid));
	assert_non_null(work_of(crowd.tids[4]));
	const struct cl_work *busy = work_of(crowd.tids[2]);
	assert_non_null(busy);
	assert_string_equal(busy->name, "busy");
	assert_int_equal(busy->kind, CL_WORK_THREAD);
	assert_true(busy->cpu_ns >= 25 * CL_NS_PER_MS && busy->cpu_ns != CL_UNKNOWN);
	assert_true(busy->read_ns >= snap->taken_ns);
	for (uint32_t i = 0; i < CL_CAN_COUNT; i++) /* what cannot be done has a reason */
		assert_true(snap->can >> i & 1 || i == CL_CAN_PIN || i == CL_CAN_NAPI_THREAD ||
			    i == CL_CAN_PARTITION || i == CL_CAN_ENTITLEMENT || i == CL_CAN_RATE ||
			    i == CL_CAN_MEMORY || cl_snapshot_str(snap, snap->why_not[i])[0]);
	/* The same again is the same: identity holds. */
	struct cl_uuid id = guest->id;
	observe();
	assert_int_equal(cl_uuid_compare(&snap->guests[0].id, &id), 0);
	assert_int_equal(snap->n.works, before->n.works);
}

static bool group_listed(const char *path)
{
	for (uint32_t i = 0; i < snap->n.groups; i++)
		if (strcmp(cl_snapshot_str(snap, snap->groups[i].path), path) == 0)
			return true;
	return false;
}

static struct cl_change reversed(const struct cl_change *change)
{
	struct cl_change b = *change;

	b.from = change->to;
	b.to = change->from;
	return b;
}

/* The two groups that the guest's container takes, and the work's way into it, on one CPU. */
static void plan(const struct cl_work *work, struct cl_change *ret_root, struct cl_change *ret_make,
		 struct cl_change *ret_place)
{
	const struct cl_cpuset *allowed = cl_snapshot_set(snap, snap->allowed);
	struct cl_change root = { .kind = CL_CHANGE_GROUP, .path = "/closer" }, make, place;
	char uuid[CL_UUID_TEXT];

	cl_uuid_format(&snap->guests[0].id, uuid);
	root.to.present = true;
	make = root;
	root.to.cpus = *allowed;
	cl_cpuset_add(&make.to.cpus, cl_cpuset_next(allowed, 0));
	snprintf(make.path, sizeof(make.path), "/closer/%s", uuid);
	place = (struct cl_change){ .kind = CL_CHANGE_THREAD, .thread = work->thread };
	place.from.present = place.from.has_path = true;
	place.from.cpus = *cl_snapshot_set(snap, work->mask);
	snprintf(place.from.path, sizeof(place.from.path), "%s",
		 cl_snapshot_str(snap, snap->groups[work->group.v].path));
	place.to = make.to;
	place.to.has_path = true;
	snprintf(place.to.path, sizeof(place.to.path), "%s", make.path);
	snprintf(made, sizeof(made), "%s", make.path);
	*ret_root = root;
	*ret_make = make;
	*ret_place = place;
}

/* By the kernel's word, and by the next snapshot's. */
static void assert_placed(const struct cl_change *place)
{
	char proc[64], text[4096] = "";
	struct cl_cpuset now = { 0 };

	assert_int_equal(sched_getaffinity(place->thread.tid, sizeof(now.w), (cpu_set_t *)now.w),
			 0);
	assert_true(cl_cpuset_equal(&now, &place->to.cpus));
	snprintf(proc, sizeof(proc), "/proc/%d/cgroup", place->thread.tid);
	assert_true(cl_read_file(AT_FDCWD, proc, text, sizeof(text)) > 0);
	assert_non_null(strstr(text, place->to.path));

	observe();
	const struct cl_work *work = work_of(place->thread.tid);
	const struct cl_group *group = &snap->groups[work->group.v];

	assert_true(cl_cpuset_equal(cl_snapshot_set(snap, work->mask), &place->to.cpus));
	assert_string_equal(cl_snapshot_str(snap, group->path), place->to.path);
	assert_true(group->ours && cl_uuid_compare(&group->guest, &snap->guests[0].id) == 0);
	assert_true(cl_cpuset_equal(cl_snapshot_set(snap, group->cpus), &place->to.cpus));
}

/* Group and mask of a thread, set and given back through the operations; the container is listed
 * while it is empty. */
static void test_apply(void **state)
{
	struct cl_change root, make, place, undo;
	struct cl_error error;
	struct cl_setting now;
	char arg[64];

	snprintf(arg, sizeof(arg), "%d", crowd.pid);
	open_host(arg);
	observe();
	if (!CL_CAN(snap, MASK) || !CL_CAN(snap, GROUP) ||
	    cl_cpuset_count(cl_snapshot_set(snap, snap->allowed)) < 2)
		skip();
	const struct cl_work *work = work_of(crowd.tids[2]);
	assert_non_null(work);
	plan(work, &root, &make, &place);

	assert_int_equal(host->ops->apply(host, &root, &error), 0);
	assert_int_equal(host->ops->apply(host, &make, &error), 0);
	assert_int_equal(host->ops->apply(host, &place, &error), 0);
	assert_placed(&place);

	undo = reversed(&place);
	assert_int_equal(host->ops->apply(host, &undo, &error), 0);
	assert_int_equal(host->ops->read(host, &place, &now, &error), 0);
	assert_string_equal(now.path, place.from.path);
	assert_true(cl_cpuset_equal(&now.cpus, &place.from.cpus));
	observe();
	assert_true(group_listed(make.path));
	undo = reversed(&make);
	assert_int_equal(host->ops->apply(host, &undo, &error), 0);
	observe();
	assert_false(group_listed(make.path));
	undo = reversed(&root);
	assert_int_equal(host->ops->apply(host, &undo, &error), 0);
}

/* A process that ends wakes the host and is forgotten; a dead one or one without a list is no
 * reason not to open, but nothing can be seen of a list that has only dead ones. */
static void test_end(void **state)
{
	struct cl_change change = { .kind = CL_CHANGE_THREAD };
	enum cl_wake why = CL_WAKE_TIMER;
	struct cl_error error;
	struct cl_setting now;
	char arg[64];
	int ends[2];

	snprintf(arg, sizeof(arg), "%d", crowd.pid);
	open_host(arg);
	observe();
	assert_int_equal(snap->n.guests, 1);
	change.thread = snap->works[0].thread;
	change.from.cpus = change.to.cpus = *cl_snapshot_set(snap, snap->works[0].mask);
	change.from.present = change.to.present = true;
	assert_int_equal(
		host->ops->wait(host, host->ops->now_ns(host) + CL_NS_PER_MS, -1, &why, &error), 0);
	assert_int_equal(why, CL_WAKE_TIMER);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(host->ops->wait(host, UINT64_MAX, ends[0], &why, &error), 0);
	assert_int_equal(why, CL_WAKE_SIGNAL);
	close(ends[0]);
	close(ends[1]);
	kill(crowd.pid, SIGKILL); /* a zombie for now: as dead as can be */
	assert_int_equal(host->ops->wait(host, UINT64_MAX, -1, &why, &error), 0);
	assert_int_equal(why, CL_WAKE_EVENT);
	observe();
	assert_int_equal(snap->n.guests, 0);
	assert_int_equal(snap->n.works, 0);
	waitpid(crowd.pid, NULL, 0);
	crowd.pid = 0;
	assert_int_equal(host->ops->read(host, &change, &now, &error), -ESRCH);
	assert_int_equal(host->ops->apply(host, &change, &error), -ESRCH);
	cl_host_template.close(host);
	open_host(arg);
	assert_int_equal(
		host->ops->observe(host, host->ops->now_ns(host) + CL_NS_PER_S, snap, &error),
		-ESRCH);
	assert_int_equal(cl_host_template.open("nobody", &host, &error), -EINVAL);
}

static void say(void *ctx, const char *level, const char *text)
{
	int *counts = ctx;

	assert_true(text[0] != '\0');
	counts[strcmp(level, "bad") == 0]++;
}

static void test_file(void **state)
{
	static const char *const alone[] = { NULL };
	struct crowd second = crowd_start(alone);
	enum cl_wake why = CL_WAKE_TIMER;
	struct cl_error error;
	char arg[80];
	int counts[2] = { 0 };

	snprintf(arg, sizeof(arg), "@%s", file);
	open_host(arg); /* not there yet */
	host->ops->check(host, say, counts);
	assert_true(counts[0] >= 3 && counts[1] == 1);
	observe();
	assert_int_equal(snap->n.guests, 0);
	write_list("%d first one\n", crowd.pid);
	assert_int_equal(host->ops->wait(host, UINT64_MAX, -1, &why, &error), 0);
	assert_int_equal(why, CL_WAKE_EVENT);
	observe();
	assert_int_equal(snap->n.guests, 1);
	struct cl_uuid id = snap->guests[0].id;
	write_list("%d\n%d renamed\n", second.pid, crowd.pid);
	observe();
	assert_int_equal(snap->n.guests, 2);
	/* Malformed: the list stays, and check says what is wrong. */
	write_list("%d\nnonsense here\n", second.pid);
	observe();
	assert_int_equal(snap->n.guests, 2);
	memset(counts, 0, sizeof(counts));
	host->ops->check(host, say, counts);
	assert_int_equal(counts[1], 1);
	write_list("%d renamed again\n", crowd.pid);
	observe();
	assert_int_equal(snap->n.guests, 1);
	assert_int_equal(cl_uuid_compare(&snap->guests[0].id, &id), 0);
	assert_string_equal(cl_snapshot_str(snap, snap->guests[0].name), "renamed again");
	crowd_end(&second);
}

/* The whole run has the machine's /closer to itself. */
static int group_setup(void **state)
{
	struct cl_cgroup found;

	cl_cgroup_find(&found);
	return found.version == 0 || crowd_alone(found.mount) ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test_setup_teardown(test_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_apply, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
	};

	return cmocka_run_group_tests_name("template", tests, group_setup, NULL);
}
