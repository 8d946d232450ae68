/* SPDX-License-Identifier: GPL-2.0-or-later */
/* help: what there is; and the generated parts of man pages and completions, for the build. */
#include "cli.h"

static json_t *options_json(const struct cli_verb *verb)
{
	const struct cli_option *o;
	json_t *list = json_array();

	for (uint32_t i = 0; (o = cli_option_at(verb, i)); i++)
		json_array_append_new(list, json_pack("{s:s,s:s?,s:s}", "name", o->name, "arg",
						      o->arg, "doc", o->doc));
	return list;
}

static json_t *verbs_json(const struct cli_verb *only)
{
	json_t *list = json_array();

	for (uint32_t i = 0; cli_verbs[i]; i++) {
		const struct cli_verb *v = cli_verbs[i];

		if (only && v != only)
			continue;
		json_array_append_new(list, json_pack("{s:s,s:s?,s:s,s:o}", "name", v->name, "args",
						      v->args, "doc", v->doc, "options",
						      options_json(v)));
	}
	return json_pack("{s:o}", "verbs", list);
}

static enum cli_exit run(const struct cli_call *call)
{
	const struct cli_verb *verb = NULL;

	if (call->v.arg_count > 0) {
		verb = cli_verb_find(call->v.args[0]);
		if (!verb)
			return cli_usage(call, "there is no verb '%s'; `closer help` lists them",
					 call->v.args[0]);
	}
	if (call->v.scdoc)
		cli_scdoc(stdout);
	else if (call->v.params_scdoc)
		cli_params_scdoc(stdout);
	else if (call->v.sim_scdoc)
		cli_sim_scdoc(stdout);
	else if (call->v.completion > 0)
		cli_completion(stdout, call->v.completion);
	else if (call->v.json)
		return cli_json(call, verbs_json(verb));
	else
		cli_help(stdout, verb);
	return CLI_OK;
}

static const struct cli_option options[] = {
	{ "completion", 0, CLI_CHOICE, "bash|zsh|fish", CLI_AT(completion), CLI_GROUP_ALL,
	  "print completions for a shell" },
	{ "scdoc", 0, CLI_FLAG, NULL, CLI_AT(scdoc), CLI_GROUP_ALL,
	  "print the part of closer(1) that is made from tables" },
	{ "params-scdoc", 0, CLI_FLAG, NULL, CLI_AT(params_scdoc), CLI_GROUP_ALL,
	  "print the part of closer-params(5) that is made from tables" },
	{ "sim-scdoc", 0, CLI_FLAG, NULL, CLI_AT(sim_scdoc), CLI_GROUP_ALL,
	  "print the part of closer-sim(5) that is made from tables" },
	{ NULL, 0, CLI_FLAG, NULL, 0, CLI_GROUP_ALL, NULL },
};

const struct cli_verb cli_verb_help = {
	.name = "help",
	.args = "[VERB]",
	.args_most = 1,
	.groups = CLI_GROUP_JSON,
	.options = options,
	.doc = "print the verbs, or the options of one",
	.text = "Without an argument lists the verbs; with one prints what that verb does and "
		"takes, as `closer VERB --help` does.",
	.run = run,
};
