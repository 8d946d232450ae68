/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The journal as a file: whose it is, which boot's, a full disk, days of changes; adopt requests
 * and the lock beside it. */
#include "written.h"

/* ---- whose file ---- */

static void refused(const struct place *p, int code, const char *word)
{
	struct cl_journal_writer *w;
	struct cl_journal j;
	struct cl_error err = { 0 };

	assert_int_equal(cl_journal_read(p->dir, &j, &err), -code);
	if (!strstr(err.text, word))
		fail_msg("\"%s\" does not say \"%s\"", err.text, word);
	assert_int_equal(cl_journal_open(p->dir, "x:", &w, &err), -code);
}

static void test_whose_file(void **state)
{
	const struct place *p = *state;
	char path[96], other[96];

	snprintf(path, sizeof(path), "%s/journal", p->dir);
	snprintf(other, sizeof(other), "%s/elsewhere", p->dir);
	two_plans(p);
	assert_int_equal(chmod(path, 0666), 0);
	refused(p, EPERM, "written to by others");
	assert_int_equal(chmod(path, 0600), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 65534, 65534), 0);
		refused(p, EPERM, "somebody else");
		assert_int_equal(chown(path, 0, 0), 0);
	}
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
	refused(p, ELOOP, "symbolic link");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	refused(p, EPERM, "not a file");
	assert_int_equal(unlink(path), 0);
	put(p, "some other program's file\n", 26);
	refused(p, EBADMSG, "line 1");
	put(p, "", 0);
	refused(p, EBADMSG, "line 1");
	assert_int_equal(chmod(p->dir, 0777), 0);
	refused(p, EPERM, "written to by others");
	assert_int_equal(chmod(p->dir, 0700), 0);
}

static void test_other_boot(void **state)
{
	static const char other[] = "01234567-89ab-cdef-0123-456789abcdef";
	const struct place *p = *state;
	char path[160], head[512], line[128];
	struct cl_journal_writer *w;
	size_t len = 0;

	len += sum_line(head + len, "closer-journal 1");
	snprintf(line, sizeof(line), "boot %s", other);
	len += sum_line(head + len, line);
	len += (size_t)sprintf(head + len, "whatever is behind it\n");
	put(p, head, len);
	w = writer(p);
	cl_journal_close(w);
	snprintf(path, sizeof(path), "%s/journal.%s", p->dir, other);
	assert_int_equal(access(path, F_OK), 0);
	snprintf(path, sizeof(path), "%s/journal", p->dir);
	assert_int_equal(access(path, F_OK), -1);
}

/* ---- a full disk ---- */

static void test_full_disk(void **state)
{
	const struct place *p = *state;
	struct cl_change c[400];
	enum cl_reason why[400] = { CL_REASON_NONE };
	uint32_t ids[400];
	struct cl_journal_writer *w;
	struct cl_journal j;
	struct cl_error err;
	char path[96];
	struct stat before, after;
	int r;

	if (mount("none", p->dir, "tmpfs", 0, "size=32k,mode=0700") < 0)
		skip(); /* needs root */
	for (int i = 0; i < 400; i++)
		c[i] = thread(1000 + i, 1, in("/", "0-3"), in("/closer", "1"));
	snprintf(path, sizeof(path), "%s/journal", p->dir);
	w = writer(p);
	r = cl_journal_plan(w, c, why, 400, ids, &err); /* the first: no file may stay */
	assert_int_equal(r, -ENOSPC);
	assert_non_null(strstr(err.text, "nothing was applied"));
	assert_int_equal(access(path, F_OK), -1);
	plan(w, c, 8, ids);
	assert_int_equal(stat(path, &before), 0);
	r = cl_journal_plan(w, c, why, 400, ids, &err); /* a later one: back to what it was */
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	j = journal(p);
	assert_int_equal(j.entry_count, 8);
	cl_journal_done(&j);
	plan(w, c, 8, ids); /* and what fits goes on */
	cl_journal_close(w);
	j = journal(p);
	assert_int_equal(j.change_count, 16);
	cl_journal_done(&j);
	umount(p->dir);
}

/* Days of changes: the file stays small, the first `from` and all that was intended stay. */
static void test_compact(void **state)
{
	const struct place *p = *state;
	struct cl_journal_writer *w = writer(p);
	struct cl_journal j;
	struct stat st;
	uint32_t ids[8];
	char path[96];
	uint64_t id;

	for (uint32_t round = 0; round < 6000; round++) {
		struct cl_change c[8];
		char from[8], to[8];

		for (int i = 0; i < 8; i++) {
			snprintf(from, sizeof(from), "%u", 1 + (round + 3) % 4);
			snprintf(to, sizeof(to), "%u", 1 + round % 4);
			c[i] = thread(100 + i, 1, round ? in("/closer", from) : in("/", "0-7"),
				      in("/closer", to));
		}
		c[7] = group("/closer/x", round % 2 ? "1" : NULL, round % 2 ? NULL : "1");
		plan(w, c, 8, ids);
		if (round == 0) {
			j = journal(p);
			id = j.id;
			cl_journal_done(&j);
		}
	}
	cl_journal_close(w);
	snprintf(path, sizeof(path), "%s/journal", p->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size < (3 << 20));
	j = journal(p);
	assert_int_equal(j.id, id);
	assert_int_equal(j.entry_count, 8);
	assert_false(j.entries[7].change.from.present || j.entries[7].change.to.present);
	for (uint32_t i = 0; i < 7; i++) {
		const struct cl_journal_entry *e = &j.entries[i];
		struct cl_cpuset all = { 0 };

		assert_string_equal(e->change.from.path, "/");
		assert_int_equal(cl_cpuset_count(&e->change.from.cpus), 8);
		assert_true(cl_cpuset_has(&e->change.to.cpus, 1 + 5999 % 4));
		for (uint32_t k = 0; k < e->change_count; k++)
			cl_cpuset_or(&all, &j.changes[e->change_first + k].to.cpus);
		assert_int_equal(cl_cpuset_count(&all), 4);
	}
	cl_journal_done(&j);
}

/* ---- adopt, and the lock ---- */

static void test_adopt(void **state)
{
	const struct place *p = *state;
	const struct cl_object t = { .thread = { 12, 345 } }, i = { .irq = 7 };
	struct cl_adopt list[CL_ADOPT_MAX];
	uint32_t count = 0;
	int dir_fd;

	assert_int_equal(cl_dir_open(p->dir, &dir_fd, NULL), 0);
	assert_int_equal(cl_adopt_take(dir_fd, list, &count, NULL), 0);
	assert_int_equal(count, 0);
	assert_int_equal(cl_adopt_request(p->dir, &t, false, NULL), 0);
	assert_int_equal(cl_adopt_request(p->dir, &i, true, NULL), 0);
	assert_int_equal(cl_adopt_take(dir_fd, list, &count, NULL), 0);
	assert_int_equal(count, 2);
	assert_int_equal(list[0].thread.tid, 12);
	assert_int_equal(list[0].thread.start, 345);
	assert_true(list[1].irq && list[1].number == 7);
	assert_int_equal(cl_adopt_take(dir_fd, list, &count, NULL), 0);
	assert_int_equal(count, 2); /* taken once */
	close(dir_fd);
}

static void test_lock(void **state)
{
	const struct place *p = *state;
	struct cl_error err;
	char pid[32];
	int first, second;

	assert_int_equal(cl_lock(p->dir, &first, NULL), 0);
	assert_int_equal(cl_lock(p->dir, &second, &err), -EBUSY);
	snprintf(pid, sizeof(pid), "(pid %d)", getpid());
	assert_non_null(strstr(err.text, pid));
	close(first);
	assert_int_equal(cl_lock(p->dir, &second, NULL), 0);
	close(second);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_whose_file), T(test_other_boot), T(test_full_disk),
		T(test_compact),    T(test_adopt),      T(test_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
