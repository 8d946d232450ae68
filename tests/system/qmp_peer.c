/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that is none: real threads and a monitor that is honest or hostile, for
 * tests/system/qmp_hostile.sh.
 *
 *   qmp_peer MODE SOCKET UUID [TID]
 *
 * Prints "PID CPU0-TID" once it listens, and serves until it is killed. TID: what mode "lies"
 * claims.
 */
#include "../qmp_serve.c" /* one file a program: it is no library */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct qmp_server server = { .mode = QMP_MODE_COUNT, .name = "a guest" };
	int listener;

	for (unsigned i = 0; argc >= 4 && i < QMP_MODE_COUNT; i++)
		if (strcmp(argv[1], qmp_mode_names[i]) == 0)
			server.mode = i;
	if (server.mode == QMP_MODE_COUNT) {
		fprintf(stderr, "usage: qmp_peer MODE SOCKET UUID [TID]; modes:\n");
#define X(id, name, doc) fprintf(stderr, "  %-10s %s\n", name, doc);
		QMP_MODES(X)
#undef X
		return 2;
	}
	server.uuid = argv[3];
	server.lie_tid = argc > 4 ? atoi(argv[4]) : 1;
	qmp_threads_start(&server);
	listener = qmp_listen(argv[2]);
	if (listener < 0) {
		perror(argv[2]);
		return 1;
	}
	printf("%d %d\n", getpid(), server.cpu_tid[0]);
	fclose(stdout);
	qmp_serve(&server, listener);
}
