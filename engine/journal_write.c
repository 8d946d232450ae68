/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing the journal, and keeping it small.
 *
 * A plan is one write and one fdatasync before its first action. What does not get into the file as
 * a whole is cut off again, and then nothing is applied. The file is made by a rename with its
 * first plan inside, so that a killed closer leaves either no journal or one with a head.
 */
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <xxhash.h>

#define NEW_FILE      "journal.new"
#define UNDONE_FILE   "journal.undone"
#define COMPACT_BYTES (512u << 10) /* from here on, and each time it has doubled */
#define CPUS_TEXT     12288u /* every second of 4,096 CPUs: 2,048 numbers, 10,240 characters */

struct cl_journal_writer {
	int dir_fd, fd; /* fd -1: there is no file yet */
	char host[CL_PATH_MAX], boot[64];
	uint32_t next_id, next_plan;
	uint32_t records; /* changes and drops in it, at most */
	off_t compacted;  /* its size after it was last made small */
	bool broken;      /* half a line could not be cut off: nothing more may follow it */
};

/* ---- text ---- */

struct text {
	char *buf;
	size_t len, cap, line;
	bool failed;
};

static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *t, const char *format, ...)
{
	va_list ap, again;
	int n;

	if (t->failed)
		return;
	va_start(ap, format);
	va_copy(again, ap);
	n = vsnprintf(t->buf ? t->buf + t->len : NULL, t->cap - t->len, format, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n >= t->cap - t->len) {
		size_t cap = (t->len + (size_t)n + 1) * 2;
		char *buf = realloc(t->buf, cap);

		if (buf) {
			t->buf = buf;
			t->cap = cap;
			n = vsnprintf(t->buf + t->len, t->cap - t->len, format, again);
		} else {
			n = -1;
		}
	}
	va_end(again);
	t->failed = n < 0;
	if (n > 0)
		t->len += (size_t)n;
}

static void end_line(struct text *t)
{
	if (t->failed)
		return;
	add(t, " #%08x\n", XXH32(t->buf + t->line, t->len - t->line, 0));
	t->line = t->len;
}

/* A word that next_text of the reader takes back. */
static void add_text(struct text *t, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c > 0x20 && c < 0x7f && c != '\\')
			add(t, "%c", c);
		else
			add(t, "\\x%02x", c);
	}
}

static void add_setting(struct text *t, const char *side, enum cl_change_kind kind,
			const struct cl_setting *s)
{
	char cpus[CPUS_TEXT];

	add(t, " %s ", side);
	if ((kind == CL_CHANGE_GROUP || cl_change_limits(kind)) && !s->present) {
		add(t, s->number ? "unpassed" : "absent");
		return;
	}
	if (cl_change_limits(kind)) {
		add(t, "limit %lld per %llu", (long long)s->number,
		    (unsigned long long)s->period_ns);
		return;
	}
	if (kind == CL_CHANGE_FENCE || kind == CL_CHANGE_NIC || cl_change_entitles(kind))
		add(t, "number %lld", (long long)s->number);
	if (kind == CL_CHANGE_NIC || cl_change_entitles(kind))
		return;
	if (kind == CL_CHANGE_FENCE)
		add(t, " ");
	if (kind == CL_CHANGE_THREAD) {
		add(t, "cgroup ");
		add_text(t, s->has_path ? s->path : "-");
		add(t, " ");
	}
	if (cl_cpuset_format(&s->cpus, cpus, sizeof(cpus)) >= sizeof(cpus))
		t->failed = true;
	add(t, "cpus %s", cpus[0] ? cpus : "-");
}

static void add_object(struct text *t, const struct cl_change *c)
{
	static const char *const names[] = {
		[CL_CHANGE_GROUP] = "group",   [CL_CHANGE_FENCE] = "fence",
		[CL_CHANGE_NIC] = "nic",       [CL_CHANGE_CAP] = "cap",
		[CL_CHANGE_WEIGHT] = "weight", [CL_CHANGE_BUDGET] = "budget",
		[CL_CHANGE_MEMORY] = "memory", [CL_CHANGE_QUOTA] = "quota",
		[CL_CHANGE_IO] = "io",         [CL_CHANGE_PACKETS] = "packets",
	};
	char uuid[CL_UUID_TEXT];

	cl_uuid_format(&c->domain, uuid);
	switch (c->kind) {
	case CL_CHANGE_THREAD:
		add(t, "thread %d start %llu", c->thread.tid, (unsigned long long)c->thread.start);
		break;
	case CL_CHANGE_IRQ:
		add(t, "irq %u", c->irq);
		break;
	case CL_CHANGE_VCPU:
		add(t, "vcpu %u domain %u uuid %s", c->vcpu, c->domid, uuid);
		break;
	case CL_CHANGE_RATE:
		add(t, "rate %u domain %u uuid %s", c->handle, c->domid, uuid);
		break;
	case CL_CHANGE_CAP:
	case CL_CHANGE_WEIGHT:
	case CL_CHANGE_BUDGET:
	case CL_CHANGE_MEMORY:
		add(t, "%s domain %u uuid %s", names[c->kind], c->domid, uuid);
		break;
	case CL_CHANGE_GROUP:
	case CL_CHANGE_FENCE:
	case CL_CHANGE_NIC:
	case CL_CHANGE_QUOTA:
	case CL_CHANGE_IO:
	case CL_CHANGE_PACKETS:
		add(t, "%s ", names[c->kind]);
		add_text(t, c->path);
		if (c->kind == CL_CHANGE_IO)
			add(t, " device %llu", (unsigned long long)c->device);
		break;
	}
}

static void add_change(struct text *t, uint32_t id, const struct cl_change *c, const char *why)
{
	add(t, "change %u ", id);
	add_object(t, c);
	if (c->kind == CL_CHANGE_THREAD)
		add(t, " process %d", c->process);
	add_setting(t, "from", c->kind, &c->from);
	add_setting(t, "to", c->kind, &c->to);
	add(t, " why %s", why);
	end_line(t);
}

static uint64_t boot_ticks(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ((uint64_t)ts.tv_sec * CL_NS_PER_S + (uint64_t)ts.tv_nsec) /
	       (CL_NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
}

static void add_plan(struct text *t, uint32_t number, uint64_t ticks)
{
	time_t now = time(NULL);
	char when[32];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	add(t, "plan %u %s ticks %llu", number, when, (unsigned long long)ticks);
	end_line(t);
}

static void add_head(struct text *t, const struct cl_journal_writer *w, uint64_t id)
{
	add(t, CL_JOURNAL_MAGIC);
	end_line(t);
	add(t, "boot %s", w->boot);
	end_line(t);
	add(t, "id %016llx", (unsigned long long)id);
	end_line(t);
	add(t, "host ");
	add_text(t, w->host);
	end_line(t);
}

/* ---- the file, written ---- */

static int write_all(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* All of it or nothing of it. */
static int append(struct cl_journal_writer *w, const struct text *t, bool sync)
{
	struct stat st;
	int r;

	if (t->failed)
		return -ENOMEM;
	if (w->broken)
		return -EIO;
	if (fstat(w->fd, &st) < 0)
		return -errno;
	if (st.st_size + (off_t)t->len > (off_t)CL_JOURNAL_BYTES_MAX)
		return -EFBIG;
	r = write_all(w->fd, t->buf, t->len);
	if (r == 0 && sync && fdatasync(w->fd) < 0)
		r = -errno;
	if (r < 0 && ftruncate(w->fd, st.st_size) < 0)
		w->broken = true;
	return r;
}

/* A whole new journal in the place of the old, if there is one. */
static int replace(struct cl_journal_writer *w, const struct text *t)
{
	int fd, r;

	if (t->failed)
		return -ENOMEM;
	unlinkat(w->dir_fd, NEW_FILE, 0);
	fd = openat(w->dir_fd, NEW_FILE,
		    O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, t->buf, t->len);
	if (r == 0 && fdatasync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(w->dir_fd, NEW_FILE, w->dir_fd, CL_JOURNAL_FILE) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(w->dir_fd, NEW_FILE, 0);
		close(fd);
		return r;
	}
	/* tmpfs has nothing to sync a directory to; a disk that cannot must not pass for one that
	 * has. */
	if (fsync(w->dir_fd) < 0 && errno != EINVAL) {
		r = -errno;
		unlinkat(w->dir_fd, CL_JOURNAL_FILE, 0);
		close(fd);
		return r;
	}
	if (w->fd >= 0)
		close(w->fd);
	w->fd = fd;
	return 0;
}

static bool process_lives(const struct cl_change *c)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", c->process > 0 ? c->process : c->thread.tid);
	return access(path, F_OK) == 0;
}

static bool later_same(const struct cl_journal *j, const struct cl_journal_entry *e, uint32_t at)
{
	const struct cl_setting *to = &j->changes[at].to;

	for (uint32_t i = at + 1; i < e->change_first + e->change_count; i++) {
		const struct cl_setting *other = &j->changes[i].to;

		if (to->present == other->present && to->has_path == other->has_path &&
		    to->number == other->number && to->period_ns == other->period_ns &&
		    strcmp(to->path, other->path) == 0 && cl_cpuset_equal(&to->cpus, &other->cpus))
			return true;
	}
	return false;
}

/* What the reader takes for an inheritance. */
static enum cl_reason inheritance(enum cl_change_kind kind)
{
	return cl_change_entitles(kind) ? CL_REASON_REBORN : CL_REASON_INHERITED;
}

/* One object: its first `from`, and each value that it was ever given once. */
static void compact_entry(struct text *t, struct cl_journal_writer *w, const struct cl_journal *j,
			  const struct cl_journal_entry *e)
{
	uint64_t ticks = UINT64_MAX;
	bool first = true;

	if (e->dropped || (e->change.kind == CL_CHANGE_THREAD && !process_lives(&e->change)))
		return;
	for (uint32_t i = e->change_first; i < e->change_first + e->change_count; i++)
		ticks = j->notes[i].ticks < ticks ? j->notes[i].ticks : ticks;
	for (uint32_t i = e->change_first; i < e->change_first + e->change_count; i++) {
		struct cl_change c = j->changes[i];

		if (later_same(j, e, i))
			continue;
		if (first || c.kind != CL_CHANGE_GROUP)
			c.from = e->change.from;
		if (!c.to.has_path)
			c.from.has_path = false;
		if (j->notes[i].inherited) {
			c.from = c.to;
			c.to = e->change.from;
			c.to.has_path = c.from.has_path;
		}
		/* A container made and removed again and again: what is left of it may be no
		 * change. */
		if (!cl_change_sound(&c))
			continue;
		first = false;
		add_plan(t, w->next_plan++, ticks);
		add_change(t, ++w->next_id, &c,
			   cl_reason_name(j->notes[i].inherited ? inheritance(c.kind)
					  : j->notes[i].fenced  ? CL_REASON_FENCE
								: CL_REASON_NONE));
	}
}

/* Best effort: what cannot be made small goes on growing up to its limit. */
static void compact(struct cl_journal_writer *w)
{
	struct cl_journal_writer next = *w;
	struct cl_journal j;
	struct text t = { 0 };
	struct stat st;

	if (w->fd < 0 || fstat(w->fd, &st) < 0 || st.st_size < (off_t)COMPACT_BYTES ||
	    st.st_size < 2 * w->compacted || cl_journal_load(w->dir_fd, "", false, &j, NULL) < 0)
		return;
	next.next_id = 0;
	next.next_plan = 1;
	add_head(&t, w, j.id);
	for (uint32_t i = 0; i < j.entry_count; i++)
		compact_entry(&t, &next, &j, &j.entries[i]);
	if (j.until_ns) {
		add(&t, "until %llu", (unsigned long long)j.until_ns);
		end_line(&t);
	}
	if (j.confirmed) {
		add(&t, "confirmed");
		end_line(&t);
	}
	if (replace(&next, &t) == 0) {
		*w = next;
		w->records = w->next_id;
		w->next_id++;
		w->compacted = (off_t)t.len;
	}
	free(t.buf);
	cl_journal_done(&j);
}

static int open_existing(struct cl_journal_writer *w, const char *dir, struct cl_error *reterr)
{
	struct cl_journal j;
	int r = cl_journal_load(w->dir_fd, dir, false, &j, reterr);

	if (r < 0)
		return r;
	w->next_id = j.last_id + 1;
	w->next_plan = j.last_plan + 1;
	w->records = j.change_count;
	if (!w->host[0])
		snprintf(w->host, sizeof(w->host), "%s", j.host);
	if (j.undone)
		r = cl_journal_finish(w->dir_fd, dir, reterr);
	else
		r = cl_journal_file(w->dir_fd, dir, O_RDWR | O_APPEND, &w->fd, reterr);
	if (r == 0 && j.torn && w->fd >= 0 && ftruncate(w->fd, (off_t)j.bytes) < 0)
		r = cl_fail(reterr, errno, "cutting off the torn end of the journal in %s: %s", dir,
			    strerror(errno));
	if (j.undone) {
		w->next_id = w->next_plan = 1;
		w->records = 0;
	}
	cl_journal_done(&j);
	return r;
}

int cl_journal_open(const char *dir, const char *host_uri, struct cl_journal_writer **ret_writer,
		    struct cl_error *reterr)
{
	struct cl_journal_writer *w = calloc(1, sizeof(*w));
	struct cl_error none;
	bool archived;
	int r;

	if (!w)
		return cl_fail(reterr, ENOMEM, "opening the journal in %s: no memory", dir);
	if (cl_host_simulated(host_uri)) {
		free(w);
		return cl_fail(reterr, EINVAL, "a simulated host has no journal on this machine");
	}
	*w = (struct cl_journal_writer){ .dir_fd = -1, .fd = -1, .next_id = 1, .next_plan = 1 };
	snprintf(w->host, sizeof(w->host), "%s", host_uri ? host_uri : "");
	r = cl_dir_open(dir, &w->dir_fd, reterr);
	if (r == 0)
		r = cl_boot_id(w->boot, reterr);
	if (r == 0)
		r = cl_journal_archive(w->dir_fd, dir, &archived, reterr);
	if (r == 0) {
		r = open_existing(w, dir, &none);
		if (r == -ENOENT && host_uri)
			r = 0;
		else if (r < 0 && reterr)
			*reterr = none;
	}
	if (r < 0) {
		cl_journal_close(w);
		return r;
	}
	*ret_writer = w;
	return 0;
}

void cl_journal_close(struct cl_journal_writer *w)
{
	if (!w)
		return;
	if (w->fd >= 0)
		close(w->fd);
	if (w->dir_fd >= 0)
		close(w->dir_fd);
	free(w);
}

static int fail_write(int r, const char *what, struct cl_error *reterr)
{
	return cl_fail(reterr, -r, "writing %s to the journal: %s; nothing was applied%s", what,
		       r == -EFBIG ? "it is full" : strerror(-r),
		       r == -ENOSPC || r == -EDQUOT
			       ? ": free some space where the state directory is"
		       : r == -EFBIG ? ": end closer (or `closer undo`) and start again"
				     : "");
}

int cl_journal_plan(struct cl_journal_writer *w, const struct cl_change *changes,
		    const enum cl_reason *why, uint32_t n, uint32_t *ret_ids,
		    struct cl_error *reterr)
{
	struct text t = { 0 };
	uint64_t id;
	int r;

	if (n == 0)
		return 0;
	for (uint32_t i = 0; i < n; i++)
		assert(cl_change_sound(&changes[i]));
	compact(w);
	if (n > CL_JOURNAL_CHANGES_MAX || w->records > CL_JOURNAL_CHANGES_MAX - n)
		return fail_write(-EFBIG, "a plan", reterr);
	if (w->fd < 0) {
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			return cl_fail(reterr, EIO,
				       "starting a journal: no random number for its id");
		add_head(&t, w, id ? id : 1);
	}
	add_plan(&t, w->next_plan, boot_ticks());
	for (uint32_t i = 0; i < n; i++)
		add_change(&t, w->next_id + i, &changes[i], cl_reason_name(why[i]));
	r = w->fd < 0 ? replace(w, &t) : append(w, &t, true);
	free(t.buf);
	if (r < 0)
		return fail_write(r, "a plan", reterr);
	for (uint32_t i = 0; i < n; i++)
		ret_ids[i] = w->next_id + i;
	w->next_id += n;
	w->next_plan++;
	w->records += n;
	return 0;
}

int cl_journal_outcome(struct cl_journal_writer *w, uint32_t id, int code)
{
	const char *name = code ? strerrorname_np(code) : NULL;
	struct text t = { 0 };
	int r;

	if (w->fd < 0)
		return 0;
	if (code)
		add(&t, "failed %u %s", id, name ? name : "E?");
	else
		add(&t, "done %u", id);
	end_line(&t);
	r = append(w, &t, false);
	free(t.buf);
	return r;
}

int cl_journal_drop(struct cl_journal_writer *w, const struct cl_change *change,
		    struct cl_error *reterr)
{
	struct text t = { 0 };
	int r;

	if (w->fd < 0)
		return 0;
	add(&t, "drop ");
	add_object(&t, change);
	end_line(&t);
	r = append(w, &t, false);
	free(t.buf);
	if (r < 0)
		return fail_write(r, "a release", reterr);
	w->records++;
	return 0;
}

static int add_word(struct cl_journal_writer *w, const char *word)
{
	struct text t = { 0 };
	int r;

	add(&t, "%s", word);
	end_line(&t);
	r = append(w, &t, true);
	free(t.buf);
	return r;
}

int cl_journal_confirm(struct cl_journal_writer *w, struct cl_error *reterr)
{
	int r;

	if (w->fd < 0)
		return cl_fail(reterr, ENOENT, "nothing to confirm: there is no journal");
	r = add_word(w, "confirmed");
	return r < 0 ? cl_fail(reterr, -r, "confirming in the journal: %s", strerror(-r)) : 0;
}

int cl_journal_until(struct cl_journal_writer *w, uint64_t until_ns)
{
	char word[64];

	snprintf(word, sizeof(word), "until %llu", (unsigned long long)until_ns);
	return w->fd < 0 ? 0 : add_word(w, word);
}

int cl_journal_finish(int dir_fd, const char *dir, struct cl_error *reterr)
{
	struct cl_journal_writer w = { .dir_fd = dir_fd, .fd = -1 };

	/* Only for a reader of journal.undone: on a full disk it goes without. */
	if (cl_journal_file(dir_fd, dir, O_RDWR | O_APPEND, &w.fd, NULL) == 0) {
		(void)add_word(&w, "undone");
		close(w.fd);
	}
	if (renameat(dir_fd, CL_JOURNAL_FILE, dir_fd, UNDONE_FILE) < 0)
		return cl_fail(reterr, errno, "moving the journal in %s to " UNDONE_FILE ": %s",
			       dir, strerror(errno));
	return 0;
}
