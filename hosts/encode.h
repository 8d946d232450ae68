/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * encode: the bytes of a recording. Used by record.c, replay.c, their fuzzers and tests, by
 * nobody else.
 *
 *   value -> cl_put_*() -> sink { buffer or XXH64 }        bytes -> source -> cl_get_*() -> value
 *
 * File: magic, version (u32), then frames. All fixed-size integers are little-endian; all others
 * are varints (LEB128, shortest form only), so that what decodes encodes to the same bytes again.
 * Sinks count what they would have needed; sources stop at the first fault and remember where.
 */
#ifndef CLOSER_ENCODE_H
#define CLOSER_ENCODE_H

#include "record.h"

#include <xxhash.h>

#define CL_RECORD_MAGIC      "closer-recording"
#define CL_RECORD_MAGIC_LEN  16u
#define CL_RECORD_START      (CL_RECORD_MAGIC_LEN + 4u) /* where the first frame is */
#define CL_RECORD_VERSION    14u
#define CL_RECORD_WINDOW_LOG 24 /* zstd: how far back into the last tick a tick may refer */
#define CL_FRAME_BYTES       24u
#define CL_PAYLOAD_MAX       ((size_t)64 << 20) /* of a frame, packed or not */

enum cl_frame_type {
	CL_FRAME_HEAD = 1, /* once, first: struct cl_record_head */
	CL_FRAME_PARAMS,   /* once, second */
	CL_FRAME_STATE,    /* once, third: what core remembered when the recording began */
	CL_FRAME_EDIT,     /* struct cl_record_edit */
	CL_FRAME_TICK,     /* plan digest, snapshot */
	CL_FRAME_OUTCOMES, /* struct cl_record_outcome, of the tick before, until the payload's end
			    */
	CL_FRAME_TYPE_COUNT
};

/*
 * PREFIXED: zstd with the payload of the tick before as its dictionary, which is the whole delta
 * coding.
 */
enum cl_frame_coding { CL_CODING_STORED, CL_CODING_ZSTD, CL_CODING_PREFIXED, CL_CODING_COUNT };

/*
 * A frame's head on disk: type u8, coding u8, 0 u16, length u32, raw length u32, check u32, hash
 * u64. check covers the 12 bytes before it, hash the payload as stored; both are seeded with the
 * frame's number, so that a frame that is missing, doubled or moved is noticed. A damaged length
 * is damage, not a torn end.
 */
struct cl_frame {
	uint8_t type, coding;
	uint32_t length;     /* of the payload as stored */
	uint32_t raw_length; /* unpacked */
	uint64_t hash;
};

void cl_frame_put(const struct cl_frame *frame, uint64_t number, uint8_t ret_bytes[CL_FRAME_BYTES]);
/* What is wrong with it, or NULL. */
const char *cl_frame_get(const uint8_t bytes[CL_FRAME_BYTES], uint64_t number,
			 struct cl_frame *ret_frame);

/* The magic and our version; the version of a file that has the magic. */
void cl_record_start(uint8_t ret_start[CL_RECORD_START]);
uint32_t cl_record_version(const uint8_t start[CL_RECORD_START]);

struct cl_record_head {
	char closer[32]; /* version of the program that recorded */
	char host[CL_PATH_MAX];
	struct cl_limits cap; /* of its snapshots: plan and state are sized by them */
	uint64_t schema;      /* cl_record_schema() of the program that recorded */
};

/*
 * kind and object: what the action was, so that an outcome is never given to another plan's
 * action.
 */
struct cl_record_outcome {
	uint32_t index;
	uint32_t code;
	uint64_t now_ns;
	enum cl_action_kind kind;
	struct cl_object object;
};

struct cl_sink {
	uint8_t *buf;
	size_t size;
	size_t at;           /* bytes put, also those that did not fit */
	XXH64_state_t *hash; /* if set, bytes go here instead */
	uint64_t base_ns;    /* times of reading are written relative to it */
};

struct cl_source {
	const uint8_t *start, *at, *end;
	const char *fault; /* NULL: none so far */
	size_t fault_at;
	uint64_t base_ns;
};

/*
 * A hash of all names and types that a recording holds: another one means that the fields are
 * others.
 */
uint64_t cl_record_schema(void);

void cl_source_open(struct cl_source *ret_source, const void *bytes, size_t len);
/* 0 if all was read and nothing was wrong, else -EBADMSG: "what, byte N: fault". */
int cl_source_close(const struct cl_source *source, const char *what, struct cl_error *reterr);

void cl_put_u64(struct cl_sink *sink, uint64_t value);
void cl_put_head(struct cl_sink *sink, const struct cl_record_head *head);
void cl_put_params(struct cl_sink *sink, const struct cl_params *params);
void cl_put_state(struct cl_sink *sink, const struct cl_state *state);
void cl_put_edit(struct cl_sink *sink, const struct cl_record_edit *edit);
void cl_put_outcome(struct cl_sink *sink, const struct cl_record_outcome *outcome);
void cl_put_snapshot(struct cl_sink *sink, const struct cl_snapshot *snap);
void cl_put_plan(struct cl_sink *sink, const struct cl_plan *plan);

/*
 * On a fault the value is unfinished: cl_source_close says so. state and snap are initialised by
 * the caller.
 */
uint64_t cl_get_u64(struct cl_source *source);
void cl_get_head(struct cl_source *source, struct cl_record_head *ret_head);
void cl_get_params(struct cl_source *source, struct cl_params *ret_params);
void cl_get_state(struct cl_source *source, struct cl_state *state);
void cl_get_edit(struct cl_source *source, struct cl_record_edit *ret_edit);
void cl_get_outcome(struct cl_source *source, struct cl_record_outcome *ret_outcome);
void cl_get_snapshot(struct cl_source *source, struct cl_snapshot *snap);

#endif
