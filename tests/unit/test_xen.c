/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xen: names of threads, paths, and talking to a xenstored that answers, lies, stalls and dies. */
#include "xen/parse.h"
#include "xen/store.h"
#include "xen/xen.h"

#include "lib.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

/* ---- names ---- */

static void is_thread(const char *comm, enum cl_work_kind kind, const char *device, uint32_t queue,
		      bool cut)
{
	struct cl_xen_named named;

	assert_true(cl_xen_parse_thread(comm, &named));
	assert_string_equal(named.device, device);
	assert_int_equal(named.kind, kind);
	assert_int_equal(named.queue, queue);
	assert_int_equal(named.cut, cut);
}

static void test_threads(void **state)
{
	is_thread("vif1.0-q0-guest-rx", CL_WORK_NETBACK_RX, "vif1.0", 0, false);
	is_thread("vif12.3-q7-dealloc", CL_WORK_NETBACK_DEALLOC, "vif12.3", 7, false);
	is_thread("napi/vif1.0-8193", CL_WORK_NAPI, "vif1.0", CL_NONE, false);
	is_thread("1.xvda-0", CL_WORK_BLKBACK, "1.xvda", 0, false);
	is_thread("31.hda1-12", CL_WORK_BLKBACK, "31.hda1", 12, false);
	is_thread("web-q2-dealloc", CL_WORK_NETBACK_DEALLOC, "web", 2, false); /* vifname= */
	is_thread("a-q1-q0-guest-rx", CL_WORK_NETBACK_RX, "a-q1", 0, false);
}

/* Kernels before 5.17 show fifteen characters. */
static void test_cut_threads(void **state)
{
	is_thread("vif1.0-q0-guest", CL_WORK_NETBACK_RX, "vif1.0", 0, false);
	is_thread("vif1.0-q0-deall", CL_WORK_NETBACK_DEALLOC, "vif1.0", 0, false);
	is_thread("vif12345.10-q1-", CL_WORK_HELPER, "vif12345.10", 1, false);
	is_thread("vif12345.10-q12", CL_WORK_HELPER, "vif12345.10", CL_NONE, false);
	is_thread("napi/vif1.0-819", CL_WORK_NAPI, "vif1.0", CL_NONE, false);
	is_thread("napi/longname12", CL_WORK_NAPI, "longname12", CL_NONE, true);
	is_thread("12345.longname-", CL_WORK_BLKBACK, "12345.longname", CL_NONE, true);
}

static void test_not_threads(void **state)
{
	static const char *const others[] = {
		"",
		"kworker/0:1",
		"vif1.0",
		"vif1.0-q0",
		"vif1.0-q0-guest-tx",
		"-q0-guest-rx",
		"napi/",
		"napi/vif1.0",
		"napi/vif1.0-x",
		"1.-0",
		"1.xvda",
		"1.xvda-",
		"40000.xvda-0",
		"x.xvda-0",
		"1.xvda-0x",
		"1.xvda-99999",
		"migration/1",
		"vif1.0-q99999-dealloc",
	};
	char longer[CL_XEN_COMM + 40];
	struct cl_xen_named named;

	for (size_t i = 0; i < CL_COUNT(others); i++)
		if (cl_xen_parse_thread(others[i], &named))
			fail_msg("'%s' was taken for a back end's thread", others[i]);
	memset(longer, '1', sizeof(longer));
	memcpy(longer + sizeof(longer) - 9, ".xvda-0", 8);
	assert_false(cl_xen_parse_thread(longer, &named));
}

static void test_devices(void **state)
{
	struct cl_xen_named named;

	assert_true(cl_xen_parse_thread("vif1.0-q0-guest-rx", &named));
	assert_true(cl_xen_is_device(&named, "vif1.0"));
	assert_false(cl_xen_is_device(&named, "vif1.01"));
	assert_false(cl_xen_is_device(&named, "vif11.0"));
	assert_true(cl_xen_parse_thread("napi/longname12", &named));
	assert_true(cl_xen_is_device(&named, "longname1234"));
	assert_true(cl_xen_parse_irq("vif3.1-q2-tx", &named));
	assert_string_equal(named.device, "vif3.1");
	assert_int_equal(named.queue, 2);
	assert_true(cl_xen_parse_irq("vif3.1", &named));
	assert_int_equal(named.queue, CL_NONE);
	assert_false(cl_xen_parse_irq("vif3.1-q2-xx", &named));
}

static void test_stat(void **state)
{
	struct cl_xen_stat stat;

	assert_true(cl_xen_parse_stat("180 (1.xvda-0) S 2 0 0 0 -1 2097216 0 0 0 0 12 0 0 0 20 0 1 "
				      "0 3600 0 0 18446744073709551615\n",
				      &stat));
	assert_string_equal(stat.comm, "1.xvda-0");
	assert_true(cl_xen_is_kernel_thread(&stat));
	assert_int_equal(stat.start, 3600);
	assert_int_equal(stat.parent, 2);
	assert_int_equal(stat.session, 0);
	/* A process can put anything into its name, and is no kernel thread for it. */
	assert_true(cl_xen_parse_stat("9 (1.xvda-0) S 2 0 0) S 1 9 9 0 -1 4194560 0 0 0 0 0 0 0 0 "
				      "20 0 1 0 77 0",
				      &stat));
	assert_false(cl_xen_is_kernel_thread(&stat));
	assert_string_equal(stat.comm, "1.xvda-0) S 2 0 0");
	assert_int_equal(stat.start, 77);
	assert_int_equal(stat.parent, 1);
	assert_int_equal(stat.session, 9);
	assert_false(cl_xen_parse_stat("", &stat));
	assert_false(cl_xen_parse_stat("9 )(", &stat));
	assert_false(cl_xen_parse_stat("9 (x) S 1 2 3", &stat));
}

static void test_paths(void **state)
{
	static const char model[] = "/usr/bin/qemu\0-xen-domid\0"
				    "3\0-nodefaults";
	static const char other[] = "vi\0-xen-domid";
	uint32_t domid;

	assert_true(cl_xen_parse_backend("/local/domain/0/backend/vif/7/0/state", &domid));
	assert_int_equal(domid, 7);
	assert_true(cl_xen_parse_backend("/local/domain/0/backend/vbd/9", &domid));
	assert_int_equal(domid, 9);
	assert_false(cl_xen_parse_backend("/local/domain/0/backend/vbd", &domid));
	assert_false(cl_xen_parse_backend("/local/domain/0/backend/vbd/x/0", &domid));
	assert_false(cl_xen_parse_backend("/local/domain/0/backend/vbd/99999/0", &domid));
	assert_true(cl_xen_parse_owner("/local/domain/4/backend/vif/7/0", &domid));
	assert_int_equal(domid, 4);
	assert_false(cl_xen_parse_owner("/local/domain/4/device/vif/0", &domid));
	assert_true(cl_xen_parse_model(model, sizeof(model), &domid));
	assert_int_equal(domid, 3);
	assert_false(cl_xen_parse_model(model, 26, &domid)); /* cut before the number's end */
	assert_false(cl_xen_parse_model(other, sizeof(other), &domid));
}

/* ---- the toolstack ---- */

/* Words divided by blanks, as /proc/PID/cmdline has them. */
static bool parse_xl(const char *line, struct cl_xen_command *ret_command)
{
	char args[512];
	size_t len = strlen(line) + 1;

	memcpy(args, line, len);
	for (size_t i = 0; i < len; i++)
		if (args[i] == ' ')
			args[i] = '\0';
	return cl_xen_parse_xl(args, len, ret_command);
}

static void is_about(const char *line, enum cl_xen_about about, const char *who)
{
	struct cl_xen_command command;

	if (!parse_xl(line, &command))
		fail_msg("'%s' was not understood", line);
	assert_int_equal(command.about, about);
	assert_string_equal(command.who, who);
}

static void test_commands(void **state)
{
	static const char *const others[] = {
		"xl",    "xl list",       "xl save",           "xl create",
		"xl -v", "xl console g1", "xl migrate -s ssh", "savex g1",
	};
	struct cl_xen_command command;

	is_about("xl save g1 /tmp/file", CL_XEN_ABOUT_DOMAIN, "g1");
	is_about("/usr/lib/xen-4.17/bin/xl -vvv save -c 12 /tmp/file", CL_XEN_ABOUT_DOMAIN, "12");
	is_about("xl migrate -s here --debug g1 localhost", CL_XEN_ABOUT_DOMAIN, "g1");
	is_about("xl migrate -e -C cfg -shere g1 localhost", CL_XEN_ABOUT_DOMAIN, "g1");
	is_about("xl remus -F -b -n -d -i 500 g1 localhost", CL_XEN_ABOUT_DOMAIN, "g1");
	is_about("xl destroy -f g1", CL_XEN_ABOUT_DOMAIN, "g1");
	is_about("xl create -q /etc/xen/g1.cfg memory=64", CL_XEN_ABOUT_CONFIG, "/etc/xen/g1.cfg");
	is_about("xl create -f g1.cfg", CL_XEN_ABOUT_CONFIG, "g1.cfg");
	is_about("xl restore /tmp/file", CL_XEN_ABOUT_STREAM, "");
	is_about("xl migrate-receive", CL_XEN_ABOUT_STREAM, "");
	for (size_t i = 0; i < CL_COUNT(others); i++)
		if (parse_xl(others[i], &command))
			fail_msg("'%s' was taken for work for %s", others[i], command.who);
	/* Cut off: a name may go on. */
	assert_false(cl_xen_parse_xl("xl\0save\0g1", 10, &command));
}

static void test_helpers(void **state)
{
	static const char save[] = "libxl-save-helper\0--save-domain\0008\000-1\00012\0003\0";
	static const char other[] = "libxl-save-helper\0--save-domain\0008\000-1\00012x\0003\0";
	static const char far_off[] = "x\0--restore-domain\0008\000-1\00040000\0003\0";
	uint32_t domid;

	assert_true(cl_xen_parse_helper(save, sizeof(save) - 1, &domid));
	assert_int_equal(domid, 12);
	assert_false(cl_xen_parse_helper(save, 38, &domid)); /* behind "1" of 12 */
	assert_false(cl_xen_parse_helper(other, sizeof(other) - 1, &domid));
	assert_false(cl_xen_parse_helper(far_off, sizeof(far_off) - 1, &domid));
	assert_false(cl_xen_parse_helper("", 0, &domid));
}

static void test_configs(void **state)
{
	char name[16];

	assert_true(cl_xen_parse_config("# name=\"no\"\nkernel = \"/x\"\n name = 'g 1'\n", name,
					sizeof(name)));
	assert_string_equal(name, "g 1");
	assert_true(cl_xen_parse_config("memory=1;name=\"g2\"", name, sizeof(name)));
	assert_string_equal(name, "g2");
	assert_false(cl_xen_parse_config("", name, sizeof(name)));
	assert_false(cl_xen_parse_config("names=\"g\"\nname=g\nname=\"\"\nname=\"g\nx\"", name,
					 sizeof(name)));
	assert_false(cl_xen_parse_config("name=\"longer than there is room\"", name, sizeof(name)));
	assert_true(cl_xen_parse_log("/var/log/xen/xl-g1.log", name, sizeof(name)));
	assert_string_equal(name, "g1");
	assert_true(cl_xen_parse_log("/var/log/xen/xl-g1--incoming.log", name, sizeof(name)));
	assert_string_equal(name, "g1");
	assert_false(cl_xen_parse_log("/var/log/xen/xl-.log", name, sizeof(name)));
	assert_false(cl_xen_parse_log("/var/log/xen/xldevd.log", name, sizeof(name)));
	assert_false(cl_xen_parse_log("/dev/null", name, sizeof(name)));
}

/* Affinity to all nodes says something only where the vCPUs are divided among them. */
static void test_home(void **state)
{
	static const uint64_t divided[] = { 1, 2 }, loose[] = { 3, 3 }, half[] = { 1, 3 };

	assert_int_equal(cl_xen_home(2, loose, 2, 3), 2);
	assert_int_equal(cl_xen_home(3, divided, 2, 3), 3);
	assert_int_equal(cl_xen_home(3, loose, 2, 3), 0);
	assert_int_equal(cl_xen_home(3, half, 2, 3), 0);
	assert_int_equal(cl_xen_home(UINT64_MAX, divided, 2, 3), 3);
	assert_int_equal(cl_xen_home(3, divided, 0, 3), 0);
	assert_int_equal(cl_xen_home(3, divided, 2, 7), 3); /* two of three nodes */
	assert_int_equal(cl_xen_home(1, loose, 2, 1), 1);
}

struct pages_seen {
	uint32_t count, domids[4];
	uint64_t pages[4][2];
};

static void see_pages(void *ctx, uint32_t domid, const uint64_t pages[CL_NODES_MAX])
{
	struct pages_seen *seen = ctx;

	assert_true(seen->count < 4);
	seen->domids[seen->count] = domid;
	seen->pages[seen->count][0] = pages[0];
	seen->pages[seen->count++][1] = pages[1];
}

static uint32_t pages_of(const char *text, struct pages_seen *ret)
{
	*ret = (struct pages_seen){ .count = 0 };
	return cl_xen_parse_pages(text, strlen(text), see_pages, ret);
}

static void test_pages(void **state)
{
#define HEAD                                                                                       \
	"(XEN) 'u' pressed -> dumping numa info (now = 42)\n"                                      \
	"(XEN) NODE0 start->0 size->393216 free->1\n(XEN) CPU0...1 -> NODE0\n"                     \
	"(XEN) Memory location of each domain:\n"
	struct pages_seen seen;

	assert_int_equal(pages_of(HEAD "(XEN) d0 (total: 196608):\n(XEN)     Node 0: 100000\n"
				       "(XEN)     Node 1: 96608\n(XEN) d3 (total: 32768):\n"
				       "(XEN)     Node 0: 0\n(XEN)     Node 1: 32760\n"
				       "(XEN)      2 vnodes, 2 vcpus, guest physical layout:\n",
				  &seen),
			 2);
	assert_int_equal(seen.domids[1], 3);
	assert_int_equal(seen.pages[0][0], 100000);
	assert_int_equal(seen.pages[1][0], 0);
	assert_int_equal(seen.pages[1][1], 32760);
	/* as Xen 4.17 has it, with times, and a guest that talks of pages */
	assert_int_equal(pages_of("(XEN) [2026-01-01 10:00:00] Memory location of each domain:\n"
				  "(XEN) [2026-01-01 10:00:00] Domain 7 (total: 10):\n"
				  "(d7) (XEN)     Node 0: 10\n"
				  "(XEN) [2026-01-01 10:00:00]     Node 1: 10\n",
				  &seen),
			 1);
	assert_int_equal(seen.domids[0], 7);
	assert_int_equal(seen.pages[0][0], 0);
	assert_int_equal(seen.pages[0][1], 10);
	/* cut off, more than the total, too many nodes, no such domain, before the beginning */
	assert_int_equal(pages_of(HEAD "(XEN) d1 (total: 100):\n(XEN)     Node 0: 50\n"
				       "(XEN)     Node 1: 50",
				  &seen),
			 0);
	assert_int_equal(pages_of(HEAD "(XEN) d1 (total: 100):\n(XEN)     Node 0: 101\n", &seen),
			 0);
	assert_int_equal(pages_of(HEAD "(XEN) d1 (total: 100):\n(XEN)     Node 999: 100\n", &seen),
			 0);
	assert_int_equal(pages_of(HEAD "(XEN) d99999 (total: 1):\n(XEN)     Node 0: 1\n", &seen),
			 0);
	assert_int_equal(pages_of("(XEN) d1 (total: 1):\n(XEN)     Node 0: 1\n", &seen), 0);
	assert_int_equal(pages_of("", &seen), 0);
#undef HEAD
}

/* ---- xenstored ---- */

static void count_event(void *ctx, const char *path)
{
	(*(uint32_t *)ctx)++;
	assert_string_equal(path, "/local/domain/0/backend/vif/1");
}

static size_t put(char *out, uint32_t type, uint32_t request, const char *body, uint32_t len)
{
	uint32_t head[4] = { type, request, 0, len };

	memcpy(out, head, sizeof(head));
	memcpy(out + sizeof(head), body, len);
	return sizeof(head) + len;
}

/* The answer is there before the question: what the client makes of it does not depend on when. */
static int ask_of(const char *sent, size_t len, char *buf, size_t size, uint32_t *events,
		  struct cl_error *err)
{
	static struct cl_store store;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	cl_store_use(&store, fds[0], count_event, events);
	assert_int_equal(write(fds[1], sent, len), (ssize_t)len);
	int r = cl_store_read(&store, "/local/domain/1/name", cl_clock_ns() + CL_NS_PER_MS, buf,
			      size, err);
	cl_store_close(&store);
	close(fds[1]);
	return r;
}

static void test_answers(void **state)
{
	static const char event[] = "/local/domain/0/backend/vif/1\0closer";
	char sent[512], buf[16];
	struct cl_error err;
	uint32_t events = 0;
	size_t len = put(sent, 15, 0, event, sizeof(event));

	len += put(sent + len, 2, 77, "old", 3); /* of a question that was given up */
	len += put(sent + len, 2, 1, "web", 3);
	assert_int_equal(ask_of(sent, len, buf, sizeof(buf), &events, &err), 3);
	assert_string_equal(buf, "web");
	assert_int_equal(events, 1);
	len = put(sent, 16, 1, "ENOENT", 7);
	assert_int_equal(ask_of(sent, len, buf, sizeof(buf), &events, &err), -ENOENT);
	len = put(sent, 16, 1, "EWHATEVER", 10);
	assert_int_equal(ask_of(sent, len, buf, sizeof(buf), &events, &err), -EIO);
}

static void test_hostile_answers(void **state)
{
	char sent[512], buf[16];
	struct cl_error err;
	uint32_t events = 0;
	size_t len = put(sent, 2, 1, "a\0b", 3);

	assert_int_equal(ask_of(sent, len, buf, sizeof(buf), &events, &err), -EBADMSG);
	len = put(sent, 2, 1, "0123456789abcdef", 16); /* and no room for its NUL */
	assert_int_equal(ask_of(sent, len, buf, sizeof(buf), &events, &err), -EBADMSG);
	len = put(sent, 2, 1, "0123456789abcde", 15);
	assert_int_equal(ask_of(sent, len, buf, sizeof(buf), &events, &err), 15);
	len = put(sent, 1, 1, "web", 3); /* another type than was asked */
	assert_int_equal(ask_of(sent, len, buf, sizeof(buf), &events, &err), -EBADMSG);
	memset(sent, 0xff, 64); /* a length of 4 GiB */
	assert_int_equal(ask_of(sent, 64, buf, sizeof(buf), &events, &err), -EPIPE);
	assert_non_null(strstr(err.text, "protocol"));
}

/* One that stalls costs the time that it was given; what it says later is not taken for an answer.
 */
static void test_slow(void **state)
{
	struct cl_store store;
	struct cl_error err;
	char sent[64], buf[16];
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	cl_store_use(&store, fds[0], count_event, NULL);
	assert_int_equal(
		cl_store_read(&store, "/a", cl_clock_ns() + CL_NS_PER_MS, buf, sizeof(buf), &err),
		-ETIMEDOUT);
	size_t len = put(sent, 2, 1, "late", 4);
	assert_int_equal(write(fds[1], sent, len), (ssize_t)len);
	assert_int_equal(cl_store_drain(&store, &err), 0);
	assert_int_equal(store.have, 0);
	len = put(sent, 2, store.request + 1, "42", 2);
	assert_int_equal(write(fds[1], sent, len), (ssize_t)len);
	uint64_t value;
	assert_int_equal(
		cl_store_number(&store, "/b", cl_clock_ns() + CL_NS_PER_S, 100, &value, &err), 0);
	assert_int_equal(value, 42);
	len = put(sent, 2, store.request + 1, "4294967296", 10);
	assert_int_equal(write(fds[1], sent, len), (ssize_t)len);
	assert_int_equal(
		cl_store_number(&store, "/b", cl_clock_ns() + CL_NS_PER_S, 100, &value, &err),
		-EBADMSG);
	close(fds[1]);
	assert_int_equal(
		cl_store_read(&store, "/a", cl_clock_ns() + CL_NS_PER_S, buf, sizeof(buf), &err),
		-EPIPE);
	assert_int_equal(store.fd, -1);
	assert_int_equal(cl_store_drain(&store, &err), -EPIPE);
}

static void test_lists(void **state)
{
	struct cl_store store;
	struct cl_error err;
	char sent[64], buf[16];
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	cl_store_use(&store, fds[0], count_event, NULL);
	size_t len = put(sent, 1, 1,
			 "0\0"
			 "1",
			 4);
	assert_int_equal(write(fds[1], sent, len), (ssize_t)len);
	assert_int_equal(
		cl_store_list(&store, "/d", cl_clock_ns() + CL_NS_PER_S, buf, sizeof(buf), &err),
		4);
	len = put(sent, 1, store.request + 1,
		  "0\0"
		  "1",
		  3);
	assert_int_equal(write(fds[1], sent, len), (ssize_t)len);
	assert_int_equal(
		cl_store_list(&store, "/d", cl_clock_ns() + CL_NS_PER_S, buf, sizeof(buf), &err),
		-EBADMSG);
	cl_store_close(&store);
	close(fds[1]);
}

static void test_no_xen(void **state)
{
	struct cl_host *host = NULL;
	struct cl_error err = { 0 };
	char uri[64];

	if (cl_host_xen.detect(uri, sizeof(uri)))
		skip(); /* a dom0: the lab's job opens it */
	assert_int_equal(cl_host_xen.open("", &host, &err), -ENODEV);
	assert_null(host);
	assert_non_null(strstr(err.text, "control domain"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),     cmocka_unit_test(test_cut_threads),
		cmocka_unit_test(test_not_threads), cmocka_unit_test(test_devices),
		cmocka_unit_test(test_stat),        cmocka_unit_test(test_paths),
		cmocka_unit_test(test_answers),     cmocka_unit_test(test_hostile_answers),
		cmocka_unit_test(test_slow),        cmocka_unit_test(test_lists),
		cmocka_unit_test(test_no_xen),      cmocka_unit_test(test_commands),
		cmocka_unit_test(test_helpers),     cmocka_unit_test(test_configs),
		cmocka_unit_test(test_home),        cmocka_unit_test(test_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
