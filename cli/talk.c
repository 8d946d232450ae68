/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Talk: what is said on stderr, JSON on stdout, and colours for those who see them. */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

/* Names in a message are a guest's or a file's: what leaves here is printable. */
static void say(const struct cli_call *call, const char *text)
{
	char clean[4 * CLI_TEXT_MAX];

	fprintf(stderr, "closer%s%s: %s\n", call->verb ? " " : "",
		call->verb ? call->verb->name : "", cl_escape(text, clean, sizeof(clean)));
}

void cli_say(const struct cli_call *call, const char *format, ...)
{
	char text[CLI_TEXT_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	say(call, text);
}

enum cli_exit cli_error(const struct cli_call *call, const struct cl_error *err)
{
	say(call, err->text);
	if ((err->code == EACCES || err->code == EPERM) && geteuid() != 0)
		fprintf(stderr,
			"this needs privilege: run it as root, for instance `sudo closer %s`\n",
			call->verb->name);
	return CLI_FAILED;
}

enum cli_exit cli_usage(const struct cli_call *call, const char *format, ...)
{
	char text[CLI_TEXT_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	say(call, text);
	return CLI_USAGE;
}

static enum cli_exit print_json(const struct cli_call *call, json_t *json, unsigned indent)
{
	cl_autofree char *text = cl_json_text(json, indent);

	if (!text) {
		cli_say(call, "no memory left for the JSON");
		return CLI_FAILED;
	}
	fputs(text, stdout);
	fflush(stdout);
	return CLI_OK;
}

enum cli_exit cli_json(const struct cli_call *call, json_t *json)
{
	return print_json(call, json, 2);
}

enum cli_exit cli_json_line(const struct cli_call *call, json_t *json)
{
	return print_json(call, json, 0);
}

bool cli_output_lost(void)
{
	return fflush(stdout) != 0 || ferror(stdout);
}

const char *cli_colour(const struct cli_call *call, const char *level)
{
	static const struct {
		const char *level, *sequence;
	} colours[] = {
		{ "ok", "\033[32m" },    { "note", "\033[36m" }, { "lost", "\033[33m" },
		{ "bad", "\033[1;31m" }, { "title", "\033[1m" },
	};

	for (uint32_t i = 0; call->colour && i < CL_COUNT(colours); i++) {
		if (strcmp(colours[i].level, level) == 0)
			return colours[i].sequence;
	}
	return "";
}

const char *cli_colour_off(const struct cli_call *call)
{
	return call->colour ? "\033[0m" : "";
}
