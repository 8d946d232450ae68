/* SPDX-License-Identifier: GPL-2.0-or-later */
/* version: which closer this is. */
#include "cli.h"
#include "config.h"

static enum cli_exit run(const struct cli_call *call)
{
	if (call->v.json)
		return cli_json(call, json_pack("{s:s}", "version", CLI_VERSION));
	printf("closer %s\n", CLI_VERSION);
	return CLI_OK;
}

const struct cli_verb cli_verb_version = {
	.name = "version",
	.groups = CLI_GROUP_JSON,
	.doc = "print the version",
	.text = "Prints the version of closer.",
	.run = run,
};
