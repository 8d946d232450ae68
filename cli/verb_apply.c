/* SPDX-License-Identifier: GPL-2.0-or-later */
/* apply: makes the plan true, once, and leaves it so until `closer undo`. */
#include "cli.h"

#include <string.h>
#include <time.h>

#define PLANS_MAX 3u /* one rests on the other; more than that is no plan */

struct outcomes {
	const struct cli_call *call;
	const struct cl_engine *engine;
	json_t *list; /* with --json */
};

static void say(void *ctx, const struct cl_action *action, int code, const char *text)
{
	struct outcomes *out = ctx;
	const struct cl_snapshot *snap = cl_engine_now(out->engine);
	const struct cl_plan *plan = cl_engine_plan(out->engine);
	char line[CLI_TEXT_MAX], why[CL_WHY_MAX], clean[4 * CL_ERROR_MAX];

	if (out->list) {
		json_t *entry = cl_json_action(snap, plan, action);

		if (entry) {
			json_object_set_new(entry, "code", json_integer(code));
			json_object_set_new(
				entry, "outcome",
				json_string(cl_escape(text ? text : "", clean, sizeof(clean))));
			json_array_append_new(out->list, entry);
		}
		return;
	}
	cli_action_text(snap, plan, action, line, sizeof(line));
	if (code == 0)
		printf("%sdone%s    %s\n        %s\n", cli_colour(out->call, "ok"),
		       cli_colour_off(out->call), line,
		       cl_why_text(&action->why, why, sizeof(why)));
	else
		printf("%sfailed%s  %s\n        %s\n", cli_colour(out->call, "bad"),
		       cli_colour_off(out->call), line,
		       cl_escape(text ? text : strerror(code < 0 ? -code : code), clean,
				 sizeof(clean)));
}

static enum cli_exit report(const struct outcomes *out, const struct cl_tick *tick,
			    const char *until)
{
	const struct cli_call *call = out->call;

	if (out->list) {
		json_t *json = json_pack("{s:I,s:I,s:I,s:O}", "done", (json_int_t)tick->done,
					 "failed", (json_int_t)tick->failed, "skipped",
					 (json_int_t)tick->skipped, "actions", out->list);

		if (json)
			json_object_set_new(json, "until",
					    *until ? json_string(until) : json_null());
		enum cli_exit code = cli_json(call, json);

		if (code != CLI_OK)
			return code;
	} else {
		printf("%u done, %u failed, %u skipped\n", tick->done, tick->failed, tick->skipped);
		fflush(stdout);
	}
	if (tick->done == 0 && tick->failed == 0)
		cli_say(call, "there was nothing to change");
	if (*until)
		cli_say(call,
			"all that closer has set is undone at %s unless `closer confirm` comes",
			until);
	else if (tick->done > 0)
		cli_say(call, cl_host_simulated(call->v.host)
				      ? "on a simulated host, which is gone now: there is nothing "
					"to undo"
				      : "stays so until `closer undo`");
	return tick->failed > 0 ? CLI_FAILED : CLI_OK;
}

/* When all is undone, by this --for or by an earlier one that comes first; "" if it stays. */
static void deadline(const struct cli_call *call, char *buf, size_t size)
{
	struct cl_journal journal = { 0 };
	uint64_t now_ns = cl_clock_ns();
	struct tm tm;

	buf[0] = '\0';
	if (cli_journal(call->v.state_dir, &journal, NULL) < 0)
		return;
	if (journal.until_ns > now_ns) {
		time_t at = time(NULL) + (time_t)((journal.until_ns - now_ns) / CL_NS_PER_S);

		localtime_r(&at, &tm);
		strftime(buf, size, "%Y-%m-%dT%H:%M:%S%z", &tm);
	}
	cl_journal_done(&journal);
}

static enum cli_exit keep(const struct outcomes *out, struct cl_engine *engine,
			  const struct cl_tick *tick)
{
	const struct cli_call *call = out->call;
	bool until = call->v.for_ns > 0 && tick->done > 0;
	char when[64];
	struct cl_error err;
	int r = cl_engine_close(engine, until ? CL_END_KEEP_UNTIL : CL_END_KEEP,
				until ? cl_clock_ns() + call->v.for_ns : 0, NULL, &err);

	deadline(call, when, sizeof(when));
	return r < 0 ? cli_error(call, &err) : report(out, tick, when);
}

/* Nothing of this plan, or not all of it, was done; what was, is journalled, as what earlier ones
 * did. */
static enum cli_exit stop(const struct cli_call *call, struct cl_engine *engine,
			  const struct cl_error *why)
{
	struct cl_error err;

	cli_error(call, why);
	if (cl_engine_close(engine, CL_END_KEEP, 0, NULL, &err) < 0)
		cli_error(call, &err);
	return CLI_FAILED;
}

/* A plan that others rest on is followed by them, once the host has been looked at again. */
static int apply_all(struct outcomes *out, struct cl_engine *engine, struct cl_tick *ret_sum,
		     struct cl_error *reterr)
{
	for (uint32_t n = 1;; n++) {
		bool goes_on = cl_plan_goes_on(cl_engine_plan(engine)), ended;
		struct cl_tick tick = { 0 };
		int r = cl_engine_apply(engine, say, out, &tick, reterr);

		ret_sum->done += tick.done;
		ret_sum->failed += tick.failed;
		ret_sum->skipped += tick.skipped;
		if (r < 0 || !goes_on || n == PLANS_MAX)
			return r;
		r = cli_sleep(engine, out->call->v.params.interval, &ended, reterr);
		if (r == 0)
			r = cli_observe(engine, NULL, reterr);
		if (r < 0)
			return r;
	}
}

static enum cli_exit run(const struct cli_call *asked)
{
	struct cli_call once = *asked;
	const struct cli_call *call = &once;
	struct cl_engine *engine = NULL;
	struct cl_tick tick = { 0 };
	struct cl_error err;

	if (call->v.for_ns > 0 && cl_host_simulated(call->v.host))
		return cli_usage(call, "--for makes no sense on a simulated host: it is gone with "
				       "this command");
	/* A debt is taken back, and then the guest has its own again: nobody would be there. */
	if (once.v.params.charge != CL_CHARGE_OFF)
		cli_say(call, "guests are not charged by what is done once: `closer run` does it");
	once.v.params.charge = CL_CHARGE_OFF;
	if (once.v.params.size)
		cli_say(call, "memory is not moved by what is done once: `closer run` does it");
	once.v.params.size = 0;
	if (cli_open(call, true, NULL, &engine, &err) < 0)
		return cli_error(call, &err);
	struct outcomes out = { .call = call,
				.engine = engine,
				.list = call->v.json ? json_array() : NULL };

	/* before anything was changed: what an earlier apply did stays */
	if (cli_observe_twice(call, engine, &err) < 0) {
		cl_engine_close(engine, CL_END_KEEP, 0, NULL, NULL);
		json_decref(out.list);
		return cli_error(call, &err);
	}
	enum cli_exit code = apply_all(&out, engine, &tick, &err) < 0 ? stop(call, engine, &err)
								      : keep(&out, engine, &tick);

	json_decref(out.list);
	return code;
}

static const struct cli_option options[] = {
	{ "for", 'f', CLI_TIME, "TIME", CLI_AT(for_ns), CLI_GROUP_ALL,
	  "undo it all after TIME unless `closer confirm` comes" },
	{ NULL, 0, CLI_FLAG, NULL, 0, CLI_GROUP_ALL, NULL },
};

const struct cli_verb cli_verb_apply = {
	.name = "apply",
	.groups = CLI_GROUP_HOST | CLI_GROUP_DIR | CLI_GROUP_JSON,
	.options = options,
	.doc = "make the plan true, once; stays until `closer undo`",
	.text = "Observes the host twice, an interval apart, writes what it is going to change to "
		"the journal, changes it and prints each outcome. What rests on a change (work on "
		"dom0's vCPUs being pinned) follows after another look. It asks nothing. The changes "
		"stay until `closer undo`. The time that --for gives covers all that closer has "
		"set by then, by an earlier or a later apply too; `closer confirm` ends it. If it "
		"is killed before it has ended, everything is put back. Needs privilege.",
	.run = run,
};
