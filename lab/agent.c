// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * agent: takes commands, one a line, and answers each with one JSON line. In a guest it sits on a
 * virtio port; on the host on a unix socket.
 *
 *   ID ping | run LOADS | start LOADS | report | stop | reboot | poweroff   ->
 * {"id":"ID","ok":true,..}
 *
 * run answers when the loads are over. start leaves them running; report says what was done since
 * the last report (or the start), stop the same for the rest and ends them.
 */
#include "loadgen.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

struct agent {
	int listener; /* unix: where clients come; else -1 */
	int fd;       /* the client, or the port; -1: nobody there */
	struct lg_job *job;
	char line[LG_LINE_MAX];
	size_t len;
	bool overlong; /* the rest of this line is thrown away */
};

void lg_json_text(FILE *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
}

static void write_all(int fd, const char *buf, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return; /* the client has gone: nobody waits for this */
		buf += n;
		len -= (size_t)n;
	}
}

/* One reply. error: NULL if all went well. */
static void reply(struct agent *agent, const char *id, const char *error, bool loads)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return;
	fprintf(out, "{\"id\":\"");
	lg_json_text(out, id);
	fprintf(out, "\",\"ok\":%s", error ? "false" : "true");
	if (error) {
		fprintf(out, ",\"error\":\"");
		lg_json_text(out, error);
		fputc('"', out);
	}
	if (loads) {
		fputc(',', out);
		lg_job_report(agent->job, out);
	}
	fprintf(out, "}\n");
	fclose(out);
	write_all(agent->fd, text, len);
	free(text);
}

/* A job that ended by itself makes room for the next; one that runs does not. */
static bool start(struct agent *agent, const char *id, char *spec)
{
	struct lg_load loads[LG_LOADS_MAX];
	char error[512];
	uint32_t n = lg_parse(spec, loads, error, sizeof(error));

	if (n && agent->job && !lg_job_over(agent->job)) {
		snprintf(error, sizeof(error), "loads are running already: stop them first");
		n = 0;
	}
	if (n) {
		lg_job_free(agent->job);
		agent->job = lg_job_start(loads, n, error, sizeof(error));
	}
	if (n == 0 || !agent->job) {
		reply(agent, id, error, false);
		return false;
	}
	return true;
}

static bool unbounded(char *spec)
{
	struct lg_load loads[LG_LOADS_MAX];
	char copy[LG_LINE_MAX], error[512];

	strcpy(copy, spec);
	for (uint32_t n = lg_parse(copy, loads, error, sizeof(error)); n > 0; n--)
		if (loads[n - 1].for_ns == 0)
			return true;
	return false;
}

static void run(struct agent *agent, const char *id, char *spec)
{
	if (unbounded(spec)) {
		reply(agent, id, "run needs for= with each load; start does not", false);
		return;
	}
	if (!start(agent, id, spec))
		return;
	while (!lg_job_over(agent->job))
		lg_sleep_until(lg_now() + 10 * LG_NS_PER_MS);
	lg_job_stop(agent->job);
	reply(agent, id, NULL, true);
}

/* Only a guest of the lab, which its kernel's command line says, is ever powered off from here. */
static bool lab_guest(const struct agent *agent)
{
	char text[LG_LINE_MAX] = "", *save = NULL;
	FILE *file = agent->listener < 0 ? fopen("/proc/cmdline", "re") : NULL;
	bool found = false;

	if (!file)
		return false;
	if (fgets(text, sizeof(text), file))
		for (char *word = strtok_r(text, " \n", &save); word && !found;
		     word = strtok_r(NULL, " \n", &save))
			found = strcmp(word, "closer.lab=1") == 0;
	fclose(file);
	return found;
}

static void power(struct agent *agent, const char *id, int how)
{
	if (!lab_guest(agent)) {
		reply(agent, id, "this is no guest of the lab", false);
		return;
	}
	reply(agent, id, NULL, false);
	sync();
	reboot(how);
}

static void command(struct agent *agent, char *line)
{
	char *save = NULL, *id = strtok_r(line, " ", &save), *verb = strtok_r(NULL, " ", &save);

	if (!id)
		return;
	if (!verb) {
		reply(agent, id, "a command is: ID VERB [LOADS]", false);
	} else if (strcmp(verb, "ping") == 0) {
		reply(agent, id, NULL, false);
	} else if (strcmp(verb, "run") == 0) {
		run(agent, id, save);
	} else if (strcmp(verb, "start") == 0) {
		if (start(agent, id, save))
			reply(agent, id, NULL, false);
	} else if (strcmp(verb, "report") == 0 || strcmp(verb, "stop") == 0) {
		if (!agent->job) {
			reply(agent, id, "no loads were started", false);
			return;
		}
		if (verb[0] == 's')
			lg_job_stop(agent->job);
		reply(agent, id, NULL, true);
		if (verb[0] == 's') {
			lg_job_free(agent->job);
			agent->job = NULL;
		}
	} else if (strcmp(verb, "reboot") == 0) {
		power(agent, id, RB_AUTOBOOT);
	} else if (strcmp(verb, "poweroff") == 0) {
		power(agent, id, RB_POWER_OFF);
	} else {
		reply(agent, id,
		      "no such verb; there are: ping run start report stop reboot poweroff", false);
	}
}

static void take(struct agent *agent, const char *buf, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (buf[i] != '\n') {
			agent->overlong |= agent->len == sizeof(agent->line) - 1;
			if (!agent->overlong)
				agent->line[agent->len++] = buf[i];
			continue;
		}
		agent->line[agent->len] = '\0';
		if (agent->overlong)
			reply(agent, "?", "the line is longer than 4095 bytes", false);
		else if (memchr(agent->line, '\0', agent->len))
			reply(agent, "?", "the line has a NUL in it", false);
		else
			command(agent, agent->line);
		agent->len = 0;
		agent->overlong = false;
	}
}

static int listen_unix(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 4))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int open_port(const char *path)
{
	int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios raw;

	if (fd >= 0 && tcgetattr(fd, &raw) == 0) {
		cfmakeraw(&raw);
		tcsetattr(fd, TCSANOW, &raw);
	}
	return fd;
}

/* The client has gone. A unix client's connection ends; a port stays open and waits for the next.
 */
static void gone(struct agent *agent)
{
	agent->len = 0;
	agent->overlong = false;
	if (agent->listener >= 0) {
		close(agent->fd);
		agent->fd = -1;
	} else {
		lg_sleep_until(lg_now() + LG_POLL_NS);
	}
}

int lg_agent(const char *path)
{
	static const char prefix[] = "unix:";
	bool is_unix = strncmp(path, prefix, sizeof(prefix) - 1) == 0;
	struct agent agent = { .listener = -1, .fd = -1 };
	char buf[512];

	signal(SIGPIPE, SIG_IGN);
	if (is_unix)
		agent.listener = listen_unix(path + sizeof(prefix) - 1);
	else
		agent.fd = open_port(path);
	if (agent.listener < 0 && agent.fd < 0) {
		fprintf(stderr, "loadgen agent: opening %s: %s\n", path, strerror(errno));
		return 1;
	}
	for (;;) {
		if (agent.fd < 0)
			agent.fd = accept4(agent.listener, NULL, NULL, SOCK_CLOEXEC);
		if (agent.fd < 0) {
			lg_sleep_until(lg_now() + LG_POLL_NS);
			continue;
		}
		ssize_t n = read(agent.fd, buf, sizeof(buf));

		if (n > 0)
			take(&agent, buf, (size_t)n);
		else if (n == 0 || errno != EINTR)
			gone(&agent);
	}
}

int lg_run(char *spec)
{
	struct agent agent = { .listener = -1, .fd = STDOUT_FILENO };
	bool ok;

	if (unbounded(spec)) {
		fprintf(stderr, "loadgen run: each load needs for=\n");
		return 2;
	}
	ok = start(&agent, "run", spec);
	if (ok) {
		while (!lg_job_over(agent.job))
			lg_sleep_until(lg_now() + 10 * LG_NS_PER_MS);
		lg_job_stop(agent.job);
		reply(&agent, "run", NULL, true);
	}
	lg_job_free(agent.job);
	return ok ? 0 : 1;
}
