/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options that verbs share, and the reading of a command line by its verb's table. */
#include "cli.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static const struct cli_option common[] = {
	{ "host", 'H', CLI_STRING, "URI", CLI_AT(host), CLI_GROUP_HOST,
	  "the host, as KIND:WHERE (see HOSTS); by default it is found" },
	{ "main-cpus", 'm', CLI_PARAM, "LIST", 0, CLI_GROUP_HOST,
	  "the main container's CPUs, such as 0-1,8, or auto" },
	{ "interval", 'i', CLI_PARAM, "TIME", 0, CLI_GROUP_HOST,
	  "time between two observations; default 1s" },
	{ "limit", 'L', CLI_PARAM, "GUEST=SHARE", 0, CLI_GROUP_HOST,
	  "hold a guest to a share of dom0's or the host's CPUs, such as web=5%, or of one CPU, such "
	  "as *=30%/cpu; as often as needed" },
	{ "set", 's', CLI_SET, "NAME=VALUE", 0, CLI_GROUP_HOST,
	  "set a parameter, as often as needed (see closer-params(5))" },
	{ "state-dir", 'd', CLI_STRING, "DIR", CLI_AT(state_dir), CLI_GROUP_DIR,
	  "where the journal and the lock are; default $CLOSER_STATE_DIR, else " CL_STATE_DIR },
	{ "json", 'j', CLI_FLAG, NULL, CLI_AT(json), CLI_GROUP_JSON, "print JSON" },
	{ "help", 'h', CLI_FLAG, NULL, CLI_AT(help), CLI_GROUP_ALL, "print this and do nothing" },
};

const struct cli_option *cli_option_at(const struct cli_verb *verb, uint32_t i)
{
	uint32_t at = 0;

	for (const struct cli_option *o = verb->options; o && o->name; o++) {
		if (at++ == i)
			return o;
	}
	for (uint32_t k = 0; k < CL_COUNT(common); k++) {
		if (common[k].group != CLI_GROUP_ALL && !(verb->groups & common[k].group))
			continue;
		if (at++ == i)
			return &common[k];
	}
	return NULL;
}

bool cli_parse_time(const char *text, uint64_t *ret_ns)
{
	static const struct {
		const char *suffix;
		uint64_t ns;
	} units[] = {
		{ "", CL_NS_PER_S },         { "ns", 1 },          { "us", 1000 },
		{ "ms", CL_NS_PER_MS },      { "s", CL_NS_PER_S }, { "m", 60 * CL_NS_PER_S },
		{ "h", 3600 * CL_NS_PER_S },
	};
	const uint64_t most = 365 * 24 * 3600 * CL_NS_PER_S;
	const char *end;
	uint64_t n;

	if (!cl_parse_u64(text, &n, &end))
		return false;
	for (uint32_t i = 0; i < CL_COUNT(units); i++) {
		if (strcmp(end, units[i].suffix) != 0)
			continue;
		if (n == 0 || n > most / units[i].ns)
			return false;
		*ret_ns = n * units[i].ns;
		return true;
	}
	return false;
}

static const struct cl_param_info *param_info(const char *name)
{
	char want[64], is[64];

	cli_param_name(name, want, sizeof(want));
	for (size_t i = 0; i < cl_param_count; i++) {
		if (strcmp(cli_param_name(cl_param_infos[i].name, is, sizeof(is)), want) == 0)
			return &cl_param_infos[i];
	}
	return NULL;
}

static bool is_limit(const char *name)
{
	return strcmp(name, "limit") == 0;
}

static const char *param_form(const char *name, const struct cl_param_info *info)
{
	if (is_limit(name))
		return "GUEST=SHARE, such as web=5%, acme-*=30%/cpu or *=none";
	if (!info)
		return "a CPU list such as 0-1,8, or auto";
	switch (info->unit) {
	case CL_UNIT_NS:
		return "a time such as 500ms, 2s or 10m";
	case CL_UNIT_PPM:
		return "a share such as 0.05 or 5%";
	case CL_UNIT_BYTES:
		return "a size such as 64MiB or 2GiB";
	case CL_UNIT_COUNT:
		return "a whole number";
	case CL_UNIT_BOOL:
		return "yes or no";
	case CL_UNIT_CHARGE:
		return "off, closer or sedf-dc";
	}
	assert(false);
	return "";
}

static enum cli_exit set_param(struct cli_call *call, const char *name, const char *value)
{
	const struct cl_param_info *info = param_info(name);
	char low[64], high[64];

	switch (cl_param_set(&call->v.params, name, value)) {
	case 0:
		return CLI_OK;
	case -ENOENT: {
		const char *near = cl_param_nearest(name);

		if (near)
			return cli_usage(call, "there is no parameter '%s'; did you mean '%s'?",
					 name, cli_param_name(near, low, sizeof(low)));
		return cli_usage(call, "there is no parameter '%s'; closer-params(5) lists them",
				 name);
	}
	case -ENOSPC:
		return cli_usage(call, "'%s' for %s is one more than the %u that there may be",
				 value, name, CL_GUARDS_MAX);
	case -ERANGE:
		if (is_limit(name))
			return cli_usage(
				call,
				"'%s' for %s is out of range: more than 0%%, and at most "
				"100%% of what the host has, or such as 150%%/cpu of one CPU",
				value, name);
		if (!info)
			return cli_usage(call, "'%s' for %s names a CPU that cannot exist", value,
					 name);
		cli_param_bound(info, info->least, low, sizeof(low));
		cli_param_bound(info, info->most, high, sizeof(high));
		return cli_usage(call, "'%s' for %s is out of range: from %s to %s", value, name,
				 low, high);
	default:
		return cli_usage(call, "'%s' is no value for %s: give %s", value, name,
				 param_form(name, info));
	}
}

static enum cli_exit set_named(struct cli_call *call, const char *text)
{
	const char *equals = strchr(text, '=');
	char name[64];

	if (!equals || equals == text || (size_t)(equals - text) >= sizeof(name))
		return cli_usage(call, "'%s' is not NAME=VALUE", text);
	memcpy(name, text, (size_t)(equals - text));
	name[equals - text] = '\0';
	return set_param(call, name, equals + 1);
}

static bool choose(const char *words, const char *value, uint64_t *ret_number)
{
	size_t len = strlen(value);
	uint64_t number = 1;

	for (const char *word = words; *word; number++) {
		size_t n = strcspn(word, "|");

		if (n == len && memcmp(word, value, n) == 0) {
			*ret_number = number;
			return true;
		}
		word += n;
		word += *word == '|';
	}
	return false;
}

static enum cli_exit store(struct cli_call *call, const struct cli_option *o, const char *value)
{
	void *to = (char *)&call->v + o->offset;
	const bool yes = true;
	uint64_t number = 0;

	switch (o->type) {
	case CLI_FLAG:
		memcpy(to, &yes, sizeof(yes));
		return CLI_OK;
	case CLI_STRING:
		if (!*value)
			return cli_usage(call, "--%s needs a %s that is not empty", o->name,
					 o->arg);
		memcpy(to, &value, sizeof(value));
		return CLI_OK;
	case CLI_LIST: {
		struct cli_list *list = to;

		if (list->count == CLI_LIST_MAX)
			return cli_usage(call, "--%s is given more than %u times", o->name,
					 CLI_LIST_MAX);
		list->items[list->count++] = value;
		return CLI_OK;
	}
	case CLI_PARAM:
		return set_param(call, o->name, value);
	case CLI_SET:
		return set_named(call, value);
	case CLI_TIME:
		if (!cli_parse_time(value, &number))
			return cli_usage(
				call,
				"'%s' for --%s is not a time: give one such as 500ms, 30s or 10m",
				value, o->name);
		break;
	case CLI_COUNT: {
		const char *end;

		if (!cl_parse_u64(value, &number, &end) || *end || number == 0)
			return cli_usage(call, "'%s' for --%s is not a whole number from 1", value,
					 o->name);
		break;
	}
	case CLI_CHOICE:
		if (!choose(o->arg, value, &number))
			return cli_usage(call, "'%s' for --%s is none of %s", value, o->name,
					 o->arg);
		break;
	}
	memcpy(to, &number, sizeof(number));
	return CLI_OK;
}

static enum cli_exit unknown_option(const struct cli_call *call, const char *name)
{
	const char *names[32] = { NULL };
	const struct cli_option *o;

	for (uint32_t i = 0; (o = cli_option_at(call->verb, i)) && i < CL_COUNT(names) - 1; i++)
		names[i] = o->name;
	const char *near = cl_nearest(name, names);

	if (near)
		return cli_usage(call, "there is no option --%s; did you mean --%s?", name, near);
	return cli_usage(call, "there is no option --%s; `closer %s --help` lists them", name,
			 call->verb->name);
}

struct reader { /* what is left of the command line */
	int argc, at;
	char *const *argv;
};

static enum cli_exit take(struct cli_call *call, struct reader *in, const struct cli_option *o,
			  const char *value)
{
	if (o->type != CLI_FLAG && !value) {
		if (in->at >= in->argc)
			return cli_usage(call, "--%s needs a %s", o->name, o->arg);
		value = in->argv[in->at++];
	}
	return store(call, o, value);
}

static enum cli_exit take_long(struct cli_call *call, struct reader *in, const char *text)
{
	size_t len = strcspn(text, "=");
	const char *value = text[len] ? text + len + 1 : NULL;
	const struct cli_option *o;
	char name[64];

	for (uint32_t i = 0; (o = cli_option_at(call->verb, i)); i++) {
		if (strlen(o->name) != len || memcmp(o->name, text, len) != 0)
			continue;
		if (o->type == CLI_FLAG && value)
			return cli_usage(call, "--%s takes no value", o->name);
		return take(call, in, o, value);
	}
	snprintf(name, sizeof(name), "%.*s", (int)(len < sizeof(name) ? len : sizeof(name) - 1),
		 text);
	return unknown_option(call, name);
}

/* "-jw" and "-oFILE" as everywhere */
static enum cli_exit take_short(struct cli_call *call, struct reader *in, const char *text)
{
	for (; *text; text++) {
		const struct cli_option *o = NULL;

		for (uint32_t i = 0; (o = cli_option_at(call->verb, i)) && o->letter != *text; i++)
			;
		if (!o)
			return cli_usage(call,
					 "there is no option -%c; `closer %s --help` lists them",
					 *text, call->verb->name);
		if (o->type != CLI_FLAG)
			return take(call, in, o, text[1] ? text + 1 : NULL);
		store(call, o, NULL);
	}
	return CLI_OK;
}

static enum cli_exit take_arg(struct cli_call *call, const char *text)
{
	if (call->v.arg_count >= call->verb->args_most)
		return cli_usage(call, "'%s' is one argument too many: closer %s %s", text,
				 call->verb->name,
				 call->verb->args ? call->verb->args : "takes options only");
	assert(call->v.arg_count < CLI_ARGS_MAX);
	call->v.args[call->v.arg_count++] = text;
	return CLI_OK;
}

static enum cli_exit check(const struct cli_call *call)
{
	const char *name;
	char dashed[64];

	if (call->v.help)
		return CLI_OK;
	if (call->v.arg_count < call->verb->args_least)
		return cli_usage(call, "an argument is missing: closer %s %s", call->verb->name,
				 call->verb->args);
	if (!cl_params_check(&call->v.params, &name))
		return cli_usage(call,
				 "the parameter %s does not go with the others: interval-min must "
				 "be at most interval, follow-set at most follow-cpu",
				 cli_param_name(name, dashed, sizeof(dashed)));
	return CLI_OK;
}

enum cli_exit cli_parse(struct cli_call *call, int argc, char *const *argv)
{
	struct reader in = { .argc = argc, .argv = argv };
	bool options = true;

	while (in.at < in.argc) {
		const char *text = in.argv[in.at++];
		enum cli_exit code;

		if (options && strcmp(text, "--") == 0) {
			options = false;
			continue;
		}
		if (options && text[0] == '-' && text[1] == '-')
			code = take_long(call, &in, text + 2);
		else if (options && text[0] == '-' && text[1])
			code = take_short(call, &in, text + 1);
		else
			code = take_arg(call, text);
		if (code != CLI_OK)
			return code;
	}
	return check(call);
}
