/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The part of check that is not the host's: privileges, other managers, and what an earlier closer
 * has left. */
#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif
#ifndef CAP_BPF
#define CAP_BPF 39
#endif

static bool has_cap(const struct __user_cap_data_struct data[2], uint32_t cap)
{
	return (data[cap / 32].effective >> (cap % 32)) & 1;
}

static const struct {
	uint32_t cap, instead;
	const char *name, *lost;
} caps[] = {
	{ CAP_SYS_NICE, CAP_SYS_NICE, "CAP_SYS_NICE", "threads of other users cannot be placed" },
	{ CAP_DAC_OVERRIDE, CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE",
	  "containers and interrupts cannot be set" },
	{ CAP_SYS_PTRACE, CAP_SYS_PTRACE, "CAP_SYS_PTRACE",
	  "the nodes that hold other users' guests are not known" },
	{ CAP_BPF, CAP_SYS_ADMIN, "CAP_BPF", "where threads ran is estimated" },
	{ CAP_PERFMON, CAP_SYS_ADMIN, "CAP_PERFMON", "where threads ran is estimated" },
};

void cli_check_privileges(struct cli_check *check)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	uint32_t lost = 0;
	char text[256];

	check->about = "privilege";
	if (syscall(SYS_capget, &header, data) < 0) {
		snprintf(text, sizeof(text), "this process' capabilities cannot be read: %s",
			 strerror(errno));
		cli_check_say(check, "note", text);
		return;
	}
	for (uint32_t i = 0; i < CL_COUNT(caps); i++) {
		if (has_cap(data, caps[i].cap) || has_cap(data, caps[i].instead))
			continue;
		snprintf(text, sizeof(text), "no %s: %s%s", caps[i].name, caps[i].lost,
			 geteuid() ? "; run as root" : "");
		cli_check_say(check, "lost", text);
		lost++;
	}
	if (lost == 0)
		cli_check_say(check, "ok", "all that closer needs");
}

/* Programs that set what closer sets. closer leaves to them what they set; names are of
 * /proc/PID/comm, cut at 15. */
static const struct {
	const char *comm, *does, *advice;
} managers[] = {
	{ "irqbalance", "sets interrupts' CPUs",
	  "it may set placed interrupts anew, which closer then leaves alone: ban them there" },
	{ "numad", "sets processes' CPUs and moves their memory",
	  "closer leaves what it has set: exclude the guests there (numad -x PID)" },
	{ "tuned", "may set CPUs of threads and interrupts",
	  "see whether its profile has [scheduler] or isolated_cores" },
	{ "libvirtd", "sets CPUs and cgroups of its guests' threads where their XML says so",
	  "closer leaves what it has set" },
	{ "virtqemud", "sets CPUs and cgroups of its guests' threads where their XML says so",
	  "closer leaves what it has set" },
	{ "cset", "moves threads among cpusets", "closer leaves what it has set" },
};

static bool is_pid(const char *name)
{
	const char *end;
	uint64_t pid;

	return cl_parse_u64(name, &pid, &end) && !*end;
}

void cli_check_managers(struct cli_check *check)
{
	uint32_t pids[CL_COUNT(managers)] = { 0 };
	DIR *proc = opendir("/proc");
	const struct dirent *d;
	char path[300], comm[32], text[512];
	bool none = true;

	check->about = "managers";
	while (proc && (d = readdir(proc))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", d->d_name);
		if (!is_pid(d->d_name) || cl_read_file(-1, path, comm, sizeof(comm)) <= 0)
			continue;
		comm[strcspn(comm, "\n")] = '\0';
		for (uint32_t i = 0; i < CL_COUNT(managers); i++) {
			if (strcmp(comm, managers[i].comm) == 0)
				pids[i] = (uint32_t)strtoul(d->d_name, NULL, 10);
		}
	}
	if (proc)
		closedir(proc);
	for (uint32_t i = 0; i < CL_COUNT(managers); i++) {
		if (pids[i] == 0)
			continue;
		snprintf(text, sizeof(text), "%s (pid %u) %s: %s", managers[i].comm, pids[i],
			 managers[i].does, managers[i].advice);
		cli_check_say(check, "note", text);
		none = false;
	}
	if (none)
		cli_check_say(check, "ok",
			      "nobody else here is known to set CPUs of threads or interrupts");
}

/* Somebody holds the lock, or nobody does: two sides of the same journal. */
static bool check_lock(struct cli_check *check)
{
	cl_autoclose int lock = -1;
	struct cl_error err;

	if (access(check->call->v.state_dir, F_OK) != 0)
		return false;
	int r = cl_lock(check->call->v.state_dir, &lock, &err);

	if (r == 0)
		return false;
	check->about = "lock";
	cli_check_say(check, "note", err.text);
	return r == -EBUSY;
}

void cli_check_journal(struct cli_check *check)
{
	struct cl_journal journal = { 0 };
	struct cl_error err;
	char text[CLI_TEXT_MAX], host[CL_PATH_MAX];
	bool held = check_lock(check);
	int r = cli_journal(check->call->v.state_dir, &journal, &err);

	check->about = "journal";
	if (r == -ENOENT) {
		cli_check_say(check, "ok", "none of this boot: there is nothing to put back");
		return;
	}
	if (r < 0) {
		cli_check_say(check, r == -EACCES || r == -EPERM ? "note" : "bad", err.text);
		return;
	}
	snprintf(text, sizeof(text), "%u objects are set by closer on %s%s%s", journal.entry_count,
		 cli_host_text(journal.host, host, sizeof(host)),
		 journal.confirmed ? ", confirmed" : "",
		 held ? ", which is running"
		      : ": `closer undo` puts them back, `closer run` or `closer apply` goes on "
			"from there");
	cli_check_say(check, held || journal.entry_count == 0 ? "ok" : "note", text);
	cl_journal_done(&journal);
}
