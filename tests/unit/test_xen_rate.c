/* SPDX-License-Identifier: GPL-2.0-or-later */
/* netback's transmit rate in xenstore, which is a process of a few nodes here. */
#include "unit.h"

#include "lib.h"
#include "xen/parse.h"
#include "xen/rate.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define BACK "/local/domain/0/backend/vif/7/0"

struct node {
	char path[96], value[96];
	bool there;
};

static struct cl_store store;
static pid_t server;

static struct node *find(struct node *nodes, const char *path)
{
	struct node *spare = NULL;

	for (uint32_t i = 0; i < 8; i++) {
		if (nodes[i].there && strcmp(nodes[i].path, path) == 0)
			return &nodes[i];
		if (!nodes[i].there)
			spare = &nodes[i];
	}
	snprintf(spare->path, sizeof(spare->path), "%s", path);
	return spare;
}

/* Type, request, transaction, length; the types of xs_wire.h. */
static void serve(int fd)
{
	struct node nodes[8] = { { "/local/domain/7/vm", "/vm/00000000-0000-0000-0000-000000000007",
				   true },
				 { BACK "/frontend-id", "7", true } };
	uint32_t head[4];
	char body[4096];

	while (recv(fd, head, sizeof(head), MSG_WAITALL) == sizeof(head) &&
	       head[3] < sizeof(body) && recv(fd, body, head[3], MSG_WAITALL) == (ssize_t)head[3]) {
		struct node *node = find(nodes, body);
		const char *answer = "OK";
		size_t value = strlen(body) + 1;

		body[head[3]] = '\0';
		if (head[0] == 11) {
			snprintf(node->value, sizeof(node->value), "%s", body + value);
			node->there = head[3] == value + strlen(node->value); /* no NUL behind */
		} else if (!node->there) {
			answer = "ENOENT";
			head[0] = 16;
		} else if (head[0] == 13) {
			node->there = false;
		} else {
			answer = node->value;
		}
		head[3] = (uint32_t)(strlen(answer) + (head[0] != 2));
		(void)!write(fd, head, sizeof(head));
		(void)!write(fd, answer, head[3]);
	}
	_exit(0);
}

static void no_event(void *ctx, const char *path) {}

static int begin(void **state)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		return -1;
	server = fork();
	if (server == 0) {
		close(fds[0]);
		serve(fds[1]);
	}
	close(fds[1]);
	cl_store_use(&store, fds[0], no_event, NULL);
	return 0;
}

static int end(void **state)
{
	cl_store_close(&store);
	return waitpid(server, NULL, 0) == server ? 0 : -1;
}

static struct cl_change change(int64_t from, int64_t to)
{
	struct cl_change c = { .kind = CL_CHANGE_RATE, .domid = 7 };

	c.domain.b[15] = 7;
	c.from = (struct cl_setting){ from != 0, .number = from };
	c.to = (struct cl_setting){ to != 0, .number = to };
	c.from.period_ns = from ? 50 * CL_NS_PER_MS : 0;
	c.to.period_ns = to ? 50 * CL_NS_PER_MS : 0;
	return c;
}

static void is_there(const char *value)
{
	char text[64];
	int r = cl_store_read(&store, BACK "/rate", cl_clock_ns() + CL_NS_PER_S, text, sizeof(text),
			      NULL);

	if (!value) {
		assert_int_equal(r, -ENOENT);
		return;
	}
	assert_true(r > 0);
	assert_string_equal(text, value);
}

static void set_and_taken_away(void **state)
{
	struct cl_change on = change(0, 62500), more = change(62500, 100000),
			 off = change(100000, 0);
	struct cl_setting is;

	assert_int_equal(cl_xen_rate_read(&store, &on, &is, NULL), 0);
	assert_false(is.present);
	assert_int_equal(cl_xen_rate_apply(&store, &on, NULL), 0);
	is_there("62500,50000");
	assert_int_equal(cl_xen_rate_apply(&store, &on, NULL), 0);
	assert_int_equal(cl_xen_rate_apply(&store, &more, NULL), 0);
	is_there("100000,50000");
	assert_int_equal(cl_xen_rate_apply(&store, &off, NULL), 0);
	is_there(NULL);
	assert_int_equal(cl_xen_rate_apply(&store, &off, NULL), 0);
}

static void somebody_elses(void **state)
{
	static const char *const theirs[] = { "1000000,50000", "62500,40000", "junk", "5", "" };
	struct cl_change on = change(0, 62500), off = change(62500, 0);
	struct cl_error err;

	for (size_t i = 0; i < CL_COUNT(theirs); i++) {
		assert_int_equal(cl_store_write(&store, BACK "/rate", theirs[i],
						cl_clock_ns() + CL_NS_PER_S, &err),
				 0);
		assert_int_equal(cl_xen_rate_apply(&store, &on, &err), -ESTALE);
		assert_int_equal(cl_xen_rate_apply(&store, &off, &err), -ESTALE);
	}
}

static void another_domain(void **state)
{
	struct cl_change c = change(0, 62500);
	struct cl_uuid id = c.domain;

	c.domain.b[0] = 1;
	assert_int_equal(cl_xen_rate_apply(&store, &c, NULL), -ESRCH);
	cl_xen_own_id(&id, 7, &c.domain); /* a name of closer's own for it */
	assert_int_equal(cl_xen_rate_apply(&store, &c, NULL), 0);
	c.domid = 8;
	assert_int_equal(cl_xen_rate_apply(&store, &c, NULL), -ESRCH);
	c = change(0, 62500);
	c.handle = 3;
	assert_int_equal(cl_xen_rate_apply(&store, &c, NULL), -ENOENT);
}

static void texts(void **state)
{
	struct cl_setting s;
	uint64_t device;

	assert_true(cl_xen_parse_rate("1,2", &s));
	assert_int_equal(s.period_ns, 2000);
	assert_false(cl_xen_parse_rate("1,", &s));
	assert_false(cl_xen_parse_rate("1,2,3", &s));
	assert_false(cl_xen_parse_rate("1,18446744073709551615", &s));
	assert_true(cl_xen_parse_device("fd:3", &device));
	assert_int_equal(device, UINT64_C(253) << 32 | 3);
	assert_true(cl_xen_parse_device("7:0", &device));
	assert_false(cl_xen_parse_device("", &device));
	assert_false(cl_xen_parse_device(":1", &device));
	assert_false(cl_xen_parse_device("fd:", &device));
	assert_false(cl_xen_parse_device("fd:3x", &device));
	assert_false(cl_xen_parse_device("111111111:1", &device));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(set_and_taken_away, begin, end),
		cmocka_unit_test_setup_teardown(somebody_elses, begin, end),
		cmocka_unit_test_setup_teardown(another_domain, begin, end),
		cmocka_unit_test(texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
