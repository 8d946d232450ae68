/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reasons, shares and times as text for people. */
#include "why.h"

#include <assert.h>

char *cl_share_text(uint64_t ppm, char *buf, size_t size)
{
	/*
	 * in tenths of a percent; what is not all does not read as all, and what is not nothing
	 * not as nothing
	 */
	uint64_t tenths = ppm / 1000 + (ppm % 1000 >= 500);

	if (ppm == CL_UNKNOWN)
		snprintf(buf, size, "-");
	else if (ppm > 0 && tenths == 0)
		snprintf(buf, size, "<0.1%%");
	else if (ppm < CL_PPM && tenths == 1000)
		snprintf(buf, size, "99.9%%");
	else if (tenths % 10 == 0 && ppm % 10000 == 0)
		snprintf(buf, size, "%llu%%", (unsigned long long)tenths / 10);
	else
		snprintf(buf, size, "%llu.%llu%%", (unsigned long long)tenths / 10,
			 (unsigned long long)tenths % 10);
	return buf;
}

/* Three digits of value / unit. */
static void scaled(uint64_t value, uint64_t unit, const char *name, char *buf, size_t size)
{
	double number = (double)value / (double)unit;
	int decimals = number < 9.995 ? 2 : number < 99.95 ? 1 : 0;

	snprintf(buf, size, "%.*f%s", decimals, number, name);
}

static void pair(uint64_t s, uint64_t big, const char *big_name, uint64_t small,
		 const char *small_name, char *buf, size_t size)
{
	unsigned long long high = s / big, low = s % big / small;

	if (low)
		snprintf(buf, size, "%llu%s %llu%s", high, big_name, low, small_name);
	else
		snprintf(buf, size, "%llu%s", high, big_name);
}

char *cl_time_text(uint64_t ns, char *buf, size_t size)
{
	uint64_t s = ns / CL_NS_PER_S;

	if (ns == CL_UNKNOWN)
		snprintf(buf, size, "-");
	else if (ns == 0)
		snprintf(buf, size, "0s");
	else if (ns < 1000)
		snprintf(buf, size, "%lluns", (unsigned long long)ns);
	else if (ns < 999500)
		scaled(ns, 1000, "us", buf, size);
	else if (ns < 999500000)
		scaled(ns, CL_NS_PER_MS, "ms", buf, size);
	else if (s < 60)
		scaled(ns, CL_NS_PER_S, "s", buf, size);
	else if (s < 3600)
		pair(s, 60, "m", 1, "s", buf, size);
	else if (s < 86400)
		pair(s, 3600, "h", 60, "m", buf, size);
	else
		pair(s, 86400, "d", 3600, "h", buf, size);
	return buf;
}

char *cl_bytes_text(uint64_t bytes, char *buf, size_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	uint64_t unit = 1;
	size_t i = 0;

	while (i + 1 < sizeof(units) / sizeof(units[0]) && bytes / unit >= 1024) {
		unit *= 1024;
		i++;
	}
	if (bytes == CL_UNKNOWN)
		snprintf(buf, size, "-");
	else if (bytes % unit == 0)
		snprintf(buf, size, "%llu%s", (unsigned long long)(bytes / unit), units[i]);
	else
		scaled(bytes, unit, units[i], buf, size);
	return buf;
}

static char *number_text(uint64_t number, char unit, char *buf, size_t size)
{
	switch (unit) {
	case 'p':
		return cl_share_text(number, buf, size);
	case 'b':
		return cl_bytes_text(number, buf, size);
	case 't':
		return cl_time_text(number, buf, size);
	case 'c':
	case 'n':
	case 'v': /* indices: CL_NONE is "none known" */
		if (number >= CL_NONE) {
			snprintf(buf, size, "?");
			return buf;
		}
		break;
	default:
		break;
	}
	snprintf(buf, size, "%llu", (unsigned long long)number);
	return buf;
}

char *cl_why_text(const struct cl_why *why, char *buf, size_t size)
{
	const char *p = cl_reason_text(why->code);
	size_t at = 0;

	assert(size > 0);
	buf[0] = '\0';
	while (*p && at + 1 < size) {
		if (p[0] == '%' && p[1] >= '0' && p[1] <= '2' && p[2] == ':' && p[3]) {
			char number[32];
			int n = snprintf(
				buf + at, size - at, "%s",
				number_text(why->number[p[1] - '0'], p[3], number, sizeof(number)));

			at += (size_t)n;
			p += 4;
		} else {
			buf[at++] = *p++;
			buf[at] = '\0';
		}
	}
	return buf;
}
