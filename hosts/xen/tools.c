/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The toolstack at work: xl, libxl-save-helper, and what they start (hotplug scripts, a device
 * model that is not written down yet). They live for seconds, so beside the walk over /proc every
 * tick looks at the processes that were born since the tick before the last one, known by the
 * kernel's last number: nothing is opened while nobody is born.
 *
 * A name convinces nobody, and neither do arguments: it has to be root's process and root's
 * program. The guest is the one that the arguments name, that a configuration names, that the save
 * helper of a command was given, or the parent's. It need not be there yet; then it is looked for
 * at every tick.
 *
 * xl stays when it has made a guest, and waits for its end. That is no work; but it was born of
 * work, with its CPUs and container, and is to be given back: so it is shown as what it is.
 */
#include "xen/guests.h"

#include "lib.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define BORN_MAX    4096u /* looked at in one tick; of more the walk finds those that are left */
#define YOUNG       30u   /* ticks in which it may become another program or find its guest */
#define ARGS_READ   4096u
#define CONFIG_READ 65536u
#define DELETED     " (deleted)" /* behind a program's path that was replaced since */

/* ---- /proc ---- */

static bool read_link(const struct cl_xen *xen, int32_t pid, const char *what, char *buf,
		      size_t size)
{
	char name[32];

	snprintf(name, sizeof(name), "%d/%s", pid, what);
	ssize_t len = readlinkat(dirfd(xen->proc), name, buf, size);

	if (len <= 0 || (size_t)len >= size)
		return false;
	buf[len] = '\0';
	return true;
}

/* XL, HELPER, or CHILD for any other program; false: it has none, or is gone. */
static bool program_of(const struct cl_xen *xen, int32_t pid, enum cl_xen_tool_kind *ret_kind)
{
	char path[CL_PATH_MAX];
	size_t len, tail = sizeof(DELETED) - 1;

	if (!read_link(xen, pid, "exe", path, sizeof(path)))
		return false;
	len = strlen(path);
	if (len > tail && strcmp(path + len - tail, DELETED) == 0)
		path[len - tail] = '\0';
	const char *base = strrchr(path, '/');

	base = base ? base + 1 : path;
	*ret_kind = strcmp(base, "xl") == 0                  ? CL_XEN_TOOL_XL
		    : strcmp(base, "libxl-save-helper") == 0 ? CL_XEN_TOOL_HELPER
							     : CL_XEN_TOOL_CHILD;
	return true;
}

/* A process rather than one of its threads, and root's in all respects. */
static bool is_roots(const struct cl_xen *xen, int32_t pid)
{
	char name[32], text[4096], line[32];
	struct stat program;

	snprintf(name, sizeof(name), "%d/status", pid);
	if (cl_read_file(dirfd(xen->proc), name, text, sizeof(text)) <= 0)
		return false;
	snprintf(line, sizeof(line), "\nTgid:\t%d\n", pid);
	if (!strstr(text, line) || !strstr(text, "\nUid:\t0\t0\t0\t0\n"))
		return false;
	snprintf(name, sizeof(name), "%d/exe", pid);
	return fstatat(dirfd(xen->proc), name, &program, 0) == 0 && program.st_uid == 0;
}

static size_t read_args(const struct cl_xen *xen, int32_t pid, char *args, size_t size)
{
	char name[32];

	snprintf(name, sizeof(name), "%d/cmdline", pid);
	cl_autoclose int fd = openat(dirfd(xen->proc), name, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, args, size);

	return len > 0 ? (size_t)len : 0;
}

/* The file is found as the process would find it. It may be anything: only a file is read. */
static bool read_config(const struct cl_xen *xen, int32_t pid, const char *path, char *ret_name,
			size_t size)
{
	char name[CL_PATH_MAX + 32], text[CONFIG_READ];
	struct stat st;

	snprintf(name, sizeof(name), "%d/%s%s", pid, path[0] == '/' ? "root" : "cwd/", path);
	cl_autoclose int fd =
		openat(dirfd(xen->proc), name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       cl_read_fd(fd, text, sizeof(text)) > 0 && cl_xen_parse_config(text, ret_name, size);
}

/* ---- whose it is ---- */

static uint32_t domid_of_name(const struct cl_xen *xen, const char *name)
{
	/* While a guest moves to this same host two bear a name like it: the later one is named. */
	for (uint32_t i = xen->guest_count; i-- > 0;)
		if (name[0] && strcmp(xen->guests[i].name, name) == 0)
			return xen->guests[i].domain.domid;
	return CL_NONE;
}

/* A number is a domain's, anything else a name (libxl_domain_qualifier_to_domid). */
static uint32_t domid_of_word(const struct cl_xen *xen, const char *word)
{
	const char *end;
	uint64_t domid;

	if (cl_parse_u64(word, &domid, &end) && !*end)
		return domid < CL_XEN_DOMIDS ? (uint32_t)domid : CL_NONE;
	return domid_of_name(xen, word);
}

static struct cl_xen_tool *tool_of(struct cl_xen *xen, int32_t pid)
{
	for (uint32_t i = 0; i < xen->tool_count; i++)
		if (xen->tools[i].pid == pid)
			return &xen->tools[i];
	return NULL;
}

/* The guest that a command's save helper was told of. */
static uint32_t domid_of_helper(const struct cl_xen *xen, int32_t parent)
{
	for (uint32_t i = 0; i < xen->tool_count; i++)
		if (xen->tools[i].parent == parent && xen->tools[i].kind == CL_XEN_TOOL_HELPER)
			return xen->tools[i].domid;
	return CL_NONE;
}

static uint32_t domid_of_xl(struct cl_xen *xen, struct cl_xen_tool *tool)
{
	struct cl_xen_command command;
	char args[ARGS_READ];
	size_t len;

	if (tool->name[0])
		return domid_of_name(xen, tool->name);
	len = read_args(xen, tool->pid, args, sizeof(args));
	if (!cl_xen_parse_xl(args, len, &command))
		return CL_NONE;
	switch (command.about) {
	case CL_XEN_ABOUT_DOMAIN:
		return domid_of_word(xen, command.who);
	case CL_XEN_ABOUT_CONFIG:
		if (!read_config(xen, tool->pid, command.who, tool->name, sizeof(tool->name)))
			tool->name[0] = '\0';
		return domid_of_name(xen, tool->name);
	case CL_XEN_ABOUT_STREAM:
		return domid_of_helper(xen, tool->pid);
	}
	return CL_NONE;
}

static void tie(struct cl_xen *xen, struct cl_xen_tool *tool)
{
	char args[ARGS_READ];
	const struct cl_xen_tool *parent;

	if (tool->domid != CL_NONE && cl_xen_find(xen, tool->domid))
		return;
	tool->domid = CL_NONE;
	switch (tool->kind) {
	case CL_XEN_TOOL_XL:
		tool->domid = domid_of_xl(xen, tool);
		break;
	case CL_XEN_TOOL_HELPER:
		if (!cl_xen_parse_helper(args, read_args(xen, tool->pid, args, sizeof(args)),
					 &tool->domid))
			tool->domid = CL_NONE;
		break;
	case CL_XEN_TOOL_WAITER:
		tool->domid = domid_of_name(xen, tool->name);
		break;
	case CL_XEN_TOOL_CHILD:
		parent = tool_of(xen, tool->parent);
		tool->domid = parent ? parent->domid : CL_NONE;
		break;
	}
}

/* ---- who is there ---- */

/* A demon that talks to a guest's log (do_daemonize() in xl): it has nothing left to do. */
static bool waits(const struct cl_xen *xen, int32_t pid, const struct cl_xen_stat *stat,
		  char *ret_name, size_t size)
{
	char path[CL_PATH_MAX];

	return stat->session == pid && read_link(xen, pid, "fd/1", path, sizeof(path)) &&
	       cl_xen_parse_log(path, ret_name, size);
}

/* It may have become another program, or a waiter, since. False: gone. */
static bool refresh(struct cl_xen *xen, struct cl_xen_tool *tool)
{
	enum cl_xen_tool_kind kind;
	struct cl_xen_stat stat;

	if (!cl_xen_read_stat(xen, tool->pid, &stat) || stat.start != tool->start ||
	    !program_of(xen, tool->pid, &kind))
		return false;
	if (kind != tool->kind && tool->kind != CL_XEN_TOOL_WAITER) {
		tool->kind = kind;
		tool->domid = CL_NONE;
		tool->name[0] = '\0';
	}
	if (tool->kind == CL_XEN_TOOL_XL &&
	    waits(xen, tool->pid, &stat, tool->name, sizeof(tool->name)))
		tool->kind = CL_XEN_TOOL_WAITER;
	return true;
}

void cl_xen_look_at_process(struct cl_xen *xen, int32_t pid, const struct cl_xen_stat *stat)
{
	enum cl_xen_tool_kind kind;
	struct cl_xen_stat own;

	if (tool_of(xen, pid) || xen->tool_count == CL_XEN_TOOLS_MAX ||
	    !program_of(xen, pid, &kind) || (kind == CL_XEN_TOOL_CHILD && xen->tool_count == 0))
		return;
	if (!stat && !cl_xen_read_stat(xen, pid, &own))
		return;
	stat = stat ? stat : &own;
	const struct cl_xen_tool *parent = tool_of(xen, stat->parent);

	if ((kind == CL_XEN_TOOL_CHILD && (!parent || parent->kind == CL_XEN_TOOL_WAITER)) ||
	    !is_roots(xen, pid))
		return;
	xen->tools[xen->tool_count++] = (struct cl_xen_tool){
		.pid = pid,
		.parent = stat->parent,
		.start = stat->start,
		.kind = kind,
		.domid = CL_NONE,
	};
}

/*
 * Those that were born since the tick before the last one: the last ones may have become xl only
 * now. What has no program is a thread of the kernel's, perhaps a back end's.
 */
void cl_xen_look_at_born(struct cl_xen *xen)
{
	char text[128];
	const char *space;
	uint64_t last;

	if (xen->loadavg < 0 || cl_read_fd(xen->loadavg, text, sizeof(text)) <= 0)
		return;
	space = strrchr(text, ' ');
	if (!space || !cl_parse_u64(space + 1, &last, NULL) || last > INT32_MAX)
		return;
	uint64_t from = (uint64_t)xen->born_before + 1;

	xen->born_before = xen->born;
	xen->born = (int32_t)last;
	/* The numbers began anew, or they are too many: the walk looks at all. */
	if (from > last + 1 || last + 1 - from > BORN_MAX) {
		xen->rescan = true;
		return;
	}
	for (; from <= last; from++) {
		enum cl_xen_tool_kind kind;

		if (program_of(xen, (int32_t)from, &kind))
			cl_xen_look_at_process(xen, (int32_t)from, NULL);
		else
			cl_xen_look_at_kernel(xen, (int32_t)from);
	}
}

static bool is_model(const struct cl_xen *xen, int32_t pid)
{
	for (uint32_t i = 0; i < xen->guest_count; i++)
		if (xen->guests[i].model == pid)
			return true;
	return false;
}

/* Is it left to the walk? One that has been there for long changes no more: a steady state opens
 * nothing for it. */
static bool rests(struct cl_xen *xen, const struct cl_xen_tool *tool)
{
	return tool->ticks == YOUNG || (tool->kind == CL_XEN_TOOL_WAITER &&
					tool->domid != CL_NONE && cl_xen_find(xen, tool->domid));
}

static void forget_tools(struct cl_xen *xen, bool all)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < xen->tool_count; i++) {
		struct cl_xen_tool tool = xen->tools[i];

		if (tool.ticks < YOUNG)
			tool.ticks++;
		if ((!all && rests(xen, &tool)) ||
		    (refresh(xen, &tool) && !is_model(xen, tool.pid)))
			xen->tools[kept++] = tool;
	}
	xen->tool_count = kept;
}

/* A command that receives a guest is told by its helper, a child by its parent, and these may come
 * in any order. */
static void tie_tools(struct cl_xen *xen, bool all)
{
	for (uint32_t pass = 0; pass < 3; pass++)
		for (uint32_t i = 0; i < xen->tool_count; i++)
			if (all || !rests(xen, &xen->tools[i]))
				tie(xen, &xen->tools[i]);
}

void cl_xen_settle_tools(struct cl_xen *xen, bool all)
{
	forget_tools(xen, all);
	tie_tools(xen, all);
	for (uint32_t i = 0; i < xen->tool_count; i++) {
		const struct cl_xen_tool *tool = &xen->tools[i];
		struct cl_xen_work work = {
			.pid = tool->pid,
			.start = tool->start,
			.domid = tool->domid,
			.kind = tool->kind == CL_XEN_TOOL_HELPER   ? CL_WORK_MIGRATION
				: tool->kind == CL_XEN_TOOL_WAITER ? CL_WORK_WAITER
								   : CL_WORK_TOOLSTACK,
			.is_tool = true,
			.device = CL_NONE,
			.queue = CL_NONE,
		};

		if (tool->domid != CL_NONE && cl_xen_find(xen, tool->domid))
			cl_xen_keep(xen, &work);
	}
}
