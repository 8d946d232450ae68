/* SPDX-License-Identifier: GPL-2.0-or-later */
/* closer: the program. Finds the verb, reads its options, runs it. */
#include "cli.h"

#include <signal.h>
#include <string.h>

static bool wants_colour(void)
{
	const char *no = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && (!no || !*no) && term && strcmp(term, "dumb") != 0;
}

static enum cli_exit unknown_verb(const struct cli_call *call, const char *word)
{
	const char *names[32] = { NULL };
	uint32_t n = 0;

	for (; cli_verbs[n] && n < CL_COUNT(names) - 1; n++)
		names[n] = cli_verbs[n]->name;
	const char *near = cl_nearest(word, names);

	if (near)
		return cli_usage(call, "there is no verb '%s'; did you mean '%s'?", word, near);
	return cli_usage(call, "there is no verb '%s'; `closer help` lists them", word);
}

static const struct cli_verb *choose(int argc, char *const *argv)
{
	const char *word = argc > 1 ? argv[1] : "";

	/* what everybody types without reading anything */
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		return &cli_verb_help;
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
		return &cli_verb_version;
	return cli_verb_find(word);
}

int main(int argc, char **argv)
{
	struct cli_call call = { .colour = wants_colour() };
	const char *dir = getenv("CLOSER_STATE_DIR");
	enum cli_exit code;

	/* a reader that goes away must not kill a closer in the middle of its work: the write fails
	 * instead */
	signal(SIGPIPE, SIG_IGN);
	cl_params_default(&call.v.params);
	call.v.state_dir = dir && *dir ? dir : CL_STATE_DIR;
	if (argc < 2) {
		cli_help(stderr, NULL);
		return CLI_USAGE;
	}
	call.verb = choose(argc, argv);
	if (!call.verb)
		return (int)unknown_verb(&call, argv[1]);
	code = cli_parse(&call, argc - 2, argv + 2);
	if (code != CLI_OK)
		return (int)code;
	if (call.v.help)
		cli_help(stdout, call.verb);
	else
		code = call.verb->run(&call);
	if ((fflush(stdout) != 0 || ferror(stdout)) && code == CLI_OK) {
		cli_say(&call, "the output could not be written");
		code = CLI_FAILED;
	}
	return (int)code;
}
