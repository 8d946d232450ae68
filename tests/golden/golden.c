/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * golden: hosts that look like real ones, and the plans that core makes for them, as text that
 * people have read.
 *
 *   golden DIR             decides on each scene, records, replays; compares with DIR/NAME.json,
 *   diff -u if they differ
 *   golden --update DIR    writes DIR/NAME.json anew: read the diff before it is committed
 *   golden --record DIR    writes DIR/NAME.rec, the recordings, for a look with `closer replay`
 *   golden --corpus DIR    writes DIR/record/NAME and DIR/replay/NAME, the fuzzers' seeds: after
 *   each change of the format
 *
 * Each plan is made twice, live and from its own recording, and must come out the same, byte for
 * byte.
 */
#include "scene_list.h"

#include <json.h>
#include <reader.h>
#include <record.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

enum mode { COMPARE, UPDATE, RECORD, CORPUS };

/* ---- a plan as text: a line an action and a line a work, so that diffs are readable ---- */

static void print_json(FILE *out, json_t *json, const char *end)
{
	char *text = cl_json_text(json, 0);

	assert(text);
	text[strcspn(text, "\n")] = '\0';
	fprintf(out, "%s%s\n", text, end);
	free(text);
}

static void print_tick(FILE *out, unsigned tick, const struct cl_snapshot *snap,
		       const struct cl_plan *plan)
{
	json_t *books = cl_json_books("scene:", snap, plan);
	char main_cpus[64], secondary_cpus[64];

	cl_cpuset_format(&plan->main_cpus, main_cpus, sizeof(main_cpus));
	cl_cpuset_format(&plan->secondary_cpus, secondary_cpus, sizeof(secondary_cpus));
	fprintf(out,
		"{\"tick\":%u,\"main_cpus\":\"%s\",\"secondary_cpus\":\"%s\",\n\"totals\":", tick,
		main_cpus, secondary_cpus);
	print_json(out, json_incref(json_object_get(books, "totals")), ",");
	json_decref(books);
	fprintf(out, "\"actions\":[\n");
	for (uint32_t i = 0; i < plan->n.actions; i++)
		print_json(out, cl_json_action(snap, plan, &plan->actions[i]),
			   i + 1 < plan->n.actions ? "," : "");
	fprintf(out, "],\"verdicts\":[\n");
	for (uint32_t i = 0; i < plan->n.verdicts; i++)
		print_json(out, cl_json_verdict(snap, plan, i),
			   i + 1 < plan->n.verdicts ? "," : "");
	fprintf(out, "]}");
}

/* Ticks on which nothing is to be done all look alike: the ones with actions, and the last. */
static bool worth_printing(const struct scene *scene, unsigned tick, const struct cl_plan *plan)
{
	return plan->n.actions > 0 || tick + 1 == scene->ticks;
}

static void print_start(FILE *out, const struct scene *scene)
{
	fprintf(out, "{\"scene\":\"%s\",\"what\":\"%s\",\"ticks\":[\n", scene->name, scene->doc);
}

static void print_between(FILE *out, unsigned *printed, unsigned tick,
			  const struct cl_snapshot *snap, const struct cl_plan *plan)
{
	if ((*printed)++ > 0)
		fprintf(out, ",\n");
	print_tick(out, tick, snap, plan);
}

static void print_end(FILE *out)
{
	fprintf(out, "\n]}\n");
	fclose(out);
}

/* ---- live, with a recorder ---- */

static void must(int r, const struct cl_error *error)
{
	if (r < 0) {
		fprintf(stderr, "golden: %s\n", error->text);
		exit(1);
	}
}

static void apply_all(const struct scene *scene, struct scene_world *world,
		      const struct cl_params *params, struct cl_state *state,
		      const struct cl_plan *plan, struct cl_recorder *recorder)
{
	struct cl_error error;
	uint64_t done_ns = scene_ns(world->tick) + 1000000;

	for (uint32_t i = 0; i < plan->n.actions; i++) {
		const struct cl_action *action = &plan->actions[i];
		int code = scene->outcome ? scene->outcome(action, world->tick) : 0;

		if (!action->possible)
			continue;
		if (code == 0)
			scene_apply(world, plan, action);
		cl_state_outcome(state, params, plan, action, code, done_ns);
		must(cl_recorder_outcome(recorder, i, code, done_ns, &error), &error);
	}
}

/* Lets the scene run under core; the recording goes to path, the text is the caller's. */
static char *live(const struct scene *scene, const char *path)
{
	struct scene_world *world = calloc(1, sizeof(*world));
	struct cl_snapshot *prev = cl_snapshot_new(&cl_limits_small),
			   *now = cl_snapshot_new(&cl_limits_small);
	struct cl_state *state = cl_state_new(&cl_limits_small);
	struct cl_plan *plan = cl_plan_new(&cl_limits_small);
	struct cl_recorder *recorder = NULL;
	struct cl_params params;
	struct cl_error error;
	char *text = NULL;
	size_t len = 0;
	unsigned printed = 0;
	FILE *out = open_memstream(&text, &len);

	assert(world && prev && now && state && plan && out);
	cl_params_default(&params);
	if (scene->params)
		scene->params(&params);
	must(cl_recorder_open(path, "scene:", &cl_limits_small, &params, state, &recorder, &error),
	     &error);
	print_start(out, scene);
	for (unsigned tick = 0; tick < scene->ticks; tick++) {
		struct cl_snapshot *other = prev;

		prev = now;
		now = world->snap = other;
		scene_fill(scene, world, tick);
		cl_decide(tick ? prev : NULL, now, &params, state, plan);
		must(cl_recorder_tick(recorder, now, plan, &error), &error);
		if (worth_printing(scene, tick, plan))
			print_between(out, &printed, tick, now, plan);
		apply_all(scene, world, &params, state, plan, recorder);
	}
	print_end(out);
	must(cl_recorder_close(recorder, &error), &error);
	cl_snapshot_free(prev);
	cl_snapshot_free(now);
	cl_state_free(state);
	cl_plan_free(plan);
	free(world);
	return text;
}

/* The same text from the recording, or NULL if a plan was another one than when it was recorded. */
static char *replayed(const struct scene *scene, const char *path)
{
	struct cl_replay *replay = NULL;
	struct cl_error error;
	char *text = NULL;
	size_t len = 0;
	unsigned tick = 0, printed = 0;
	bool same = true;
	FILE *out = open_memstream(&text, &len);
	int r;

	assert(out);
	must(cl_replay_open(path, &replay, &error), &error);
	print_start(out, scene);
	while ((r = cl_replay_next(replay, &error)) == 0) {
		same = same && cl_replay_same(replay);
		if (worth_printing(scene, tick, cl_replay_plan(replay)))
			print_between(out, &printed, tick, cl_replay_now(replay),
				      cl_replay_plan(replay));
		tick++;
	}
	if (r != -ENODATA)
		must(r, &error);
	same = same && tick == scene->ticks && !cl_replay_torn(replay);
	cl_replay_close(replay);
	print_end(out);
	if (!same) {
		free(text);
		text = NULL;
	}
	return text;
}

/* ---- comparing ---- */

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f) != 0) {
		fprintf(stderr, "golden: writing %s: %s\n", path, strerror(errno));
		exit(1);
	}
}

static char *read_text(const char *path)
{
	size_t size = 4u << 20;
	char *text = malloc(size);

	assert(text);
	if (cl_read_file(AT_FDCWD, path, text, size) < 0)
		text[0] = '\0';
	return text;
}

static void show_diff(const char *expected, const char *is)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		execlp("diff", "diff", "-u", expected, is, (char *)NULL);
		_exit(127);
	}
	if (child > 0)
		waitpid(child, NULL, 0);
}

/* ---- seeds ---- */

#define SEED_TICKS 4u

/* Unpacked, since a fuzzer makes little of what is packed. */
static void put_stored(FILE *out, const struct cl_reader *reader, enum cl_frame_type type,
		       uint64_t number)
{
	const struct cl_payload *raw = type == CL_FRAME_TICK ? &reader->last : &reader->raw;
	struct cl_frame frame = { .type = (uint8_t)type,
				  .coding = CL_CODING_STORED,
				  .length = (uint32_t)raw->len,
				  .raw_length = (uint32_t)raw->len,
				  .hash = XXH64(raw->p, raw->len, number) };
	uint8_t bytes[CL_FRAME_BYTES];

	cl_frame_put(&frame, number, bytes);
	fwrite(bytes, sizeof(bytes), 1, out);
	fwrite(raw->p, raw->len, 1, out);
}

static void put_snapshot(const struct cl_snapshot *snap, const char *path)
{
	size_t len = cl_snapshot_encode(snap, NULL, 0);
	cl_autofree uint8_t *bytes = malloc(len);
	cl_autofclose FILE *out = fopen(path, "w");

	assert(bytes && out);
	cl_snapshot_encode(snap, bytes, len);
	fwrite(bytes, len, 1, out);
}

static void write_seeds(const struct scene *scene, const char *recording, const char *dir)
{
	char file_path[CL_PATH_MAX], snapshot_path[CL_PATH_MAX];
	struct cl_snapshot *snap = cl_snapshot_new(&cl_limits_small);
	struct cl_reader reader;
	struct cl_error error;
	uint8_t start[CL_RECORD_START];
	enum cl_frame_type type = CL_FRAME_HEAD;
	unsigned ticks = 0;
	uint64_t digest;

	snprintf(file_path, sizeof(file_path), "%s/replay/%s", dir, scene->name);
	snprintf(snapshot_path, sizeof(snapshot_path), "%s/record/%s", dir, scene->name);
	cl_autofclose FILE *out = fopen(file_path, "w");

	assert(snap && out);
	must(cl_reader_open(&reader, recording, &error), &error);
	cl_record_start(start);
	fwrite(start, sizeof(start), 1, out);
	/* the head has been read: it is still in raw */
	do {
		if (type == CL_FRAME_TICK) {
			must(cl_reader_tick(&reader, NULL, snap, &digest, &error), &error);
			ticks++;
		}
		put_stored(out, &reader, type, reader.number - 1);
	} while (ticks < SEED_TICKS && cl_reader_next(&reader, &type, &error) == 0);
	put_snapshot(snap, snapshot_path);
	cl_reader_close(&reader);
	cl_snapshot_free(snap);
}

/* True: as expected. */
static bool check(const struct scene *scene, enum mode mode, const char *dir, const char *scratch)
{
	char expected_path[CL_PATH_MAX], recording[CL_PATH_MAX], is_path[CL_PATH_MAX];

	snprintf(expected_path, sizeof(expected_path), "%s/%s.json", dir, scene->name);
	snprintf(recording, sizeof(recording), "%s/%s.rec", mode == RECORD ? dir : scratch,
		 scene->name);
	snprintf(is_path, sizeof(is_path), "%s/%s.json", scratch, scene->name);
	cl_autofree char *text = live(scene, recording), *again = replayed(scene, recording);
	cl_autofree char *third = replayed(scene, recording);
	bool same = again && third && strcmp(text, again) == 0 && strcmp(text, third) == 0;

	if (same && mode == CORPUS)
		write_seeds(scene, recording, dir);
	if (mode != RECORD)
		unlink(recording);
	if (!same) {
		printf("not ok %s: its recording does not replay to the same plans\n", scene->name);
		return false;
	}
	if (mode == UPDATE)
		write_text(expected_path, text);
	if (mode != COMPARE)
		return true;
	cl_autofree char *expected = read_text(expected_path);

	if (strcmp(expected, text) == 0) {
		printf("ok %s: %u ticks, live, replayed and replayed again as in %s.json\n",
		       scene->name, scene->ticks, scene->name);
		return true;
	}
	printf("not ok %s: the plan has changed; if it is meant to, read this and run golden --update\n",
	       scene->name);
	write_text(is_path, text);
	show_diff(expected_path, is_path);
	unlink(is_path);
	return false;
}

int main(int argc, char **argv)
{
	char scratch[] = "/tmp/closer-golden-XXXXXX";
	enum mode mode = COMPARE;
	bool ok = true;

	if (argc == 3 && strcmp(argv[1], "--update") == 0)
		mode = UPDATE;
	else if (argc == 3 && strcmp(argv[1], "--record") == 0)
		mode = RECORD;
	else if (argc == 3 && strcmp(argv[1], "--corpus") == 0)
		mode = CORPUS;
	else if (argc != 2) {
		fprintf(stderr, "usage: golden [--update | --record | --corpus] DIR\n");
		return 2;
	}
	if (!mkdtemp(scratch)) {
		fprintf(stderr, "golden: making %s: %s\n", scratch, strerror(errno));
		return 1;
	}
	for (size_t i = 0; i < CL_COUNT(scenes); i++)
		ok = check(&scenes[i], mode, argv[argc - 1], scratch) && ok;
	rmdir(scratch);
	return ok ? 0 : 1;
}
