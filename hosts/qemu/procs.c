/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QEMU's processes: which they are, what they were told, who listens where, and what they hold
 * open. */
#include "discover.h"

#include "lib.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <string.h>

static bool link_of(int32_t pid, const char *what, char *buf, size_t size)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	n = readlink(path, buf, size - 1);
	if (n < 0)
		return false;
	buf[n] = '\0';
	return true;
}

static ssize_t read_of(int32_t pid, const char *what, char *buf, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	return cl_read_file(AT_FDCWD, path, buf, size);
}

/* The executable's base name; one that was replaced by an upgrade has " (deleted)" after it. */
static bool exe_name(int32_t pid, char *buf, size_t size)
{
	char path[PATH_MAX], *deleted, *slash;

	if (!link_of(pid, "exe", path, sizeof(path)))
		return false;
	deleted = strstr(path, " (deleted)");
	if (deleted)
		*deleted = '\0';
	slash = strrchr(path, '/');
	snprintf(buf, size, "%s", slash ? slash + 1 : path);
	return true;
}

bool cl_qemu_is_qemu(int32_t pid)
{
	char name[64];

	return exe_name(pid, name, sizeof(name)) &&
	       (strncmp(name, "qemu-system-", 12) == 0 || strcmp(name, "qemu-kvm") == 0 ||
		strcmp(name, "kvm") == 0);
}

bool cl_qemu_args_read(int32_t pid, struct cl_qemu_args *ret_args)
{
	cl_autofree char *argv = malloc(CL_QEMU_ARGV_MAX);
	ssize_t len = argv ? read_of(pid, "cmdline", argv, CL_QEMU_ARGV_MAX) : -ENOMEM;

	if (len == -EFBIG)
		len = CL_QEMU_ARGV_MAX -
		      1; /* without the NUL, so that the last, cut word is not taken for whole */
	if (len < 0)
		return false;
	cl_qemu_args_parse(argv, (size_t)len, ret_args);
	return true;
}

/* Is it a word of argv, or behind the first ':', '=' or ',' of one (unix:PATH,...; path=PATH)? */
static bool argv_names(const char *argv, size_t len, const char *path)
{
	size_t n = strlen(path);

	for (size_t i = 0; n > 0 && i + n <= len; i++) {
		char before = i > 0 ? argv[i - 1] : '\0', after = i + n < len ? argv[i + n] : '\0';

		if (memcmp(argv + i, path, n) == 0 &&
		    (before == '\0' || before == ':' || before == '=') &&
		    (after == '\0' || after == ','))
			return true;
	}
	return false;
}

bool cl_qemu_confirm(int32_t pid, const char *socket_path)
{
	cl_autofree char *argv = malloc(CL_QEMU_ARGV_MAX);
	char name[64];
	ssize_t len;

	if (exe_name(pid, name, sizeof(name)) && strstr(name, "qemu"))
		return true;
	if (read_of(pid, "comm", name, sizeof(name)) > 0 && strstr(name, "qemu"))
		return true;
	if (cl_qemu_is_qemu(pid))
		return true;
	len = argv ? read_of(pid, "cmdline", argv, CL_QEMU_ARGV_MAX) : -ENOMEM;
	return len > 0 && argv_names(argv, (size_t)len, socket_path);
}

struct known {
	int32_t pid;
	uint32_t seen;
};

struct cl_qemu_procs {
	DIR *proc;
	struct known *known, *known_next;
	uint32_t known_count, known_cap;
	struct cl_qemu_process **list;
	uint32_t n, cap;
};

#define PIDS_MAX (1u << 22) /* the kernel's PID_MAX_LIMIT */

int cl_qemu_procs_new(struct cl_qemu_procs **ret_procs, struct cl_error *reterr)
{
	struct cl_qemu_procs *procs = calloc(1, sizeof(*procs));

	if (!procs)
		return cl_fail(reterr, ENOMEM, "listing processes: no memory");
	procs->proc = opendir("/proc");
	if (!procs->proc) {
		int code = errno;

		free(procs);
		return cl_fail(reterr, code, "listing processes in /proc: %s", strerror(code));
	}
	*ret_procs = procs;
	return 0;
}

void cl_qemu_procs_free(struct cl_qemu_procs *procs)
{
	if (!procs)
		return;
	for (uint32_t i = 0; i < procs->n; i++)
		free(procs->list[i]);
	free(procs->list);
	free(procs->known);
	free(procs->known_next);
	closedir(procs->proc);
	free(procs);
}

uint32_t cl_qemu_procs_count(const struct cl_qemu_procs *procs)
{
	return procs->n;
}

const struct cl_qemu_process *cl_qemu_procs_at(const struct cl_qemu_procs *procs, uint32_t i)
{
	assert(i < procs->n);
	return procs->list[i];
}

static int compare_known(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static bool add_process(struct cl_qemu_procs *procs, int32_t pid)
{
	struct cl_qemu_process *process;
	uint32_t at;

	for (at = 0; at < procs->n && procs->list[at]->pid < pid; at++)
		;
	if (at < procs->n && procs->list[at]->pid == pid)
		return false;
	if (procs->n == procs->cap) {
		uint32_t cap = procs->cap ? procs->cap * 2 : 16;
		void *list = realloc(procs->list, cap * sizeof(*procs->list));

		if (!list)
			return false;
		procs->list = list;
		procs->cap = cap;
	}
	process = calloc(1, sizeof(*process));
	if (!process)
		return false;
	process->pid = pid;
	if (!cl_qemu_args_read(pid, &process->args) || process->args.is_probe) {
		free(process);
		return false;
	}
	memmove(procs->list + at + 1, procs->list + at, (procs->n - at) * sizeof(*procs->list));
	procs->list[at] = process;
	procs->n++;
	return true;
}

static bool drop_processes(struct cl_qemu_procs *procs, bool all)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < procs->n; i++) {
		struct known key = { .pid = procs->list[i]->pid };

		if (!all &&
		    bsearch(&key, procs->known, procs->known_count, sizeof(key), compare_known))
			procs->list[kept++] = procs->list[i];
		else
			free(procs->list[i]);
	}
	bool changed = kept != procs->n;

	procs->n = kept;
	return changed;
}

static bool grow_known(struct cl_qemu_procs *procs)
{
	uint32_t cap = procs->known_cap ? procs->known_cap * 2 : 1024;
	void *known = realloc(procs->known, cap * sizeof(*procs->known));

	if (known)
		procs->known = known;
	void *next = realloc(procs->known_next, cap * sizeof(*procs->known_next));

	if (next)
		procs->known_next = next;
	if (!known || !next)
		return false;
	procs->known_cap = cap;
	return true;
}

bool cl_qemu_procs_scan(struct cl_qemu_procs *procs, bool anew)
{
	uint32_t n = 0;
	bool changed = false;
	struct dirent *entry;

	if (anew) {
		procs->known_count = 0;
		changed = drop_processes(procs, true);
	}
	rewinddir(procs->proc);
	while ((entry = readdir(procs->proc)) && n < PIDS_MAX) {
		struct known key = { 0 }, *old;
		uint64_t pid;
		const char *end;

		if (!cl_parse_u64(entry->d_name, &pid, &end) || *end || pid == 0 || pid > INT32_MAX)
			continue;
		if (n == procs->known_cap && !grow_known(procs))
			break;
		key.pid = (int32_t)pid;
		old = procs->known_count ? bsearch(&key, procs->known, procs->known_count,
						   sizeof(key), compare_known)
					 : NULL;
		key.seen = old ? old->seen : 0;
		if (key.seen < 2) {
			key.seen++;
			if (cl_qemu_is_qemu(key.pid))
				changed |= add_process(procs, key.pid);
		}
		procs->known_next[n++] = key;
	}
	if (n == 0)
		return changed; /* no memory, or no /proc: nothing is known to have gone */
	qsort(procs->known_next, n, sizeof(*procs->known_next), compare_known);
	struct known *other = procs->known;

	procs->known = procs->known_next;
	procs->known_next = other;
	procs->known_count = n;
	return drop_processes(procs, false) || changed;
}

/* The inode of the listening socket of that path, by /proc/net/unix; 0: none. */
static uint64_t listener_inode(const char *path)
{
	cl_autofclose FILE *file = fopen("/proc/net/unix", "re");
	char line[512];
	uint64_t inode = 0;

	while (file && !inode && fgets(line, sizeof(line), file)) {
		unsigned long flags, number;
		int at = 0;

		/* Num: RefCount Protocol Flags Type St Inode Path; flag 0x10000 is __SO_ACCEPTCON.
		 */
		if (sscanf(line, "%*[^:]: %*x %*x %lx %*x %*x %lu %n", &flags, &number, &at) != 2 ||
		    at == 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		if ((flags & 0x10000) && strcmp(line + at, path) == 0)
			inode = number;
	}
	return inode;
}

static bool holds_inode(int32_t pid, uint64_t inode)
{
	char path[64], wanted[64], found[64];
	struct dirent *entry;
	bool held = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	snprintf(wanted, sizeof(wanted), "socket:[%llu]", (unsigned long long)inode);
	dir = opendir(path);
	while (dir && !held && (entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, found, sizeof(found) - 1);

		if (n > 0) {
			found[n] = '\0';
			held = strcmp(found, wanted) == 0;
		}
	}
	if (dir)
		closedir(dir);
	return held;
}

int32_t cl_qemu_procs_owner(const struct cl_qemu_procs *procs, const char *socket_path)
{
	uint64_t inode;

	for (uint32_t i = 0; i < procs->n; i++)
		for (uint32_t j = 0; j < procs->list[i]->args.socket_count; j++)
			if (strcmp(procs->list[i]->args.sockets[j], socket_path) == 0)
				return procs->list[i]->pid;
	inode = listener_inode(socket_path);
	for (uint32_t i = 0; inode && i < procs->n; i++)
		if (holds_inode(procs->list[i]->pid, inode))
			return procs->list[i]->pid;
	return 0;
}

/* ---- what a process holds open ---- */

bool cl_qemu_tap_parse(const char *fdinfo, char ret_name[16])
{
	for (const char *line = fdinfo; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		size_t len;

		if (strncmp(line, "iff:\t", 5) != 0)
			continue;
		len = strcspn(line + 5, "\n");
		/* A name goes into a path below: the kernel forbids '/' and white space, and so do
		 * we. */
		if (len == 0 || len >= 16 || memchr(line + 5, '/', len) || line[5] == '.')
			return false;
		memcpy(ret_name, line + 5, len);
		ret_name[len] = '\0';
		return true;
	}
	return false;
}

static void add_tap(struct cl_qemu_held *held, const char name[16])
{
	for (uint32_t i = 0; i < held->tap_count; i++)
		if (strcmp(held->taps[i], name) == 0)
			return; /* another queue of it */
	if (held->tap_count < CL_QEMU_TAPS_MAX)
		memcpy(held->taps[held->tap_count++], name, 16);
}

static void look_at_fd(int32_t pid, const char *fd, const char *target, struct cl_qemu_held *held)
{
	char what[64], info[1024], name[IF_NAMESIZE] = "";
	uint64_t index;
	const char *end;

	if (strcmp(target, "/dev/vhost-net") == 0 || strcmp(target, "/dev/vhost-vsock") == 0) {
		held->vhost = true;
	} else if (strcmp(target, "/dev/net/tun") == 0) {
		snprintf(what, sizeof(what), "fdinfo/%.20s", fd);
		if (read_of(pid, what, info, sizeof(info)) > 0 && cl_qemu_tap_parse(info, name))
			add_tap(held, name);
	} else if (strncmp(target, "/dev/tap", 8) == 0 && cl_parse_u64(target + 8, &index, &end) &&
		   !*end && index <= UINT32_MAX && if_indextoname((unsigned)index, name)) {
		add_tap(held, name); /* macvtap: its number is the interface's */
	}
}

#define PF_KTHREAD 0x00200000u

/* Kernel threads have nothing to say of their owner but their name, which any process could take:
 * the flag it cannot. */
static bool is_kernel_thread(int32_t tid)
{
	char stat[1024], *after;
	unsigned flags;

	if (read_of(tid, "stat", stat, sizeof(stat)) <= 0)
		return false;
	after = strrchr(stat, ')');
	return after && sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1 &&
	       (flags & PF_KTHREAD);
}

static void find_vhosts(int32_t pid, struct cl_qemu_held *held)
{
	char wanted[32], comm[32];
	struct dirent *entry;
	DIR *proc = opendir("/proc");

	snprintf(wanted, sizeof(wanted), "vhost-%d\n", pid);
	while (proc && (entry = readdir(proc)) && held->vhost_count < CL_QEMU_VHOSTS_MAX) {
		uint64_t tid;
		const char *end;

		if (!cl_parse_u64(entry->d_name, &tid, &end) || *end || tid > INT32_MAX)
			continue;
		if (read_of((int32_t)tid, "comm", comm, sizeof(comm)) > 0 &&
		    strcmp(comm, wanted) == 0 && is_kernel_thread((int32_t)tid))
			held->vhosts[held->vhost_count++] = (int32_t)tid;
	}
	if (proc)
		closedir(proc);
}

void cl_qemu_held_read(int32_t pid, struct cl_qemu_held *ret_held)
{
	char path[64], target[64];
	struct dirent *entry;
	DIR *dir;

	memset(ret_held, 0, sizeof(*ret_held));
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		if (n > 0) {
			target[n] = '\0';
			look_at_fd(pid, entry->d_name, target, ret_held);
		}
	}
	if (dir)
		closedir(dir);
	if (ret_held->vhost)
		find_vhosts(pid, ret_held);
}
