/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check: what is here, what can be done with it, and what is missing and would bring what. */
#include "check.h"
#include "cgroup.h"
#include "config.h"
#include "threads.h"

#include <errno.h>
#include <string.h>

void cli_check_say(void *ctx, const char *level, const char *text)
{
	struct cli_check *check = ctx;
	char clean[4 * CLI_TEXT_MAX];

	cl_escape(text, clean, sizeof(clean));
	check->bad += strcmp(level, "bad") == 0;
	if (check->lines)
		json_array_append_new(check->lines,
				      json_pack("{s:s,s:s,s:s}", "level", level, "about",
						check->about, "text", clean));
	else
		printf("%s%-4s%s  %-10s %s\n", cli_colour(check->call, level), level,
		       cli_colour_off(check->call), check->about, clean);
}

/* Optional parts of the build: what each would bring. */
static const struct {
	const char *name;
	bool there;
	const char *brings, *package;
} parts[] = {
	{ "hwloc", CLI_HAVE_HWLOC,
	  "nodes, distances and SMT siblings; without it the host counts as one node without "
	  "siblings",
	  "libhwloc-dev" },
	{ "bpf", CLI_HAVE_BPF,
	  "all threads' times in one pass and the CPUs that they ran on exactly; without it those "
	  "are estimated",
	  "libbpf-dev clang bpftool" },
	{ "ncurses", CLI_HAVE_CURSES,
	  "the live table of `closer mon`; without it tables follow each other", "libncurses-dev" },
};

static void check_build(struct cli_check *check)
{
	char text[512];

	check->about = "build";
	for (uint32_t i = 0; i < CL_COUNT(parts); i++) {
		snprintf(text, sizeof(text), "%s %s: %s%s%s", parts[i].there ? "with" : "without",
			 parts[i].name, parts[i].brings,
			 parts[i].there ? "" : "; to have it: install and rebuild, ",
			 parts[i].there ? "" : parts[i].package);
		cli_check_say(check, parts[i].there ? "ok" : "lost", text);
	}
}

static void check_cpus(struct cli_check *check, const struct cl_snapshot *snap,
		       const struct cl_plan *plan)
{
	uint32_t online = 0, cores = 0, nodes = snap->n.nodes;
	char text[CLI_TEXT_MAX], main_cpus[256], secondary[256];

	for (uint32_t i = 0; i < snap->n.cpus; i++) {
		bool first = snap->cpus[i].online;

		for (uint32_t k = 0; k < i && first; k++)
			first = !(snap->cpus[k].online && snap->cpus[k].core == snap->cpus[i].core);
		online += snap->cpus[i].online;
		cores += first;
	}
	check->about = "cpus";
	snprintf(text, sizeof(text),
		 "%u CPUs on %u cores and %u node%s; main container on %s, guests' work on %s",
		 online, cores, nodes, nodes == 1 ? "" : "s",
		 cli_cpus_text(&plan->main_cpus, main_cpus, sizeof(main_cpus)),
		 cli_cpus_text(&plan->secondary_cpus, secondary, sizeof(secondary)));
	cli_check_say(check, "ok", text);
	if (cl_cpuset_empty(&plan->secondary_cpus))
		cli_check_say(check, "lost",
			      "there is no CPU outside the main container: nothing will be placed");
}

static void check_cans(struct cli_check *check, const struct cl_snapshot *snap)
{
	char text[CLI_TEXT_MAX];

	for (uint32_t i = 0; i < CL_CAN_COUNT; i++) {
		enum cl_can can = (enum cl_can)i;
		const char *why = cl_snapshot_str(snap, snap->why_not[i]);

		check->about = "can";
		if ((snap->can >> i) & 1) {
			cli_check_say(check, "ok", cl_can_name(can));
			continue;
		}
		if (!*why) /* does not apply to this kind of host */
			continue;
		snprintf(text, sizeof(text), "no %s: %s; because: %s", cl_can_name(can),
			 cl_can_lost(can), why);
		cli_check_say(check, "lost", text);
	}
}

static void check_host(struct cli_check *check)
{
	cli_autoengine struct cl_engine *engine = NULL;
	struct cl_error err;
	char text[CL_PATH_MAX + 64], host_text[CL_PATH_MAX];
	int r = cli_open(check->call, false, NULL, &engine, &err);

	check->about = "host";
	if (r < 0) {
		/* one that is there, or was asked for, and cannot be opened is an error; none to
		 * be found is only how this machine is */
		cli_check_say(check, check->call->v.host || r != -ENODEV ? "bad" : "lost",
			      err.text);
		return;
	}
	snprintf(check->host, sizeof(check->host), "%s", cl_engine_uri(engine));
	r = cli_observe(engine, NULL, &err);
	if (r < 0) {
		cli_check_say(check, "bad", err.text);
		return;
	}
	const struct cl_snapshot *snap = cl_engine_now(engine);

	snprintf(text, sizeof(text), "%s: %u guest%s with %u vCPU%s, %u threads that work for them",
		 cli_host_text(check->host, host_text, sizeof(host_text)), snap->n.guests,
		 snap->n.guests == 1 ? "" : "s", snap->n.vcpus, snap->n.vcpus == 1 ? "" : "s",
		 snap->n.works);
	cli_check_say(check, "ok", text);
	check_cpus(check, snap, cl_engine_plan(engine));
	check_cans(check, snap);
	struct cl_host *host = cl_engine_host(engine);

	check->about = host->ops->name;
	if (host->ops->check)
		host->ops->check(host, cli_check_say, check);
}

static void check_bpf(struct cli_check *check)
{
	struct cl_threads *threads = NULL;
	struct cl_error err;
	char text[CL_ERROR_MAX + 64];

	check->about = "bpf";
	if (cl_threads_new(64, CL_THREADS_AUTO, NULL, &threads, &err) < 0)
		snprintf(text, sizeof(text), "threads cannot be read: %s", err.text);
	else if (cl_threads_source(threads) == CL_THREADS_BPF)
		text[0] = '\0';
	else
		snprintf(text, sizeof(text), "not used: %s", cl_threads_why_not_bpf(threads));
	cli_check_say(check, text[0] ? "lost" : "ok",
		      text[0] ? text : "usable: threads are read in one pass");
	cl_threads_free(threads);
}

static void check_cgroup(struct cli_check *check)
{
	struct cl_cgroup cgroup;
	char text[CLI_TEXT_MAX];

	check->about = "cgroup";
	cl_cgroup_find(&cgroup);
	if (cgroup.version == 0) {
		snprintf(text, sizeof(text),
			 "no cpuset controller: %s; work is placed by mask alone", cgroup.why_not);
		cli_check_say(check, "lost", text);
		return;
	}
	snprintf(text, sizeof(text), "version %d at %s%s%s%s", cgroup.version, cgroup.mount,
		 cgroup.version == 1 ? ", any thread can be moved"
				     : ", whole processes and kernel threads can be moved, single "
				       "threads of a process cannot",
		 cgroup.why_not[0] ? "; no container can be made: " : "", cgroup.why_not);
	cli_check_say(check, cgroup.why_not[0] ? "lost" : "ok", text);
}

static enum cli_exit run(const struct cli_call *call)
{
	struct cli_check check = { .call = call,
				   .about = "",
				   .lines = call->v.json ? json_array() : NULL };
	enum cli_exit code = CLI_OK;

	check_build(&check);
	cli_check_privileges(&check);
	check_bpf(&check);
	check_cgroup(&check);
	check_host(&check);
	cli_check_managers(&check);
	cli_check_journal(&check);
	if (check.lines) {
		char clean[4 * CL_PATH_MAX];

		code = cli_json(
			call, json_pack("{s:s,s:s*,s:I,s:o}", "version", CLI_VERSION, "host",
					check.host[0] ? cl_escape(check.host, clean, sizeof(clean))
						      : NULL,
					"bad", (json_int_t)check.bad, "checks", check.lines));
	}
	return check.bad > 0 ? CLI_FAILED : code;
}

const struct cli_verb cli_verb_check = {
	.name = "check",
	.groups = CLI_GROUP_HOST | CLI_GROUP_DIR | CLI_GROUP_JSON,
	.doc = "say what is here, what can be done, and what is missing",
	.text = "Looks at the build, the privileges, the host with its CPUs and guests, what can "
		"be done on it, other programs that manage the same things, and what an earlier "
		"closer has left. Each line is ok, note, lost (something is less exact or not "
		"possible) or bad (something must be done). Changes nothing. Exits with 1 if a "
		"line is bad.",
	.run = run,
};
