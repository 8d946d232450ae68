/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mon_screen: the live table of `closer mon` on this terminal, fed from a file in place of Xen's
 * buffers: a window each half second. Ends at `q`, or with the file; says what came last.
 * mon_screen FILE
 */
#include "mon.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>

static struct mon mon;

static void show(void *ctx, const struct cl_trace_window *window)
{
	struct pollfd typed = { STDIN_FILENO, POLLIN, 0 };

	mon_window(&mon, window);
	for (int i = 0; mon.screen && i < 10; i++) {
		poll(&typed, 1, 50);
		if (!mon_screen_keys(&mon))
			continue;
		mon_screen_close(mon.screen);
		printf("ended at window %llu, sorted by %d, %s, %s\n",
		       (unsigned long long)window->number, (int)mon.sort,
		       mon.per_vcpu ? "vCPUs" : "domains", mon.paused ? "paused" : "going on");
		exit(0);
	}
}

int main(int argc, char **argv)
{
	const struct cli_call call = { .verb = &cli_verb_mon };
	struct cl_trace *trace = cl_trace_new();
	struct cl_trace_record record;
	static uint8_t bytes[1u << 16];
	FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;

	mon = (struct mon){ .call = &call, .sort = MON_SORT_DOMID, .live = true };
	if (!trace || !file ||
	    cl_trace_add_file(trace, bytes, fread(bytes, 1, sizeof(bytes), file), NULL) < 0)
		return 2;
	mon.screen = mon_screen_open();
	if (!mon.screen) {
		printf("no screen\n");
		return 3;
	}
	struct cl_trace_sum *sum =
		cl_trace_sum_new(cl_trace_hz(trace), 10 * CL_NS_PER_MS, show, NULL);

	while (sum && cl_trace_next(trace, &record))
		cl_trace_sum_take(sum, &record);
	return 4; /* nobody typed q */
}
