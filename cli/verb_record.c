/* SPDX-License-Identifier: GPL-2.0-or-later */
/* record: observes for a while, and keeps all of it in a file for `closer replay`. */
#include "cli.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* One tick an interval, whatever events come; true: the recording is to end. */
static int pause_until(const struct cli_call *call, struct cl_engine *engine, int signals,
		       uint64_t until_ns, bool *ret_end, struct cl_error *reterr)
{
	for (;;) {
		enum cl_wake why;
		uint64_t now = cl_engine_clock_ns(engine);
		int r = cl_engine_wait(engine, now < until_ns ? until_ns - now : 0, signals, &why,
				       reterr);

		if (r < 0)
			return r;
		*ret_end = why == CL_WAKE_END || cli_signalled(signals);
		if (*ret_end || why == CL_WAKE_TIMER || now >= until_ns)
			return 0;
	}
}

static int record(const struct cli_call *call, struct cl_engine *engine, int signals,
		  uint64_t *ret_ticks, struct cl_error *reterr)
{
	uint64_t end =
		call->v.for_ns > 0 ? cl_engine_clock_ns(engine) + call->v.for_ns : UINT64_MAX;

	for (;;) {
		uint64_t next = cl_engine_clock_ns(engine) + call->v.params.interval;
		bool over = false;
		int r = cli_observe(engine, NULL, reterr);

		if (r < 0)
			return r;
		(*ret_ticks)++;
		if (call->v.ticks > 0 && *ret_ticks >= call->v.ticks)
			return 0;
		if (next > end)
			return 0;
		r = pause_until(call, engine, signals, next, &over, reterr);
		if (r < 0 || over)
			return r;
	}
}

static enum cli_exit report(const struct cli_call *call, uint64_t ticks)
{
	struct stat st;

	if (stat(call->v.output, &st) < 0) {
		cli_say(call, "cannot look at %s: %s", call->v.output, strerror(errno));
		return CLI_FAILED;
	}
	if (call->v.json) {
		char clean[4 * CL_PATH_MAX];

		return cli_json(call,
				json_pack("{s:s,s:I,s:I}", "file",
					  cl_escape(call->v.output, clean, sizeof(clean)), "ticks",
					  (json_int_t)ticks, "bytes", (json_int_t)st.st_size));
	}
	cli_say(call, "%llu observations in %lld bytes; look at them with `closer replay %s`",
		(unsigned long long)ticks, (long long)st.st_size, call->v.output);
	return CLI_OK;
}

static enum cli_exit run(const struct cli_call *call)
{
	struct cl_engine *engine = NULL;
	struct cl_error err, close_err;
	uint64_t ticks = 0;

	if (!call->v.output)
		return cli_usage(call, "where to? closer record --output FILE");
	cl_autoclose int signals = cli_signals(&err);
	if (signals < 0 || cli_open(call, false, call->v.output, &engine, &err) < 0)
		return cli_error(call, &err);
	int r = record(call, engine, signals, &ticks, &err);
	int c = cl_engine_close(engine, CL_END_KEEP, 0, NULL, &close_err);

	if (r < 0) {
		cli_say(call,
			"%llu observations were recorded before this:", (unsigned long long)ticks);
		return cli_error(call, &err);
	}
	return c < 0 ? cli_error(call, &close_err) : report(call, ticks);
}

static const struct cli_option options[] = {
	{ "output", 'o', CLI_STRING, "FILE", CLI_AT(output), CLI_GROUP_ALL,
	  "the recording; must be given" },
	{ "for", 'f', CLI_TIME, "TIME", CLI_AT(for_ns), CLI_GROUP_ALL, "end after TIME" },
	{ "ticks", 'n', CLI_COUNT, "N", CLI_AT(ticks), CLI_GROUP_ALL, "end after N observations" },
	{ NULL, 0, CLI_FLAG, NULL, 0, CLI_GROUP_ALL, NULL },
};

const struct cli_verb cli_verb_record = {
	.name = "record",
	.groups = CLI_GROUP_HOST | CLI_GROUP_DIR | CLI_GROUP_JSON,
	.options = options,
	.doc = "observe for a while and keep it in a file",
	.text = "Observes the host each interval and writes what was seen, the parameters and the "
		"plans' digests to a file, until the time or the number of observations is over, "
		"or until it is interrupted. Changes nothing.",
	.run = run,
};
