/* SPDX-License-Identifier: GPL-2.0-or-later */
/* plan: what would be changed, and why. Changes nothing. */
#include "cli.h"

static enum cli_exit run(const struct cli_call *call)
{
	cli_autoengine struct cl_engine *engine = NULL;
	struct cl_error err;
	int r = cli_open(call, false, NULL, &engine, &err);

	if (r == 0)
		r = cli_observe_twice(call, engine, &err);
	if (r < 0)
		return cli_error(call, &err);
	const struct cl_snapshot *snap = cl_engine_now(engine);
	const struct cl_plan *plan = cl_engine_plan(engine);

	if (call->v.json) {
		enum cli_exit code = cli_json(call, cl_json_plan(snap, plan));

		if (code != CLI_OK)
			return code;
	} else {
		cli_plan_print(call, snap, plan);
	}
	return cl_plan_changes(plan) > 0 ? CLI_NOT_EMPTY : CLI_OK;
}

const struct cli_verb cli_verb_plan = {
	.name = "plan",
	.groups = CLI_GROUP_HOST | CLI_GROUP_DIR | CLI_GROUP_JSON,
	.doc = "print what would be changed, and why",
	.text = "Observes the host twice, an interval apart, and prints each change that closer "
		"would make with its reason, and how many threads it would leave alone for which "
		"reason; says if more follows once these are made. Changes nothing. Exits with 3 if "
		"there is something to change.",
	.run = run,
};
