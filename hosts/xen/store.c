/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Questions and answers of xenstore over one connection, each bounded in time and size. */
#include "xen/store.h"

#include "lib.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
	TYPE_DIRECTORY = 1,
	TYPE_READ = 2,
	TYPE_WATCH = 4,
	TYPE_WRITE = 11,
	TYPE_RM = 13,
	TYPE_EVENT = 15,
	TYPE_ERROR = 16
};

static const char *const sockets[] = { "/run/xenstored/socket", "/var/run/xenstored/socket" };

static uint32_t word(const char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

int cl_store_parse(const char *buf, size_t len, struct cl_store_frame *ret_frame, size_t *ret_used)
{
	if (len < CL_STORE_HEAD)
		return -EAGAIN;
	uint32_t type = word(buf), body = word(buf + 12);

	if (body > CL_STORE_PAYLOAD)
		return -EBADMSG;
	if (len - CL_STORE_HEAD < body)
		return -EAGAIN;
	*ret_frame = (struct cl_store_frame){ type, word(buf + 4), buf + CL_STORE_HEAD, body };
	*ret_used = CL_STORE_HEAD + body;
	return 0;
}

const char *cl_store_event_path(const struct cl_store_frame *frame)
{
	/* path NUL token NUL; paths of special watches begin with @ */
	if (frame->type != TYPE_EVENT || frame->len < 2 || !memchr(frame->body, 0, frame->len))
		return NULL;
	return frame->body;
}

void cl_store_use(struct cl_store *ret_store, int fd, cl_store_event_fn event, void *ctx)
{
	ret_store->fd = fd;
	ret_store->request = 0;
	ret_store->have = 0;
	ret_store->event = event;
	ret_store->ctx = ctx;
}

int cl_store_open(struct cl_store *ret_store, cl_store_event_fn event, void *ctx,
		  struct cl_error *reterr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), code = errno;

	for (size_t i = 0; fd >= 0 && i < CL_COUNT(sockets); i++) {
		struct sockaddr_un to = { .sun_family = AF_UNIX };

		snprintf(to.sun_path, sizeof(to.sun_path), "%s", sockets[i]);
		if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0) {
			cl_store_use(ret_store, fd, event, ctx);
			return 0;
		}
		code = errno;
	}
	if (fd >= 0)
		close(fd);
	/* A xenstored in a domain of its own has no socket here. */
	if (access(sockets[0], F_OK) < 0)
		fd = open("/dev/xen/xenbus", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	else
		fd = -1;
	if (fd < 0)
		return cl_fail(
			reterr, code,
			"connecting to xenstored at %s: %s; is it running, and are you root?",
			sockets[0], strerror(code));
	cl_store_use(ret_store, fd, event, ctx);
	return 0;
}

void cl_store_close(struct cl_store *store)
{
	if (store->fd >= 0)
		close(store->fd);
	store->fd = -1;
	store->have = 0;
}

static int fail_lost(struct cl_store *store, const char *why, struct cl_error *reterr)
{
	cl_store_close(store);
	return cl_fail(reterr, EPIPE,
		       "the connection to xenstored is lost (%s): is xenstored still running?",
		       why);
}

static int fail_late(const char *path, struct cl_error *reterr)
{
	return cl_fail(reterr, ETIMEDOUT,
		       "xenstored has not answered for %.200s in time: is it alive, or very busy?",
		       path);
}

/* 0: ready; -ETIMEDOUT. */
static int wait_for(int fd, short events, uint64_t deadline_ns)
{
	for (;;) {
		uint64_t now = cl_clock_ns(), left = deadline_ns > now ? deadline_ns - now : 0;
		struct timespec ts = { (time_t)(left / CL_NS_PER_S), (long)(left % CL_NS_PER_S) };
		struct pollfd poll = { fd, events, 0 };
		int r = ppoll(&poll, 1, &ts, NULL);

		if (r > 0)
			return 0;
		if (r == 0 || errno != EINTR)
			return -ETIMEDOUT;
	}
}

static int send_all(struct cl_store *store, const char *buf, size_t len, const char *path,
		    uint64_t deadline_ns, struct cl_error *reterr)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = send(store->fd, buf + at, len - at, MSG_NOSIGNAL);

		if (n < 0 && errno == ENOTSOCK)
			n = write(store->fd, buf + at, len - at);
		if (n > 0) {
			at += (size_t)n;
			continue;
		}
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return fail_lost(store, strerror(n ? errno : EPIPE), reterr);
		if (wait_for(store->fd, POLLOUT, deadline_ns) < 0) {
			/* Half a question cannot be taken back. */
			if (at > 0)
				return fail_lost(store, "it does not read", reterr);
			return fail_late(path, reterr);
		}
	}
	return 0;
}

/* Reads once. 0: something came; -EAGAIN; -EPIPE. */
static int fill(struct cl_store *store, struct cl_error *reterr)
{
	ssize_t n = read(store->fd, store->in + store->have, sizeof(store->in) - store->have);

	if (n > 0) {
		store->have += (size_t)n;
		return 0;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	return fail_lost(store, n < 0 ? strerror(errno) : "it was closed", reterr);
}

/*
 * Takes frames off the buffer until the answer to the last question; events on the way are told.
 * 0: *ret_frame, valid until drop(); -EAGAIN: not there yet; -EPIPE.
 */
static int take(struct cl_store *store, struct cl_store_frame *ret_frame, size_t *ret_used,
		struct cl_error *reterr)
{
	for (;;) {
		int r = cl_store_parse(store->in, store->have, ret_frame, ret_used);

		if (r == -EAGAIN)
			return r;
		if (r < 0)
			return fail_lost(store, "what it sends is not xenstore's protocol", reterr);
		if (ret_frame->type != TYPE_EVENT && ret_frame->request == store->request)
			return 0;
		const char *path = cl_store_event_path(ret_frame);

		if (path)
			store->event(store->ctx, path);
		store->have -= *ret_used;
		memmove(store->in, store->in + *ret_used, store->have);
	}
}

static void drop(struct cl_store *store, size_t used)
{
	store->have -= used;
	memmove(store->in, store->in + used, store->have);
	store->request++; /* nothing is an answer until the next question */
}

/* xenstored names errors as errno.h does; those that matter here. */
static int error_code(const struct cl_store_frame *frame)
{
	static const struct {
		const char *name;
		int code;
	} known[] = { { "ENOENT", ENOENT }, { "EACCES", EACCES }, { "EINVAL", EINVAL },
		      { "EEXIST", EEXIST }, { "E2BIG", E2BIG },   { "ENOSPC", ENOSPC } };

	for (size_t i = 0; i < CL_COUNT(known); i++)
		if (frame->len == strlen(known[i].name) + 1 &&
		    memcmp(frame->body, known[i].name, frame->len) == 0)
			return known[i].code;
	return EIO;
}

/* One question: the answer's bytes into buf. Their number, or -errno. */
static int ask(struct cl_store *store, uint32_t type, const char *path, const char *more,
	       uint64_t deadline_ns, char *buf, size_t size, struct cl_error *reterr)
{
	char out[CL_STORE_HEAD + CL_PATH_MAX + 64];
	/* All texts end in a NUL, but for a value. */
	size_t len = strlen(path) + 1, extra = more ? strlen(more) + (type != TYPE_WRITE) : 0, used;
	struct cl_store_frame frame;
	int r;

	if (store->fd < 0)
		return cl_fail(reterr, EPIPE, "there is no connection to xenstored");
	if (CL_STORE_HEAD + len + extra > sizeof(out))
		return cl_fail(reterr, ENAMETOOLONG, "xenstore path %.100s... is too long", path);
	uint32_t head[4] = { type, ++store->request, 0, (uint32_t)(len + extra) };

	memcpy(out, head, sizeof(head));
	memcpy(out + CL_STORE_HEAD, path, len);
	if (more)
		memcpy(out + CL_STORE_HEAD + len, more, extra);
	r = send_all(store, out, CL_STORE_HEAD + len + extra, path, deadline_ns, reterr);
	while (r == 0 && (r = take(store, &frame, &used, reterr)) == -EAGAIN) {
		r = fill(store, reterr);
		if (r == -EAGAIN && wait_for(store->fd, POLLIN, deadline_ns) < 0)
			return fail_late(path, reterr);
		if (r == -EAGAIN)
			r = 0;
	}
	if (r < 0)
		return r;
	if (frame.type == TYPE_ERROR) {
		int code = error_code(&frame);

		r = cl_fail(reterr, code, "asking xenstore for %.200s: %s", path, strerror(code));
	} else if (frame.type != type || frame.len > size) {
		r = cl_fail(reterr, EBADMSG,
			    "xenstore's %.200s: an answer of type %u and %zu bytes, which was not "
			    "expected",
			    path, frame.type, frame.len);
	} else {
		memcpy(buf, frame.body, frame.len);
		r = (int)frame.len;
	}
	drop(store, used);
	return r;
}

int cl_store_read(struct cl_store *store, const char *path, uint64_t deadline_ns, char *buf,
		  size_t size, struct cl_error *reterr)
{
	int r = ask(store, TYPE_READ, path, NULL, deadline_ns, buf, size - 1, reterr);

	if (r < 0)
		return r;
	buf[r] = '\0';
	if (strlen(buf) != (size_t)r)
		return cl_fail(reterr, EBADMSG, "xenstore's %.200s is not text", path);
	return r;
}

int cl_store_number(struct cl_store *store, const char *path, uint64_t deadline_ns, uint64_t most,
		    uint64_t *ret_value, struct cl_error *reterr)
{
	const char *end;
	uint64_t value;
	char text[32];
	int r = cl_store_read(store, path, deadline_ns, text, sizeof(text), reterr);

	if (r < 0)
		return r;
	if (!cl_parse_u64(text, &value, &end) || *end || value > most)
		return cl_fail(reterr, EBADMSG, "xenstore's %.200s is not a number up to %llu",
			       path, (unsigned long long)most);
	*ret_value = value;
	return 0;
}

int cl_store_list(struct cl_store *store, const char *path, uint64_t deadline_ns, char *buf,
		  size_t size, struct cl_error *reterr)
{
	int r = ask(store, TYPE_DIRECTORY, path, NULL, deadline_ns, buf, size, reterr);

	if (r > 0 && buf[r - 1] != '\0')
		return cl_fail(reterr, EBADMSG, "xenstore's list of %.200s is not terminated",
			       path);
	return r;
}

int cl_store_write(struct cl_store *store, const char *path, const char *value,
		   uint64_t deadline_ns, struct cl_error *reterr)
{
	char ok[16];
	int r = ask(store, TYPE_WRITE, path, value, deadline_ns, ok, sizeof(ok), reterr);

	return r < 0 ? r : 0;
}

int cl_store_remove(struct cl_store *store, const char *path, uint64_t deadline_ns,
		    struct cl_error *reterr)
{
	char ok[16];
	int r = ask(store, TYPE_RM, path, NULL, deadline_ns, ok, sizeof(ok), reterr);

	return r < 0 && r != -ENOENT ? r : 0;
}

int cl_store_watch(struct cl_store *store, const char *path, uint64_t deadline_ns,
		   struct cl_error *reterr)
{
	char ok[16];
	int r = ask(store, TYPE_WATCH, path, "closer", deadline_ns, ok, sizeof(ok), reterr);

	return r < 0 ? r : 0;
}

int cl_store_drain(struct cl_store *store, struct cl_error *reterr)
{
	struct cl_store_frame frame;
	size_t used;
	int r = 0;

	while (r == 0) {
		r = take(store, &frame, &used, reterr);
		if (r == 0)
			drop(store, used); /* an answer that came too late for its question */
		else if (r == -EAGAIN)
			r = fill(store, reterr);
	}
	return r == -EAGAIN ? 0 : r;
}
