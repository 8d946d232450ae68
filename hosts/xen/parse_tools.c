/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arguments of the toolstack's commands. They are text that whoever started the command chose: they
 * say which guest it claims to be about, and no more.
 */
#include "xen/parse.h"

#include "lib.h"

#include <string.h>

#define WORDS_MAX 32u

static const char incoming[] = "--incoming"; /* what a guest is called while it is received */

/* Commands that work for one guest; `valued`: their options that take a value (xl(1)). */
static const struct verb {
	const char *name;
	enum cl_xen_about about;
	const char *valued;
} verbs[] = {
	{ "create", CL_XEN_ABOUT_CONFIG, "f" },
	{ "restore", CL_XEN_ABOUT_STREAM, "" },
	{ "migrate-receive", CL_XEN_ABOUT_STREAM, "" },
	{ "save", CL_XEN_ABOUT_DOMAIN, "" },
	{ "suspend", CL_XEN_ABOUT_DOMAIN, "" },
	{ "resume", CL_XEN_ABOUT_DOMAIN, "" },
	{ "migrate", CL_XEN_ABOUT_DOMAIN, "sC" },
	{ "remus", CL_XEN_ABOUT_DOMAIN, "isN" },
	{ "destroy", CL_XEN_ABOUT_DOMAIN, "" },
	{ "shutdown", CL_XEN_ABOUT_DOMAIN, "" },
	{ "reboot", CL_XEN_ABOUT_DOMAIN, "" },
	{ "dump-core", CL_XEN_ABOUT_DOMAIN, "" },
	{ "mem-set", CL_XEN_ABOUT_DOMAIN, "" },
	{ "block-attach", CL_XEN_ABOUT_DOMAIN, "" },
	{ "block-detach", CL_XEN_ABOUT_DOMAIN, "" },
	{ "network-attach", CL_XEN_ABOUT_DOMAIN, "" },
	{ "network-detach", CL_XEN_ABOUT_DOMAIN, "" },
};

/* The first words of a command line; what was cut off is none. */
static uint32_t split(const char *args, size_t len, const char *words[WORDS_MAX])
{
	uint32_t count = 0;

	for (size_t at = 0; at < len && count < WORDS_MAX;) {
		size_t n = strnlen(args + at, len - at);

		if (at + n == len)
			break;
		words[count++] = args + at;
		at += n + 1;
	}
	return count;
}

/* The next word from *at on that is no option, nor the value of one; NULL: none. */
static const char *operand(const char *const *words, uint32_t count, const char *valued,
			   uint32_t *at, const char **ret_file)
{
	for (; *at < count; ++*at) {
		const char *word = words[*at];

		if (word[0] != '-' || word[1] == '\0')
			return words[(*at)++];
		/* "-s ssh"; "-sssh" is one word. Long ones have their value behind '='. */
		if (word[1] == '-' || word[2] != '\0' || !strchr(valued, word[1]))
			continue;
		++*at;
		if (ret_file && word[1] == 'f' && *at < count)
			*ret_file = words[*at];
	}
	return NULL;
}

bool cl_xen_parse_xl(const char *args, size_t len, struct cl_xen_command *ret_command)
{
	const char *words[WORDS_MAX], *file = NULL;
	uint32_t count = split(args, len, words), at = 1;
	const char *name = operand(words, count, "", &at, NULL);
	const struct verb *verb = NULL;

	for (size_t i = 0; name && i < CL_COUNT(verbs) && !verb; i++)
		if (strcmp(verbs[i].name, name) == 0)
			verb = &verbs[i];
	if (!verb)
		return false;
	const char *who = operand(words, count, verb->valued, &at, &file);

	ret_command->about = verb->about;
	ret_command->who[0] = '\0';
	if (verb->about == CL_XEN_ABOUT_STREAM)
		return true;
	if (file && verb->about == CL_XEN_ABOUT_CONFIG)
		who = file;
	if (!who || !who[0] || strlen(who) >= sizeof(ret_command->who))
		return false;
	memcpy(ret_command->who, who, strlen(who) + 1);
	return true;
}

bool cl_xen_parse_helper(const char *args, size_t len, uint32_t *ret_domid)
{
	const char *words[WORDS_MAX], *end;
	uint64_t domid;

	if (split(args, len, words) < 5 ||
	    (strcmp(words[1], "--save-domain") != 0 && strcmp(words[1], "--restore-domain") != 0))
		return false;
	if (!cl_parse_u64(words[4], &domid, &end) || *end || domid >= CL_XEN_DOMIDS)
		return false;
	*ret_domid = (uint32_t)domid;
	return true;
}

static const char *skip_blanks(const char *p)
{
	return p + strspn(p, " \t\r");
}

/* name = "..." at the start of a line, or behind a semicolon. */
static bool name_at(const char *p, char *ret_name, size_t size)
{
	p = skip_blanks(p);
	if (strncmp(p, "name", 4) != 0)
		return false;
	p = skip_blanks(p + 4);
	if (*p != '=')
		return false;
	p = skip_blanks(p + 1);
	if (*p != '"' && *p != '\'')
		return false;
	const char *from = p + 1, *end = strchr(from, *p);
	size_t len = end ? (size_t)(end - from) : 0;

	/* With a backslash or a newline in it, it is not a plain one. */
	if (len == 0 || len >= size || memchr(from, '\\', len) || memchr(from, '\n', len))
		return false;
	memcpy(ret_name, from, len);
	ret_name[len] = '\0';
	return true;
}

bool cl_xen_parse_config(const char *text, char *ret_name, size_t size)
{
	bool found = false;

	/* The last one counts, as it does for xl. */
	for (const char *p = text; p; p = strpbrk(p, "\n;"), p = p ? p + 1 : NULL)
		found = name_at(p, ret_name, size) || found;
	return found;
}

bool cl_xen_parse_log(const char *path, char *ret_name, size_t size)
{
	const char *base = strrchr(path, '/'), *end = path + strlen(path);

	base = base ? base + 1 : path;
	if (strncmp(base, "xl-", 3) != 0 || end - base < 7 || strcmp(end - 4, ".log") != 0)
		return false;
	base += 3;
	size_t len = (size_t)(end - 4 - base), tail = sizeof(incoming) - 1;

	if (len > tail && memcmp(base + len - tail, incoming, tail) == 0)
		len -= tail;
	if (len == 0 || len >= size)
		return false;
	memcpy(ret_name, base, len);
	ret_name[len] = '\0';
	return true;
}
