/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --help and the generated parts of the man pages, from the tables of verbs, options, hosts and
 * parameters. */
#include "cli.h"

#include <string.h>

#define WIDTH 88u

/* Words of text, broken at WIDTH, each line after `indent` blanks. */
static void wrap(FILE *out, const char *text, uint32_t indent)
{
	size_t column = indent;

	fprintf(out, "%*s", (int)indent, "");
	while (*text) {
		size_t len = strcspn(text, " ");

		if (column > indent && column + 1 + len > WIDTH) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
		}
		if (column > indent) {
			fputc(' ', out);
			column++;
		}
		fwrite(text, 1, len, out);
		column += len;
		text += len;
		text += *text == ' ';
	}
	fputc('\n', out);
}

static void help_option(FILE *out, const struct cli_option *o)
{
	char head[96], letter[8] = "    ";

	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	snprintf(head, sizeof(head), "  %s--%s%s%s", letter, o->name, o->arg ? " " : "",
		 o->arg ? o->arg : "");
	fprintf(out, "%s\n", head);
	wrap(out, o->doc, 10);
}

static void help_hosts(FILE *out)
{
	fprintf(out, "\nHosts:\n");
	for (uint32_t i = 0; cl_hosts[i]; i++) {
		fprintf(out, "  %s:%s\n", cl_hosts[i]->name, cl_hosts[i]->uri);
		wrap(out, cl_hosts[i]->doc, 10);
	}
}

static void help_verb(FILE *out, const struct cli_verb *verb)
{
	const struct cli_option *o;

	fprintf(out, "Usage: closer %s [OPTION]...%s%s\n\n", verb->name, verb->args ? " " : "",
		verb->args ? verb->args : "");
	wrap(out, verb->text, 0);
	fprintf(out, "\nOptions:\n");
	for (uint32_t i = 0; (o = cli_option_at(verb, i)); i++)
		help_option(out, o);
	if (verb->groups & CLI_GROUP_HOST)
		help_hosts(out);
}

void cli_help(FILE *out, const struct cli_verb *verb)
{
	if (verb) {
		help_verb(out, verb);
		return;
	}
	fprintf(out, "Usage: closer VERB [OPTION]...\n\n");
	wrap(out,
	     "Measures, places and gives back the work that a host does for its virtual machines.",
	     0);
	fprintf(out, "\nVerbs:\n");
	for (uint32_t i = 0; cli_verbs[i]; i++)
		fprintf(out, "  %-8s  %s\n", cli_verbs[i]->name, cli_verbs[i]->doc);
	fprintf(out, "\nStart with `closer check`. `closer VERB --help` says what a verb takes.\n");
}

/* Text for scdoc: what it would take as markup is escaped. */
static void put_scdoc(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (strchr("\\*_#|[]<>~", *text))
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void scdoc_option(FILE *out, const struct cli_option *o)
{
	if (o->letter)
		fprintf(out, "*-%c*, ", o->letter);
	fprintf(out, "*--%s*", o->name);
	if (o->arg) {
		fprintf(out, " _");
		put_scdoc(out, o->arg);
		fprintf(out, "_");
	}
	fprintf(out, "\n\t");
	put_scdoc(out, o->doc);
	fprintf(out, "\n\n");
}

static void scdoc_common(FILE *out)
{
	const struct cli_verb all = { .groups = CLI_GROUP_HOST | CLI_GROUP_DIR | CLI_GROUP_JSON };
	const struct cli_option *o;

	fprintf(out, "# COMMON OPTIONS\n\n");
	for (uint32_t i = 0; (o = cli_option_at(&all, i)); i++)
		scdoc_option(out, o);
}

static void scdoc_takes(FILE *out, const struct cli_verb *verb)
{
	const struct {
		unsigned int group;
		const char *text;
	} groups[] = {
		{ CLI_GROUP_HOST, "*--host* *--main-cpus* *--interval* *--limit* *--set* " },
		{ CLI_GROUP_DIR, "*--state-dir* " },
		{ CLI_GROUP_JSON, "*--json* " },
	};

	fprintf(out, "Common options: ");
	for (uint32_t i = 0; i < CL_COUNT(groups); i++) {
		if (verb->groups & groups[i].group)
			fputs(groups[i].text, out);
	}
	fprintf(out, "*--help*\n\n");
}

void cli_scdoc(FILE *out)
{
	fprintf(out, "# VERBS\n\n");
	for (uint32_t i = 0; cli_verbs[i]; i++) {
		const struct cli_verb *v = cli_verbs[i];

		/* scdoc takes a heading as it is */
		fprintf(out, "## closer %s%s%s\n\n", v->name, v->args ? " " : "",
			v->args ? v->args : "");
		put_scdoc(out, v->text);
		fprintf(out, "\n\n");
		for (const struct cli_option *o = v->options; o && o->name; o++)
			scdoc_option(out, o);
		scdoc_takes(out, v);
	}
	scdoc_common(out);
	fprintf(out, "# HOSTS\n\n");
	for (uint32_t i = 0; cl_hosts[i]; i++) {
		fprintf(out, "*%s*:", cl_hosts[i]->name);
		put_scdoc(out, cl_hosts[i]->uri);
		fprintf(out, "\n\t");
		put_scdoc(out, cl_hosts[i]->doc);
		fprintf(out, "\n\n");
	}
}

char *cli_param_name(const char *name, char *buf, size_t size)
{
	snprintf(buf, size, "%s", name);
	for (char *p = buf; *p; p++) {
		if (*p == '_')
			*p = '-';
	}
	return buf;
}

void cli_param_bound(const struct cl_param_info *info, uint64_t value, char *buf, size_t size)
{
	struct cl_params params;

	cl_params_default(&params);
	memcpy((char *)&params + info->offset, &value, sizeof(value));
	if (!cl_param_get(&params, info->name, buf, size))
		snprintf(buf, size, "?");
}

void cli_params_scdoc(FILE *out)
{
	char name[64], def[64], low[64], high[64];

	fprintf(out,
		"*main-cpus*\n\tthe CPUs of the main container: a list such as 0-1,8, or auto\n\n"
		"\tdefault auto: the first online CPU and its SMT siblings where the host has two "
		"cores or more\n\n");
	fprintf(out,
		"*limit*\n\t_GUEST_=_SHARE_: a limit on the host CPU of a guest, see LIMITS; as "
		"often as needed\n\n\tdefault none\n\n");
	for (size_t i = 0; i < cl_param_count; i++) {
		const struct cl_param_info *info = &cl_param_infos[i];

		cli_param_bound(info, info->def, def, sizeof(def));
		cli_param_bound(info, info->least, low, sizeof(low));
		cli_param_bound(info, info->most, high, sizeof(high));
		fprintf(out, "*%s*\n\t", cli_param_name(info->name, name, sizeof(name)));
		put_scdoc(out, info->doc);
		if (info->unit == CL_UNIT_BOOL)
			fprintf(out, "\n\n\tdefault %s\n\n", info->def ? "yes" : "no");
		else if (info->unit == CL_UNIT_CHARGE)
			fprintf(out, "\n\n\tdefault %s\n\n", def);
		else
			fprintf(out, "\n\n\tdefault %s, from %s to %s\n\n", def, low, high);
	}
}
