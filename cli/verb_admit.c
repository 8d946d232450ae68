/* SPDX-License-Identifier: GPL-2.0-or-later */
/* admit: what a guest that an xl configuration describes would start with, where, and whether it
 * fits. */
#include "cli.h"

#include "xen/config.h"

#include <closer/admit.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define CONFIG_MAX (64u << 10)

static int read_config(const char *path, struct cl_admit_ask *ret_ask, struct cl_error *reterr)
{
	char clean[CL_PATH_MAX];
	char *text = malloc(CONFIG_MAX);
	ssize_t len = text ? cl_read_file(AT_FDCWD, path, text, CONFIG_MAX) : -ENOMEM;
	int r;

	cl_escape(path, clean, sizeof(clean));
	if (len < 0)
		r = cl_fail(reterr, (int)-len, "reading %.200s: %s", clean, strerror((int)-len));
	else if ((size_t)len + 1 >= CONFIG_MAX)
		r = cl_fail(reterr, EFBIG, "reading %.200s: it is longer than %u bytes", clean,
			    CONFIG_MAX);
	else
		r = cl_xl_parse(text, (size_t)len, clean, ret_ask, reterr);
	free(text);
	return r;
}

static const char *const verdicts[] = {
	[CL_ADMIT_FITS] = "fits",
	[CL_ADMIT_NO_MEMORY] = "no-memory",
	[CL_ADMIT_NO_CPU] = "no-cpu",
};

static json_t *as_json(const struct cl_admit_ask *ask, const struct cl_admission *a,
		       const struct cl_params *params)
{
	char name[CLI_NAME_MAX], nodes[64];

	return json_pack("{s:s,s:s,s:I,s:I,s:I,s:s,s:b,s:I,s:I,s:I,s:I,s:b,s:b}", "name",
			 cl_escape(ask->name, name, sizeof(name)), "verdict", verdicts[a->verdict],
			 "mem_bytes", (json_int_t)ask->mem_bytes, "max_bytes",
			 (json_int_t)ask->max_bytes, "vcpus", (json_int_t)ask->vcpus, "nodes",
			 cli_nodes_text(a->nodes, nodes, sizeof(nodes)), "spread", a->spread,
			 "eps_bytes", (json_int_t)a->eps_bytes, "start_bytes",
			 (json_int_t)a->start_bytes, "room_bytes", (json_int_t)a->room_bytes,
			 "short_bytes", (json_int_t)a->short_bytes, "sized", params->size != 0,
			 "cpus_ignored", ask->elsewhere);
}

static void print_all(const struct cl_admit_ask *ask, const struct cl_admission *a,
		      const struct cl_params *params)
{
	char name[CLI_NAME_MAX], nodes[64], mem[32], eps[32], start[32], room[32], by[32];

	cl_bytes_text(ask->mem_bytes, mem, sizeof(mem));
	cl_bytes_text(a->start_bytes, start, sizeof(start));
	cl_bytes_text(a->room_bytes, room, sizeof(room));
	printf("%s asks for %s and %u vCPU(s)%s\n",
	       ask->name[0] ? cl_escape(ask->name, name, sizeof(name)) : "the guest", mem,
	       ask->vcpus,
	       ask->elsewhere ? " (its `cpus` is no plain list: any CPU was taken)" : "");
	switch (a->verdict) {
	case CL_ADMIT_NO_CPU:
		printf("does not fit: none of the CPUs that it may be on is there\n");
		return;
	case CL_ADMIT_NO_MEMORY:
		printf("does not fit: %s are free for guests there, %s too little\n", room,
		       cl_bytes_text(a->short_bytes, by, sizeof(by)));
		return;
	case CL_ADMIT_FITS:
		break;
	}
	printf("fits: on node %s%s, where %s are free for guests\n",
	       cli_nodes_text(a->nodes, nodes, sizeof(nodes)),
	       a->spread ? ", since no node has room for all of it" : "", room);
	if (a->eps_bytes == 0)
		printf("starts with %s: it is too small to contribute to dom0\n", start);
	else
		printf("starts with %s: %s for each of its nodes go to dom0%s\n", start,
		       cl_bytes_text(a->eps_bytes, eps, sizeof(eps)),
		       params->size ? "" : " where closer runs with size=yes, else with all of it");
}

static enum cli_exit run(const struct cli_call *call)
{
	cli_autoengine struct cl_engine *engine = NULL;
	struct cl_admit_ask ask;
	struct cl_admission a;
	struct cl_error err;
	int r = read_config(call->v.args[0], &ask, &err);

	if (r == 0)
		r = cli_open(call, false, NULL, &engine, &err);
	if (r == 0)
		r = cli_observe(engine, NULL, &err);
	if (r < 0)
		return cli_error(call, &err);
	cl_admit(cl_engine_now(engine), &call->v.params, &ask, &a);
	if (call->v.json) {
		enum cli_exit code = cli_json(call, as_json(&ask, &a, &call->v.params));

		if (code != CLI_OK)
			return code;
	} else {
		print_all(&ask, &a, &call->v.params);
	}
	return a.verdict == CL_ADMIT_FITS ? CLI_OK : CLI_FAILED;
}

const struct cli_verb cli_verb_admit = {
	.name = "admit",
	.args = "CONFIG",
	.args_least = 1,
	.args_most = 1,
	.groups = CLI_GROUP_HOST | CLI_GROUP_DIR | CLI_GROUP_JSON,
	.doc = "say what a guest would start with, where, and whether it fits",
	.text = "Reads a guest's configuration as xl does (xl.cfg(5)), looks at the host once, and "
		"says on which nodes its memory would be, whether it fits into what is free, and "
		"with how much it would start: M - n * eps, M what it asks for and n its nodes, if "
		"closer runs with size=yes. Starts nothing. Exits with 1 if it does not fit. Needs "
		"libxlutil, in a module of closer's.",
	.run = run,
};
