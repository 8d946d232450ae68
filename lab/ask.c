// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ask: one question to an agent, or to a QMP monitor, behind a unix socket, with a deadline. Shell
 * scripts have no other client for these on a machine that just came up.
 */
#include "loadgen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define REPLY_MAX 65536u

struct line_reader {
	int fd;
	uint64_t deadline_ns;
	char buf[REPLY_MAX];
	size_t len;  /* bytes in buf */
	size_t used; /* of them, those of the line given last */
};

static int connect_unix(const char *path, uint64_t deadline_ns)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address.sun_path, path);
	for (;;) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
			return fd;
		int error = errno;

		close(fd);
		errno = error;
		/* QEMU may not be there yet, or serve another client and have a full queue. */
		if ((error != ENOENT && error != ECONNREFUSED && error != EAGAIN) ||
		    lg_now() >= deadline_ns)
			return -1;
		lg_sleep_until(lg_now() + LG_POLL_NS);
	}
}

/* The next line, NUL-terminated; NULL with errno: ETIMEDOUT, EPIPE (closed), EMSGSIZE. */
static char *next_line(struct line_reader *reader, uint64_t until_ns)
{
	char *end;

	memmove(reader->buf, reader->buf + reader->used, reader->len - reader->used);
	reader->len -= reader->used;
	reader->used = 0;
	while (!(end = memchr(reader->buf, '\n', reader->len))) {
		uint64_t now = lg_now();
		struct pollfd pollfd = { .fd = reader->fd, .events = POLLIN };
		ssize_t n;

		if (reader->len == sizeof(reader->buf)) {
			errno = EMSGSIZE;
			return NULL;
		}
		if (now >= until_ns ||
		    poll(&pollfd, 1, (int)((until_ns - now) / LG_NS_PER_MS) + 1) <= 0) {
			if (lg_now() < until_ns)
				continue;
			errno = ETIMEDOUT;
			return NULL;
		}
		n = read(reader->fd, reader->buf + reader->len, sizeof(reader->buf) - reader->len);
		if (n == 0 || (n < 0 && errno != EINTR)) {
			errno = EPIPE;
			return NULL;
		}
		reader->len += n > 0 ? (size_t)n : 0;
	}
	*end = '\0';
	reader->used = (size_t)(end - reader->buf) + 1;
	return reader->buf;
}

static int fail(const char *what, const char *path)
{
	fprintf(stderr, "loadgen: %s %s: %s\n", what, path, strerror(errno));
	return 1;
}

static bool say(int fd, const char *format, const char *a, const char *b)
{
	char line[LG_LINE_MAX];
	int n = snprintf(line, sizeof(line), format, a, b);

	if (n < 0 || n >= (int)sizeof(line)) {
		errno = EMSGSIZE;
		return false;
	}
	return send(fd, line, (size_t)n, MSG_NOSIGNAL) == n;
}

int lg_ask(const char *path, const char *question, uint64_t timeout_ns)
{
	uint64_t deadline = lg_now() + timeout_ns, number = 0;
	/* Only ping is said again while there is no answer: it does nothing. */
	bool repeat = strcmp(question, "ping") == 0;
	char id[20], opening[40], good[64];
	struct line_reader *reader = calloc(1, sizeof(*reader));
	int status = 1;

	if (!reader || getrandom(&number, sizeof(number), 0) != sizeof(number)) {
		free(reader);
		return fail("preparing to ask", path);
	}
	snprintf(id, sizeof(id), "%016llx", (unsigned long long)number);
	snprintf(opening, sizeof(opening), "{\"id\":\"%s\",", id);
	snprintf(good, sizeof(good), "%s\"ok\":true", opening);
	reader->fd = connect_unix(path, deadline);
	if (reader->fd < 0 || !say(reader->fd, "%s %s\n", id, question)) {
		fail("asking", path);
		goto out;
	}
	for (;;) {
		uint64_t until = repeat && lg_now() + LG_NS_PER_S < deadline
					 ? lg_now() + LG_NS_PER_S
					 : deadline;
		char *line = next_line(reader, until);

		if (!line && errno == ETIMEDOUT && until < deadline &&
		    say(reader->fd, "%s %s\n", id, question))
			continue;
		if (!line) {
			fail("waiting for an answer from", path);
			break;
		}
		/* An answer to somebody who did not wait for it is not ours. */
		if (strncmp(line, opening, strlen(opening)) != 0)
			continue;
		printf("%s\n", line);
		status = strncmp(line, good, strlen(good)) != 0;
		break;
	}
out:
	if (reader->fd >= 0)
		close(reader->fd);
	free(reader);
	return status;
}

int lg_qmp(const char *path, const char *question, uint64_t timeout_ns)
{
	static const char *const members[] = { "{\"return\"", "{\"error\"" };
	uint64_t deadline = lg_now() + timeout_ns;
	struct line_reader *reader = calloc(1, sizeof(*reader));
	int status = 1;

	if (!reader)
		return fail("preparing to ask", path);
	reader->fd = connect_unix(path, deadline);
	if (reader->fd < 0 || !next_line(reader, deadline) ||
	    !say(reader->fd, "%s%s", "{\"execute\":\"qmp_capabilities\"}\n", "")) {
		fail("greeting QMP at", path);
		goto out;
	}
	/* Replies come in order, events between them: the first reply is that to the greeting. */
	for (int replies = 0; replies < 2;) {
		char *line = next_line(reader, deadline);
		bool good, bad;

		if (!line) {
			fail("waiting for QMP's answer from", path);
			goto out;
		}
		good = strncmp(line, members[0], strlen(members[0])) == 0;
		bad = strncmp(line, members[1], strlen(members[1])) == 0;
		if (!good && !bad)
			continue;
		if (++replies == 1 && good && say(reader->fd, "%s%s\n", question, ""))
			continue;
		printf("%s\n", line);
		status = bad || replies == 1;
		break;
	}
out:
	if (reader->fd >= 0)
		close(reader->fd);
	free(reader);
	return status;
}
