/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records of Xen's trace: checked when they are added, merged by time when they are asked for. */
#include "xen/trace.h"

#include "lib.h"
#include "xen/trace_rate.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define STATE_BITS     0x330u /* of RUNSTATE's number: the old state << 8, the new << 4 */
#define EVENT_BITS     0x0fffffffu
#define CLASS_BITS     0x0ffff000u
#define CPU_CHANGE     (CL_TRACE_CPU_CHANGE | 2u << 28)
#define CPU_CHANGE_LEN 12u
#define CHUNK_GRAIN    32768u /* bytes */
#define JUMP_CYCLES                                                                                \
	(UINT64_C(1) << 38) /* a minute and more on any CPU: no pause between records              \
			     */

struct chunk {
	struct chunk *next;
	const uint8_t *bytes;
	size_t len, at;
	uint8_t *own; /* NULL: the caller's bytes */
	size_t own_len;
};

struct stream { /* of a pCPU */
	struct chunk *first, *last;
	struct chunk *now; /* where it is read; NULL: at the end of what there is */
	bool begun, ready; /* ready: head holds the next record */
	uint64_t tsc;      /* of the last record */
	uint64_t epoch;    /* times that the clock was set */
	struct cl_trace_record head;
	/* for the clock's rate: who runs since when */
	bool running;
	uint32_t vcpu;
	uint64_t since;
};

struct cl_trace {
	struct stream *streams;
	uint32_t stream_count;
	uint32_t *heap; /* pCPUs whose head is ready, the earliest at 0 */
	uint32_t heap_count;
	bool heaped; /* false: bytes were added since */
	bool file;
	uint64_t horizon, newest, newest_before; /* tsc; before: the last pass */
	uint64_t jumps;
	struct cl_trace_rate rate; /* of a file */
	struct chunk *spare;       /* that were read: memory that is touched costs, at first */
};

struct cl_trace *cl_trace_new(void)
{
	return calloc(1, sizeof(struct cl_trace));
}

static void free_chunks(struct chunk *chunk)
{
	while (chunk) {
		struct chunk *next = chunk->next;

		free(chunk->own);
		free(chunk);
		chunk = next;
	}
}

void cl_trace_free(struct cl_trace *trace)
{
	if (!trace)
		return;
	for (uint32_t i = 0; i < trace->stream_count; i++)
		free_chunks(trace->streams[i].first);
	free_chunks(trace->spare);
	free(trace->streams);
	free(trace->heap);
	free(trace);
}

static uint32_t word_at(const uint8_t *bytes)
{
	uint32_t word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

static uint64_t long_at(const uint8_t *bytes)
{
	return word_at(bytes) | (uint64_t)word_at(bytes + 4) << 32;
}

static bool is_timed(uint32_t header)
{
	return header >> 31;
}

static uint32_t record_words(uint32_t header)
{
	return header >> 28 & 7;
}

static uint32_t record_len(uint32_t header)
{
	return (is_timed(header) ? 12u : 4u) + 4 * record_words(header);
}

static uint32_t event_of(uint32_t header)
{
	uint32_t event = header & EVENT_BITS;

	return (event & ~STATE_BITS) == CL_TRACE_RUNSTATE ? CL_TRACE_RUNSTATE : event;
}

/* Half of all records say what others say, too: they are passed over before anything is made of
 * them. */
static bool is_used(uint32_t event)
{
	switch ((enum cl_trace_event)event) {
	case CL_TRACE_LOST:
	case CL_TRACE_RUNSTATE:
	case CL_TRACE_CONTINUE:
	case CL_TRACE_DOM_REM:
	case CL_TRACE_INFNEXT:
	case CL_TRACE_INFCONT:
	case CL_TRACE_HVM_VMMCALL:
	case CL_TRACE_GRANT_MAP:
	case CL_TRACE_GRANT_TRANSFER:
	case CL_TRACE_PV_HYPERCALL:
		return true;
	case CL_TRACE_WRAP:
	case CL_TRACE_CPU_CHANGE:
	case CL_TRACE_INFPREV:
	default:
		return false;
	}
}

/* ---- adding: every record is looked at once, so that reading cannot fail ---- */

/* Xen before 4.8 said of whom it switched the domain alone. */
static bool is_known_form(uint32_t event, uint32_t words)
{
	switch (event) {
	case CL_TRACE_RUNSTATE:
	case CL_TRACE_CONTINUE:
	case CL_TRACE_DOM_REM:
		return words >= 1;
	case CL_TRACE_INFPREV:
		return words >= 3;
	case CL_TRACE_INFNEXT:
	case CL_TRACE_INFCONT:
	case CL_TRACE_LOST:
		return words >= 4;
	default:
		return true;
	}
}

/* What a record says of the clock's rate. A switch is recorded on its pCPU, so its stream has all
 * of it. */
static void calibrate(struct cl_trace *trace, struct stream *s, uint32_t header,
		      const uint8_t *record)
{
	const uint8_t *words = record + 12;
	uint32_t event = event_of(header);
	uint64_t tsc;

	if (!is_timed(header))
		return;
	tsc = long_at(record + 4);
	if (event == CL_TRACE_RUNSTATE && (header >> 4 & 3) == CL_TRACE_RUNNING) {
		s->running = true;
		s->vcpu = word_at(words);
		s->since = tsc;
	} else if (event == CL_TRACE_LOST) {
		s->running = false;
	} else if (event == CL_TRACE_INFPREV) {
		uint32_t vcpu = word_at(words) << 16 | (word_at(words + 4) & 0xffff);
		uint64_t ns = word_at(words + 8);

		if (s->running && s->vcpu == vcpu && tsc > s->since && tsc - s->since < JUMP_CYCLES)
			cl_trace_rate_add(&trace->rate, tsc - s->since, ns);
		s->running = false;
	}
}

static struct stream *stream_of(struct cl_trace *trace, uint32_t pcpu)
{
	if (pcpu >= trace->stream_count) {
		uint32_t count = pcpu + 1;
		struct stream *streams = realloc(trace->streams, count * sizeof(streams[0]));

		if (!streams)
			return NULL;
		trace->streams = streams;
		uint32_t *heap = realloc(trace->heap, count * sizeof(heap[0]));
		if (!heap)
			return NULL;
		trace->heap = heap;
		memset(streams + trace->stream_count, 0,
		       (count - trace->stream_count) * sizeof(streams[0]));
		trace->stream_count = count;
	}
	return &trace->streams[pcpu];
}

/* One with room for so many bytes of its own; NULL: no memory. */
static struct chunk *take_chunk(struct cl_trace *trace, size_t room)
{
	struct chunk *chunk = trace->spare ? trace->spare : calloc(1, sizeof(*chunk));

	if (!chunk)
		return NULL;
	if (trace->spare)
		trace->spare = chunk->next;
	chunk->next = NULL;
	if (chunk->own_len < room) {
		free(chunk->own);
		chunk->own_len = (room + CHUNK_GRAIN - 1) / CHUNK_GRAIN * CHUNK_GRAIN;
		chunk->own = malloc(chunk->own_len);
	}
	if (room > 0 && !chunk->own) {
		free(chunk);
		return NULL;
	}
	return chunk;
}

static void spare_chunk(struct cl_trace *trace, struct chunk *chunk)
{
	chunk->next = trace->spare;
	trace->spare = chunk;
}

static void append(struct stream *s, struct chunk *chunk, const uint8_t *bytes, size_t len)
{
	chunk->bytes = bytes;
	chunk->len = len;
	chunk->at = 0;
	if (s->last)
		s->last->next = chunk;
	else
		s->first = chunk;
	s->last = chunk;
	if (!s->now)
		s->now = chunk;
}

/* The whole records at the start of a piece: *ret_len bytes of them. base: where in the file it
 * lies. copy: NULL, or where those that are used go; then *ret_len is what these are. */
static int look_through(struct cl_trace *trace, struct stream *s, const uint8_t *bytes, size_t len,
			size_t base, uint8_t *copy, size_t *ret_len, struct cl_error *reterr)
{
	size_t at = 0, copied = 0;
	int r = 0;

	while (at < len) {
		uint32_t header = len - at >= 4 ? word_at(bytes + at) : 0;
		uint32_t event = event_of(header);

		if ((header & CLASS_BITS) == 0 || record_len(header) > len - at) {
			r = cl_fail(reterr, EBADMSG,
				    "the trace is torn at byte %zu: no whole record of Xen's is "
				    "there, what comes before it was read",
				    base + at);
			break;
		}
		if (!is_known_form(event, record_words(header)))
			return cl_fail(reterr, ENOTSUP,
				       "at byte %zu is a record %#x with %u values: this trace is "
				       "of another version of Xen than 4.8 and later, whose "
				       "records say which vCPU is meant",
				       base + at, event, record_words(header));
		if (is_timed(header) && long_at(bytes + at + 4) > trace->newest)
			trace->newest = long_at(bytes + at + 4);
		if (trace->file)
			calibrate(trace, s, header, bytes + at);
		if (copy && is_used(event)) {
			memcpy(copy + copied, bytes + at, record_len(header));
			copied += record_len(header);
		}
		at += record_len(header);
	}
	*ret_len = copy ? copied : at;
	return r;
}

static int add(struct cl_trace *trace, uint32_t pcpu, const uint8_t *bytes, size_t len, size_t base,
	       bool copy, struct cl_error *reterr)
{
	struct stream *s = stream_of(trace, pcpu);
	struct chunk *chunk = s ? take_chunk(trace, copy ? len : 0) : NULL;
	size_t whole = 0;
	int r;

	trace->heaped = false;
	if (!chunk)
		return cl_fail(reterr, ENOMEM, "no memory for the records of the trace");
	r = look_through(trace, s, bytes, len, base, copy ? chunk->own : NULL, &whole, reterr);
	if (whole > 0)
		append(s, chunk, copy ? chunk->own : bytes, whole);
	else
		spare_chunk(trace, chunk);
	return r;
}

int cl_trace_add(struct cl_trace *trace, uint32_t pcpu, const uint8_t *bytes, size_t len,
		 struct cl_error *reterr)
{
	assert(pcpu < CL_CPUS_MAX);
	return add(trace, pcpu, bytes, len, 0, true, reterr);
}

static int check_start(const uint8_t *bytes, size_t len, struct cl_error *reterr)
{
	uint32_t word = len >= 4 ? word_at(bytes) : 0;

	if (len == 0)
		return cl_fail(reterr, ENODATA, "the trace is empty");
	if (word == CPU_CHANGE)
		return 0;
	if (word == __builtin_bswap32(CPU_CHANGE))
		return cl_fail(reterr, EINVAL,
			       "the trace is of a machine with the other byte order: read it on "
			       "one of its kind");
	return cl_fail(reterr, EINVAL,
		       "this is no trace as xentrace writes it: it does not begin with the number "
		       "of a CPU");
}

int cl_trace_add_file(struct cl_trace *trace, const uint8_t *bytes, size_t len,
		      struct cl_error *reterr)
{
	size_t at = 0;
	int r = check_start(bytes, len, reterr);

	trace->file = true;
	trace->horizon = UINT64_MAX;
	while (r == 0 && at < len) {
		const uint8_t *head = bytes + at;

		if (len - at < CPU_CHANGE_LEN || word_at(head) != CPU_CHANGE ||
		    word_at(head + 4) >= CL_CPUS_MAX)
			return cl_fail(reterr, EBADMSG,
				       "the trace is torn at byte %zu: no number of a CPU is "
				       "there, what comes before it was read",
				       at);
		size_t size = word_at(head + 8), left = len - at - CPU_CHANGE_LEN;

		at += CPU_CHANGE_LEN;
		r = add(trace, word_at(head + 4), bytes + at, size < left ? size : left, at, false,
			reterr);
		if (r == 0 && size > left)
			r = cl_fail(reterr, EBADMSG,
				    "the trace is torn at byte %zu: it ends there, %zu bytes are "
				    "missing; what comes before it was read",
				    len, size - left);
		at += size;
	}
	return r;
}

void cl_trace_pass(struct cl_trace *trace)
{
	trace->horizon = trace->newest_before;
	trace->newest_before = trace->newest;
}

void cl_trace_flush(struct cl_trace *trace)
{
	trace->horizon = UINT64_MAX;
}

void cl_trace_rewind(struct cl_trace *trace)
{
	assert(trace->file);
	for (uint32_t i = 0; i < trace->stream_count; i++) {
		struct stream *s = &trace->streams[i];

		for (struct chunk *c = s->first; c; c = c->next)
			c->at = 0;
		s->now = s->first;
		s->begun = s->ready = false;
		s->tsc = s->epoch = 0;
	}
	trace->heaped = false;
	trace->jumps = 0;
}

/* ---- reading ---- */

/* The tsc of the next timed record in this chunk after the one at `at`, or `otherwise`. */
static uint64_t next_tsc(const struct chunk *chunk, size_t at, uint64_t otherwise)
{
	at += record_len(word_at(chunk->bytes + at));
	for (; at < chunk->len; at += record_len(word_at(chunk->bytes + at)))
		if (is_timed(word_at(chunk->bytes + at)))
			return long_at(chunk->bytes + at + 4);
	return otherwise;
}

static bool follows(uint64_t tsc, uint64_t before)
{
	return tsc >= before && tsc - before < JUMP_CYCLES;
}

/* The clock that a record was written by, made one that does not go back: one record that stands
 * alone with its time has that of the one before it, else the clock was set. */
static void take_time(struct cl_trace *trace, struct stream *s, uint64_t tsc,
		      struct cl_trace_record *ret)
{
	bool set = false;

	if (s->begun && !follows(tsc, s->tsc)) {
		uint64_t next = next_tsc(s->now, s->now->at, tsc);

		if (follows(next, s->tsc)) {
			trace->jumps++;
			tsc = s->tsc;
		} else if (tsc < s->tsc) {
			trace->jumps++;
			s->epoch++;
			set = true;
		}
	}
	ret->epoch = s->epoch;
	ret->tsc = ret->until_tsc = tsc;
	if (ret->event == CL_TRACE_LOST) {
		uint64_t first = (uint64_t)ret->words[3] << 32 | ret->words[2];

		if (first <= tsc && (!s->begun || set || first >= s->tsc) &&
		    tsc - first < JUMP_CYCLES)
			ret->tsc = first;
	}
	s->begun = true;
	s->tsc = tsc;
}

static void decode(struct cl_trace *trace, struct stream *s, struct cl_trace_record *ret)
{
	const uint8_t *record = s->now->bytes + s->now->at;
	uint32_t header = word_at(record);

	ret->pcpu = (uint32_t)(s - trace->streams);
	ret->event = event_of(header);
	ret->from = header >> 8 & 3;
	ret->to = header >> 4 & 3;
	ret->word_count = (uint8_t)record_words(header);
	record += is_timed(header) ? 12 : 4;
	for (uint32_t i = 0; i < ret->word_count; i++)
		ret->words[i] = word_at(record + (size_t)4 * i);
	take_time(trace, s, is_timed(header) ? long_at(record - 8) : s->tsc, ret);
	s->now->at += record_len(header);
}

static void next_chunk(struct cl_trace *trace, struct stream *s)
{
	struct chunk *done = s->now;

	s->now = done->next;
	if (trace->file)
		return;
	s->first = s->now; /* all before it are gone */
	if (!s->first)
		s->last = NULL;
	spare_chunk(trace, done);
}

static bool fill_head(struct cl_trace *trace, struct stream *s)
{
	while (!s->ready && s->now) {
		if (s->now->at == s->now->len) {
			next_chunk(trace, s);
			continue;
		}
		uint32_t header = word_at(s->now->bytes + s->now->at);

		if (!is_used(event_of(header))) {
			s->now->at += record_len(header);
			continue;
		}
		decode(trace, s, &s->head);
		s->ready = true;
	}
	return s->ready;
}

static bool earlier(const struct cl_trace *trace, uint32_t a, uint32_t b)
{
	const struct stream *x = &trace->streams[a], *y = &trace->streams[b];

	if (x->epoch != y->epoch)
		return x->epoch < y->epoch;
	if (x->head.tsc != y->head.tsc)
		return x->head.tsc < y->head.tsc;
	return a < b;
}

static void sift_down(struct cl_trace *trace, uint32_t at)
{
	uint32_t *heap = trace->heap, moving = heap[at];

	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= trace->heap_count)
			break;
		if (child + 1 < trace->heap_count && earlier(trace, heap[child + 1], heap[child]))
			child++;
		if (!earlier(trace, heap[child], moving))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = moving;
}

/* All streams that have something: after bytes were added. */
static void make_heap(struct cl_trace *trace)
{
	trace->heap_count = 0;
	for (uint32_t i = 0; i < trace->stream_count; i++)
		if (fill_head(trace, &trace->streams[i]))
			trace->heap[trace->heap_count++] = i;
	for (uint32_t i = trace->heap_count / 2; i-- > 0;)
		sift_down(trace, i);
	trace->heaped = true;
}

bool cl_trace_next(struct cl_trace *trace, struct cl_trace_record *ret)
{
	if (!trace->heaped)
		make_heap(trace);
	if (trace->heap_count == 0)
		return false;
	struct stream *s = &trace->streams[trace->heap[0]];

	if (s->head.tsc > trace->horizon)
		return false;
	*ret = s->head;
	s->ready = false;
	if (!fill_head(trace, s))
		trace->heap[0] = trace->heap[--trace->heap_count];
	if (trace->heap_count > 0)
		sift_down(trace, 0);
	return true;
}

uint64_t cl_trace_jumps(const struct cl_trace *trace)
{
	return trace->jumps;
}

uint64_t cl_trace_hz(const struct cl_trace *trace)
{
	return cl_trace_rate_hz(&trace->rate);
}

/* ---- the ring ---- */

bool cl_trace_pieces(uint32_t cons, uint32_t prod, uint32_t size, struct cl_trace_piece ret[2])
{
	if (size == 0 || size > UINT32_MAX / 2 || cons >= 2 * size || prod >= 2 * size ||
	    cons % 4 != 0 || prod % 4 != 0)
		return false;
	uint32_t len = prod >= cons ? prod - cons : prod + 2 * size - cons;
	uint32_t at = cons % size, room = size - at;

	if (len > size)
		return false;
	ret[0] = (struct cl_trace_piece){ at, len < room ? len : room };
	ret[1] = (struct cl_trace_piece){ 0, len - ret[0].len };
	return true;
}
