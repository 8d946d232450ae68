/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP's wire and what its replies mean: hosts/qemu/qmp.c and describe.c, without a socket. */
#include "lib.h"
#include "qemu/describe.h"
#include "unit.h"

#include <errno.h>
#include <sys/socket.h>

#define GREETING "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 8}}, \"capabilities\": []}}\r\n"
#define READY    GREETING "{\"return\": {}, \"id\": 0}\r\n"

struct talk {
	struct cl_qmp *qmp;
	struct cl_qemu_facts facts;
	struct cl_error err;
};

static int take(void *ctx, enum cl_qmp_query query, const json_t *reply, struct cl_error *reterr)
{
	return cl_qemu_facts_take(&((struct talk *)ctx)->facts, query, reply, reterr);
}

static void begin(struct talk *talk, int fd)
{
	const struct cl_qmp_taker taker = { .take = take, .ctx = talk };

	memset(talk, 0, sizeof(*talk));
	cl_qemu_facts_init(&talk->facts);
	assert_int_equal(cl_qmp_new(fd, &taker, &talk->qmp, &talk->err), 0);
}

static void end(struct talk *talk)
{
	cl_qmp_free(talk->qmp);
	cl_qemu_facts_done(&talk->facts);
}

static int feed(struct talk *talk, const char *text)
{
	return cl_qmp_feed(talk->qmp, text, strlen(text), &talk->err);
}

/* A conversation that gets these bytes; its result. */
static int heard(const char *text)
{
	struct talk talk;
	int r;

	begin(&talk, -1);
	r = feed(&talk, text);
	if (r < 0)
		assert_true(talk.err.text[0] != '\0');
	end(&talk);
	return r;
}

static const char whole[] = READY
	"{\"return\": {\"name\": \"vm\\u00e9\"}, \"id\": 1}\r\n"
	"{\"event\": \"RESET\", \"data\": {}, \"timestamp\": {}}\r\n"
	"{\"return\": {\"UUID\": \"01234567-89ab-cdef-0123-456789abcdef\"}, \"id\": 2}\r\n"
	"{\"return\": [{\"cpu-index\": 1, \"thread-id\": 43}, {\"cpu-index\": 0, \"thread-id\": 44}], \"id\": 3}\r\n"
	"{\"return\": [{\"id\": \"io0\", \"thread-id\": 45}], \"id\": 4}\r\n"
	"{\"return\": {\"base-memory\": 1000, \"plugged-memory\": 24}, \"id\": 5}\r\n"
	"{\"error\": {\"class\": \"DeviceNotActive\", \"desc\": \"No balloon device\"}, \"id\": 6}\r\n"
	"{\"return\": [{\"device\": \"\", \"qdev\": \"/machine/peripheral/disk0/virtio-backend\", \"stats\": "
	"{\"rd_operations\": 1, \"rd_bytes\": 512, \"wr_operations\": 2, \"wr_bytes\": 1024}}], \"id\": 7}\r\n"
	"{\"return\": {\"status\": \"paused\", \"running\": false}, \"id\": 8}\r\n"
	"{\"return\": {\"status\": \"active\"}, \"id\": 9}\r\n";

static void check_whole(const struct talk *talk)
{
	const struct cl_qemu_facts *facts = &talk->facts;

	assert_string_equal(facts->name, "vm\xc3\xa9");
	assert_true(facts->has_uuid);
	assert_int_equal(facts->uuid.b[15], 0xef);
	assert_int_equal(facts->vcpu_count, 2);
	assert_int_equal(cl_qemu_facts_vcpu(facts, 43)->index, 1);
	assert_int_equal(cl_qemu_facts_vcpu(facts, 44)->index, 0);
	assert_null(cl_qemu_facts_vcpu(facts, 45));
	assert_true(cl_qemu_facts_iothread(facts, 45));
	assert_false(cl_qemu_facts_iothread(facts, 44));
	assert_int_equal(facts->mem_bytes, 1024);
	assert_true(facts->balloon_bytes == CL_UNKNOWN);
	assert_int_equal(facts->disk_count, 1);
	assert_string_equal(facts->disks[0].name, "disk0");
	assert_int_equal(facts->disks[0].wr_bytes, 1024);
	assert_true(facts->stopped);
	assert_true(facts->migrating);
	assert_true(cl_qmp_stirred(talk->qmp));
}

static void test_whole(void **state)
{
	struct talk talk;

	begin(&talk, -1);
	assert_false(cl_qmp_heard(talk.qmp));
	assert_int_equal(feed(&talk, whole), 1);
	check_whole(&talk);
	end(&talk);
}

static void test_byte_by_byte(void **state)
{
	struct talk talk;

	begin(&talk, -1);
	for (size_t i = 0; i + 2 < sizeof(whole); i++)
		assert_int_equal(cl_qmp_feed(talk.qmp, whole + i, 1, &talk.err), 0);
	assert_int_equal(cl_qmp_feed(talk.qmp, "\n", 1, &talk.err), 1);
	check_whole(&talk);
	end(&talk);
}

/* What it says: nothing before the greeting, then capabilities, then one query after the other with
 * ids from 1. */
static void test_asks(void **state)
{
	struct talk talk;
	size_t len;
	const char *out;

	begin(&talk, -1);
	cl_qmp_out(talk.qmp, &len);
	assert_int_equal(len, 0);
	assert_int_equal(feed(&talk, GREETING), 0);
	out = cl_qmp_out(talk.qmp, &len);
	assert_string_equal(out, "{\"execute\":\"qmp_capabilities\",\"id\":0}\n");
	assert_int_equal(feed(&talk, "{\"return\": {}, \"id\": 0}\n"), 0);
	out = cl_qmp_out(talk.qmp, &len);
	assert_non_null(strstr(out, "{\"execute\":\"query-name\",\"id\":1}\n"));
	assert_non_null(strstr(out, "{\"execute\":\"query-migrate\",\"id\":9}\n"));
	end(&talk);
}

/* Replies may come in any order; a cut conversation is not over. */
static void test_order(void **state)
{
	assert_int_equal(heard(READY "{\"return\": [], \"id\": 4}\n{\"return\": [], \"id\": 3}\n"),
			 0);
	assert_int_equal(heard(""), 0);
	assert_int_equal(heard("\r\n\n" GREETING), 0);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"hello\n",
		"[]\n",
		"{}\n",
		"{\"QMP\": 1}\n",
		"{\"QMP\": {}}\n",
		"\xff\xfe\n",
		"{\"QMP\": {\"version\": {}\n",
		"{\"event\": \"STOP\"}\n",
		GREETING GREETING,
		GREETING "{\"return\": {}, \"id\": 1}\n",
		GREETING "{\"error\": {}, \"id\": 0}\n",
		READY "{\"return\": {}, \"id\": 0}\n",
		READY "{\"return\": {}, \"id\": 10}\n",
		READY "{\"return\": {}, \"id\": -1}\n",
		READY "{\"return\": {}, \"id\": 99999999999999999999999}\n",
		READY "{\"return\": {}, \"id\": \"1\"}\n",
		READY "{\"return\": {}}\n",
		READY "{\"id\": 1}\n",
		READY "{\"return\": {}, \"error\": {}, \"id\": 1}\n",
		READY "{\"return\": {}, \"return\": {}, \"id\": 1}\n",
		READY "{\"event\": 7}\n",
		READY "{\"return\": {}, \"id\": 1}\n{\"return\": {}, \"id\": 1}\n",
		READY "{\"error\": {\"class\": \"CommandNotFound\"}, \"id\": 3}\n",
		READY "{\"return\": {\"UUID\": \"nonsense\"}, \"id\": 2}\n",
		READY "{\"return\": {}, \"id\": 2}\n",
		READY "{\"return\": {}, \"id\": 3}\n",
		READY "{\"return\": [1], \"id\": 3}\n",
		READY "{\"return\": [{\"cpu-index\": 0}], \"id\": 3}\n",
		READY "{\"return\": [{\"cpu-index\": 0, \"thread-id\": 0}], \"id\": 3}\n",
		READY "{\"return\": [{\"cpu-index\": 0, \"thread-id\": -5}], \"id\": 3}\n",
		READY "{\"return\": [{\"cpu-index\": 0, \"thread-id\": 4294967297}], \"id\": 3}\n",
		READY "{\"return\": [{\"cpu-index\": 4096, \"thread-id\": 1}], \"id\": 3}\n",
		READY "{\"return\": [{\"cpu-index\": 0, \"thread-id\": 1}, "
		      "{\"cpu-index\": 0, \"thread-id\": 2}], \"id\": 3}\n",
		READY "{\"return\": [{\"thread-id\": \"1\"}], \"id\": 4}\n",
		READY "{\"return\": {\"base-memory\": -1}, \"id\": 5}\n",
		READY "{\"return\": {}, \"id\": 6}\n",
		READY "{\"return\": [{\"device\": \"d\"}], \"id\": 7}\n",
		READY "{\"return\": {\"status\": \"running\"}, \"id\": 8}\n",
	};

	for (size_t i = 0; i < CL_COUNT(bad); i++)
		if (heard(bad[i]) != -EBADMSG)
			fail_msg("%s: not refused", bad[i]);
}

/* Bounds, each just inside and just outside. */
static void test_bounds(void **state)
{
	size_t size = CL_QMP_TALK_MAX + 2;
	char *text = test_malloc(size);
	struct talk talk;

	memset(text, ' ', size);
	begin(&talk, -1);
	assert_int_equal(cl_qmp_feed(talk.qmp, text, CL_QMP_LINE_MAX, &talk.err), 0);
	assert_int_equal(cl_qmp_feed(talk.qmp, text, 1, &talk.err), -EBADMSG);
	end(&talk);

	/* Empty lines are no messages, but they are bytes. */
	memset(text, '\n', size);
	begin(&talk, -1);
	assert_int_equal(cl_qmp_feed(talk.qmp, text, CL_QMP_TALK_MAX, &talk.err), 0);
	assert_int_equal(cl_qmp_feed(talk.qmp, text, 1, &talk.err), -EBADMSG);
	end(&talk);

	begin(&talk, -1);
	assert_int_equal(feed(&talk, READY), 0);
	for (unsigned i = 2; i < CL_QMP_MESSAGES_MAX; i++)
		assert_int_equal(feed(&talk, "{\"event\": \"VNC_CONNECTED\"}\n"), 0);
	assert_false(cl_qmp_stirred(talk.qmp));
	assert_int_equal(feed(&talk, "{\"event\": \"VNC_CONNECTED\"}\n"), -EBADMSG);
	end(&talk);
	test_free(text);
}

/* An event of a given depth, and one with a given number of values, as text. */
static int heard_nested(unsigned depth)
{
	char text[4096] = READY "{\"event\": \"X\", \"data\": ";
	size_t at = strlen(text);

	memset(text + at, '[', depth);
	memset(text + at + depth, ']', depth);
	strcpy(text + at + 2 * depth, "}\n");
	return heard(text);
}

static void test_depth(void **state)
{
	assert_int_equal(heard_nested(CL_QMP_DEPTH_MAX - 1), 0);
	assert_int_equal(heard_nested(CL_QMP_DEPTH_MAX), -EBADMSG);
	assert_int_equal(heard_nested(1500), -EBADMSG);
	/* Brackets inside of strings are no depth, and an escaped quote ends none. */
	assert_int_equal(
		heard(READY "{\"event\": \"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[[[\\\\\"}\n"), 0);
}

static void test_width(void **state)
{
	const size_t count = CL_QMP_VALUES_MAX;
	char *text = test_malloc(count * 2 + 256);
	size_t at;

	strcpy(text, READY "{\"event\": \"X\", \"data\": [1");
	at = strlen(text);
	for (size_t i = 0; i < count; i++) {
		text[at++] = ',';
		text[at++] = '1';
	}
	strcpy(text + at, "]}\n");
	assert_int_equal(heard(text), -EBADMSG);
	memcpy(text + at - 40, "]}\n", 4);
	assert_int_equal(heard(text), 0);
	test_free(text);
}

/* All-zero is no uuid; a thread that serves several vCPUs is the first one's. */
static void test_odd_facts(void **state)
{
	struct talk talk;

	begin(&talk, -1);
	assert_int_equal(
		feed(&talk, READY
		     "{\"return\": {\"UUID\": \"00000000-0000-0000-0000-000000000000\"}, \"id\": 2}\n"),
		0);
	assert_false(talk.facts.has_uuid);
	assert_int_equal(
		feed(&talk,
		     "{\"return\": [{\"cpu-index\": 1, \"thread-id\": 7}, {\"cpu-index\": 0, \"thread-id\": 7}, "
		     "{\"cpu-index\": 2, \"thread-id\": 7}], \"id\": 3}\n"),
		0);
	assert_int_equal(talk.facts.vcpu_count, 1);
	assert_int_equal(cl_qemu_facts_vcpu(&talk.facts, 7)->index, 0);
	end(&talk);
}

static bool is_even(void *ctx, int32_t tid)
{
	return tid % 2 == 0;
}

static void test_confine(void **state)
{
	struct talk talk;

	begin(&talk, -1);
	assert_int_equal(feed(&talk, whole), 1);
	assert_int_equal(cl_qemu_facts_confine(&talk.facts, is_even, NULL), 2);
	assert_int_equal(talk.facts.vcpu_count, 1);
	assert_null(cl_qemu_facts_vcpu(&talk.facts, 43));
	assert_non_null(cl_qemu_facts_vcpu(&talk.facts, 44));
	assert_false(cl_qemu_facts_iothread(&talk.facts, 45));
	end(&talk);
}

static void expect_asked(int fd, const char *wanted)
{
	char asked[2048];
	ssize_t n = recv(fd, asked, sizeof(asked) - 1, 0);

	assert_true(n > 0);
	asked[n] = '\0';
	assert_non_null(strstr(asked, wanted));
}

static void tell(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
}

/* Over a socket: what is asked arrives, and what is answered is taken. */
static void test_socket(void **state)
{
	struct talk talk;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	begin(&talk, fd[0]);
	assert_int_equal(cl_qmp_fd(talk.qmp), fd[0]);
	assert_int_equal(cl_qmp_service(talk.qmp, &talk.err), 0);
	assert_false(cl_qmp_heard(talk.qmp));
	tell(fd[1], GREETING);
	assert_int_equal(cl_qmp_service(talk.qmp, &talk.err), 0);
	assert_false(cl_qmp_wants_write(talk.qmp));
	expect_asked(fd[1], "{\"execute\":\"qmp_capabilities\",\"id\":0}\n");
	tell(fd[1], "{\"return\": {}, \"id\": 0}\r\n");
	assert_int_equal(cl_qmp_service(talk.qmp, &talk.err), 0);
	expect_asked(fd[1], "{\"execute\":\"query-cpus-fast\",\"id\":3}\n");
	tell(fd[1], whole + strlen(READY));
	assert_int_equal(cl_qmp_service(talk.qmp, &talk.err), 1);
	check_whole(&talk);
	end(&talk);
	assert_int_equal(recv(fd[1], &(char){ 0 }, 1, 0), 0); /* it has hung up */
	close(fd[1]);
}

static void test_peer_goes(void **state)
{
	struct talk talk;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	begin(&talk, fd[0]);
	close(fd[1]);
	assert_int_equal(cl_qmp_service(talk.qmp, &talk.err), -EPIPE);
	assert_false(cl_qmp_heard(talk.qmp));
	end(&talk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),     cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_asks),      cmocka_unit_test(test_order),
		cmocka_unit_test(test_refused),   cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_depth),     cmocka_unit_test(test_width),
		cmocka_unit_test(test_odd_facts), cmocka_unit_test(test_confine),
		cmocka_unit_test(test_socket),    cmocka_unit_test(test_peer_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
