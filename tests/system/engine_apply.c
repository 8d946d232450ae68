/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine_apply: the shortest way from a host to an applied plan, for tests that kill it a thousand
 * times.
 *
 *   engine_apply apply|hold|until URI DIR [SECONDS]
 *   engine_apply undo|confirm DIR
 *
 * apply: observes, decides, applies, keeps. hold: applies and then waits to be killed. until: keeps
 * for SECONDS unless confirmed. `closer apply` does the same, but observes twice an interval apart.
 */
#include "engine.h"
#include "lib.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static int failed(const struct cl_error *err)
{
	fprintf(stderr, "engine_apply: %s\n", err->text);
	return 1;
}

static void say(void *ctx, const struct cl_action *action, int code, const char *text)
{
	if (code != 0)
		fprintf(stderr, "engine_apply: %s: %s\n", cl_action_kind_name(action->kind), text);
}

static int apply(const char *verb, const char *uri, const char *dir, const char *seconds)
{
	struct cl_engine_options options = {
		.host_uri = uri,
		.state_dir = dir,
		.act = true,
		.limits = &cl_limits_small,
	};
	struct cl_limits cap = cl_limits_small;
	struct cl_engine *engine;
	struct cl_error err;
	struct cl_tick tick = { 0 }, seen = { 0 };
	uint64_t until = 0, began = cl_clock_ns();

	if (seconds && !cl_parse_u64(seconds, &until, NULL))
		return 2;
	cap.works = cap.runs = 8192;
	options.limits = &cap;
	cl_params_default(&options.params);
	if (cl_engine_open(&options, &engine, &err) < 0)
		return failed(&err);
	uint64_t opened = cl_clock_ns();

	if (cl_engine_observe(engine, &seen, &err) < 0 ||
	    cl_engine_apply(engine, say, NULL, &tick, &err) < 0) {
		cl_engine_close(engine, CL_END_UNDO, 0, NULL, NULL);
		return failed(&err);
	}
	printf("done %u failed %u skipped %u open_ms %.1f observe_ms %.1f apply_ms %.1f\n",
	       tick.done, tick.failed, tick.skipped, (double)(opened - began) / 1e6,
	       (double)seen.observe_ns / 1e6, (double)tick.apply_ns / 1e6);
	fflush(stdout);
	if (strcmp(verb, "hold") == 0) {
		for (;;)
			pause();
	}
	if (cl_engine_close(engine, until ? CL_END_KEEP_UNTIL : CL_END_KEEP,
			    until ? cl_clock_ns() + until * CL_NS_PER_S : 0, NULL, &err) < 0)
		return failed(&err);
	return 0;
}

static void say_left(void *ctx, const struct cl_change *change, const char *text)
{
	fprintf(stderr, "engine_apply: %s\n", text);
}

static int undo(const char *dir)
{
	struct cl_undo_report r;
	struct cl_error err;
	uint64_t began;
	int lock;

	if (cl_lock(dir, &lock, &err) < 0)
		return failed(&err);
	began = cl_clock_ns();
	if (cl_undo(dir, false, say_left, NULL, &r, &err) < 0)
		return failed(&err);
	printf("objects %u restored %u already %u gone %u left %u failed %u verified %d ms %.2f\n",
	       r.objects, r.restored, r.already, r.gone, r.left, r.failed, r.verified,
	       (double)(cl_clock_ns() - began) / 1e6);
	close(lock);
	return r.failed == 0 && r.verified ? 0 : 1;
}

static int confirm(const char *dir)
{
	struct cl_journal_writer *w;
	struct cl_error err;
	int lock, r;

	if (cl_lock(dir, &lock, &err) < 0)
		return failed(&err);
	r = cl_journal_open(dir, NULL, &w, &err);
	if (r == 0) {
		r = cl_journal_confirm(w, &err);
		cl_journal_close(w);
	}
	close(lock);
	return r < 0 ? failed(&err) : 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "undo") == 0)
		return undo(argv[2]);
	if (argc == 3 && strcmp(argv[1], "confirm") == 0)
		return confirm(argv[2]);
	if (argc == 5 && strcmp(argv[1], "until") == 0)
		return apply(argv[1], argv[2], argv[3], argv[4]);
	if (argc == 4 && (strcmp(argv[1], "apply") == 0 || strcmp(argv[1], "hold") == 0))
		return apply(argv[1], argv[2], argv[3], NULL);
	fprintf(stderr,
		"usage: engine_apply apply|hold URI DIR | until URI DIR SECONDS | undo DIR | confirm DIR\n");
	return 2;
}
