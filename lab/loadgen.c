// SPDX-License-Identifier: GPL-2.0-or-later
/* loadgen: the modes of the lab's load generator; see loadgen.h. */
#include "loadgen.h"

#include <stdlib.h>
#include <string.h>

static int usage(FILE *out, int status)
{
	fprintf(out,
		"loadgen run LOADS...                  run loads here, print one JSON line\n"
		"loadgen agent PORT | unix:PATH        take commands there\n"
		"loadgen ask SOCKET COMMAND [TIMEOUT]  give an agent a command, print its JSON line (10s)\n"
		"loadgen qmp SOCKET COMMAND [TIMEOUT]  give a QMP monitor a command (10s)\n"
		"loadgen peer IP:PORT                  be the other end of network loads\n");
	lg_usage(out);
	return status;
}

static int run(int argc, char **argv)
{
	char spec[LG_LINE_MAX] = "";
	size_t len = 0;

	for (int i = 0; i < argc; i++) {
		int n = snprintf(spec + len, sizeof(spec) - len, "%s%s", len ? " " : "", argv[i]);

		if (n < 0 || (size_t)n >= sizeof(spec) - len) {
			fprintf(stderr, "loadgen run: the loads' text is longer than %u bytes\n",
				LG_LINE_MAX - 1);
			return 2;
		}
		len += (size_t)n;
	}
	return lg_run(spec);
}

int main(int argc, char **argv)
{
	uint64_t timeout = 10 * LG_NS_PER_S;
	struct sockaddr_in address;

	if (argc < 2)
		return usage(stderr, 2);
	if (strcmp(argv[1], "--help") == 0)
		return usage(stdout, 0);
	if (strcmp(argv[1], "run") == 0 && argc > 2)
		return run(argc - 2, argv + 2);
	if (strcmp(argv[1], "agent") == 0 && argc == 3)
		return lg_agent(argv[2]);
	if (strcmp(argv[1], "peer") == 0 && argc == 3) {
		if (lg_parse_address(argv[2], &address))
			return lg_peer(&address);
		fprintf(stderr, "loadgen peer: '%s' is not IP:PORT\n", argv[2]);
		return 2;
	}
	if (argc == 5 && !lg_parse_time(argv[4], &timeout)) {
		fprintf(stderr, "loadgen: '%s' is no time; 500ms, 10s and 1m are\n", argv[4]);
		return 2;
	}
	if ((argc == 4 || argc == 5) && strcmp(argv[1], "ask") == 0)
		return lg_ask(argv[2], argv[3], timeout);
	if ((argc == 4 || argc == 5) && strcmp(argv[1], "qmp") == 0)
		return lg_qmp(argv[2], argv[3], timeout);
	return usage(stderr, 2);
}
