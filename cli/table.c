/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text tables: columns from a table, made as wide as what is in them. Cells are made twice, so
 * nothing is kept. */
#include "cli.h"

#include <assert.h>
#include <string.h>

#define COLUMNS_MAX 32u

static uint32_t width_of(const struct cli_column *column, const struct cli_row *of, uint32_t rows)
{
	uint32_t width = 0;

	for (uint32_t i = 0; i < rows; i++) {
		const struct cli_row row = { of->snap, of->plan, i, of->data };
		char cell[CLI_TEXT_MAX] = "";

		column->cell(column, &row, cell, sizeof(cell));
		if (strlen(cell) > width)
			width = (uint32_t)strlen(cell);
	}
	if (column->spare && width == 0)
		return 0;
	return width > strlen(column->title) ? width : (uint32_t)strlen(column->title);
}

static void put(FILE *out, const char *text, uint32_t width, bool right, bool last)
{
	if (right)
		fprintf(out, "%*s", (int)width, text);
	else if (last)
		fputs(text, out); /* no blanks at the end of a line */
	else
		fprintf(out, "%-*s", (int)width, text);
}

void cli_table_to(FILE *out, const struct cli_call *call, const struct cli_column *columns,
		  uint32_t column_count, const struct cli_row *of, uint32_t rows)
{
	uint32_t widths[COLUMNS_MAX];
	uint32_t last = 0;

	assert(column_count > 0 && column_count <= COLUMNS_MAX);
	for (uint32_t c = 0; c < column_count; c++) {
		widths[c] = width_of(&columns[c], of, rows);
		if (widths[c] > 0)
			last = c;
	}
	fputs(cli_colour(call, "title"), out);
	for (uint32_t c = 0; c < column_count; c++) {
		if (widths[c] == 0)
			continue;
		put(out, columns[c].title, widths[c], columns[c].right, c == last);
		fputs(c == last ? cli_colour_off(call) : "  ", out);
	}
	fputc('\n', out);
	for (uint32_t i = 0; i < rows; i++) {
		const struct cli_row row = { of->snap, of->plan, i, of->data };

		for (uint32_t c = 0; c < column_count; c++) {
			char cell[CLI_TEXT_MAX] = "";

			if (widths[c] == 0)
				continue;
			columns[c].cell(&columns[c], &row, cell, sizeof(cell));
			put(out, cell, widths[c], columns[c].right, c == last);
			fputs(c == last ? "\n" : "  ", out);
		}
	}
}

void cli_table(const struct cli_call *call, const struct cli_column *columns, uint32_t column_count,
	       const struct cl_snapshot *snap, const struct cl_plan *plan, uint32_t rows)
{
	const struct cli_row of = { .snap = snap, .plan = plan };

	cli_table_to(stdout, call, columns, column_count, &of, rows);
}
