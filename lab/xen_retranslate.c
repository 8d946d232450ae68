// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * xen_retranslate SOCKET: makes an emulated machine translate all its code anew. SOCKET is where
 * QEMU's gdb stub listens (-gdb on a unix socket).
 *
 * QEMU before 8.1 may keep a translation of code that another CPU changed while it was made: the
 * page is not yet known to hold code, so nothing is dropped. A kernel that patches itself (a
 * tracepoint that is switched on) then leaves a CPU at the breakpoint that is not there any more,
 * for ever. A breakpoint of the debugger's, set and taken away, drops all translations.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WAIT_MS 5000

/* One packet of gdb's remote protocol: "$DATA#SUM", sum of bytes modulo 256; its answer is
 * "+$OK#9a". */
static bool ask(int fd, const char *data)
{
	char packet[64], answer[256] = "";
	unsigned int sum = 0;
	size_t got = 0;

	for (const char *c = data; *c; c++)
		sum += (unsigned char)*c;
	int len = snprintf(packet, sizeof(packet), "+$%s#%02x", data, sum & 0xff);
	if (write(fd, packet, (size_t)len) != len)
		return false;
	while (!strstr(answer, "$OK#")) {
		struct pollfd p = { fd, POLLIN, 0 };
		ssize_t n = poll(&p, 1, WAIT_MS) == 1
				    ? read(fd, answer + got, sizeof(answer) - 1 - got)
				    : 0;

		if (n <= 0)
			return false;
		got += (size_t)n;
		answer[got] = '\0';
	}
	return true;
}

int main(int argc, char **argv)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (argc != 2 || strlen(argv[1]) >= sizeof(at.sun_path)) {
		fprintf(stderr, "usage: xen_retranslate SOCKET (a path of at most %zu bytes)\n",
			sizeof(at.sun_path) - 1);
		return 2;
	}
	strcpy(at.sun_path, argv[1]);
	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		perror(argv[1]);
		return 1;
	}
	/* The machine stands still while a debugger is there; D lets it go on. */
	bool done = ask(fd, "Z0,0,1") && ask(fd, "z0,0,1");

	if (!ask(fd, "D") || !done) {
		fprintf(stderr, "%s: this is no gdb stub, or it does not answer\n", argv[1]);
		return 1;
	}
	return 0;
}
