/* SPDX-License-Identifier: GPL-2.0-or-later */
/* recorded: a recording of a scene in memory, to be replayed, cut and damaged. */
#ifndef CLOSER_TESTS_RECORDED_H
#define CLOSER_TESTS_RECORDED_H

#include "unit.h"

#include "../golden/scene_list.h"

#include <encode.h>
#include <record.h>

#include <fcntl.h>
#include <sys/mman.h>

#define TICKS 12u

/* cmocka's own takes an int for the length */
#define assert_same_bytes(a, b, len) assert_int_equal(memcmp(a, b, len), 0)

struct file { /* in memory: thousands of damaged ones are written */
	int fd;
	char path[64];
	uint8_t *bytes;
	size_t len;
	size_t ends[64]; /* where frames end */
	unsigned frames;
};

static inline void put_file(const struct file *file, const uint8_t *bytes, size_t len)
{
	assert_int_equal(ftruncate(file->fd, 0), 0);
	assert_int_equal(pwrite(file->fd, bytes, len, 0), len);
}

static inline void find_frames(struct file *file)
{
	size_t at = CL_RECORD_START;

	for (file->frames = 0; at < file->len; file->frames++) {
		struct cl_frame frame;

		assert_null(cl_frame_get(file->bytes + at, file->frames, &frame));
		at += CL_FRAME_BYTES + frame.length;
		assert_true(file->frames < CL_COUNT(file->ends));
		file->ends[file->frames] = at;
	}
	assert_int_equal(at, file->len);
}

/* One edit of each kind. */
static inline void tell_all(struct cl_recorder *recorder, struct cl_state *state,
			    const struct cl_uuid *guest)
{
	struct cl_error error;
	struct cl_tid io = { 1001, 7778 };

	const struct cl_record_edit edits[] = {
		{ .edit = CL_EDIT_OWN_THREAD, .guest = *guest, .thread = io, .mask_hash = 42 },
		{ .edit = CL_EDIT_OWN_IRQ, .number = 7, .mask_hash = 43 },
		{ .edit = CL_EDIT_ADOPT_THREAD, .thread = io },
		{ .edit = CL_EDIT_ADOPT_IRQ, .number = 7 },
		{ .edit = CL_EDIT_OWN_CPU, .number = 2, .mask_hash = 44 },
		{ .edit = CL_EDIT_OWN_VCPU,
		  .guest = *guest,
		  .number = 1,
		  .domid = 5,
		  .mask_hash = 45 },
		{ .edit = CL_EDIT_OWN_LEVER,
		  .guest = *guest,
		  .number = CL_LEVER_WEIGHT,
		  .domid = 5,
		  .mask_hash = 128,
		  .contract = 256 },
		{ .edit = CL_EDIT_OWN_LEDGER,
		  .guest = *guest,
		  .mask_hash = 46,
		  .ledger = { 10, 5, 3, 2 } },
		{ .edit = CL_EDIT_OWN_THROTTLE,
		  .guest = *guest,
		  .number = CL_ACTION_NIC_RATE,
		  .key = 9,
		  .set = 46,
		  .since_ns = 47 },
		{ .edit = CL_EDIT_OWN_MEMORY, .contract = 1 << 30, .mask_hash = 1 << 29 },
	};

	for (size_t i = 0; i < CL_COUNT(edits); i++) {
		assert_true(cl_record_tell(state, &edits[i]));
		assert_int_equal(cl_recorder_edit(recorder, &edits[i], &error), 0);
	}
}

/* State edits of all four kinds at tick 2, outcomes of all actions, some refused. */
static inline void record(const struct scene *scene, const char *path, struct cl_state *state)
{
	struct scene_world *world = calloc(1, sizeof(*world));
	struct cl_snapshot *prev = cl_snapshot_new(&cl_limits_small),
			   *now = cl_snapshot_new(&cl_limits_small);
	struct cl_plan *plan = cl_plan_new(&cl_limits_small);
	struct cl_recorder *recorder = NULL;
	struct cl_params params;
	struct cl_error error;

	cl_params_default(&params);
	assert_int_equal(cl_recorder_open(path, "qemu:/run/\x1b vms", &cl_limits_small, &params,
					  state, &recorder, &error),
			 0);
	for (unsigned tick = 0; tick < TICKS; tick++) {
		struct cl_snapshot *other = prev;

		prev = now;
		now = world->snap = other;
		scene_fill(scene, world, tick);
		if (tick == 2) {
			tell_all(recorder, state, &now->guests[0].id);
		}
		cl_decide(tick ? prev : NULL, now, &params, state, plan);
		assert_int_equal(cl_recorder_tick(recorder, now, plan, &error), 0);
		for (uint32_t i = 0; i < plan->n.actions; i++) {
			int code = tick == 0 && i == plan->n.actions - 1 ? EPERM : 0;

			if (!code)
				scene_apply(world, plan, &plan->actions[i]);
			cl_state_outcome(state, &params, plan, &plan->actions[i], code,
					 now->taken_ns + i);
			assert_int_equal(
				cl_recorder_outcome(recorder, i, code, now->taken_ns + i, &error),
				0);
		}
	}
	assert_int_equal(cl_recorder_close(recorder, &error), 0);
	cl_snapshot_free(prev);
	cl_snapshot_free(now);
	cl_plan_free(plan);
	free(world);
}

static inline int set_up(void **ctx)
{
	struct file *file = calloc(1, sizeof(*file));
	struct cl_state *state = cl_state_new(&cl_limits_small);

	file->fd = memfd_create("recording", MFD_CLOEXEC);
	if (file->fd < 0)
		return -1;
	snprintf(file->path, sizeof(file->path), "/proc/self/fd/%d", file->fd);
	file->bytes = malloc(1u << 20);
	record(scene_named("two-nodes"), file->path, state);
	file->len = (size_t)cl_read_file(AT_FDCWD, file->path, (char *)file->bytes, 1u << 20);
	find_frames(file);
	cl_state_free(state);
	*ctx = file;
	return 0;
}

static inline int tear_down(void **ctx)
{
	struct file *file = *ctx;

	close(file->fd);
	free(file->bytes);
	free(file);
	return 0;
}

/* Replays all there is: ticks that were as decided then; *ret_end: how it ended. */
static inline unsigned replay_all(const struct file *file, int *ret_end, bool *ret_torn,
				  struct cl_error *ret_error)
{
	struct cl_replay *replay;
	unsigned same = 0;

	*ret_torn = false;
	*ret_end = cl_replay_open(file->path, &replay, ret_error);
	if (*ret_end < 0)
		return 0;
	while ((*ret_end = cl_replay_next(replay, ret_error)) == 0)
		same += cl_replay_same(replay);
	*ret_torn = cl_replay_torn(replay);
	assert_int_equal(cl_replay_next(replay, NULL), *ret_end); /* and stays ended */
	cl_replay_close(replay);
	return same;
}

#endif
