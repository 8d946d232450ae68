/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A whole recording. The frames' checks are made right first, and the head's schema ours, or no
 * mutation would get past them; then it is replayed: each tick that comes out can be decided on
 * and shown.
 */
#include <encode.h>
#include <json.h>
#include <record.h>

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#define TICKS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool what)
{
	if (!what)
		abort();
}

static uint32_t get_u32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
	       (uint32_t)bytes[3] << 24;
}

static void put_frame(int fd, const struct cl_frame *was, uint64_t number, const uint8_t *payload,
		      size_t len)
{
	struct cl_frame frame = *was;
	uint8_t bytes[CL_FRAME_BYTES];

	frame.hash = XXH64(payload, len, number);
	cl_frame_put(&frame, number, bytes);
	must(write(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes));
	must(write(fd, payload, len) == (ssize_t)len);
}

/* The head with our schema in it, if it is one; else as it is. */
static void put_head(int fd, const struct cl_frame *frame, const uint8_t *payload, size_t len)
{
	struct cl_record_head head;
	struct cl_source source;
	uint8_t bytes[2048];
	struct cl_sink sink = { .buf = bytes, .size = sizeof(bytes) };
	struct cl_frame ours = *frame;

	cl_source_open(&source, payload, len);
	cl_get_head(&source, &head);
	if (frame->coding != CL_CODING_STORED || cl_source_close(&source, "", NULL) < 0) {
		put_frame(fd, frame, 0, payload, len);
		return;
	}
	head.schema = cl_record_schema();
	cl_put_head(&sink, &head);
	must(sink.at <= sink.size);
	ours.length = ours.raw_length = (uint32_t)sink.at;
	put_frame(fd, &ours, 0, bytes, sink.at);
}

static void put_file(int fd, const uint8_t *data, size_t size)
{
	size_t at = CL_RECORD_START < size ? CL_RECORD_START : size;

	must(write(fd, data, at) == (ssize_t)at);
	for (uint64_t number = 0; size - at >= CL_FRAME_BYTES; number++) {
		const uint8_t *bytes = data + at;
		struct cl_frame frame = { .type = bytes[0],
					  .coding = bytes[1],
					  .length = get_u32(bytes + 4),
					  .raw_length = get_u32(bytes + 8) };
		size_t rest = size - at - CL_FRAME_BYTES;
		size_t len = frame.length < rest ? frame.length : rest;

		if (number == 0)
			put_head(fd, &frame, bytes + CL_FRAME_BYTES, len);
		else
			put_frame(fd, &frame, number, bytes + CL_FRAME_BYTES, len);
		at += CL_FRAME_BYTES + len;
	}
	must(write(fd, data + at, size - at) == (ssize_t)(size - at));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cl_autoclose int fd = memfd_create("recording", MFD_CLOEXEC);
	struct cl_replay *replay = NULL;
	struct cl_error error;
	char path[64];

	must(fd >= 0);
	put_file(fd, data, size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (cl_replay_open(path, &replay, &error) < 0)
		return 0;
	for (unsigned tick = 0; tick < TICKS_MAX && cl_replay_next(replay, &error) == 0; tick++) {
		cl_autofree char *text = cl_json_text(
			cl_json_plan(cl_replay_now(replay), cl_replay_plan(replay)), 0);

		must(text);
	}
	cl_replay_close(replay);
	return 0;
}
