/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The journal: what is written is read back, what is torn, damaged or unsound is told from it. */
#include "written.h"

/* ---- round trip ---- */

static void test_round_trip(void **state)
{
	const struct place *p = *state;
	struct cl_change c[] = {
		group("/closer", NULL, "0-3"),
		group("/closer/a", NULL, "0-3"),
		thread(77, UINT64_MAX, in("/a b\\\n\xc3\xbc/x", "0-3,8"), in("/closer", "1")),
		thread(78, 5, in(NULL, "0-4095"), in(NULL, "4095")),
		irq(45, "0", "1"),
		vcpu(0, 3, "0-3", "3"),
		vcpu(7, 0, "0-3", "1-3"),
		switched(CL_CHANGE_FENCE, "/closer"),
		fence("/", "0,2"),
		switched(CL_CHANGE_NIC, "vif1.0"),
		entitled(CL_CHANGE_CAP, 7, 600000, 370000),
		entitled(CL_CHANGE_WEIGHT, 7, 256, 65535),
		entitled(CL_CHANGE_BUDGET, 8, INT64_MAX, 1),
		limit(CL_CHANGE_RATE, "", 0, 62500, 50 * CL_NS_PER_MS),
		limit(CL_CHANGE_QUOTA, "/closer/a", 0, 5 * CL_NS_PER_MS, 100 * CL_NS_PER_MS),
		limit(CL_CHANGE_IO, "/closer/a", 7, INT64_MAX, CL_NS_PER_S),
		limit(CL_CHANGE_PACKETS, "vif1.0", 800, 0, 0), /* let go */
		entitled(CL_CHANGE_MEMORY, 8, INT64_C(1) << 30, INT64_C(1008) << 20),
		entitled(CL_CHANGE_MEMORY, 0, INT64_C(1) << 30, INT64_C(1040) << 20),
	};
	struct cl_journal_writer *w = writer(p);
	struct cl_journal j;
	uint32_t ids[CL_COUNT(c)];

	c[CL_COUNT(c) - 3].from.number = 1; /* the controller was not there */
	c[0].from.number = 1; /* nor did the group above it pass the controller down */
	assert_int_equal(cl_journal_read(p->dir, &j, NULL),
			 -ENOENT); /* nothing before the first plan */
	plan(w, c, CL_COUNT(c), ids);
	for (uint32_t i = 0; i < CL_COUNT(c); i++)
		assert_int_equal(ids[i], i + 1);
	assert_int_equal(cl_journal_outcome(w, ids[0], 0), 0);
	assert_int_equal(cl_journal_outcome(w, ids[1], ESTALE), 0);
	j = journal(p);
	assert_string_equal(j.host, "template:1=a b\\c");
	assert_int_equal(j.entry_count, CL_COUNT(c));
	assert_false(j.torn);
	for (uint32_t i = 0; i < CL_COUNT(c); i++) {
		const struct cl_change *got = &j.entries[i].change;

		assert_true(cl_change_same(got, &c[i]));
		assert_int_equal(got->process, c[i].process);
		same_setting(&got->from, &c[i].from);
		same_setting(&got->to, &c[i].to);
	}
	cl_journal_done(&j);
	cl_journal_close(w);
}

/* Goes on where another ended, in the same file; all values that were intended stay known. */
static void test_fold(void **state)
{
	const struct place *p = *state;
	struct cl_change a = thread(9, 1, in("/", "0-3"), in("/closer", "1"));
	struct cl_change b = thread(9, 1, in("/closer", "1"), in("/closer", "2"));
	struct cl_change other = thread(9, 2, in("/", "0-3"), in("/closer", "3"));
	struct cl_journal_writer *w = writer(p);
	struct cl_journal j;
	uint32_t ids[2];

	plan(w, &a, 1, ids);
	plan(w, &other, 1, ids);
	cl_journal_close(w);
	w = writer(p);
	plan(w, &b, 1, ids);
	assert_int_equal(ids[0], 3);
	cl_journal_close(w);
	j = journal(p);
	assert_int_equal(j.entry_count, 2); /* another start time is another thread */
	same_setting(&j.entries[0].change.from, &a.from);
	same_setting(&j.entries[0].change.to, &b.to);
	assert_int_equal(j.entries[0].change_count, 2);
	same_setting(&j.changes[j.entries[0].change_first].to, &a.to);
	assert_true(j.notes[j.entries[0].change_first].ticks > 0);
	cl_journal_done(&j);
}

static void test_drop(void **state)
{
	const struct place *p = *state;
	struct cl_change a = thread(9, 1, in("/", "0-3"), in("/closer", "1"));
	struct cl_change again = thread(9, 1, in("/", "2"), in("/closer", "3"));
	struct cl_journal_writer *w = writer(p);
	struct cl_journal j;
	uint32_t ids[1];

	plan(w, &a, 1, ids);
	assert_int_equal(cl_journal_drop(w, &a, NULL), 0);
	j = journal(p);
	assert_int_equal(j.entry_count, 1);
	assert_true(j.entries[0].dropped);
	cl_journal_done(&j);
	/* adopted: from then on the value that was found is the one to go back to */
	plan(w, &again, 1, ids);
	j = journal(p);
	assert_int_equal(j.entry_count, 1);
	assert_false(j.entries[0].dropped);
	same_setting(&j.entries[0].change.from, &again.from);
	assert_int_equal(j.entries[0].change_count, 1);
	cl_journal_done(&j);
	cl_journal_close(w);
}

/* The same number of another domain is another vCPU; a drop ends one of them. */
static void test_vcpus(void **state)
{
	const struct place *p = *state;
	const struct cl_change c[] = { vcpu(7, 0, "0-3", "1-3"), vcpu(8, 0, "0-3", "1-3"),
				       vcpu(0, 0, "0-3", "0") };
	const struct cl_change again = vcpu(7, 0, "1-3", "2-3");
	struct cl_journal_writer *w = writer(p);
	struct cl_journal j;
	uint32_t ids[3];

	plan(w, c, 3, ids);
	plan(w, &again, 1, ids);
	assert_int_equal(cl_journal_drop(w, &c[1], NULL), 0);
	cl_journal_close(w);
	j = journal(p);
	assert_int_equal(j.entry_count, 3);
	same_setting(&j.entries[0].change.from, &c[0].from);
	same_setting(&j.entries[0].change.to, &again.to);
	assert_false(j.entries[0].dropped);
	assert_true(j.entries[1].dropped);
	assert_false(j.entries[2].dropped);
	cl_journal_done(&j);
}

/* First by mask alone, later into a container: it goes back to the group in which that found it. */
static void test_group_comes_later(void **state)
{
	const struct place *p = *state;
	struct cl_change a = thread(9, 1, in(NULL, "0-3"), in(NULL, "1"));
	struct cl_change b = thread(9, 1, in("/vm", "1"), in("/closer", "2"));
	struct cl_change c = thread(9, 1, in(NULL, "2"), in(NULL, "3"));
	struct cl_setting want = in("/vm", "0-3"), last = in("/closer", "3");
	struct cl_journal_writer *w = writer(p);
	struct cl_journal j;
	uint32_t id;

	plan(w, &a, 1, &id);
	plan(w, &b, 1, &id);
	plan(w, &c, 1, &id);
	j = journal(p);
	assert_int_equal(j.entry_count, 1);
	same_setting(&j.entries[0].change.from, &want);
	same_setting(&j.entries[0].change.to, &last);
	cl_journal_done(&j);
	cl_journal_close(w);
}

static void test_inherited_is_exchanged(void **state)
{
	const struct place *p = *state;
	struct cl_change c = thread(9, 1, in("/closer/x", "1"), in("/", "0-3"));
	enum cl_reason why = CL_REASON_INHERITED;
	struct cl_journal_writer *w = writer(p);
	struct cl_journal j;
	uint32_t id;

	assert_int_equal(cl_journal_plan(w, &c, &why, 1, &id, NULL), 0);
	j = journal(p);
	same_setting(&j.entries[0].change.from, &c.to);
	same_setting(&j.entries[0].change.to, &c.from);
	assert_true(j.notes[0].inherited);
	cl_journal_done(&j);
	cl_journal_close(w);
}

static void test_confirm_and_undone(void **state)
{
	const struct place *p = *state;
	struct cl_change c = irq(4, "0", "1");
	struct cl_journal_writer *w = writer(p);
	struct cl_journal j;
	uint64_t first;
	uint32_t id;
	int dir_fd;

	assert_int_equal(cl_journal_confirm(w, NULL), -ENOENT);
	assert_int_equal(cl_journal_until(w, 500), 0); /* nothing to undo then */
	plan(w, &c, 1, &id);
	assert_int_equal(cl_journal_until(w, 3000), 0);
	assert_int_equal(cl_journal_until(w, 2000), 0);
	assert_int_equal(cl_journal_until(w, 4000), 0);
	j = journal(p);
	assert_int_equal(j.until_ns, 2000); /* the first one undoes all */
	cl_journal_done(&j);
	assert_int_equal(cl_journal_confirm(w, NULL), 0);
	j = journal(p);
	assert_true(j.confirmed);
	assert_int_equal(j.until_ns, 0);
	first = j.id;
	cl_journal_done(&j);
	plan(w, &c, 1, &id); /* later than the confirmation: not confirmed */
	j = journal(p);
	assert_false(j.confirmed);
	assert_int_equal(j.id, first);
	cl_journal_done(&j);
	cl_journal_close(w);

	assert_int_equal(cl_dir_open(p->dir, &dir_fd, NULL), 0);
	assert_int_equal(cl_journal_finish(dir_fd, p->dir, NULL), 0);
	assert_int_equal(cl_journal_read(p->dir, &j, NULL), -ENOENT);
	assert_int_equal(faccessat(dir_fd, "journal.undone", F_OK, 0), 0);
	close(dir_fd);
	assert_int_equal(cl_journal_open(p->dir, NULL, &w, NULL), -ENOENT);
	w = writer(p);
	plan(w, &c, 1, &id);
	assert_int_equal(id, 1);
	j = journal(p);
	assert_true(j.id != first);
	cl_journal_done(&j);
	cl_journal_close(w);
}

/* What goes along with a fence is told from what was placed. */
static void test_fenced(void **state)
{
	const struct place *p = *state;
	const struct cl_change c[] = { fence("/closer", "0"),
				       thread(9, 1, in(NULL, "2"), in(NULL, "0")),
				       thread(10, 1, in(NULL, "2"), in(NULL, "0")) };
	const enum cl_reason why[] = { CL_REASON_FENCE, CL_REASON_FENCE, CL_REASON_HOME };
	struct cl_journal_writer *w = writer(p);
	struct cl_journal j;
	uint32_t ids[CL_COUNT(c)];

	assert_int_equal(cl_journal_plan(w, c, why, CL_COUNT(c), ids, NULL), 0);
	j = journal(p);
	assert_false(j.notes[j.entries[0].change_first].fenced);
	assert_true(j.notes[j.entries[1].change_first].fenced);
	assert_false(j.notes[j.entries[2].change_first].fenced);
	assert_true(cl_cpuset_equal(&j.entries[0].change.to.cpus, &c[0].to.cpus));
	cl_journal_done(&j);
	cl_journal_close(w);
}

/* ---- bad files ---- */

static char *slurp(const struct place *p, size_t *ret_len)
{
	char path[96], *text = malloc(1 << 20);
	ssize_t n;

	snprintf(path, sizeof(path), "%s/journal", p->dir);
	n = cl_read_file(AT_FDCWD, path, text, 1 << 20);
	assert_true(n > 0);
	*ret_len = (size_t)n;
	return text;
}

/* Cut anywhere: a head or nothing, never an error behind the head, never more than was there. */
static void test_torn_anywhere(void **state)
{
	const struct place *p = *state;
	uint32_t before = 0;
	size_t len, head = 0;
	char *text;

	two_plans(p);
	text = slurp(p, &len);
	for (int line = 0; line < 4; line++)
		head = (size_t)(strchr(text + head, '\n') - text) + 1;
	for (size_t cut = head; cut <= len; cut++) {
		struct cl_journal j;
		struct cl_error err;

		if (cl_journal_parse(text, cut, &j, &err) < 0)
			fail_msg("cut at %zu: %s", cut, err.text);
		assert_int_equal(j.torn, text[cut - 1] != '\n');
		assert_true(j.change_count >= before);
		before = j.change_count;
		cl_journal_done(&j);
	}
	assert_int_equal(before, 4);
	for (size_t cut = 0; cut < head; cut++) {
		struct cl_journal j;

		assert_int_equal(cl_journal_parse(text, cut, &j, NULL), -EBADMSG);
	}
	free(text);
}

static void test_torn_is_cut_off_before_more_is_written(void **state)
{
	const struct place *p = *state;
	struct cl_change c = irq(6, "0", "1");
	struct cl_journal_writer *w;
	struct cl_journal j;
	uint32_t id;
	size_t len;
	char *text;

	two_plans(p);
	text = slurp(p, &len);
	put(p, text, len - 5);
	w = writer(p);
	plan(w, &c, 1, &id);
	cl_journal_close(w);
	j = journal(p);
	assert_false(j.torn);
	assert_int_equal(j.change_count, 4);
	cl_journal_done(&j);
	free(text);
}

/* Each single byte changed: refused with a line number; with skip, everything else is still there.
 */
static void test_flipped_anywhere(void **state)
{
	const struct place *p = *state;
	size_t len;
	char *text;

	two_plans(p);
	text = slurp(p, &len);
	for (size_t at = 0; at < len; at++) {
		struct cl_journal j;
		struct cl_error err = { 0 };
		char was = text[at];

		text[at] = (char)(was ^ 0x11);
		if (cl_journal_parse(text, len, &j, &err) == 0) {
			/* only the end of the last line: then it is a torn one */
			assert_true(j.torn && at == len - 1);
			cl_journal_done(&j);
		} else {
			assert_non_null(strstr(err.text, "line "));
		}
		if (cl_journal_parse_with(text, len, true, &j, &err) == 0) {
			assert_true(j.change_count >= 2);
			cl_journal_done(&j);
		} else {
			assert_non_null(strstr(err.text, "line 1 "));
		}
		text[at] = was;
	}
	free(text);
}

/* Sound checksums, unsound contents: what closer could not have written is not believed. */
static void test_unsound(void **state)
{
	static const char *const bad[] = {
		"change 1 group /etc from absent to cpus 0 why none",
		"change 1 group /closer/../x from absent to cpus 0 why none",
		"change 1 group /closerx from absent to cpus 0 why none",
		"change 1 group /closer/a//b from absent to cpus 0 why none",
		"change 1 group /closer from absent to absent why none",
		"change 1 thread 0 start 1 process 1 from cgroup - cpus 0 to cgroup - cpus 1 why none",
		"change 1 thread 99999999999 start 1 process 1 from cgroup - cpus 0 to cgroup - cpus 1 why none",
		"change 1 thread 5 start 1 process 1 from cgroup /../x cpus 0 to cgroup /closer cpus 1 why none",
		"change 1 thread 5 start 1 process 1 from cgroup - cpus 0 to cgroup /closer cpus 1 why none",
		"change 1 thread 5 start 1 process 1 from cgroup - cpus - to cgroup - cpus 1 why none",
		"change 1 thread 5 start 1 process 1 from cgroup - cpus 0-9999 to cgroup - cpus 1 why none",
		"change 1 thread 5 start 1 process 1 from cgroup /\\x00 cpus 0 to cgroup /closer cpus 1 why none",
		"change 1 irq 5 from cpus 0 to cpus 1 why none more",
		"change 1 irq 5 from cpus 0 to cpus 1",
		"change 2 irq 5 from cpus 0 to cpus 1 why none",
		"change 0 irq 5 from cpus 0 to cpus 1 why none",
		"change 1 vcpu 0 domain 40000 uuid 00000000-0000-0000-0000-000000000000 from cpus 0 to cpus 1 why none",
		"change 1 vcpu 4096 domain 0 uuid 00000000-0000-0000-0000-000000000000 from cpus 0 to cpus 1 why none",
		"change 1 vcpu 0 domain 0 uuid 0 from cpus 0 to cpus 1 why none",
		"change 1 vcpu 0 domain 0 uuid 00000000-0000-0000-0000-000000000000 from cpus 0 to cpus - why none",
		"change 1 fence /closer/x from number 0 cpus - to number 1 cpus 0 why fence",
		"change 1 fence /closer from number 0 cpus - to number 2 cpus 0 why fence",
		"change 1 fence /closer from number 0 to number 1 why fence",
		"change 1 nic ../vif from number 0 to number 1 why none",
		"drop group /closer",
		"done 1",
		"frobnicate",
		"host again",
		"plan x 2026 ticks 1",
	};
	static const char good[] = "change 1 irq 5 from cpus 0 to cpus 1 why none";
	const struct place *p = *state;
	char text[2048];
	size_t head = 0;

	(void)p;
	head += sum_line(text + head, "closer-journal 1");
	head += sum_line(text + head, "boot 01234567-89ab-cdef-0123-456789abcdef");
	head += sum_line(text + head, "id 00000000000000aa");
	head += sum_line(text + head, "host x");
	head += sum_line(text + head, "plan 1 2026-01-01T00:00:00Z ticks 5");
	for (size_t i = 0; i < CL_COUNT(bad) + 1; i++) {
		bool sound = i == CL_COUNT(bad);
		size_t len = head + sum_line(text + head, sound ? good : bad[i]);
		struct cl_error err = { 0 };
		struct cl_journal j;
		int r = cl_journal_parse(text, len, &j, &err);

		if (r != (sound ? 0 : -EBADMSG))
			fail_msg("%s: %d %s", sound ? good : bad[i], r, err.text);
		if (r == 0)
			cl_journal_done(&j);
		else
			assert_non_null(strstr(err.text, "line 6"));
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_round_trip),
		T(test_fold),
		T(test_drop),
		T(test_vcpus),
		T(test_fenced),
		T(test_group_comes_later),
		T(test_inherited_is_exchanged),
		T(test_confirm_and_undone),
		T(test_torn_anywhere),
		T(test_torn_is_cut_off_before_more_is_written),
		T(test_flipped_anywhere),
		T(test_unsound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
