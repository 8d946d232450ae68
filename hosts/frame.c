/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The outside of a recording: its start, and the head of each frame, checked before anything in it
 * is read. */
#include "encode.h"

#include "record.h"

#include <string.h>
#include <xxhash.h>

static void put_le(uint8_t *bytes, uint64_t value, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_le(const uint8_t *bytes, size_t n)
{
	uint64_t value = 0;

	for (size_t i = 0; i < n; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	return value;
}

void cl_frame_put(const struct cl_frame *frame, uint64_t number, uint8_t ret_bytes[CL_FRAME_BYTES])
{
	ret_bytes[0] = frame->type;
	ret_bytes[1] = frame->coding;
	put_le(ret_bytes + 2, 0, 2);
	put_le(ret_bytes + 4, frame->length, 4);
	put_le(ret_bytes + 8, frame->raw_length, 4);
	put_le(ret_bytes + 12, XXH64(ret_bytes, 12, number), 4);
	put_le(ret_bytes + 16, frame->hash, 8);
}

const char *cl_frame_get(const uint8_t bytes[CL_FRAME_BYTES], uint64_t number,
			 struct cl_frame *ret_frame)
{
	struct cl_frame frame = {
		.type = bytes[0],
		.coding = bytes[1],
		.length = (uint32_t)get_le(bytes + 4, 4),
		.raw_length = (uint32_t)get_le(bytes + 8, 4),
		.hash = get_le(bytes + 16, 8),
	};

	if (get_le(bytes + 12, 4) != (uint32_t)XXH64(bytes, 12, number))
		return "a damaged frame head";
	if (get_le(bytes + 2, 2) != 0 || frame.type < CL_FRAME_HEAD ||
	    frame.type >= CL_FRAME_TYPE_COUNT || frame.coding >= CL_CODING_COUNT)
		return "a frame of an unknown kind";
	if (frame.length > CL_PAYLOAD_MAX || frame.raw_length > CL_PAYLOAD_MAX)
		return "a frame that says it is over 64 MiB";
	if (frame.length == 0 || frame.raw_length == 0)
		return "a frame without a payload";
	if (frame.coding == CL_CODING_STORED && frame.length != frame.raw_length)
		return "a frame of two lengths";
	*ret_frame = frame;
	return NULL;
}

void cl_record_start(uint8_t ret_start[CL_RECORD_START])
{
	memcpy(ret_start, CL_RECORD_MAGIC, CL_RECORD_MAGIC_LEN);
	put_le(ret_start + CL_RECORD_MAGIC_LEN, CL_RECORD_VERSION, 4);
}

uint32_t cl_record_version(const uint8_t start[CL_RECORD_START])
{
	return (uint32_t)get_le(start + CL_RECORD_MAGIC_LEN, 4);
}
