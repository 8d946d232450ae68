/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run: the loop. Observe, decide, and as far as the mode goes, apply; wait; until a signal, then
 * put everything back.
 *
 * An event (a guest or thread came or went) brings the next tick forward, but never nearer than
 * interval-min.
 */
#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

/* The order of --mode's words, which count from 1. */
enum mode { ENFORCE = 1, ADVISE, OBSERVE };

struct loop {
	const struct cli_call *call;
	struct cl_engine *engine;
	enum mode mode;
	int signals;
	bool simulated;  /* nothing is put back: it is gone */
	uint64_t end_ns; /* --for */
	uint64_t ticks, done, failed;
	uint64_t advised; /* hash of the advice that was given last: the same is not repeated */
	uint32_t foreign; /* threads that are somebody's, as said last */
	uint32_t foreign_vcpus;
	char said[CL_ERROR_MAX]; /* the last error, likewise */
	char unbilled[CL_ERROR_MAX];
};

static json_t *event_json(const struct loop *loop, const struct cl_action *action, int code,
			  const char *text)
{
	json_t *json =
		cl_json_action(cl_engine_now(loop->engine), cl_engine_plan(loop->engine), action);
	char clean[4 * CL_ERROR_MAX];

	if (json) {
		json_object_set_new(json, "tick", json_integer((json_int_t)loop->ticks));
		json_object_set_new(json, "code", json_integer(code));
		json_object_set_new(json, "outcome",
				    json_string(cl_escape(text, clean, sizeof(clean))));
	}
	return json;
}

static void say_action(void *ctx, const struct cl_action *action, int code, const char *text)
{
	const struct loop *loop = ctx;
	char line[CLI_TEXT_MAX / 2], why[CL_WHY_MAX];

	if (loop->call->v.json) {
		cli_json_line(loop->call, event_json(loop, action, code, text ? text : ""));
		return;
	}
	cli_action_text(cl_engine_now(loop->engine), cl_engine_plan(loop->engine), action, line,
			sizeof(line));
	if (code == 0)
		cli_say(loop->call, "%s%s: %s", loop->mode == ADVISE ? "would " : "", line,
			cl_why_text(&action->why, why, sizeof(why)));
	else
		cli_say(loop->call, "FAILED %s: %s", line,
			text && *text ? text : strerror(code < 0 ? -code : code));
}

/* A trouble that lasts is said once. */
static void say_error(struct loop *loop, const struct cl_error *err)
{
	if (strcmp(loop->said, err->text) == 0)
		return;
	snprintf(loop->said, sizeof(loop->said), "%s", err->text);
	cli_error(loop->call, err);
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3); /* FNV-1a */
	return hash;
}

static void advise(struct loop *loop)
{
	const struct cl_snapshot *snap = cl_engine_now(loop->engine);
	const struct cl_plan *plan = cl_engine_plan(loop->engine);
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	char line[CLI_TEXT_MAX];

	for (uint32_t i = 0; i < plan->n.actions; i++)
		hash = hash_text(
			hash, cli_action_text(snap, plan, &plan->actions[i], line, sizeof(line)));
	if (hash == loop->advised)
		return;
	loop->advised = hash;
	for (uint32_t i = 0; i < plan->n.actions; i++) {
		if (plan->actions[i].possible)
			say_action(loop, &plan->actions[i], 0, "not done: advice only");
	}
}

static void say_foreign(struct loop *loop)
{
	const struct cl_plan *plan = cl_engine_plan(loop->engine);
	uint32_t n = 0;

	for (uint32_t i = 0; i < plan->n.verdicts; i++)
		n += plan->verdicts[i].left.code == CL_REASON_FOREIGN;
	if (n != loop->foreign && n > 0)
		cli_say(loop->call,
			"%u thread%s set by somebody else %s left alone; `closer explain` names "
			"%s, `closer adopt` hands over",
			n, n == 1 ? "" : "s", n == 1 ? "is" : "are", n == 1 ? "it" : "them");
	loop->foreign = n;
}

static void say_foreign_vcpus(struct loop *loop)
{
	const struct cl_state *state = cl_engine_state(loop->engine);
	uint32_t n = 0;

	for (uint32_t i = 0; i < state->n.cpus; i++)
		n += state->cpus[i].foreign != 0;
	for (uint32_t i = 0; i < state->n.vcpus; i++)
		n += state->vcpus[i].foreign != 0;
	if (n != loop->foreign_vcpus && n > 0)
		cli_say(loop->call,
			"%u vCPU%s set by somebody else %s left alone; `closer explain` names %s",
			n, n == 1 ? "" : "s", n == 1 ? "is" : "are", n == 1 ? "it" : "them");
	loop->foreign_vcpus = n;
}

/* Once, and again when it is over: intervals wait until then. */
static void say_unbilled(struct loop *loop, const struct cl_error *err)
{
	if (err->code && strcmp(loop->unbilled, err->text) != 0)
		cli_error(loop->call, err);
	else if (!err->code && loop->unbilled[0])
		cli_say(loop->call, "the ledger is written to again, nothing is missing");
	snprintf(loop->unbilled, sizeof(loop->unbilled), "%s", err->code ? err->text : "");
}

static void say_supervisor(const struct loop *loop, const struct cl_tick *tick)
{
	if (tick->supervisor_restarted)
		cli_say(loop->call, "the supervisor had been killed: another was started");
}

static int act(struct loop *loop, struct cl_error *reterr)
{
	struct cl_tick tick = { 0 };

	if (loop->mode == ADVISE)
		advise(loop);
	if (loop->mode != ENFORCE)
		return 0;
	int r = cl_engine_apply(loop->engine, say_action, loop, &tick, reterr);

	say_supervisor(loop, &tick);
	loop->done += tick.done;
	loop->failed += tick.failed;
	return r;
}

static int one_tick(struct loop *loop, struct cl_error *reterr)
{
	struct cl_tick tick = { 0 };
	int r = cli_observe(loop->engine, &tick, reterr);

	say_supervisor(loop, &tick);
	if (r < 0)
		return r;
	loop->ticks++;
	say_foreign(loop);
	say_foreign_vcpus(loop);
	say_unbilled(loop, &tick.unbilled);
	return act(loop, reterr);
}

/* Only signals, for what is left until interval-min is over: an event that stays would spin the
 * host's wait. */
static bool pause_ms(const struct loop *loop, uint64_t ns)
{
	struct pollfd p = { .fd = loop->signals, .events = POLLIN };

	return poll(&p, 1, (int)(ns / CL_NS_PER_MS) + 1) > 0 && cli_signalled(loop->signals);
}

/* *ret_over: a signal, the end of the time, or of a replay. */
static int wait_tick(struct loop *loop, uint64_t began_ns, bool *ret_over, struct cl_error *reterr)
{
	const struct cl_params *params = &loop->call->v.params;
	uint64_t until = began_ns + params->interval < loop->end_ns ? began_ns + params->interval
								    : loop->end_ns;
	uint64_t now = cl_engine_clock_ns(loop->engine), soonest = began_ns + params->interval_min;
	enum cl_wake why;
	int r = cl_engine_wait(loop->engine, now < until ? until - now : 0, loop->signals, &why,
			       reterr);

	if (r < 0)
		return r;
	*ret_over = why == CL_WAKE_END || cli_signalled(loop->signals);
	now = cl_engine_clock_ns(loop->engine);
	if (!*ret_over && why == CL_WAKE_EVENT && now < soonest)
		*ret_over = pause_ms(loop, soonest - now);
	if (cl_engine_clock_ns(loop->engine) >= loop->end_ns || cli_output_lost())
		*ret_over = true;
	return 0;
}

static int run_loop(struct loop *loop, struct cl_error *reterr)
{
	bool over = false;

	while (!over) {
		uint64_t began = cl_engine_clock_ns(loop->engine);
		struct cl_error err;

		if (one_tick(loop, &err) < 0) {
			if (loop->ticks ==
			    0) { /* it never worked: no reason to believe that it will */
				*reterr = err;
				return -err.code;
			}
			say_error(loop, &err);
		} else {
			loop->said[0] = '\0';
		}
		if (wait_tick(loop, began, &over, reterr) < 0)
			return -reterr->code;
	}
	return 0;
}

static enum cli_exit summary(const struct loop *loop, const struct cl_undo_report *undone)
{
	const struct cli_call *call = loop->call;
	bool acted = loop->mode == ENFORCE;
	enum cli_exit code = CLI_OK;

	if (call->v.json) {
		json_t *json =
			json_pack("{s:I,s:I,s:I}", "ticks", (json_int_t)loop->ticks, "done",
				  (json_int_t)loop->done, "failed", (json_int_t)loop->failed);

		if (json)
			json_object_set_new(json, "undo",
					    acted && !loop->simulated ? cli_undo_json(undone)
								      : json_null());
		code = cli_json_line(call, json);
	}
	cli_say(call, "%llu ticks, %llu changes made, %llu failed", (unsigned long long)loop->ticks,
		(unsigned long long)loop->done, (unsigned long long)loop->failed);
	if (!acted)
		return code;
	if (loop->simulated)
		return code;
	cli_undo_print(call, undone);
	return undone->failed == 0 && undone->verified ? code : CLI_FAILED;
}

static enum cli_exit finish(struct loop *loop, int r, const struct cl_error *why)
{
	struct cl_undo_report undone = { .verified = true };
	struct cl_error err;
	enum cl_ending ending = loop->mode == ENFORCE ? CL_END_UNDO : CL_END_KEEP;
	int c = cl_engine_close(loop->engine, ending, 0, &undone, &err);
	enum cli_exit code = r < 0 ? cli_error(loop->call, why) : CLI_OK;

	if (c < 0 && c != -ENOENT)
		return cli_error(loop->call, &err);
	enum cli_exit said = summary(loop, &undone);

	return code != CLI_OK ? code : said;
}

static enum cli_exit run(const struct cli_call *call)
{
	struct loop loop = {
		.call = call,
		.mode = call->v.mode ? (enum mode)call->v.mode : ENFORCE,
		.end_ns = UINT64_MAX,
	};
	char host[CL_PATH_MAX], interval[32], text[CLI_TEXT_MAX];
	struct cl_error err;
	cl_autoclose int signals = cli_signals(&err);

	loop.signals = signals;
	if (signals < 0 ||
	    cli_open(call, loop.mode == ENFORCE, call->v.output, &loop.engine, &err) < 0)
		return cli_error(call, &err);
	if (call->v.for_ns > 0)
		loop.end_ns = cl_engine_clock_ns(loop.engine) + call->v.for_ns;
	loop.simulated = cl_engine_host(loop.engine)->ops->simulated;
	cli_host_text(cl_engine_uri(loop.engine), host, sizeof(host));
	cl_time_text(call->v.params.interval, interval, sizeof(interval));
	switch (loop.mode) {
	case ENFORCE:
		snprintf(text, sizeof(text),
			 "enforce: places guests' work on %s each %s; at the end (Ctrl-C) %s", host,
			 interval,
			 loop.simulated ? "the simulated host is gone" : "everything is put back");
		break;
	case ADVISE:
		snprintf(text, sizeof(text),
			 "advise: says what it would change on %s each %s; changes nothing", host,
			 interval);
		break;
	case OBSERVE:
		snprintf(text, sizeof(text), "observe: watches %s each %s; changes nothing", host,
			 interval);
		break;
	}
	cli_say(call, "%s", text);
	int r = run_loop(&loop, &err);

	return finish(&loop, r, &err);
}

static const struct cli_option options[] = {
	{ "mode", 0, CLI_CHOICE, "enforce|advise|observe", CLI_AT(mode), CLI_GROUP_ALL,
	  "change, only say what would be changed, or only watch; default enforce, since you typed "
	  "it" },
	{ "record", 'o', CLI_STRING, "FILE", CLI_AT(output), CLI_GROUP_ALL,
	  "keep what is seen and done in a recording" },
	{ "ledger", 'l', CLI_STRING, "FILE", CLI_AT(ledger), CLI_GROUP_ALL,
	  "bill each interval to this file, for `closer bill`; by default none is kept" },
	{ "for", 'f', CLI_TIME, "TIME", CLI_AT(for_ns), CLI_GROUP_ALL, "end after TIME" },
	{ NULL, 0, CLI_FLAG, NULL, 0, CLI_GROUP_ALL, NULL },
};

const struct cli_verb cli_verb_run = {
	.name = "run",
	.groups = CLI_GROUP_HOST | CLI_GROUP_DIR | CLI_GROUP_JSON,
	.options = options,
	.doc = "hold the host: place each guest's work beside it, put all back at the end",
	.text = "Observes each interval, or earlier when a guest or thread comes or goes, and "
		"changes what the plan says. One line on stderr for each change with its reason; "
		"with --json one object a line on stdout. On SIGINT, SIGTERM, SIGHUP or after "
		"--for it puts everything back, looks at it again, and exits. If it is killed, its "
		"supervisor puts everything back. Needs privilege in mode enforce.",
	.run = run,
};
