/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A QMP server for tests; see qmp_serve.h. */
#include "qmp_serve.h"

#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

const char *const qmp_mode_names[QMP_MODE_COUNT] = {
#define X(id, name, doc) name,
	QMP_MODES(X)
#undef X
};

struct birth {
	const char *name;
	int32_t tid;
	pthread_barrier_t barrier;
};

static void *sleeper(void *arg)
{
	struct birth *birth = arg;

	pthread_setname_np(pthread_self(), birth->name);
	birth->tid = gettid();
	pthread_barrier_wait(&birth->barrier);
	for (;;)
		pause();
	return NULL;
}

static int32_t start(const char *name)
{
	struct birth birth = { .name = name };
	pthread_t thread;

	pthread_barrier_init(&birth.barrier, NULL, 2);
	if (pthread_create(&thread, NULL, sleeper, &birth) != 0)
		abort();
	pthread_barrier_wait(&birth.barrier);
	pthread_barrier_destroy(&birth.barrier);
	return birth.tid;
}

void qmp_threads_start(struct qmp_server *server)
{
	server->cpu_tid[0] = start("CPU 0/KVM");
	server->cpu_tid[1] = start("CPU 1/KVM");
	server->iothread_tid = start("IO io0");
	start("worker");
	start("live_migration");
	start("something");
}

int qmp_listen(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		return -1;
	strcpy(address.sun_path, path);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool put(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		text += n;
		len -= (size_t)n;
	}
	return true;
}

static bool puts_to(int fd, const char *text)
{
	return put(fd, text, strlen(text));
}

/* Up to that many times; negative: until the peer hangs up. */
static bool repeat(int fd, const char *text, long times)
{
	char block[65536];
	size_t len = strlen(text), fits = sizeof(block) / len;

	for (size_t i = 0; i < fits; i++)
		memcpy(block + i * len, text, len);
	while (times != 0) {
		size_t now = times < 0 || (size_t)times > fits ? fits : (size_t)times;

		if (!put(fd, block, now * len))
			return false;
		times -= times < 0 ? 0 : (long)now;
	}
	return true;
}

static void nap_ms(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

/* ---- replies ---- */

static json_t *cpu(int index, int32_t tid)
{
	return json_pack("{s:i,s:i,s:s,s:s}", "cpu-index", index, "thread-id", tid, "qom-path",
			 "/machine/x", "target", "x86_64");
}

static json_t *cpus(const struct qmp_server *s)
{
	if (s->mode == QMP_ZERO_TID)
		return json_pack("[o]", cpu(0, 0));
	return json_pack("[o,o]", cpu(0, s->mode == QMP_LIES ? s->lie_tid : s->cpu_tid[0]),
			 cpu(s->mode == QMP_SAME_CPUS ? 0 : 1, s->cpu_tid[1]));
}

static json_t *name(const struct qmp_server *s)
{
	char *text = malloc(900001);
	json_t *reply;

	memset(text, 'n', 900000);
	text[900000] = '\0';
	if (s->mode == QMP_ODD_NAME)
		strcpy(text, "\x1b[31mred\a\nguest\t\\");
	reply = json_pack("{s:s}", "name",
			  s->mode == QMP_LONG_NAME || s->mode == QMP_ODD_NAME ? text : s->name);
	free(text);
	return reply;
}

static json_t *blockstats(void)
{
	return json_pack("[{s:s,s:{s:i,s:i,s:i,s:i}}]", "device", "d0", "stats", "rd_operations", 7,
			 "rd_bytes", 28672, "wr_operations", 3, "wr_bytes", 12288);
}

/* NULL: QEMU's error. */
static json_t *reply_to(const struct qmp_server *s, const char *command)
{
	if (strcmp(command, "qmp_capabilities") == 0)
		return json_object();
	if (strcmp(command, "query-name") == 0)
		return name(s);
	if (strcmp(command, "query-uuid") == 0)
		return json_pack("{s:s}", "UUID",
				 s->mode == QMP_NO_UUID ? "00000000-0000-0000-0000-000000000000"
							: s->uuid);
	if (strcmp(command, "query-cpus-fast") == 0)
		return cpus(s);
	if (strcmp(command, "query-iothreads") == 0)
		return json_pack("[{s:s,s:i}]", "id", "io0", "thread-id", s->iothread_tid);
	if (strcmp(command, "query-memory-size-summary") == 0)
		return json_pack("{s:i,s:i}", "base-memory", 100663296, "plugged-memory", 0);
	if (strcmp(command, "query-blockstats") == 0)
		return blockstats();
	if (strcmp(command, "query-status") == 0)
		return json_pack("{s:s,s:b}", "status", "running", "running", 1);
	if (strcmp(command, "query-migrate") == 0)
		return json_object();
	return NULL;
}

static bool answer(const struct qmp_server *s, int fd, const json_t *command)
{
	const char *execute = json_string_value(json_object_get(command, "execute"));
	json_t *id = json_object_get(command, "id"), *reply = execute ? reply_to(s, execute) : NULL,
	       *message;
	bool capabilities = execute && strcmp(execute, "qmp_capabilities") == 0, ok;
	char *text;

	if (s->mode == QMP_WRONG_ID && !capabilities)
		message =
			json_pack("{s:o,s:i}", "return", reply ? reply : json_object(), "id", 4711);
	else if (reply)
		message = json_pack("{s:o,s:O}", "return", reply, "id", id);
	else
		message = json_pack("{s:{s:s,s:s},s:O}", "error", "class", "DeviceNotActive",
				    "desc", "none here", "id", id);
	text = json_dumps(message, 0);
	ok = puts_to(fd, text) && puts_to(fd, "\r\n");
	if (s->mode == QMP_TWICE && !capabilities)
		ok = ok && puts_to(fd, text) && puts_to(fd, "\r\n");
	if (s->mode == QMP_HANGS_UP && !capabilities) {
		put(fd, text, strlen(text) / 2);
		ok = false;
	}
	free(text);
	json_decref(message);
	return ok;
}

/* ---- what is said instead ---- */

static void wait_for_end(int fd)
{
	for (char c; recv(fd, &c, 1, 0) > 0;)
		;
}

static void say_drip(int fd)
{
	puts_to(fd, "{\"QMP\": {\"version\": \"");
	while (put(fd, "1", 1))
		nap_ms(20);
}

static void say_garbage(int fd)
{
	puts_to(fd, "\x01\xff{]\"\\ not json at all\r\n\r\n");
	wait_for_end(fd);
}

static void say_flood(int fd)
{
	repeat(fd, "{\"QMP\":", -1);
}

static void say_events(int fd)
{
	repeat(fd,
	       "{\"event\":\"RTC_CHANGE\",\"data\":{},\"timestamp\":{\"seconds\":1,\"microseconds\":1}}\r\n",
	       -1);
}

static void say_big(int fd)
{
	puts_to(fd, "{\"return\":{\"name\":\"");
	repeat(fd, "a", 100000000);
	puts_to(fd, "\"},\"id\":1}\r\n");
}

static void say_deep(int fd)
{
	puts_to(fd, "{\"return\":");
	repeat(fd, "[", 10000);
	repeat(fd, "]", 10000);
	puts_to(fd, ",\"id\":1}\r\n");
	wait_for_end(fd);
}

static void say_wide(int fd)
{
	puts_to(fd, "{\"return\":[");
	repeat(fd, "{},", 340000);
	puts_to(fd, "{}],\"id\":3}\r\n");
	wait_for_end(fd);
}

static void say_many_cpus(int fd)
{
	puts_to(fd, "{\"return\":[");
	repeat(fd, "{\"cpu-index\":1,\"thread-id\":1},", 1000000);
	puts_to(fd, "{}],\"id\":3}\r\n");
	wait_for_end(fd);
}

typedef void say_fn(int fd);

/* Before a greeting, and instead of the answer to the first query. */
static say_fn *const at_once[QMP_MODE_COUNT] = {
	[QMP_SILENT] = wait_for_end,
	[QMP_DRIP] = say_drip,
	[QMP_GARBAGE] = say_garbage,
	[QMP_FLOOD] = say_flood,
};
static say_fn *const later[QMP_MODE_COUNT] = {
	[QMP_MUTE] = wait_for_end, [QMP_EVENTS] = say_events, [QMP_BIG] = say_big,
	[QMP_DEEP] = say_deep,     [QMP_WIDE] = say_wide,     [QMP_MANY_CPUS] = say_many_cpus,
};

static void converse(const struct qmp_server *s, int fd)
{
	static const char greeting[] =
		"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 8}, "
		"\"package\": \"\"}, \"capabilities\": [\"oob\"]}}\r\n";
	FILE *in = fdopen(dup(fd), "r");
	char line[4096];

	puts_to(fd, greeting);
	for (unsigned n = 0; in && fgets(line, sizeof(line), in); n++) {
		json_t *command = json_loads(line, 0, NULL);
		bool over = !command || (n == 1 && later[s->mode]);

		if (!over)
			over = !answer(s, fd, command);
		else if (command)
			later[s->mode](fd);
		json_decref(command);
		if (over)
			break;
	}
	if (in)
		fclose(in);
}

_Noreturn void qmp_serve(const struct qmp_server *server, int listener)
{
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		int fd = server->mode == QMP_DEAF ? -1 : accept(listener, NULL, NULL);

		if (fd < 0) {
			pause();
			continue;
		}
		if (at_once[server->mode])
			at_once[server->mode](fd);
		else
			converse(server, fd);
		close(fd);
	}
}
