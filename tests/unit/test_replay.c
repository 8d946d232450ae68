/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Replays: the same plans again; what is damaged, cut, foreign or hostile is refused with a
 * reason.
 */
#include "recorded.h"

static void test_replay(void **ctx)
{
	struct file *file = *ctx;
	struct cl_state *live = cl_state_new(&cl_limits_small);
	struct cl_replay *replay = NULL;
	struct cl_error error;
	unsigned ticks = 0;

	record(scene_named("two-nodes"), file->path, live);
	assert_int_equal(cl_replay_open(file->path, &replay, &error), 0);
	assert_string_equal(cl_replay_host(replay), "qemu:/run/\x1b vms");
	assert_same_bytes(cl_replay_limits(replay), &cl_limits_small, sizeof(cl_limits_small));
	while (cl_replay_next(replay, &error) == 0) {
		assert_true(cl_replay_same(replay));
		assert_int_equal(cl_replay_now(replay)->taken_ns, scene_ns(ticks));
		assert_true(ticks ? cl_replay_prev(replay)->taken_ns == scene_ns(ticks - 1)
				  : !cl_replay_prev(replay));
		ticks++;
	}
	assert_int_equal(error.code, ENODATA);
	assert_int_equal(ticks, TICKS);
	assert_false(cl_replay_torn(replay));

	/* the replay's state came the same way: edits and outcomes were taken as they were given */
	const struct cl_state *state = cl_replay_state(replay);

	assert_int_equal(state->ticks, live->ticks);
	assert_same_bytes(&state->n, &live->n, sizeof(state->n));
	assert_same_bytes(state->guests, live->guests, state->n.guests * sizeof(*state->guests));
	assert_same_bytes(state->vcpus, live->vcpus, state->n.vcpus * sizeof(*state->vcpus));
	assert_same_bytes(state->works, live->works, state->n.works * sizeof(*state->works));
	assert_same_bytes(state->irqs, live->irqs, state->n.irqs * sizeof(*state->irqs));
	assert_same_bytes(state->contributed_ns, live->contributed_ns,
			  sizeof(state->contributed_ns));
	cl_replay_close(replay);
	cl_state_free(live);
}

/* A recording that begins with a state that has a past. */
static void test_initial_state(void **ctx)
{
	struct file *file = *ctx;
	struct cl_state *state = cl_state_new(&cl_limits_small);
	struct cl_error error;
	bool torn;
	int end;

	record(scene_named("two-nodes"), file->path, state);
	assert_true(state->n.works > 0 && state->n.vcpus > 0 && state->n.irqs > 0);
	record(scene_named("come-and-go"), file->path, state);
	assert_int_equal(replay_all(file, &end, &torn, &error), TICKS);
	assert_int_equal(end, -ENODATA);
	cl_state_free(state);
}

static void test_same_bytes(void **ctx)
{
	struct file *file = *ctx;
	struct cl_state *state = cl_state_new(&cl_limits_small);
	cl_autofree uint8_t *again = malloc(1u << 20);

	record(scene_named("two-nodes"), file->path, state);
	assert_int_equal(cl_read_file(AT_FDCWD, file->path, (char *)again, 1u << 20), file->len);
	assert_same_bytes(again, file->bytes, file->len);
	cl_state_free(state);
}

/* Cut anywhere: the whole frames before the cut are replayed, and a cut frame is said to be cut. */
static void test_cut_file(void **ctx)
{
	struct file *file = *ctx;
	struct cl_error error;
	unsigned whole = 0;
	bool torn;
	int end;

	for (size_t len = 0; len < file->len; len++) {
		put_file(file, file->bytes, len);
		while (whole < file->frames && file->ends[whole] <= len)
			whole++;
		unsigned same = replay_all(file, &end, &torn, &error);
		bool at_end = len == (whole ? file->ends[whole - 1] : CL_RECORD_START);

		if (whole < 3) { /* head, params, state */
			assert_int_equal(end, -EBADMSG);
			continue;
		}
		assert_int_equal(end, -ENODATA);
		assert_int_equal(torn, !at_end);
		assert_true(same <= TICKS && (whole == 3) == (same == 0));
	}
}

/* Any byte changed anywhere is noticed. */
static void test_damage(void **ctx)
{
	struct file *file = *ctx;
	struct cl_error error;
	bool torn;
	int end;

	for (size_t at = 0; at < file->len; at++) {
		file->bytes[at] ^= 0x10;
		put_file(file, file->bytes, file->len);
		file->bytes[at] ^= 0x10;
		replay_all(file, &end, &torn, &error);
		if (end != -EBADMSG && end != -EPROTONOSUPPORT)
			fail_msg("a changed byte at %zu was not noticed: %d", at, end);
		assert_non_null(strstr(error.text, file->path));
	}
}

/* A frame left out, doubled or moved is noticed, though each is sound in itself. */
static void test_frames_moved(void **ctx)
{
	struct file *file = *ctx;
	cl_autofree uint8_t *bytes = malloc(2 * file->len);
	size_t from = file->ends[4], to = file->ends[5];
	struct cl_error error;
	bool torn;
	int end;

	memcpy(bytes, file->bytes, from);
	memcpy(bytes + from, file->bytes + to, file->len - to);
	put_file(file, bytes, file->len - (to - from));
	replay_all(file, &end, &torn, &error);
	assert_int_equal(end, -EBADMSG);
	memcpy(bytes, file->bytes, to);
	memcpy(bytes + to, file->bytes + from, file->len - from);
	put_file(file, bytes, file->len + (to - from));
	replay_all(file, &end, &torn, &error);
	assert_int_equal(end, -EBADMSG);
}

static void test_other_version(void **ctx)
{
	struct file *file = *ctx;
	struct cl_error error;
	bool torn;
	int end;

	file->bytes[CL_RECORD_MAGIC_LEN] = 99;
	put_file(file, file->bytes, file->len);
	replay_all(file, &end, &torn, &error);
	assert_int_equal(end, -EPROTONOSUPPORT);
	assert_non_null(strstr(error.text, "version 99"));
	assert_non_null(strstr(error.text, "version 14"));
}

/* One frame of our own making in place of the head: sound checks, hostile content. */
static void put_head(const struct file *file, const struct cl_record_head *head, uint32_t length,
		     uint32_t raw_length)
{
	uint8_t bytes[4096];
	struct cl_sink sink = { .buf = bytes + CL_RECORD_START + CL_FRAME_BYTES, .size = 2048 };
	struct cl_frame frame = { .type = CL_FRAME_HEAD, .coding = CL_CODING_STORED };

	cl_put_head(&sink, head);
	assert_true(sink.at <= sink.size);
	cl_record_start(bytes);
	frame.length = length ? length : (uint32_t)sink.at;
	frame.raw_length = raw_length ? raw_length : (uint32_t)sink.at;
	frame.hash = XXH64(sink.buf, sink.at, 0);
	cl_frame_put(&frame, 0, bytes + CL_RECORD_START);
	put_file(file, bytes, CL_RECORD_START + CL_FRAME_BYTES + sink.at);
}

static void test_hostile_head(void **ctx)
{
	struct file *file = *ctx;
	struct cl_record_head head = { .closer = "\x1b[2J",
				       .host = "x",
				       .cap = cl_limits_default,
				       .schema = cl_record_schema() };
	struct cl_error error;
	bool torn;
	int end;

	put_head(file, &head, 0, 0); /* the greatest that is taken: goes on to the missing params */
	replay_all(file, &end, &torn, &error);
	assert_non_null(strstr(error.text, "nothing to replay"));

	head.cap.works++;
	put_head(file, &head, 0, 0);
	replay_all(file, &end, &torn, &error);
	assert_int_equal(end, -EBADMSG);
	assert_non_null(strstr(error.text, "65537 works"));

	head.cap = cl_limits_small;
	head.cap.text = 0;
	put_head(file, &head, 0, 0);
	replay_all(file, &end, &torn, &error);
	assert_int_equal(end, -EBADMSG);

	head.cap = cl_limits_small;
	head.schema ^= 1;
	put_head(file, &head, 0, 0);
	replay_all(file, &end, &torn, &error);
	assert_int_equal(end, -EPROTONOSUPPORT);
	assert_null(strchr(error.text, '\x1b'));

	head.schema ^= 1;
	put_head(file, &head, UINT32_MAX, UINT32_MAX);
	replay_all(file, &end, &torn, &error);
	assert_int_equal(end, -EBADMSG);
	assert_non_null(strstr(error.text, "over 64 MiB"));
}

static void test_not_a_recording(void **ctx)
{
	struct file *file = *ctx;
	struct cl_replay *replay = NULL;
	struct cl_error error;
	bool torn;
	int end;

	put_file(file, (const uint8_t *)"[Unit]\nDescription=something else\n", 34);
	replay_all(file, &end, &torn, &error);
	assert_int_equal(end, -EBADMSG);
	assert_non_null(strstr(error.text, "no recording"));
	assert_int_equal(cl_replay_open("/dev/zero", &replay, &error), -EINVAL);
	assert_int_equal(cl_replay_open("/nonexistent/file", &replay, &error), -ENOENT);
	int fifo[2];
	char path[64];

	assert_int_equal(pipe(fifo), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fifo[0]);
	assert_int_equal(cl_replay_open(path, &replay, &error), -EINVAL); /* and does not hang */
	close(fifo[0]);
	close(fifo[1]);
}

/* ---- the host ---- */

static void count_say(void *ctx, const char *level, const char *text)
{
	assert_null(strchr(text, '\x1b'));
	++*(unsigned *)ctx;
}

static void test_host(void **ctx)
{
	struct file *file = *ctx;
	struct cl_snapshot *snap = cl_snapshot_new(&cl_limits_small);
	struct cl_change change = { .kind = CL_CHANGE_IRQ };
	struct cl_setting setting;
	struct cl_host *host = NULL;
	struct cl_error error;
	enum cl_wake why = CL_WAKE_EVENT;
	unsigned said = 0;

	assert_int_equal(cl_host_replay.open(file->path, &host, &error), 0);
	assert_int_equal(host->ops->apply(host, &change, &error), -EOPNOTSUPP);
	assert_int_equal(host->ops->read(host, &change, &setting, &error), -EOPNOTSUPP);
	host->ops->check(host, count_say, &said);
	assert_int_equal(said, 1);
	for (unsigned tick = 0; tick < TICKS; tick++) {
		assert_int_equal(host->ops->observe(host, 0, snap, &error), 0);
		assert_int_equal(snap->taken_ns, scene_ns(tick));
		assert_int_equal(host->ops->now_ns(host), scene_ns(tick));
		assert_int_equal(host->ops->wait(host, UINT64_MAX, -1, &why, &error), 0);
		assert_int_equal(why, tick + 1 < TICKS ? CL_WAKE_TIMER : CL_WAKE_END);
	}
	assert_int_equal(host->ops->observe(host, 0, snap, &error), -ENODATA);
	host->ops->close(host);
	cl_host_replay.close(NULL);
	cl_snapshot_free(snap);
}

int main(void)
{
#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_FILE(test_replay),          WITH_FILE(test_initial_state),
		WITH_FILE(test_same_bytes),      WITH_FILE(test_cut_file),
		WITH_FILE(test_damage),          WITH_FILE(test_frames_moved),
		WITH_FILE(test_other_version),   WITH_FILE(test_hostile_head),
		WITH_FILE(test_not_a_recording), WITH_FILE(test_host),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
