/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reader: a recording's frames in their order, each checked before anything is made of it.
 * record.c; for replay.c.
 */
#ifndef CLOSER_READER_H
#define CLOSER_READER_H

#include "encode.h"

#include <lib.h>

#include <zstd.h>

struct cl_payload {
	uint8_t *p;
	size_t size, len;
};

struct cl_reader {
	int fd;
	char *path;
	uint64_t size, at;         /* of the file; of the next frame */
	uint64_t frame_at, number; /* of the last frame read; of the next one */
	bool torn, ticked;
	struct cl_payload packed, raw, last; /* as stored; unpacked; of the tick before */
	ZSTD_DCtx *zstd;
	struct cl_record_head head;
};

/* Up to the head, which is checked. On failure nothing is left open. */
int cl_reader_open(struct cl_reader *ret_reader, const char *path, struct cl_error *reterr);
void cl_reader_close(struct cl_reader *reader);
/*
 * The next frame's payload into raw. -ENODATA: the file is over, or its last frame is cut (torn).
 */
int cl_reader_next(struct cl_reader *reader, enum cl_frame_type *ret_type, struct cl_error *reterr);
/* The next frame must be of this type. */
int cl_reader_expect(struct cl_reader *reader, enum cl_frame_type wanted, struct cl_error *reterr);
/* raw holds a TICK: into snap, which is checked against the one before it (NULL: none). */
int cl_reader_tick(struct cl_reader *reader, const struct cl_snapshot *prev,
		   struct cl_snapshot *snap, uint64_t *ret_digest, struct cl_error *reterr);
/* -EBADMSG, with path and offset of the last frame. */
int cl_reader_bad(const struct cl_reader *reader, struct cl_error *reterr, const char *what);
/* cl_source_close with the path and the frame's offset in the message. */
int cl_reader_finish(const struct cl_reader *reader, const struct cl_source *source,
		     struct cl_error *reterr);

/* Runs call, which reads from a `source` that is raw, and says if it did not end well. */
#define CL_DECODE(reader, call, reterr)                                                            \
	({                                                                                         \
		struct cl_source source;                                                           \
		cl_source_open(&source, (reader)->raw.p, (reader)->raw.len);                       \
		call;                                                                              \
		cl_reader_finish(reader, &source, reterr);                                         \
	})

#endif
