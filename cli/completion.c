/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Completions for shells, from the tables of verbs and options. */
#include "cli.h"

#include <string.h>

/* Between single quotes a shell takes everything but a single quote. */
static void put_quoted(FILE *out, const char *text)
{
	fputc('\'', out);
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", out);
		else
			fputc(*text, out);
	}
	fputc('\'', out);
}

static void put_options(FILE *out, const struct cli_verb *verb)
{
	const struct cli_option *o;

	for (uint32_t i = 0; (o = cli_option_at(verb, i)); i++)
		fprintf(out, "%s--%s", i > 0 ? " " : "", o->name);
}

static void put_verbs(FILE *out)
{
	for (uint32_t i = 0; cli_verbs[i]; i++)
		fprintf(out, "%s%s", i > 0 ? " " : "", cli_verbs[i]->name);
}

static void put_words(FILE *out, const char *choices)
{
	for (; *choices; choices++)
		fputc(*choices == '|' ? ' ' : *choices, out);
}

static void bash(FILE *out)
{
	fprintf(out, "# bash completion for closer, made by `closer help --completion "
		     "bash`\n_closer()\n{\n"
		     "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} "
		     "verb=${COMP_WORDS[1]} words=\n"
		     "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n\t\twords='");
	put_verbs(out);
	fprintf(out, "'\n\telse\n\t\tcase $verb/$prev in\n");
	for (uint32_t i = 0; cli_verbs[i]; i++) {
		const struct cli_verb *v = cli_verbs[i];
		const struct cli_option *o;

		for (uint32_t k = 0; (o = cli_option_at(v, k)); k++) {
			if (o->type == CLI_FLAG)
				continue;
			fprintf(out, "\t\t%s/--%s) words='", v->name, o->name);
			if (o->type == CLI_CHOICE)
				put_words(out, o->arg);
			fprintf(out, "' ;;\n");
		}
		fprintf(out, "\t\t%s/*) words='", v->name);
		if (v == &cli_verb_help) {
			put_verbs(out);
			fputc(' ', out);
		}
		put_options(out, v);
		fprintf(out, "' ;;\n");
	}
	fprintf(out,
		"\t\tesac\n\tfi\n\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n}\n"
		"complete -o default -F _closer closer\n");
}

static void zsh(FILE *out)
{
	fprintf(out, "#compdef closer\n# zsh completion for closer, made by `closer help "
		     "--completion zsh`\n"
		     "if (( CURRENT == 2 )); then\n\tlocal -a verbs\n\tverbs=(\n");
	for (uint32_t i = 0; cli_verbs[i]; i++) {
		char line[128];

		snprintf(line, sizeof(line), "%s:%s", cli_verbs[i]->name, cli_verbs[i]->doc);
		fprintf(out, "\t\t");
		put_quoted(out, line);
		fputc('\n', out);
	}
	fprintf(out, "\t)\n\t_describe verb verbs\n\treturn\nfi\ncase $words[2] in\n");
	for (uint32_t i = 0; cli_verbs[i]; i++) {
		fprintf(out, "%s) compadd -- ", cli_verbs[i]->name);
		put_options(out, cli_verbs[i]);
		fprintf(out, " ;;\n");
	}
	fprintf(out, "esac\n_default\n");
}

static void fish(FILE *out)
{
	fprintf(out, "# fish completion for closer, made by `closer help --completion fish`\n");
	for (uint32_t i = 0; cli_verbs[i]; i++) {
		const struct cli_verb *v = cli_verbs[i];
		const struct cli_option *o;

		fprintf(out, "complete -c closer -n __fish_use_subcommand -f -a %s -d ", v->name);
		put_quoted(out, v->doc);
		fputc('\n', out);
		for (uint32_t k = 0; (o = cli_option_at(v, k)); k++) {
			fprintf(out, "complete -c closer -n '__fish_seen_subcommand_from %s' -l %s",
				v->name, o->name);
			if (o->letter)
				fprintf(out, " -s %c", o->letter);
			if (o->type != CLI_FLAG)
				fprintf(out, " -r");
			if (o->type == CLI_CHOICE) {
				fprintf(out, " -f -a '");
				put_words(out, o->arg);
				fputc('\'', out);
			}
			fprintf(out, " -d ");
			put_quoted(out, o->doc);
			fputc('\n', out);
		}
	}
}

void cli_completion(FILE *out, uint64_t shell)
{
	static void (*const shells[])(FILE *) = { bash, zsh, fish };

	if (shell >= 1 && shell <= CL_COUNT(shells))
		shells[shell - 1](out);
}
