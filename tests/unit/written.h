/* SPDX-License-Identifier: GPL-2.0-or-later */
/* written: a state directory of a test's own, and what a journal is made of, for the tests of the
 * journal. */
#ifndef CLOSER_TESTS_WRITTEN_H
#define CLOSER_TESTS_WRITTEN_H

#include "internal.h"

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <xxhash.h>

struct place {
	char dir[64];
};

static inline int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	snprintf(p->dir, sizeof(p->dir), "%s/closer-journal-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	*state = p;
	return mkdtemp(p->dir) ? 0 : -1;
}

static inline int teardown(void **state)
{
	struct place *p = *state;
	char command[128];

	umount2(p->dir, MNT_DETACH); /* left by a test that failed on a full disk */
	snprintf(command, sizeof(command), "rm -rf %s", p->dir);
	(void)!system(command);
	free(p);
	return 0;
}

static inline struct cl_cpuset cpus(const char *list)
{
	struct cl_cpuset set;

	assert_true(cl_cpuset_parse(list, strlen(list), &set));
	return set;
}

static inline struct cl_setting in(const char *path, const char *list)
{
	struct cl_setting s = { .present = true, .has_path = path != NULL, .cpus = cpus(list) };

	if (path)
		snprintf(s.path, sizeof(s.path), "%s", path);
	return s;
}

static inline struct cl_change thread(int32_t tid, uint64_t start, struct cl_setting from,
				      struct cl_setting to)
{
	return (struct cl_change){ .kind = CL_CHANGE_THREAD,
				   .thread = { tid, start },
				   .process = getpid(),
				   .from = from,
				   .to = to };
}

static inline struct cl_change group(const char *path, const char *from, const char *to)
{
	struct cl_change c = { .kind = CL_CHANGE_GROUP };

	snprintf(c.path, sizeof(c.path), "%s", path);
	if (from)
		c.from = in(NULL, from);
	if (to)
		c.to = in(NULL, to);
	return c;
}

static inline struct cl_change irq(uint32_t number, const char *from, const char *to)
{
	return (struct cl_change){
		.kind = CL_CHANGE_IRQ, .irq = number, .from = in(NULL, from), .to = in(NULL, to)
	};
}

/* Domain 0 with no uuid: the privileged one. */
static inline struct cl_change vcpu(uint32_t domid, uint32_t number, const char *from,
				    const char *to)
{
	struct cl_change c = {
		.kind = CL_CHANGE_VCPU, .vcpu = number, .from = in(NULL, from), .to = in(NULL, to)
	};

	c.domid = domid;
	c.domain.b[15] = (uint8_t)domid;
	return c;
}

static inline struct cl_change entitled(enum cl_change_kind kind, uint32_t domid, int64_t from,
					int64_t to)
{
	struct cl_change c = { .kind = kind, .domid = domid };

	c.domain.b[15] = (uint8_t)domid;
	c.from.present = c.to.present = true;
	c.from.number = from;
	c.to.number = to;
	return c;
}

/* FENCE, NIC: off, then on. */
static inline struct cl_change switched(enum cl_change_kind kind, const char *path)
{
	struct cl_change c = { .kind = kind, .from.present = true, .to.present = true };

	snprintf(c.path, sizeof(c.path), "%s", path);
	c.to.number = 1;
	return c;
}

/* RATE, QUOTA, IO, PACKETS: from so much each 50 ms, or from nothing, to so much. */
static inline struct cl_change limit(enum cl_change_kind kind, const char *path, int64_t from,
				     int64_t to, uint64_t period_ns)
{
	struct cl_change c = { .kind = kind };

	snprintf(c.path, sizeof(c.path), "%s", path);
	if (kind == CL_CHANGE_RATE) {
		c.domid = 3;
		c.domain.b[0] = 3;
		c.handle = 1;
	}
	if (kind == CL_CHANGE_IO)
		c.device = UINT64_C(8) << 32 | 16;
	c.from = (struct cl_setting){ .present = from != 0, .number = from };
	c.to = (struct cl_setting){ .present = to != 0, .number = to };
	c.from.period_ns = from ? 50 * CL_NS_PER_MS : 0;
	c.to.period_ns = to ? period_ns : 0;
	return c;
}

static inline struct cl_change fence(const char *path, const char *left)
{
	struct cl_change c = switched(CL_CHANGE_FENCE, path);

	c.to.cpus = in(NULL, left).cpus;
	return c;
}

static inline void same_setting(const struct cl_setting *a, const struct cl_setting *b)
{
	assert_int_equal(a->present, b->present);
	assert_int_equal(a->has_path, b->has_path);
	assert_string_equal(a->path, b->path);
	assert_int_equal(a->number, b->number);
	assert_int_equal(a->period_ns, b->period_ns);
	assert_true(cl_cpuset_equal(&a->cpus, &b->cpus));
}

static inline struct cl_journal_writer *writer(const struct place *p)
{
	struct cl_journal_writer *w = NULL;
	struct cl_error err;

	if (cl_journal_open(p->dir, "template:1=a b\\c", &w, &err) < 0)
		fail_msg("%s", err.text);
	return w;
}

static inline void plan(struct cl_journal_writer *w, const struct cl_change *c, uint32_t n,
			uint32_t *ids)
{
	enum cl_reason why[32] = { CL_REASON_HOME };
	struct cl_error err;

	assert_true(n <= CL_COUNT(why));
	if (cl_journal_plan(w, c, why, n, ids, &err) < 0)
		fail_msg("%s", err.text);
}

static inline struct cl_journal journal(const struct place *p)
{
	struct cl_journal j;
	struct cl_error err;

	if (cl_journal_read(p->dir, &j, &err) < 0)
		fail_msg("%s", err.text);
	return j;
}

static inline void put(const struct place *p, const char *text, size_t len)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/journal", p->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	close(fd);
}

static inline void two_plans(const struct place *p)
{
	const struct cl_change c[] = { group("/closer", NULL, "0-1"), irq(4, "0", "1"),
				       irq(5, "0", "1") };
	struct cl_journal_writer *w = writer(p);
	uint32_t ids[3];

	plan(w, c, 3, ids);
	cl_journal_outcome(w, 1, 0);
	plan(w, &c[1], 1, ids);
	cl_journal_close(w);
}

static inline size_t sum_line(char *buf, const char *text)
{
	return (size_t)sprintf(buf, "%s #%08x\n", text, XXH32(text, strlen(text), 0));
}

#endif
