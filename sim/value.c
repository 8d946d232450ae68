/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values with their units. In whole numbers: 0.1ms is 100000 ns, not something near it. */
#include "value.h"

#include "lib.h"

#include <errno.h>
#include <string.h>

struct suffix {
	const char *text;
	uint64_t scale;
};

const struct sim_load_param sim_no_params[] = { { 0 } };

static const struct suffix times[] = {
	{ "ns", 1 },          { "us", CL_NS_PER_US },    { "ms", CL_NS_PER_MS },
	{ "s", CL_NS_PER_S }, { "m", 60 * CL_NS_PER_S }, { "h", 3600 * CL_NS_PER_S },
	{ NULL, 0 },
};
#define K  UINT64_C(1000)
#define KI UINT64_C(1024)
static const struct suffix amounts[] = {
	{ "", 1 },
	{ "K", K },
	{ "M", K *K },
	{ "G", K *K *K },
	{ "T", K *K *K *K },
	{ "KiB", KI },
	{ "MiB", KI *KI },
	{ "GiB", KI *KI *KI },
	{ "TiB", KI *KI *KI *KI },
	{ "kbit", K / 8 },
	{ "Mbit", K *K / 8 },
	{ "Gbit", K *K *K / 8 },
	{ NULL, 0 },
};
static const struct suffix counts[] = {
	{ "", 1 }, { "K", K }, { "M", K *K }, { "G", K *K *K }, { NULL, 0 }
};
static const struct suffix shares[] = {
	{ "%", CL_PPM / 100 }, { "ppm", 1 }, { "", CL_PPM }, { NULL, 0 }
};

static const struct suffix *suffixes_of(enum sim_load_unit unit)
{
	switch (unit) {
	case SIM_NS:
		return times;
	case SIM_BYTES:
	case SIM_PER_S:
		return amounts;
	case SIM_PPM:
		return shares;
	case SIM_COUNT:
	case SIM_BOOL:
	case SIM_TEXT:
		break;
	}
	return counts;
}

const char *sim_unit_doc(enum sim_load_unit unit)
{
	switch (unit) {
	case SIM_NS:
		return "a time such as 500us or 2s";
	case SIM_BYTES:
		return "an amount such as 64K or 512MiB";
	case SIM_COUNT:
		return "a whole number";
	case SIM_PPM:
		return "a share such as 0.25 or 25%";
	case SIM_PER_S:
		return "a rate such as 500, 100M or 1Gbit/s";
	case SIM_BOOL:
		return "yes or no";
	case SIM_TEXT:
		break;
	}
	return "text";
}

/* A bare number is of the unit that the key's name ends with; else of seconds, as closer's own
 * times. */
static bool ends_in_ns(const char *name)
{
	size_t len = strlen(name);

	return len > 3 && strcmp(name + len - 3, "_ns") == 0;
}

static const struct suffix *find_suffix(const struct sim_load_param *param, const char *text,
					struct suffix *room)
{
	size_t len = strlen(text);

	if (param->unit == SIM_NS && len == 0) {
		*room = (struct suffix){ "", ends_in_ns(param->name) ? 1 : CL_NS_PER_S };
		return room;
	}
	if (param->unit == SIM_PER_S && len >= 2 && strcmp(text + len - 2, "/s") == 0)
		len -= 2;
	for (const struct suffix *s = suffixes_of(param->unit); s->text; s++)
		if (strlen(s->text) == len && memcmp(s->text, text, len) == 0)
			return s;
	return NULL;
}

/* digits [ "." digits ], then the suffix; 0, -EINVAL, or -ERANGE. */
static int parse(const struct sim_load_param *param, const char *text, uint64_t *ret_value)
{
	uint64_t whole = 0, part = 0, part_scale = 1;
	const struct suffix *suffix;
	struct suffix room;
	unsigned __int128 value;
	const char *p = text;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (whole > UINT64_MAX / 16)
			return -ERANGE;
		whole = whole * 10 + (uint64_t)(*p - '0');
	}
	if (*p == '.') {
		if (p[1] < '0' || p[1] > '9')
			return -EINVAL;
		for (p++; *p >= '0' && *p <= '9'; p++) {
			if (part_scale >= UINT64_C(1000000000000))
				return -EINVAL;
			part = part * 10 + (uint64_t)(*p - '0');
			part_scale *= 10;
		}
	}
	suffix = find_suffix(param, p, &room);
	if (!suffix)
		return -EINVAL;
	unsigned __int128 fraction = (unsigned __int128)part * suffix->scale;

	if (fraction % part_scale != 0)
		return -EINVAL;
	value = (unsigned __int128)whole * suffix->scale + fraction / part_scale;
	if (value > UINT64_MAX)
		return -ERANGE;
	*ret_value = (uint64_t)value;
	return 0;
}

static int parse_bool(const char *text, uint64_t *ret_value)
{
	static const char *const words[] = { "no", "yes", "false", "true", "0", "1" };

	for (uint32_t i = 0; i < CL_COUNT(words); i++) {
		if (strcmp(text, words[i]) == 0) {
			*ret_value = i & 1;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_text(const struct sim_load_param *param, const char *text, void *base,
		    struct cl_error *reterr)
{
	if (strlen(text) >= CL_PATH_MAX)
		return cl_fail(reterr, ERANGE, "%s is longer than %u bytes", param->name,
			       CL_PATH_MAX - 1);
	strcpy((char *)base + param->offset, text);
	return 0;
}

int sim_value_set(const struct sim_load_param *param, const char *text, void *base,
		  struct cl_error *reterr)
{
	char clean[128], low[32], high[32];
	uint64_t value = 0;
	int r;

	if (param->unit == SIM_TEXT)
		return set_text(param, text, base, reterr);
	cl_escape(text, clean, sizeof(clean));
	if (*text == '-')
		return cl_fail(reterr, EINVAL, "%s cannot be negative: '%s'; give %s", param->name,
			       clean, sim_unit_doc(param->unit));
	r = param->unit == SIM_BOOL ? parse_bool(text, &value) : parse(param, text, &value);
	if (r == -EINVAL)
		return cl_fail(reterr, EINVAL, "'%s' is no value for %s: give %s", clean,
			       param->name, sim_unit_doc(param->unit));
	if (r == -ERANGE || value < param->least || value > param->most)
		return cl_fail(reterr, ERANGE, "'%s' for %s is out of range: from %s to %s", clean,
			       param->name, sim_value_text(param, param->least, low, sizeof(low)),
			       sim_value_text(param, param->most, high, sizeof(high)));
	memcpy((char *)base + param->offset, &value, sizeof(value));
	return 0;
}

char *sim_value_text(const struct sim_load_param *param, uint64_t value, char *buf, size_t size)
{
	const struct suffix *best = NULL;

	if (param->unit == SIM_BOOL) {
		snprintf(buf, size, "%s", value ? "yes" : "no");
		return buf;
	}
	/* The largest unit that says it exactly. */
	for (const struct suffix *s = suffixes_of(param->unit); s->text; s++)
		if (s->text[0] && !strstr(s->text, "bit") && value >= s->scale &&
		    value % s->scale == 0 && (!best || s->scale > best->scale))
			best = s;
	snprintf(buf, size, "%llu%s", (unsigned long long)(best ? value / best->scale : value),
		 best ? best->text : "");
	return buf;
}

bool sim_figure_parse(const char *text, double *ret_value, bool *ret_percent)
{
	const struct suffix *const tables[] = { times, amounts };
	bool negative = *text == '-';
	double value = 0, unit = 1;
	const char *p = text + (negative || *text == '+');

	*ret_percent = false;
	if (*p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9'; p++)
		value = value * 10 + (*p - '0');
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++)
			value += (*p - '0') * (unit /= 10);
	if (value > 1e18)
		return false;
	if (strcmp(p, "%") == 0) {
		*ret_percent = true;
		*ret_value = negative ? -value : value;
		return true;
	}
	for (uint32_t t = 0; t < CL_COUNT(tables); t++) {
		for (const struct suffix *s = tables[t]; s->text; s++) {
			if (strcmp(s->text, p) != 0)
				continue;
			value *= (double)s->scale;
			*ret_value = negative ? -value : value;
			return true;
		}
	}
	return false;
}
