/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A build without ncurses: windows follow each other. */
#include "mon.h"

struct mon_screen *mon_screen_open(void)
{
	return NULL;
}

void mon_screen_close(struct mon_screen *screen) {}

void mon_screen_show(struct mon *mon, const struct cl_trace_window *window) {}

bool mon_screen_keys(struct mon *mon)
{
	return false;
}
