/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * limit_hold: one limit, journalled and applied as the engine does it, for tests that kill it; and
 * packets to be counted.
 *
 *   limit_hold quota|packets DIR OBJECT NUMBER     the container, or the network device
 *   limit_hold send DEVICE COUNT                   so many packets out of the device, in a second
 */
#include "engine.h"
#include "lib.h"
#include "linux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static int failed(const struct cl_error *err)
{
	fprintf(stderr, "limit_hold: %s\n", err->text);
	return 1;
}

static int hold(bool quota, const char *dir, const char *object, uint64_t number)
{
	struct cl_change c = { .kind = quota ? CL_CHANGE_QUOTA : CL_CHANGE_PACKETS };
	const enum cl_reason why = CL_REASON_OVER_LIMIT;
	struct cl_journal_writer *w;
	struct cl_cgroup cgroup;
	struct cl_error err;
	uint32_t id;
	int r;

	cl_cgroup_find(&cgroup);
	snprintf(c.path, sizeof(c.path), "%s", object);
	c.to = (struct cl_setting){ .present = true, .number = (int64_t)number };
	c.to.period_ns = quota ? 100 * CL_NS_PER_MS : CL_NS_PER_S;
	r = cl_journal_open(dir, "template:1=a", &w, &err);
	if (r < 0)
		return failed(&err);
	r = cl_journal_plan(w, &c, &why, 1, &id, &err);
	if (r == 0)
		r = cl_linux_apply(&cgroup, &c, &err);
	cl_journal_close(w);
	return r < 0 ? failed(&err) : 0;
}

static int send_all(const char *device, uint64_t count)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(0x88b5), /* for experiments */
				  .sll_ifindex = (int)if_nametoindex(device),
				  .sll_halen = 6 };
	struct timespec each = { 0, (long)(CL_NS_PER_S / (count ? count : 1)) };
	int fd = socket(AF_PACKET, SOCK_DGRAM, 0);
	char body[64] = "";

	memset(to.sll_addr, 0xff, 6);
	for (uint64_t i = 0; fd >= 0 && i < count; i++) {
		(void)sendto(fd, body, sizeof(body), 0, (const struct sockaddr *)&to, sizeof(to));
		nanosleep(&each, NULL);
	}
	return fd < 0;
}

int main(int argc, char **argv)
{
	uint64_t number = 0;

	if (argc >= 4 && !cl_parse_u64(argv[argc - 1], &number, NULL))
		argc = 0;
	if (argc == 4 && strcmp(argv[1], "send") == 0)
		return send_all(argv[2], number);
	if (argc == 5 && (strcmp(argv[1], "quota") == 0 || strcmp(argv[1], "packets") == 0))
		return hold(argv[1][0] == 'q', argv[2], argv[3], number);
	fprintf(stderr, "usage: limit_hold quota|packets DIR OBJECT NUMBER | send DEVICE COUNT\n");
	return 2;
}
