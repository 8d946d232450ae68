/* SPDX-License-Identifier: GPL-2.0-or-later */
/* undo: puts back what the journal says was changed. */
#include "cli.h"

#include <errno.h>

static enum cli_exit run(const struct cli_call *call)
{
	struct cl_undo_report report = { 0 };
	cl_autoclose int lock = -1;
	struct cl_error err;
	int r = 0;

	if (access(call->v.state_dir, F_OK) == 0)
		r = cl_lock(call->v.state_dir, &lock, &err);
	if (r == 0)
		r = cl_undo(call->v.state_dir, call->v.skip_corrupt, cli_undo_say, (void *)call,
			    &report, &err);
	if (r < 0 && r != -ENOENT)
		return cli_error(call, &err);
	if (call->v.json) {
		enum cli_exit code = cli_json(call, cli_undo_json(&report));

		if (code != CLI_OK)
			return code;
	}
	if (r == -ENOENT) {
		cli_say(call, "there is nothing to undo: %s has no journal of this boot",
			call->v.state_dir);
		return CLI_OK;
	}
	cli_undo_print(call, &report);
	return report.failed == 0 && report.verified ? CLI_OK : CLI_FAILED;
}

static const struct cli_option options[] = {
	{ "skip-corrupt", 0, CLI_FLAG, NULL, CLI_AT(skip_corrupt), CLI_GROUP_ALL,
	  "pass over lines of the journal that are damaged; what they changed stays" },
	{ NULL, 0, CLI_FLAG, NULL, 0, CLI_GROUP_ALL, NULL },
};

const struct cli_verb cli_verb_undo = {
	.name = "undo",
	.groups = CLI_GROUP_DIR | CLI_GROUP_JSON,
	.options = options,
	.doc = "put everything back that closer changed",
	.text = "Reads the journal and gives every thread, interrupt and container the setting "
		"back that it had before closer touched it; then looks at everything again to "
		"verify it. What somebody else has changed since is left alone and named. Where "
		"there is nothing to undo, that is said, and the exit code is 0.",
	.run = run,
};
