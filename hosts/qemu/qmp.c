/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One conversation with a QEMU monitor: lines, bounds, ids. What the replies mean is describe.c's
 * business. */
#include "qmp.h"

#include "lib.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum stage { STAGE_GREETING, STAGE_CAPABILITIES, STAGE_QUERIES, STAGE_DONE };

struct cl_qmp {
	int fd;
	struct cl_qmp_taker taker;
	enum stage stage;
	bool heard, stirred;
	uint32_t waiting; /* bit i: query i was asked and not answered */
	uint32_t messages;
	size_t talked; /* bytes from the peer so far */
	char *line;    /* the message that is not complete yet */
	size_t len, cap;
	char out[1024];
	size_t out_len, out_sent;
};

static const struct {
	const char *name;
	bool needed;
} queries[] = {
#define X(id, command, needed) { command, needed },
	CL_QMP_QUERIES(X)
#undef X
};
static_assert(CL_QMP_QUERY_COUNT <= 16,
	      "as many commands in flight as a peer may be asked to hold");

/* Events after which the answers of this conversation may be old. */
static const char *const stirring[] = {
	"RESET",
	"SHUTDOWN",
	"STOP",
	"RESUME",
	"POWERDOWN",
	"DEVICE_ADDED",
	"DEVICE_DELETED",
	"MIGRATION",
	"ACPI_DEVICE_OST",
	"BALLOON_CHANGE",
	"NIC_RX_FILTER_CHANGED",
};

const char *cl_qmp_query_name(enum cl_qmp_query query)
{
	assert(query < CL_QMP_QUERY_COUNT);
	return queries[query].name;
}

int cl_qmp_new(int fd, const struct cl_qmp_taker *taker, struct cl_qmp **ret_qmp,
	       struct cl_error *reterr)
{
	struct cl_qmp *qmp = calloc(1, sizeof(*qmp));

	assert(taker && taker->take);
	if (!qmp) {
		cl_cleanup_close(&fd);
		return cl_fail(reterr, ENOMEM, "opening a QMP conversation: no memory");
	}
	qmp->fd = fd;
	qmp->taker = *taker;
	*ret_qmp = qmp;
	return 0;
}

void cl_qmp_free(struct cl_qmp *qmp)
{
	if (!qmp)
		return;
	cl_cleanup_close(&qmp->fd);
	free(qmp->line);
	free(qmp);
}

int cl_qmp_fd(const struct cl_qmp *qmp)
{
	return qmp->fd;
}
bool cl_qmp_heard(const struct cl_qmp *qmp)
{
	return qmp->heard;
}
bool cl_qmp_stirred(const struct cl_qmp *qmp)
{
	return qmp->stirred;
}
bool cl_qmp_wants_write(const struct cl_qmp *qmp)
{
	return qmp->out_sent < qmp->out_len;
}

const char *cl_qmp_out(const struct cl_qmp *qmp, size_t *ret_len)
{
	*ret_len = qmp->out_len - qmp->out_sent;
	return qmp->out + qmp->out_sent;
}

/* Ids count from 1; 0 is that of qmp_capabilities. */
static void ask(struct cl_qmp *qmp, const char *command, unsigned id)
{
	int n = snprintf(qmp->out + qmp->out_len, sizeof(qmp->out) - qmp->out_len,
			 "{\"execute\":\"%s\",\"id\":%u}\n", command, id);

	assert(n > 0 && (size_t)n < sizeof(qmp->out) - qmp->out_len);
	qmp->out_len += (size_t)n;
}

/*
 * Depth and number of values, counted before a tree is built of them: jansson takes a hundred times
 * the bytes of
 * "[{},{},{}...", and its own limit of depth is 2,048. Whether it is JSON at all is left to
 * jansson.
 */
static bool is_modest(const char *text, size_t len)
{
	uint32_t depth = 0, values = 0;
	bool quoted = false;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (quoted) {
			if (c == '\\')
				i++;
			else if (c == '"')
				quoted = false;
		} else if (c == '"') {
			quoted = true;
		} else if (c == '{' || c == '[') {
			values++;
			if (++depth > CL_QMP_DEPTH_MAX)
				return false;
		} else if (c == '}' || c == ']') {
			depth -= depth > 0;
		} else if (c == ',' || c == ':') {
			values++;
		}
		if (values > CL_QMP_VALUES_MAX)
			return false;
	}
	return true;
}

static int take_event(struct cl_qmp *qmp, const json_t *event, struct cl_error *reterr)
{
	const char *name = json_string_value(event);

	if (!name || qmp->stage == STAGE_GREETING)
		return cl_fail(reterr, EBADMSG, "it sent an event that is none");
	for (size_t i = 0; i < CL_COUNT(stirring); i++)
		qmp->stirred |= strcmp(name, stirring[i]) == 0;
	return 0;
}

static int take_greeting(struct cl_qmp *qmp, const json_t *message, struct cl_error *reterr)
{
	const json_t *hello = json_object_get(message, "QMP");

	if (!json_is_object(hello) || !json_is_object(json_object_get(hello, "version")))
		return cl_fail(reterr, EBADMSG, "it did not greet as a QEMU monitor does");
	qmp->stage = STAGE_CAPABILITIES;
	ask(qmp, "qmp_capabilities", 0);
	return 0;
}

static int take_capabilities(struct cl_qmp *qmp, const json_t *reply, json_int_t id,
			     struct cl_error *reterr)
{
	if (id != 0 || !reply)
		return cl_fail(reterr, EBADMSG,
			       "it refused qmp_capabilities, or answered something else");
	qmp->stage = STAGE_QUERIES;
	for (unsigned i = 0; i < CL_QMP_QUERY_COUNT; i++) {
		ask(qmp, queries[i].name, i + 1);
		qmp->waiting |= 1u << i;
	}
	return 0;
}

static int take_reply(struct cl_qmp *qmp, const json_t *reply, json_int_t id,
		      struct cl_error *reterr)
{
	uint32_t query;

	if (id < 1 || id > CL_QMP_QUERY_COUNT || !(qmp->waiting >> (id - 1) & 1u))
		return cl_fail(reterr, EBADMSG, "it answered a query that was not asked (id %lld)",
			       (long long)id);
	query = (uint32_t)id - 1;
	qmp->waiting &= ~(1u << query);
	if (!qmp->waiting)
		qmp->stage = STAGE_DONE;
	if (reply)
		return qmp->taker.take(qmp->taker.ctx, (enum cl_qmp_query)query, reply, reterr);
	if (queries[query].needed)
		return cl_fail(reterr, EBADMSG, "it refused %s, which QEMU 2.12 and later answer",
			       queries[query].name);
	return 0;
}

static int take_message(struct cl_qmp *qmp, const json_t *message, struct cl_error *reterr)
{
	const json_t *event = json_object_get(message, "event"),
		     *id = json_object_get(message, "id");
	const json_t *reply = json_object_get(message, "return"),
		     *error = json_object_get(message, "error");

	if (!json_is_object(message))
		return cl_fail(reterr, EBADMSG, "it sent a message that is no object");
	if (event)
		return take_event(qmp, event, reterr);
	if (qmp->stage == STAGE_GREETING)
		return take_greeting(qmp, message, reterr);
	if (!json_is_integer(id) || !reply == !error)
		return cl_fail(reterr, EBADMSG,
			       "it sent a message that is neither event, reply nor error");
	if (qmp->stage == STAGE_CAPABILITIES)
		return take_capabilities(qmp, reply, json_integer_value(id), reterr);
	return take_reply(qmp, reply, json_integer_value(id), reterr);
}

static int take_line(struct cl_qmp *qmp, const char *text, size_t len, struct cl_error *reterr)
{
	json_error_t wrong;
	json_t *message;
	int r;

	if (++qmp->messages > CL_QMP_MESSAGES_MAX)
		return cl_fail(reterr, EBADMSG, "it sent more than %u messages in one conversation",
			       CL_QMP_MESSAGES_MAX);
	if (!is_modest(text, len))
		return cl_fail(
			reterr, EBADMSG,
			"it sent a message deeper than %u levels or with more than %u values",
			CL_QMP_DEPTH_MAX, CL_QMP_VALUES_MAX);
	message = json_loadb(text, len, JSON_REJECT_DUPLICATES, &wrong);
	if (!message) {
		char shown[80];

		return cl_fail(reterr, EBADMSG, "it sent what is not JSON: %s",
			       cl_escape(wrong.text, shown, sizeof(shown)));
	}
	r = take_message(qmp, message, reterr);
	json_decref(message);
	return r;
}

static int keep(struct cl_qmp *qmp, const char *data, size_t len, struct cl_error *reterr)
{
	if (len == 0)
		return 0;
	if (qmp->len + len > CL_QMP_LINE_MAX)
		return cl_fail(reterr, EBADMSG, "it sent a message of more than %u bytes",
			       CL_QMP_LINE_MAX);
	if (qmp->len + len > qmp->cap) {
		size_t cap = qmp->cap ? qmp->cap : 4096;
		char *line;

		while (cap < qmp->len + len)
			cap *= 2;
		line = realloc(qmp->line, cap);
		if (!line)
			return cl_fail(reterr, ENOMEM, "no memory for a message of %zu bytes",
				       qmp->len + len);
		qmp->line = line;
		qmp->cap = cap;
	}
	memcpy(qmp->line + qmp->len, data, len);
	qmp->len += len;
	return 0;
}

int cl_qmp_feed(struct cl_qmp *qmp, const char *data, size_t len, struct cl_error *reterr)
{
	qmp->heard |= len > 0;
	qmp->talked += len;
	if (qmp->talked > CL_QMP_TALK_MAX)
		return cl_fail(reterr, EBADMSG, "it sent more than %u bytes in one conversation",
			       CL_QMP_TALK_MAX);
	while (len > 0 && qmp->stage != STAGE_DONE) {
		const char *end = memchr(data, '\n', len);
		size_t part = end ? (size_t)(end - data) : len;
		int r = keep(qmp, data, part, reterr);

		if (r < 0)
			return r;
		data += part + (end != NULL);
		len -= part + (end != NULL);
		if (!end)
			break;
		/* QEMU ends lines with CR LF; an empty line is no message. */
		if (qmp->len > 0 && qmp->line[qmp->len - 1] == '\r')
			qmp->len--;
		if (qmp->len > 0)
			r = take_line(qmp, qmp->line, qmp->len, reterr);
		qmp->len = 0;
		if (r < 0)
			return r;
	}
	assert(qmp->len <= CL_QMP_LINE_MAX);
	return qmp->stage == STAGE_DONE;
}

static int flush_out(struct cl_qmp *qmp, struct cl_error *reterr)
{
	while (qmp->out_sent < qmp->out_len) {
		ssize_t n = send(qmp->fd, qmp->out + qmp->out_sent, qmp->out_len - qmp->out_sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		if (n < 0)
			return cl_fail(reterr, EPIPE, "it hung up (%s)", strerror(errno));
		qmp->out_sent += (size_t)n;
	}
	qmp->out_len = qmp->out_sent = 0;
	return 0;
}

int cl_qmp_service(struct cl_qmp *qmp, struct cl_error *reterr)
{
	char buf[16384];
	size_t taken = 0;
	int r = 0;

	assert(qmp->fd >= 0);
	while (taken < CL_QMP_READ_MAX) {
		ssize_t n = recv(qmp->fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n <= 0)
			return cl_fail(reterr, EPIPE, "it hung up before it had answered (%s)",
				       n < 0 ? strerror(errno) : "end of stream");
		r = cl_qmp_feed(qmp, buf, (size_t)n, reterr);
		if (r != 0)
			return r;
		taken += (size_t)n;
		r = flush_out(qmp, reterr);
		if (r < 0)
			return r;
	}
	return flush_out(qmp, reterr);
}
