/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sets of CPUs, the kernel's list format, and uuids as text. */
#include <closer/base.h>

#include <assert.h>
#include <string.h>

#define WORDS (CL_CPUS_MAX / 64)

void cl_cpuset_zero(struct cl_cpuset *set)
{
	memset(set, 0, sizeof(*set));
}

void cl_cpuset_add(struct cl_cpuset *set, uint32_t cpu)
{
	assert(cpu < CL_CPUS_MAX);
	set->w[cpu / 64] |= UINT64_C(1) << (cpu % 64);
}

bool cl_cpuset_has(const struct cl_cpuset *set, uint32_t cpu)
{
	assert(cpu < CL_CPUS_MAX);
	return (set->w[cpu / 64] >> (cpu % 64)) & 1;
}

bool cl_cpuset_empty(const struct cl_cpuset *set)
{
	uint64_t any = 0;

	for (size_t i = 0; i < WORDS; i++)
		any |= set->w[i];
	return any == 0;
}

bool cl_cpuset_equal(const struct cl_cpuset *a, const struct cl_cpuset *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool cl_cpuset_subset(const struct cl_cpuset *part, const struct cl_cpuset *whole)
{
	uint64_t outside = 0;

	for (size_t i = 0; i < WORDS; i++)
		outside |= part->w[i] & ~whole->w[i];
	return outside == 0;
}

bool cl_cpuset_meets(const struct cl_cpuset *a, const struct cl_cpuset *b)
{
	uint64_t both = 0;

	for (size_t i = 0; i < WORDS; i++)
		both |= a->w[i] & b->w[i];
	return both != 0;
}

void cl_cpuset_and(struct cl_cpuset *a, const struct cl_cpuset *b)
{
	for (size_t i = 0; i < WORDS; i++)
		a->w[i] &= b->w[i];
}

void cl_cpuset_or(struct cl_cpuset *a, const struct cl_cpuset *b)
{
	for (size_t i = 0; i < WORDS; i++)
		a->w[i] |= b->w[i];
}

void cl_cpuset_andnot(struct cl_cpuset *a, const struct cl_cpuset *b)
{
	for (size_t i = 0; i < WORDS; i++)
		a->w[i] &= ~b->w[i];
}

uint32_t cl_cpuset_count(const struct cl_cpuset *set)
{
	uint32_t n = 0;

	for (size_t i = 0; i < WORDS; i++)
		n += (uint32_t)__builtin_popcountll(set->w[i]);
	return n;
}

uint32_t cl_cpuset_next(const struct cl_cpuset *set, uint32_t from)
{
	if (from >= CL_CPUS_MAX)
		return CL_NONE;
	size_t i = from / 64;
	uint64_t word = set->w[i] & (UINT64_MAX << (from % 64));

	while (word == 0) {
		if (++i == WORDS)
			return CL_NONE;
		word = set->w[i];
	}
	return (uint32_t)(i * 64) + (uint32_t)__builtin_ctzll(word);
}

uint64_t cl_cpuset_hash(const struct cl_cpuset *set)
{
	/* FNV-1a by words with a final mix (splitmix64): a table index and an equality test, no
	 * adversary. */
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < WORDS; i++)
		h = (h ^ set->w[i]) * UINT64_C(0x100000001b3);
	h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);
	h ^= h >> 31;
	return h ? h : 1;
}

/* Reads digits at *at; false if there are none or the number is no CPU. */
static bool parse_cpu(const char *text, size_t len, size_t *at, uint32_t *ret_cpu)
{
	uint32_t value = 0;
	size_t start = *at;

	while (*at < len && text[*at] >= '0' && text[*at] <= '9') {
		value = value * 10 + (uint32_t)(text[*at] - '0');
		if (value >= CL_CPUS_MAX)
			return false;
		(*at)++;
	}
	*ret_cpu = value;
	return *at > start;
}

bool cl_cpuset_parse(const char *text, size_t len, struct cl_cpuset *ret_set)
{
	struct cl_cpuset set = { 0 };
	size_t at = 0;

	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' ' || text[len - 1] == '\t' ||
			   text[len - 1] == '\0'))
		len--;
	while (at < len) {
		uint32_t first, last;

		if (!parse_cpu(text, len, &at, &first))
			return false;
		last = first;
		if (at < len && text[at] == '-') {
			at++;
			if (!parse_cpu(text, len, &at, &last) || last < first)
				return false;
		}
		for (uint32_t c = first; c <= last; c++)
			cl_cpuset_add(&set, c);
		if (at == len)
			break;
		if (text[at++] != ',' || at == len)
			return false;
	}
	*ret_set = set;
	return true;
}

/* Appends c if there is room for it and the NUL; counts it in any case. */
static void put(char *buf, size_t size, size_t *at, char c)
{
	if (*at + 1 < size) {
		buf[*at] = c;
		buf[*at + 1] = '\0';
	}
	(*at)++;
}

static void put_number(char *buf, size_t size, size_t *at, uint32_t value)
{
	char digits[10];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	while (n > 0)
		put(buf, size, at, digits[--n]);
}

size_t cl_cpuset_format(const struct cl_cpuset *set, char *buf, size_t size)
{
	size_t at = 0;

	if (size > 0)
		buf[0] = '\0';
	for (uint32_t first = cl_cpuset_next(set, 0); first != CL_NONE;) {
		uint32_t last = first;

		while (last + 1 < CL_CPUS_MAX && cl_cpuset_has(set, last + 1))
			last++;
		if (at > 0)
			put(buf, size, &at, ',');
		put_number(buf, size, &at, first);
		if (last > first) {
			put(buf, size, &at, '-');
			put_number(buf, size, &at, last);
		}
		first = cl_cpuset_next(set, last + 1);
	}
	return at;
}

int cl_uuid_compare(const struct cl_uuid *a, const struct cl_uuid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool is_dash(size_t at)
{
	return at == 8 || at == 13 || at == 18 || at == 23;
}

bool cl_uuid_parse(const char *text, struct cl_uuid *ret_uuid)
{
	struct cl_uuid uuid = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < CL_UUID_TEXT - 1; i++) {
		int digit = hex_digit(text[i]);

		if (is_dash(i)) {
			if (text[i] != '-')
				return false;
			continue;
		}
		if (digit < 0) /* the end of a short text, too */
			return false;
		uuid.b[n / 2] = (uint8_t)(uuid.b[n / 2] << 4 | digit);
		n++;
	}
	if (text[CL_UUID_TEXT - 1] != '\0')
		return false;
	*ret_uuid = uuid;
	return true;
}

void cl_uuid_format(const struct cl_uuid *uuid, char buf[CL_UUID_TEXT])
{
	size_t n = 0;

	for (size_t i = 0; i < CL_UUID_TEXT - 1; i++) {
		if (is_dash(i)) {
			buf[i] = '-';
			continue;
		}
		uint8_t byte = uuid->b[n / 2];

		buf[i] = "0123456789abcdef"[n % 2 ? byte & 15 : byte >> 4];
		n++;
	}
	buf[CL_UUID_TEXT - 1] = '\0';
}
