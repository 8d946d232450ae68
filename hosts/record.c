/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file of a recording: its writer, and the reader (reader.h) that replay.c uses. */
#include "record.h"

#include "reader.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#ifndef CLOSER_VERSION
#define CLOSER_VERSION "0.1.0"
#endif

#define ZSTD_LEVEL 3

/* ---- the writer ---- */

/* What an action was, for its outcome. */
struct acted {
	enum cl_action_kind kind;
	struct cl_object object;
};

struct cl_recorder {
	int fd;
	char *path;
	uint64_t number; /* of the next frame */
	off_t good;      /* where the last whole frame ends */
	int broken;      /* errno of the failure after which nothing is written any more */
	struct cl_payload raw,
		last;             /* this tick's payload, and that of the one before: its prefix */
	struct cl_payload packed; /* frame head and payload, as written */
	struct cl_payload outcomes; /* not written yet */
	struct acted *acted;        /* by index of the last plan's actions */
	uint32_t acted_count, acted_size;
	bool ticked; /* last holds a tick */
	ZSTD_CCtx *zstd;
};

static int no_memory(const struct cl_recorder *recorder, struct cl_error *reterr)
{
	return cl_fail(reterr, ENOMEM,
		       "recording to %s: no memory; record fewer guests or free some",
		       recorder->path ? recorder->path : "a file");
}

static bool grow(struct cl_payload *bytes, size_t size)
{
	if (size <= bytes->size)
		return true;
	size_t more = size + size / 2 + 1024;
	uint8_t *p = realloc(bytes->p, more);

	if (!p)
		return false;
	bytes->p = p;
	bytes->size = more;
	return true;
}

/*
 * From here on the recorder only repeats the failure: a recording with a hole would replay as
 * something else.
 */
static int broke(struct cl_recorder *recorder, int code, struct cl_error *reterr)
{
	recorder->broken = code;
	return cl_fail(
		reterr, code,
		"recording to %s: %s; its first %lld bytes are a sound recording up to here: make room, or "
		"record to another file system, and start a new recording",
		recorder->path, strerror(code), (long long)recorder->good);
}

/*
 * The whole of packed, or nothing: what a full disk took is cut off again. Only there is more
 * than one write.
 */
static int write_packed(struct cl_recorder *recorder, size_t len, struct cl_error *reterr)
{
	size_t done = 0;
	int code = 0;

	while (done < len && !code) {
		ssize_t n = write(recorder->fd, recorder->packed.p + done, len - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0)
			code = EIO;
		else if (errno != EINTR)
			code = errno;
	}
	if (done == len) {
		recorder->good += (off_t)len;
		return 0;
	}

	/* where this fails too, the reader finds a torn end, which it knows */
	if (done > 0 && ftruncate(recorder->fd, recorder->good) < 0)
		return broke(recorder, errno, reterr);
	return broke(recorder, code, reterr);
}

/* raw: of type TICK it is recorder->raw. */
static int write_frame(struct cl_recorder *recorder, enum cl_frame_type type, const uint8_t *raw,
		       size_t len, struct cl_error *reterr)
{
	struct cl_frame frame = { .type = (uint8_t)type,
				  .coding = CL_CODING_ZSTD,
				  .raw_length = (uint32_t)len };
	size_t bound = ZSTD_compressBound(len), packed;

	if (recorder->broken)
		return broke(recorder, recorder->broken, reterr);
	if (len > CL_PAYLOAD_MAX)
		return broke(recorder, EFBIG, reterr);
	if (!grow(&recorder->packed, CL_FRAME_BYTES + bound))
		return no_memory(recorder, reterr);
	uint8_t *payload = recorder->packed.p + CL_FRAME_BYTES;

	if (type == CL_FRAME_TICK && recorder->ticked) {
		frame.coding = CL_CODING_PREFIXED;
		ZSTD_CCtx_refPrefix(recorder->zstd, recorder->last.p, recorder->last.len);
	}
	packed = ZSTD_compress2(recorder->zstd, payload, bound, raw, len);
	if (ZSTD_isError(packed) || packed >= len) {
		frame.coding = CL_CODING_STORED;
		packed = len;
		memcpy(payload, raw, len);
	}
	frame.length = (uint32_t)packed;
	frame.hash = XXH64(payload, packed, recorder->number);
	cl_frame_put(&frame, recorder->number, recorder->packed.p);
	int r = write_packed(recorder, CL_FRAME_BYTES + packed, reterr);

	if (r == 0)
		recorder->number++;
	return r;
}

static int flush_outcomes(struct cl_recorder *recorder, struct cl_error *reterr)
{
	if (recorder->outcomes.len == 0)
		return 0;
	int r = write_frame(recorder, CL_FRAME_OUTCOMES, recorder->outcomes.p,
			    recorder->outcomes.len, reterr);

	recorder->outcomes.len = 0;
	return r;
}

/* Encodes into recorder->raw, which grows as needed: put is called once more then. */
#define ENCODE(recorder, call)                                                                     \
	({                                                                                         \
		bool fits;                                                                         \
		do {                                                                               \
			struct cl_sink sink = { .buf = (recorder)->raw.p,                          \
						.size = (recorder)->raw.size };                    \
			call;                                                                      \
			(recorder)->raw.len = sink.at;                                             \
			fits = sink.at <= sink.size;                                               \
		} while (!fits && grow(&(recorder)->raw, (recorder)->raw.len));                    \
		fits;                                                                              \
	})

static int write_start(struct cl_recorder *recorder, const char *host_uri,
		       const struct cl_limits *cap, const struct cl_params *params,
		       const struct cl_state *state, struct cl_error *reterr)
{
	struct cl_record_head head = { .closer = CLOSER_VERSION,
				       .cap = *cap,
				       .schema = cl_record_schema() };
	int r;

	snprintf(head.host, sizeof(head.host), "%s", host_uri);
	if (!grow(&recorder->packed, CL_RECORD_START))
		return no_memory(recorder, reterr);
	cl_record_start(recorder->packed.p);
	r = write_packed(recorder, CL_RECORD_START, reterr);
	if (r < 0)
		return r;
	if (!ENCODE(recorder, cl_put_head(&sink, &head)))
		return no_memory(recorder, reterr);
	r = write_frame(recorder, CL_FRAME_HEAD, recorder->raw.p, recorder->raw.len, reterr);
	if (r < 0)
		return r;
	if (!ENCODE(recorder, cl_put_params(&sink, params)))
		return no_memory(recorder, reterr);
	r = write_frame(recorder, CL_FRAME_PARAMS, recorder->raw.p, recorder->raw.len, reterr);
	if (r < 0)
		return r;
	if (!ENCODE(recorder, cl_put_state(&sink, state)))
		return no_memory(recorder, reterr);
	return write_frame(recorder, CL_FRAME_STATE, recorder->raw.p, recorder->raw.len, reterr);
}

static void recorder_free(struct cl_recorder *recorder)
{
	if (recorder->fd >= 0)
		close(recorder->fd);
	ZSTD_freeCCtx(recorder->zstd);
	free(recorder->raw.p);
	free(recorder->last.p);
	free(recorder->packed.p);
	free(recorder->outcomes.p);
	free(recorder->acted);
	free(recorder->path);
	free(recorder);
}

int cl_recorder_open(const char *path, const char *host_uri, const struct cl_limits *cap,
		     const struct cl_params *params, const struct cl_state *state,
		     struct cl_recorder **ret_recorder, struct cl_error *reterr)
{
	struct cl_recorder *recorder = calloc(1, sizeof(*recorder));
	int r;

	if (!recorder)
		return cl_fail(reterr, ENOMEM, "recording to %s: no memory", path);
	recorder->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (recorder->fd < 0) {
		r = cl_fail(reterr, errno,
			    "opening %s to record: %s; name a file that can be written", path,
			    strerror(errno));
		free(recorder);
		return r;
	}
	recorder->path = strdup(path);
	recorder->zstd = ZSTD_createCCtx();
	if (!recorder->path || !recorder->zstd) {
		r = no_memory(recorder, reterr);
		recorder_free(recorder);
		return r;
	}
	ZSTD_CCtx_setParameter(recorder->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
	ZSTD_CCtx_setParameter(recorder->zstd, ZSTD_c_windowLog, CL_RECORD_WINDOW_LOG);
	r = write_start(recorder, host_uri, cap, params, state, reterr);
	if (r < 0) {
		recorder_free(recorder);
		return r;
	}
	*ret_recorder = recorder;
	return 0;
}

int cl_recorder_edit(struct cl_recorder *recorder, const struct cl_record_edit *edit,
		     struct cl_error *reterr)
{
	int r = flush_outcomes(recorder, reterr);

	if (r < 0)
		return r;
	if (!ENCODE(recorder, cl_put_edit(&sink, edit)))
		return no_memory(recorder, reterr);
	return write_frame(recorder, CL_FRAME_EDIT, recorder->raw.p, recorder->raw.len, reterr);
}

static bool keep_objects(struct cl_recorder *recorder, const struct cl_plan *plan)
{
	if (plan->n.actions > recorder->acted_size) {
		struct acted *more = reallocarray(recorder->acted, plan->n.actions, sizeof(*more));

		if (!more)
			return false;
		recorder->acted = more;
		recorder->acted_size = plan->n.actions;
	}
	for (uint32_t i = 0; i < plan->n.actions; i++)
		recorder->acted[i] =
			(struct acted){ plan->actions[i].kind, plan->actions[i].object };
	recorder->acted_count = plan->n.actions;
	return true;
}

static void put_tick(struct cl_sink *sink, const struct cl_snapshot *now, uint64_t digest)
{
	cl_put_u64(sink, digest);
	cl_put_snapshot(sink, now);
}

int cl_recorder_tick(struct cl_recorder *recorder, const struct cl_snapshot *now,
		     const struct cl_plan *plan, struct cl_error *reterr)
{
	uint64_t digest = cl_plan_digest(plan);
	int r = flush_outcomes(recorder, reterr);

	if (r < 0)
		return r;
	if (!keep_objects(recorder, plan) || !ENCODE(recorder, put_tick(&sink, now, digest)))
		return no_memory(recorder, reterr);
	r = write_frame(recorder, CL_FRAME_TICK, recorder->raw.p, recorder->raw.len, reterr);
	if (r < 0)
		return r;
	struct cl_payload spare = recorder->last;

	recorder->last = recorder->raw;
	recorder->raw = spare;
	recorder->ticked = true;
	return 0;
}

int cl_recorder_outcome(struct cl_recorder *recorder, uint32_t index, int code, uint64_t now_ns,
			struct cl_error *reterr)
{
	assert(index < recorder->acted_count && code >= 0);
	const struct acted *acted = &recorder->acted[index];
	struct cl_record_outcome outcome = { .index = index,
					     .code = (uint32_t)code,
					     .now_ns = now_ns,
					     .kind = acted->kind,
					     .object = acted->object };

	if (recorder->broken)
		return broke(recorder, recorder->broken, reterr);
	if (!ENCODE(recorder, cl_put_outcome(&sink, &outcome)))
		return no_memory(recorder, reterr);
	if (!grow(&recorder->outcomes, recorder->outcomes.len + recorder->raw.len))
		return no_memory(recorder, reterr);
	memcpy(recorder->outcomes.p + recorder->outcomes.len, recorder->raw.p, recorder->raw.len);
	recorder->outcomes.len += recorder->raw.len;
	return 0;
}

int cl_recorder_close(struct cl_recorder *recorder, struct cl_error *reterr)
{
	if (!recorder)
		return 0;
	int r = recorder->broken ? 0 : flush_outcomes(recorder, reterr);

	if (close(recorder->fd) < 0 && r == 0 && errno != EINTR)
		r = cl_fail(reterr, errno,
			    "closing the recording %s: %s; check it with `closer replay --verify`",
			    recorder->path, strerror(errno));
	recorder->fd = -1;
	recorder_free(recorder);
	return r;
}

/* ---- the reader ---- */

int cl_reader_bad(const struct cl_reader *reader, struct cl_error *reterr, const char *what)
{
	return cl_fail(reterr, EBADMSG, "%s, byte %llu: %s; what comes before it can be replayed",
		       reader->path, (unsigned long long)reader->frame_at, what);
}

int cl_reader_finish(const struct cl_reader *reader, const struct cl_source *source,
		     struct cl_error *reterr)
{
	char where[CL_ERROR_MAX];

	snprintf(where, sizeof(where), "%.400s, frame at byte %llu", reader->path,
		 (unsigned long long)reader->frame_at);
	return cl_source_close(source, where, reterr);
}

static int read_at(const struct cl_reader *reader, uint64_t at, void *bytes, size_t len,
		   struct cl_error *reterr)
{
	for (size_t done = 0; done < len;) {
		ssize_t n =
			pread(reader->fd, (uint8_t *)bytes + done, len - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return cl_fail(reterr, n < 0 ? errno : EIO, "reading %s: %s", reader->path,
				       n < 0 ? strerror(errno) : "it has become shorter");
		done += (size_t)n;
	}
	return 0;
}

static bool set_len(struct cl_payload *payload, size_t len)
{
	uint8_t *p = len > payload->size ? realloc(payload->p, len) : payload->p;

	if (len > payload->size && p) {
		payload->p = p;
		payload->size = len;
	}
	payload->len = len;
	return len <= payload->size;
}

static int unpack(struct cl_reader *reader, const struct cl_frame *frame, struct cl_error *reterr)
{
	size_t n;

	if (frame->coding == CL_CODING_STORED) {
		memcpy(reader->raw.p, reader->packed.p, frame->length);
		return 0;
	}
	if (ZSTD_getFrameContentSize(reader->packed.p, frame->length) != frame->raw_length)
		return cl_reader_bad(reader, reterr,
				     "a frame unpacks to another length than it says");
	ZSTD_DCtx_reset(reader->zstd, ZSTD_reset_session_only);
	if (frame->coding == CL_CODING_PREFIXED) {
		if (frame->type != CL_FRAME_TICK || !reader->ticked)
			return cl_reader_bad(reader, reterr,
					     "a frame refers to a tick before the first");
		ZSTD_DCtx_refPrefix(reader->zstd, reader->last.p, reader->last.len);
	}
	n = ZSTD_decompressDCtx(reader->zstd, reader->raw.p, frame->raw_length, reader->packed.p,
				frame->length);
	if (ZSTD_isError(n) || n != frame->raw_length)
		return cl_reader_bad(reader, reterr, "a frame cannot be unpacked");
	return 0;
}

int cl_reader_next(struct cl_reader *reader, enum cl_frame_type *ret_type, struct cl_error *reterr)
{
	uint8_t bytes[CL_FRAME_BYTES];
	struct cl_frame frame;
	uint64_t rest = reader->size - reader->at;

	reader->frame_at = reader->at;
	if (rest < CL_FRAME_BYTES) {
		reader->torn = rest > 0;
		return cl_fail(reterr, ENODATA, "%s: the recording is over", reader->path);
	}
	int r = read_at(reader, reader->at, bytes, sizeof(bytes), reterr);

	if (r < 0)
		return r;
	const char *what = cl_frame_get(bytes, reader->number, &frame);

	if (what)
		return cl_reader_bad(reader, reterr, what);
	if (frame.length > rest - CL_FRAME_BYTES) {
		reader->torn = true;
		return cl_fail(reterr, ENODATA, "%s: the recording is over; its last frame was cut",
			       reader->path);
	}
	if (!set_len(&reader->packed, frame.length) || !set_len(&reader->raw, frame.raw_length))
		return cl_fail(reterr, ENOMEM, "replaying %s: no memory", reader->path);
	r = read_at(reader, reader->at + CL_FRAME_BYTES, reader->packed.p, frame.length, reterr);
	if (r < 0)
		return r;
	if (XXH64(reader->packed.p, frame.length, reader->number) != frame.hash)
		return cl_reader_bad(reader, reterr, "a damaged frame");
	r = unpack(reader, &frame, reterr);
	if (r < 0)
		return r;
	reader->at += CL_FRAME_BYTES + frame.length;
	reader->number++;
	*ret_type = (enum cl_frame_type)frame.type;
	return 0;
}

int cl_reader_expect(struct cl_reader *reader, enum cl_frame_type wanted, struct cl_error *reterr)
{
	enum cl_frame_type type;
	int r = cl_reader_next(reader, &type, reterr);

	if (r == -ENODATA)
		return cl_fail(reterr, EBADMSG,
			       "%s ends before its first tick: there is nothing to replay",
			       reader->path);
	if (r == 0 && type != wanted)
		return cl_reader_bad(reader, reterr, "a frame is out of order");
	return r;
}

/* Memory is asked for by these, so they are bounded by what any host of ours has. */
static int check_head(const struct cl_reader *reader, struct cl_error *reterr)
{
	const struct cl_limits *cap = &reader->head.cap;
	char made_by[4 * sizeof(reader->head.closer)];

	if (reader->head.schema != cl_record_schema())
		return cl_fail(
			reterr, EPROTONOSUPPORT,
			"%s was recorded by closer %s, whose recordings hold other fields than this one's: "
			"replay it with that closer",
			reader->path, cl_escape(reader->head.closer, made_by, sizeof(made_by)));
#define X(member, type)                                                                            \
	if (cap->member < 1 || cap->member > cl_limits_default.member)                             \
		return cl_fail(reterr, EBADMSG,                                                    \
			       "%s asks for room for %u " #member ", not 1 to %u: "                \
			       "it is damaged or made up",                                         \
			       reader->path, cap->member, cl_limits_default.member);
	CL_ARRAYS(X)
	X(text, char)
#undef X
	return 0;
}

static int check_start(struct cl_reader *reader, struct cl_error *reterr)
{
	uint8_t start[CL_RECORD_START];
	uint32_t version;

	if (reader->size < sizeof(start))
		return cl_fail(reterr, EBADMSG, "%s is no recording: it is too short",
			       reader->path);
	int r = read_at(reader, 0, start, sizeof(start), reterr);

	if (r < 0)
		return r;
	if (memcmp(start, CL_RECORD_MAGIC, CL_RECORD_MAGIC_LEN) != 0)
		return cl_fail(reterr, EBADMSG, "%s is no recording: `closer record` makes them",
			       reader->path);
	version = cl_record_version(start);
	if (version != CL_RECORD_VERSION)
		return cl_fail(
			reterr, EPROTONOSUPPORT,
			"%s is a recording of version %u; this closer reads version %u: replay it with the "
			"closer that made it",
			reader->path, version, CL_RECORD_VERSION);
	reader->at = sizeof(start);
	return 0;
}

void cl_reader_close(struct cl_reader *reader)
{
	if (reader->fd >= 0)
		close(reader->fd);
	ZSTD_freeDCtx(reader->zstd);
	free(reader->packed.p);
	free(reader->raw.p);
	free(reader->last.p);
	free(reader->path);
}

static int reader_start(struct cl_reader *reader, struct cl_error *reterr)
{
	struct stat st;
	int r;

	if (fstat(reader->fd, &st) < 0)
		return cl_fail(reterr, errno, "opening %s: %s", reader->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return cl_fail(reterr, EINVAL,
			       "%s is not a regular file: copy the recording to one", reader->path);
	reader->size = (uint64_t)st.st_size;
	r = check_start(reader, reterr);
	if (r == 0)
		r = cl_reader_expect(reader, CL_FRAME_HEAD, reterr);
	if (r == 0)
		r = CL_DECODE(reader, cl_get_head(&source, &reader->head), reterr);
	return r == 0 ? check_head(reader, reterr) : r;
}

int cl_reader_open(struct cl_reader *reader, const char *path, struct cl_error *reterr)
{
	int r;

	memset(reader, 0, sizeof(*reader));
	/* not to hang on a FIFO: it is refused afterwards */
	reader->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (reader->fd < 0)
		return cl_fail(reterr, errno,
			       "opening %s: %s; name a file that `closer record` made", path,
			       strerror(errno));
	reader->path = strdup(path);
	reader->zstd = ZSTD_createDCtx();
	if (!reader->path || !reader->zstd)
		r = cl_fail(reterr, ENOMEM, "replaying %s: no memory", path);
	else
		r = reader_start(reader, reterr);
	if (r < 0)
		cl_reader_close(reader);
	return r;
}

static void get_tick(struct cl_source *source, struct cl_snapshot *snap, uint64_t *ret_digest)
{
	*ret_digest = cl_get_u64(source);
	cl_get_snapshot(source, snap);
}

int cl_reader_tick(struct cl_reader *reader, const struct cl_snapshot *prev,
		   struct cl_snapshot *snap, uint64_t *ret_digest, struct cl_error *reterr)
{
	int r = CL_DECODE(reader, get_tick(&source, snap, ret_digest), reterr);

	if (r < 0)
		return r;
	enum cl_snapshot_fault fault = cl_snapshot_check(prev, snap);

	if (fault != CL_SNAPSHOT_NONE)
		return cl_reader_bad(reader, reterr, cl_snapshot_fault_text(fault));
	struct cl_payload spare = reader->last;

	reader->last = reader->raw;
	reader->raw = spare;
	reader->ticked = true;
	return 0;
}
