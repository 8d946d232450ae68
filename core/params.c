/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of parameters, and their text. */
#include <closer/params.h>

#include <assert.h>
#include <errno.h>
#include <string.h>

#define NAME_MAX_LEN 32

/* A name is its member; where names are compared - and _ are the same letter. */
const struct cl_param_info cl_param_infos[] = {
#define X(member, unit_, def_, least_, most_, doc_)                                                \
	{ .name = #member,                                                                         \
	  .unit = CL_UNIT_##unit_,                                                                 \
	  .def = UINT64_C(def_),                                                                   \
	  .least = UINT64_C(least_),                                                               \
	  .most = UINT64_C(most_),                                                                 \
	  .doc = doc_,                                                                             \
	  .offset = offsetof(struct cl_params, member) },
	CL_PARAMS(X)
#undef X
};

const size_t cl_param_count = sizeof(cl_param_infos) / sizeof(cl_param_infos[0]);

static uint64_t *slot(struct cl_params *params, const struct cl_param_info *info)
{
	return (uint64_t *)(void *)((char *)params + info->offset);
}

static uint64_t value_of(const struct cl_params *params, const struct cl_param_info *info)
{
	return *(const uint64_t *)(const void *)((const char *)params + info->offset);
}

void cl_params_default(struct cl_params *ret_params)
{
	memset(ret_params, 0, sizeof(*ret_params));
	for (size_t i = 0; i < cl_param_count; i++)
		*slot(ret_params, &cl_param_infos[i]) = cl_param_infos[i].def;
}

bool cl_params_check(const struct cl_params *params, const char **ret_name)
{
	for (size_t i = 0; i < cl_param_count; i++) {
		const struct cl_param_info *info = &cl_param_infos[i];
		uint64_t value = value_of(params, info);

		if (value < info->least || value > info->most) {
			*ret_name = info->name;
			return false;
		}
	}
	if (params->interval_min > params->interval) {
		*ret_name = "interval_min";
		return false;
	}
	if (params->guard_over > params->guard_window) {
		*ret_name = "guard_over";
		return false;
	}
	if (!cl_limits_check(params)) {
		*ret_name = "limit";
		return false;
	}
	if (params->follow_set > params->follow_cpu) {
		*ret_name = "follow_set";
		return false;
	}
	return true;
}

/* - and _ are the same letter in a name. */
static char letter(char c)
{
	return c == '-' ? '_' : c;
}

static bool same_name(const char *a, const char *b)
{
	while (*a && letter(*a) == letter(*b)) {
		a++;
		b++;
	}
	return letter(*a) == letter(*b);
}

static const struct cl_param_info *find(const char *name)
{
	for (size_t i = 0; i < cl_param_count; i++)
		if (same_name(cl_param_infos[i].name, name))
			return &cl_param_infos[i];
	return NULL;
}

struct suffix {
	const char *text;
	uint64_t scale;
};

static const struct suffix suffixes_ns[] = {
	{ "ns", 1 },
	{ "us", 1000 },
	{ "ms", CL_NS_PER_MS },
	{ "s", CL_NS_PER_S },
	{ "m", 60 * CL_NS_PER_S },
	{ "h", 3600 * CL_NS_PER_S },
	{ "", CL_NS_PER_S },
	{ NULL, 0 },
};
static const struct suffix suffixes_ppm[] = {
	{ "%", CL_PPM / 100 }, { "ppm", 1 }, { "", CL_PPM }, { NULL, 0 }
};
static const struct suffix suffixes_bytes[] = {
	{ "KiB", UINT64_C(1) << 10 },
	{ "MiB", UINT64_C(1) << 20 },
	{ "GiB", UINT64_C(1) << 30 },
	{ "TiB", UINT64_C(1) << 40 },
	{ "", 1 },
	{ NULL, 0 },
};
static const struct suffix suffixes_plain[] = { { "", 1 }, { NULL, 0 } };

static const struct suffix *suffixes_of(enum cl_unit unit)
{
	switch (unit) {
	case CL_UNIT_NS:
		return suffixes_ns;
	case CL_UNIT_PPM:
		return suffixes_ppm;
	case CL_UNIT_BYTES:
		return suffixes_bytes;
	case CL_UNIT_COUNT:
	case CL_UNIT_BOOL:
	case CL_UNIT_CHARGE:
		break;
	}
	return suffixes_plain;
}

/* digits [ "." digits ] suffix, exactly; fractions that are not whole in the base unit are refused.
 */
static int parse_value(const char *text, const struct suffix *suffix, uint64_t *ret_value)
{
	uint64_t whole = 0, part = 0, part_scale = 1;
	const char *p = text;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (whole > UINT64_MAX / 16)
			return -ERANGE;
		whole = whole * 10 + (uint64_t)(*p - '0');
	}
	if (*p == '.') {
		p++;
		if (*p < '0' || *p > '9')
			return -EINVAL;
		for (; *p >= '0' && *p <= '9'; p++) {
			if (part_scale >= UINT64_C(1000000000000))
				return -EINVAL;
			part = part * 10 + (uint64_t)(*p - '0');
			part_scale *= 10;
		}
	}
	while (suffix->text && strcmp(suffix->text, p) != 0)
		suffix++;
	if (!suffix->text)
		return -EINVAL;
	if (whole > UINT64_MAX / suffix->scale || part > UINT64_MAX / suffix->scale)
		return -ERANGE;
	if (part * suffix->scale % part_scale != 0)
		return -EINVAL;
	uint64_t base = whole * suffix->scale, fraction = part * suffix->scale / part_scale;

	if (base > UINT64_MAX - fraction)
		return -ERANGE;
	*ret_value = base + fraction;
	return 0;
}

static const char *const charges[] = {
#define X(id, name) name,
	CL_CHARGES(X)
#undef X
};

static bool parse_charge(const char *text, uint64_t *ret_value)
{
	for (size_t i = 0; i < sizeof(charges) / sizeof(charges[0]); i++) {
		if (same_name(charges[i], text)) {
			*ret_value = i;
			return true;
		}
	}
	return false;
}

int cl_share_parse(const char *text, uint64_t *ret_ppm)
{
	return parse_value(text, suffixes_ppm, ret_ppm);
}

static bool parse_bool(const char *text, uint64_t *ret_value)
{
	static const char *const yes[] = { "1", "yes", "on", "true" };
	static const char *const no[] = { "0", "no", "off", "false" };

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
			*ret_value = strcmp(text, yes[i]) == 0;
			return true;
		}
	}
	return false;
}

int cl_param_set(struct cl_params *params, const char *name, const char *value)
{
	const struct cl_param_info *info = find(name);
	uint64_t number;
	int r = 0;

	if (same_name("main_cpus", name)) {
		struct cl_cpuset set = { 0 };

		if (strcmp(value, "auto") != 0 &&
		    (!cl_cpuset_parse(value, strlen(value), &set) || cl_cpuset_empty(&set)))
			return -EINVAL;
		params->main_cpus = set;
		return 0;
	}
	if (same_name("limit", name))
		return cl_limit_set(params, value);
	if (!info)
		return -ENOENT;
	if (info->unit == CL_UNIT_BOOL)
		r = parse_bool(value, &number) ? 0 : -EINVAL;
	else if (info->unit == CL_UNIT_CHARGE)
		r = parse_charge(value, &number) ? 0 : -EINVAL;
	else
		r = parse_value(value, suffixes_of(info->unit), &number);
	if (r < 0)
		return r;
	if (number < info->least || number > info->most)
		return -ERANGE;
	*slot(params, info) = number;
	return 0;
}

static size_t put_number(char *buf, uint64_t value)
{
	char digits[20];
	size_t n = 0, len;

	do {
		digits[n++] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	for (len = 0; n > 0; len++)
		buf[len] = digits[--n];
	buf[len] = '\0';
	return len;
}

/* In the largest unit that says it exactly. */
static void put_value(enum cl_unit unit, uint64_t value, char *buf, size_t size)
{
	const struct suffix *best = NULL;
	char text[32];

	for (const struct suffix *s = suffixes_of(unit); s->text; s++)
		if (s->text[0] && value % s->scale == 0 && value >= s->scale &&
		    (!best || s->scale > best->scale))
			best = s;
	if (!best && unit == CL_UNIT_PPM && value > 0)
		best = &suffixes_ppm[1];
	size_t len = put_number(text, best ? value / best->scale : value);

	if (best)
		memcpy(text + len, best->text, strlen(best->text) + 1);
	if (unit == CL_UNIT_CHARGE && value < sizeof(charges) / sizeof(charges[0]))
		memcpy(text, charges[value], strlen(charges[value]) + 1);
	size_t room = strlen(text) < size ? strlen(text) : size - 1;

	memcpy(buf, text, room);
	buf[room] = '\0';
}

void cl_share_format(uint64_t ppm, char *buf, size_t size)
{
	put_value(CL_UNIT_PPM, ppm, buf, size);
}

bool cl_param_get(const struct cl_params *params, const char *name, char *buf, size_t size)
{
	const struct cl_param_info *info = find(name);

	assert(size > 0);
	if (same_name("main_cpus", name)) {
		if (cl_cpuset_empty(&params->main_cpus) && size > 4)
			memcpy(buf, "auto", 5);
		else
			cl_cpuset_format(&params->main_cpus, buf, size);
		return true;
	}
	if (same_name("limit", name)) {
		cl_limits_format(params, buf, size);
		return true;
	}
	if (!info)
		return false;
	put_value(info->unit, value_of(params, info), buf, size);
	return true;
}

/* Levenshtein distance of short names; longer ones are no match. */
static uint32_t distance(const char *a, const char *b)
{
	uint32_t row[NAME_MAX_LEN + 1];
	size_t la = strlen(a), lb = strlen(b);

	if (la > NAME_MAX_LEN || lb > NAME_MAX_LEN)
		return CL_NONE;
	for (size_t j = 0; j <= lb; j++)
		row[j] = (uint32_t)j;
	for (size_t i = 1; i <= la; i++) {
		uint32_t corner = row[0];

		row[0] = (uint32_t)i;
		for (size_t j = 1; j <= lb; j++) {
			uint32_t change = corner + (letter(a[i - 1]) != letter(b[j - 1]));
			uint32_t least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;

			corner = row[j];
			row[j] = change < least ? change : least;
		}
	}
	return row[lb];
}

const char *cl_param_nearest(const char *name)
{
	const char *best = "main_cpus";
	uint32_t least = distance(name, best);

	for (size_t i = 0; i < cl_param_count; i++) {
		uint32_t d = distance(name, cl_param_infos[i].name);

		if (d < least) {
			least = d;
			best = cl_param_infos[i].name;
		}
	}
	/* further than a third of it, and one, is no misspelling */
	return least <= strlen(name) / 3 + 1 && least < strlen(best) ? best : NULL;
}
