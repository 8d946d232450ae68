/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trace: files. */
#include "trace.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 128u
#define PPM_MAX        1000000u

struct reader {
	const char *path;
	FILE *file;
	uint32_t line;
	unsigned columns; /* of all lines, from the first one */
	uint32_t cap;
	struct sim_trace trace;
	struct cl_error *reterr;
};

static int refuse(const struct reader *reader, const char *what)
{
	return cl_fail(reader->reterr, EINVAL, "%s:%u: %s", reader->path, reader->line, what);
}

static const char *skip_blanks(const char *at)
{
	while (*at == ' ' || *at == '\t')
		at++;
	return at;
}

/* "12.5" is 125,000 ppm. NULL: not a number of at most three decimals. */
static const char *parse_percent(const char *at, uint64_t *ret_ppm)
{
	uint64_t value = 0, unit = PPM_MAX / 100;
	unsigned digits = 0;

	for (; isdigit((unsigned char)*at) && digits < 9; at++, digits++)
		value = value * 10 + (uint64_t)(*at - '0') * unit;
	if (digits == 0)
		return NULL;
	if (*at == '.') {
		if (!isdigit((unsigned char)at[1]))
			return NULL;
		for (at++; isdigit((unsigned char)*at) && unit > 10; at++) {
			unit /= 10;
			value += (uint64_t)(*at - '0') * unit;
		}
	}
	*ret_ppm = value;
	return at;
}

static const char *parse_seconds(const char *at, uint64_t *ret_s)
{
	unsigned digits = 0;

	*ret_s = 0;
	for (; isdigit((unsigned char)*at) && digits < 12; at++, digits++)
		*ret_s = *ret_s * 10 + (uint64_t)(*at - '0');
	return digits ? at : NULL;
}

static int check_seconds(struct reader *reader, const char *text)
{
	uint64_t s, due = (uint64_t)reader->trace.count * SIM_TRACE_S;
	const char *end = parse_seconds(text, &s);
	char what[96];

	if (!end || *skip_blanks(end) != ',')
		return refuse(reader, "the first column is not a time in seconds");
	if (s == due)
		return 0;
	snprintf(what, sizeof(what), "%llu s, and it should be %llu: an interval is missing",
		 (unsigned long long)s, (unsigned long long)due);
	return refuse(reader, s > due ? what : "the time does not rise by 300 s");
}

static int add(struct reader *reader, uint64_t ppm)
{
	struct sim_trace *trace = &reader->trace;

	if (trace->count == reader->cap) {
		uint32_t cap = reader->cap ? reader->cap * 2 : 512;
		uint32_t *more = realloc(trace->ppm, cap * sizeof(*more));

		if (!more)
			return cl_fail(reader->reterr, ENOMEM, "reading %s: no memory",
				       reader->path);
		trace->ppm = more;
		reader->cap = cap;
	}
	trace->ppm[trace->count++] = (uint32_t)ppm;
	return 0;
}

static int read_line(struct reader *reader, const char *text)
{
	const char *comma = strchr(text, ','), *end;
	unsigned columns = 1;
	uint64_t ppm;
	int r;

	for (const char *at = comma; at; at = strchr(at + 1, ','))
		columns++;
	if (!*skip_blanks(text))
		return refuse(reader, "an empty line: a value is missing");
	if (columns > 2)
		return refuse(reader, "more than two columns");
	if (reader->columns && columns != reader->columns)
		return refuse(reader, "ragged: not as many columns as in the lines before");
	reader->columns = columns;
	if (comma && (r = check_seconds(reader, skip_blanks(text))) < 0)
		return r;
	text = skip_blanks(comma ? comma + 1 : text);
	if (!*text)
		return refuse(reader, "the value is missing");
	end = parse_percent(text, &ppm);
	if (!end || *skip_blanks(end))
		return refuse(reader, "not a percentage (0 to 100, at most three decimals)");
	if (ppm > PPM_MAX)
		return refuse(reader, "more than 100 %");
	if (reader->trace.count == SIM_TRACE_LINES)
		return refuse(reader, "too many lines");
	return add(reader, ppm);
}

static int read_lines(struct reader *reader)
{
	char line[LINE_MAX_BYTES];
	int r = 0;

	while (r == 0 && fgets(line, sizeof(line), reader->file)) {
		size_t length = strlen(line);

		reader->line++;
		if (length == 0 || (line[length - 1] != '\n' && !feof(reader->file)))
			return refuse(reader, "too long a line, or not text");
		line[strcspn(line, "\r\n")] = '\0';
		if (line[0] == '#' && reader->trace.count == 0)
			continue;
		r = read_line(reader, line);
	}
	if (r == 0 && ferror(reader->file))
		return cl_fail(reader->reterr, EIO, "reading %s: %s", reader->path,
			       strerror(errno));
	if (r == 0 && reader->trace.count == 0)
		return refuse(reader, "no values");
	return r;
}

int sim_trace_read(const char *path, struct sim_trace *ret_trace, struct cl_error *reterr)
{
	struct reader reader = { .path = path, .reterr = reterr };
	int r;

	reader.file = fopen(path, "re");
	if (!reader.file)
		return cl_fail(reterr, errno, "opening the trace %s: %s", path, strerror(errno));
	r = read_lines(&reader);
	fclose(reader.file);
	if (r < 0)
		sim_trace_free(&reader.trace);
	else
		*ret_trace = reader.trace;
	return r;
}

int sim_trace_write(const char *path, const struct sim_trace *trace, struct cl_error *reterr)
{
	FILE *file = fopen(path, "we");
	bool bad;

	if (!file)
		return cl_fail(reterr, errno, "opening the trace %s: %s", path, strerror(errno));
	for (uint32_t i = 0; i < trace->count; i++) {
		uint32_t milli = trace->ppm[i] / 10;

		fprintf(file, "%u.%03u\n", milli / 1000, milli % 1000);
	}
	bad = ferror(file);
	if (fclose(file) || bad)
		return cl_fail(reterr, EIO, "writing the trace %s", path);
	return 0;
}

void sim_trace_free(struct sim_trace *trace)
{
	free(trace->ppm);
	*trace = (struct sim_trace){ 0 };
}
