/* SPDX-License-Identifier: GPL-2.0-or-later */
/* replay: decides again on what was recorded, and says whether it decides the same. */
#include "cli.h"
#include "record.h"

#include <errno.h>

struct tally {
	uint64_t ticks, different, shown;
};

static enum cli_exit show(const struct cli_call *call, const struct cl_replay *replay,
			  uint64_t tick, bool same)
{
	const struct cl_snapshot *snap = cl_replay_now(replay);
	const struct cl_plan *plan = cl_replay_plan(replay);
	char digest[24];

	if (call->v.json) {
		snprintf(digest, sizeof(digest), "%016llx",
			 (unsigned long long)cl_plan_digest(plan));
		json_t *json =
			json_pack("{s:I,s:I,s:b,s:s}", "tick", (json_int_t)tick, "taken_ns",
				  (json_int_t)snap->taken_ns, "same", (int)same, "digest", digest);

		if (json && !call->v.verify) {
			json_object_set_new(json, "plan", cl_json_plan(snap, plan));
			json_object_set_new(json, "books",
					    cl_json_books(cl_replay_host(replay), snap, plan));
		}
		return cli_json_line(call, json);
	}
	printf("%stick %llu%s: %s\n", cli_colour(call, "title"), (unsigned long long)tick,
	       cli_colour_off(call),
	       same ? "as it was decided then" : "NOT as it was decided then");
	if (!call->v.verify) {
		cli_plan_print(call, snap, plan);
		printf("\n");
	}
	return CLI_OK;
}

static int replay_all(const struct cli_call *call, struct cl_replay *replay, struct tally *tally,
		      struct cl_error *reterr)
{
	int r;

	while ((r = cl_replay_next(replay, reterr)) == 0) {
		bool same = cl_replay_same(replay);
		bool asked = call->v.tick == 0 || call->v.tick == tally->ticks + 1;

		tally->ticks++;
		tally->different += !same;
		if (!asked || (call->v.verify && same))
			continue;
		tally->shown++;
		if (show(call, replay, tally->ticks, same) != CLI_OK || cli_output_lost())
			return cl_fail(reterr, EPIPE, "nobody reads the output any more");
	}
	return r == -ENODATA ? 0 : r;
}

static enum cli_exit report(const struct cli_call *call, const struct cl_replay *replay,
			    const struct tally *tally)
{
	bool torn = cl_replay_torn(replay);

	if (call->v.json) {
		enum cli_exit code = cli_json_line(
			call,
			json_pack("{s:I,s:I,s:b}", "ticks", (json_int_t)tally->ticks, "different",
				  (json_int_t)tally->different, "torn", (int)torn));

		if (code != CLI_OK)
			return code;
	} else {
		printf("%llu ticks replayed, %llu decided otherwise than then\n",
		       (unsigned long long)tally->ticks, (unsigned long long)tally->different);
	}
	if (torn)
		cli_say(call, "the recording was cut: its last part is missing");
	if (call->v.tick > tally->ticks) {
		cli_say(call, "there is no tick %llu: the recording has %llu",
			(unsigned long long)call->v.tick, (unsigned long long)tally->ticks);
		return CLI_FAILED;
	}
	return tally->different > 0 ? CLI_FAILED : CLI_OK;
}

static enum cli_exit run(const struct cli_call *call)
{
	struct cl_replay *replay = NULL;
	struct tally tally = { 0 };
	struct cl_error err;

	if (cl_replay_open(call->v.args[0], &replay, &err) < 0)
		return cli_error(call, &err);
	int r = replay_all(call, replay, &tally, &err);
	enum cli_exit code = r < 0 ? cli_error(call, &err) : report(call, replay, &tally);

	cl_replay_close(replay);
	return code;
}

static const struct cli_option options[] = {
	{ "tick", 't', CLI_COUNT, "N", CLI_AT(tick), CLI_GROUP_ALL,
	  "print this tick only; the first is 1" },
	{ "verify", 'v', CLI_FLAG, NULL, CLI_AT(verify), CLI_GROUP_ALL,
	  "print only ticks that are decided otherwise than then" },
	{ NULL, 0, CLI_FLAG, NULL, 0, CLI_GROUP_ALL, NULL },
};

const struct cli_verb cli_verb_replay = {
	.name = "replay",
	.args = "FILE",
	.args_least = 1,
	.args_most = 1,
	.groups = CLI_GROUP_JSON,
	.options = options,
	.doc = "decide again on a recording",
	.text = "Reads a recording and decides again at each tick, with the parameters and the "
		"state that it was made with. Prints each plan (with --json one object a line) and "
		"whether it is the one that was made then. Exits with 1 if one is not. Touches no "
		"host, needs no privilege.",
	.run = run,
};
