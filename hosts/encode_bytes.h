/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * encode_bytes: numbers, lists and text as bytes, and back with every length checked. For
 * encode.c alone.
 */
#ifndef CLOSER_ENCODE_BYTES_H
#define CLOSER_ENCODE_BYTES_H

#include "encode.h"

#include <string.h>

/* ---- sink ---- */

static inline void put_bytes(struct cl_sink *sink, const void *bytes, size_t len)
{
	if (sink->hash)
		XXH64_update(sink->hash, bytes, len);
	else if (sink->at <= sink->size && len <= sink->size - sink->at)
		memcpy(sink->buf + sink->at, bytes, len);
	sink->at += len;
}

static inline void put_varint(struct cl_sink *sink, uint64_t value)
{
	uint8_t bytes[10];
	size_t n = 0;

	for (; value >= 0x80; value >>= 7)
		bytes[n++] = (uint8_t)(value | 0x80);
	bytes[n++] = (uint8_t)value;
	put_bytes(sink, bytes, n);
}

/* One more than the value, so that CL_NONE and CL_UNKNOWN, which are everywhere, are one byte. */
static inline void put_u64(struct cl_sink *sink, uint64_t value)
{
	put_varint(sink, value + 1);
}

static inline void put_u32(struct cl_sink *sink, uint32_t value)
{
	put_varint(sink, (uint32_t)(value + 1u));
}

static inline void put_i64(struct cl_sink *sink, int64_t value)
{
	put_varint(sink, ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0));
}

/* How long before the snapshot; wraps around for odd values, and back again. */
static inline void put_time(struct cl_sink *sink, uint64_t value)
{
	put_i64(sink, (int64_t)(sink->base_ns - value));
}

static inline void put_u32s(struct cl_sink *sink, const uint32_t *values, size_t n)
{
	while (n > 0 && values[n - 1] == 0)
		n--;
	put_varint(sink, n);
	for (size_t i = 0; i < n; i++)
		put_u32(sink, values[i]);
}

static inline void put_u64s(struct cl_sink *sink, const uint64_t *values, size_t n)
{
	while (n > 0 && values[n - 1] == 0)
		n--;
	put_varint(sink, n);
	for (size_t i = 0; i < n; i++)
		put_varint(sink, values[i]);
}

static inline void put_chars(struct cl_sink *sink, const char *text, size_t size)
{
	size_t len = strnlen(text, size - 1);

	put_varint(sink, len);
	put_bytes(sink, text, len);
}

/* ---- source ---- */

/* The first fault stays; nothing more is read. */
static inline uint64_t fault(struct cl_source *source, const char *text)
{
	if (!source->fault) {
		source->fault = text;
		source->fault_at = (size_t)(source->at - source->start);
	}
	source->at = source->end;
	return 0;
}

static inline size_t left(const struct cl_source *source)
{
	return (size_t)(source->end - source->at);
}

static inline uint64_t get_varint(struct cl_source *source)
{
	uint64_t value = 0;

	for (unsigned shift = 0;; shift += 7) {
		if (source->at == source->end)
			return fault(source, "ends inside a number");
		uint8_t byte = *source->at;

		if (shift == 63 && byte > 1)
			return fault(source, "a number is over 64 bits");
		if (byte == 0 && shift > 0)
			return fault(source, "a number is longer than it need be");
		source->at++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
}

/* A number of at most `most`. */
static inline uint64_t get_bounded(struct cl_source *source, uint64_t most, const char *text)
{
	uint64_t value = get_varint(source);

	return value <= most ? value : fault(source, text);
}

/* A count of things that take at least a byte each: more than there are bytes left cannot be. */
static inline uint32_t get_count(struct cl_source *source, uint32_t most)
{
	uint64_t n = get_bounded(source, most, "a count is over its capacity");

	return n <= left(source) ? (uint32_t)n
				 : (uint32_t)fault(source, "a count is over what follows it");
}

static inline uint64_t get_u64(struct cl_source *source)
{
	return get_varint(source) - 1;
}

static inline uint32_t get_u32(struct cl_source *source)
{
	return (uint32_t)get_bounded(source, UINT32_MAX, "a number is over 32 bits") - 1u;
}

static inline int64_t get_i64(struct cl_source *source)
{
	uint64_t value = get_varint(source);

	return (int64_t)((value >> 1) ^ (value & 1 ? UINT64_MAX : 0));
}

static inline int32_t get_i32(struct cl_source *source)
{
	int64_t value = get_i64(source);

	return value >= INT32_MIN && value <= INT32_MAX
		       ? (int32_t)value
		       : (int32_t)fault(source, "a number is over 32 bits");
}

static inline uint64_t get_time(struct cl_source *source)
{
	return source->base_ns - (uint64_t)get_i64(source);
}

static inline bool get_bool(struct cl_source *source)
{
	return get_bounded(source, 1, "a yes or no is neither") != 0;
}

static inline void get_bytes(struct cl_source *source, void *bytes, size_t len)
{
	if (len > left(source)) {
		fault(source, "ends inside a text");
		return;
	}
	memcpy(bytes, source->at, len);
	source->at += len;
}

/* values are all zero. */
static inline void get_u32s(struct cl_source *source, uint32_t *values, size_t most)
{
	uint32_t n = get_count(source, (uint32_t)most);

	for (uint32_t i = 0; i < n; i++)
		values[i] = get_u32(source);
	if (n > 0 && values[n - 1] == 0)
		fault(source, "a list ends in zeros");
}

static inline void get_u64s(struct cl_source *source, uint64_t *values, size_t most)
{
	uint32_t n = get_count(source, (uint32_t)most);

	for (uint32_t i = 0; i < n; i++)
		values[i] = get_varint(source);
	if (n > 0 && values[n - 1] == 0)
		fault(source, "a list ends in zeros");
}

/* text is all zero. */
static inline void get_chars(struct cl_source *source, char *text, size_t size)
{
	uint32_t len = get_count(source, (uint32_t)size - 1);

	get_bytes(source, text, len);
	if (memchr(text, '\0', len))
		fault(source, "a text has a zero byte inside");
}

#endif
