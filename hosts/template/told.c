/* SPDX-License-Identifier: GPL-2.0-or-later */
/* told: reading the list, and following the processes that come and go with it. */
#include "template/told.h"

#include "numa.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <xxhash.h>

#define TEXT_MAX (512u << 10) /* of the list's file */

bool cl_told_changed(const struct cl_told *told)
{
	struct stat st;

	if (!told->file[0])
		return false;
	if (stat(told->file, &st) < 0)
		memset(&st, 0, sizeof(st));
	return st.st_ino != told->seen.st_ino || st.st_size != told->seen.st_size ||
	       memcmp(&st.st_mtim, &told->seen.st_mtim, sizeof(st.st_mtim)) != 0;
}

/*
 * A file that is missing or malformed is no failure: the guests that are known go on being served,
 * and an undo must be able to open this host long after the file has gone. check() tells.
 */
static void read_list(struct cl_told *told)
{
	cl_autofree char *text = malloc(TEXT_MAX);
	cl_autofree struct cl_listed *list = calloc(CL_TOLD_MAX, sizeof(*list));
	struct cl_error error = { 0 };
	int n;

	if (!text || !list)
		return;
	if (stat(told->file, &told->seen) < 0)
		memset(&told->seen, 0, sizeof(told->seen));
	ssize_t len = cl_read_file(AT_FDCWD, told->file, text, TEXT_MAX);
	if (len < 0)
		n = cl_fail(&error, (int)-len, "reading %.300s: %s; the list is as it was",
			    told->file, strerror((int)-len));
	else
		n = cl_list_parse_file(text, list, CL_TOLD_MAX, &error);
	snprintf(told->problem, sizeof(told->problem), "%s", error.text);
	if (n < 0)
		return;
	memcpy(told->listed, list, (size_t)n * sizeof(*list));
	told->listed_count = (uint32_t)n;
	told->listed_next = 0;
}

static void drop(struct cl_told_process *process, struct cl_threads *threads)
{
	cl_threads_unfollow(threads, process->id.tid);
	if (process->pidfd >= 0)
		close(process->pidfd);
	if (process->statm >= 0)
		close(process->statm);
	memset(process, 0, sizeof(*process));
}

/*
 * A guest's identity must be stable while it lives and never another's: of a process, its pid with
 * its start time. Hosts whose guests have a uuid of their own (QEMU, Xen) use that.
 */
static struct cl_uuid make_uuid(const struct cl_tid *id)
{
	uint64_t key[2] = { (uint64_t)id->tid, id->start };
	XXH128_canonical_t hash;
	struct cl_uuid uuid;

	XXH128_canonicalFromHash(&hash, XXH3_128bits(key, sizeof(key)));
	memcpy(uuid.b, hash.digest, sizeof(uuid.b));
	uuid.b[6] = (uint8_t)((uuid.b[6] & 0x0f) | 0x80); /* version 8: our own making (RFC 9562) */
	uuid.b[8] = (uint8_t)((uuid.b[8] & 0x3f) | 0x80);
	return uuid;
}

/* One that is not there, or is a mere thread, is passed over until the list changes. */
static void take_up(struct cl_told *told, uint32_t slot, const struct cl_listed *listed,
		    struct cl_threads *threads)
{
	struct cl_told_process *process = &told->processes[slot];
	struct cl_tid id, again;
	int32_t leader;
	char name[32];

	if (cl_thread_identify(listed->pid, &id, &leader, NULL) < 0 || leader != listed->pid)
		return;
	snprintf(name, sizeof(name), "/proc/%d/statm", id.tid);
	*process = (struct cl_told_process){ .listed = *listed, .id = id, .uuid = make_uuid(&id) };
	process->pidfd = (int)syscall(SYS_pidfd_open, id.tid, 0);
	process->statm = open(name, O_RDONLY | O_CLOEXEC);
	/* The number may have become another's between two of these; asked again at the end, it has
	 * not. */
	if (cl_threads_follow(threads, id.tid, slot, NULL) < 0 ||
	    cl_thread_identify(id.tid, &again, &leader, NULL) < 0 || again.start != id.start) {
		drop(process, threads);
		return;
	}
	/* The kernel walks all of its memory for this, so once. A failure leaves zeros: not known.
	 */
	cl_numa_home(id.tid, process->node_bytes, NULL);
}

static bool has_ended(const struct cl_told_process *process, const struct cl_threads *threads)
{
	struct pollfd ended = { .fd = process->pidfd, .events = POLLIN };

	return poll(&ended, 1, 0) > 0 || !cl_threads_alive(threads, process->id.tid);
}

void cl_told_follow(struct cl_told *told, struct cl_threads *threads, uint64_t deadline_ns)
{
	bool another = cl_told_changed(told);

	if (another)
		read_list(told);
	for (uint32_t i = 0; i < told->top; i++) {
		struct cl_told_process *process = &told->processes[i];
		bool listed = !another;

		if (!process->id.tid)
			continue;
		for (uint32_t k = 0; another && k < told->listed_count; k++) {
			if (told->listed[k].pid != process->id.tid)
				continue;
			process->listed = told->listed[k]; /* it may have another name */
			listed = true;
		}
		if (!listed || has_ended(process, threads))
			drop(process, threads);
	}
	while (told->listed_next < told->listed_count && cl_clock_ns() < deadline_ns) {
		const struct cl_listed *listed = &told->listed[told->listed_next++];
		uint32_t slot = told->top;
		bool known = false;

		for (uint32_t i = 0; i < told->top; i++) {
			if (!told->processes[i].id.tid)
				slot = slot < i ? slot : i;
			known = known || told->processes[i].id.tid == listed->pid;
		}
		if (known || slot == CL_TOLD_MAX)
			continue;
		take_up(told, slot, listed, threads);
		told->top = slot == told->top ? slot + 1 : told->top;
	}
}

int cl_told_open(struct cl_told *told, const char *arg, struct cl_error *reterr)
{
	int n;

	if (arg[0] != '@') {
		n = cl_list_parse_arg(arg, told->listed, CL_TOLD_MAX, reterr);
		told->listed_count = n < 0 ? 0 : (uint32_t)n;
		return n < 0 ? n : 0;
	}
	if (!arg[1] || strlen(arg + 1) >= sizeof(told->file))
		return cl_fail(reterr, EINVAL,
			       "template:@FILE needs the name of a file, at most %zu bytes",
			       sizeof(told->file) - 1);
	snprintf(told->file, sizeof(told->file), "%s", arg + 1);
	read_list(told);
	return 0;
}

void cl_told_close(struct cl_told *told, struct cl_threads *threads)
{
	for (uint32_t i = 0; i < told->top; i++)
		if (told->processes[i].id.tid)
			drop(&told->processes[i], threads);
	told->top = 0;
}
