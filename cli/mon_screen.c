/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The live table on a terminal, with ncurses. */
#include "mon.h"

#include <curses.h>
#include <string.h>

struct mon_screen {
	SCREEN *terminal;
	char *text; /* of the last window, NUL-terminated */
};

static const char *const sorts[] = { "",       "domid",   "gotten",     "allocated",
				     "waited", "blocked", "executions", "io" };

struct mon_screen *mon_screen_open(void)
{
	struct mon_screen *screen = calloc(1, sizeof(*screen));

	if (screen)
		screen->terminal = newterm(NULL, stdout, stdin);
	if (!screen || !screen->terminal) {
		free(screen);
		return NULL;
	}
	cbreak();
	noecho();
	nodelay(stdscr, TRUE);
	keypad(stdscr, TRUE);
	curs_set(0);
	return screen;
}

void mon_screen_close(struct mon_screen *screen)
{
	if (!screen)
		return;
	endwin();
	delscreen(screen->terminal);
	free(screen->text);
	free(screen);
}

static void draw(const struct mon *mon)
{
	const char *line = mon->screen->text;

	erase();
	mvprintw(0, 0, "s: sort (%s)  v: vCPUs  p: pause%s  q: quit", sorts[mon->sort],
		 mon->paused ? " (paused)" : "");
	for (int y = 2; line && *line && y < LINES; y++) {
		size_t len = strcspn(line, "\n");

		mvaddnstr(y, 0, line, len < (size_t)COLS ? (int)len : COLS);
		line += len;
		line += *line == '\n';
	}
	refresh();
}

void mon_screen_show(struct mon *mon, const struct cl_trace_window *window)
{
	struct cli_call plain = *mon->call;
	struct mon of = *mon;
	size_t len;
	char *text = NULL;

	if (mon->paused)
		return;
	plain.colour = false;
	of.call = &plain;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return;
	mon_print(&of, out, window);
	fclose(out);
	free(mon->screen->text);
	mon->screen->text = text;
	draw(mon);
}

bool mon_screen_keys(struct mon *mon)
{
	bool any = false;

	for (int key; (key = getch()) != ERR; any = true) {
		switch (key) {
		case 'q':
			return true;
		case 's':
			mon->sort = mon->sort == MON_SORT_IO ? MON_SORT_DOMID : mon->sort + 1;
			break;
		case 'v':
			mon->per_vcpu = !mon->per_vcpu;
			break;
		case 'p':
		case ' ':
			mon->paused = !mon->paused;
			break;
		default: /* KEY_RESIZE among them: drawn anew */
			break;
		}
	}
	if (any)
		draw(mon);
	return false;
}
