/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guess at what a misspelt word should have been. */
#include "lib.h"

#include <string.h>

#define WORD_MAX 32u

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Levenshtein's distance, one row at a time; words longer than WORD_MAX are near to nothing. */
static uint32_t distance(const char *a, const char *b)
{
	size_t a_len = strlen(a), b_len = strlen(b);
	uint32_t row[WORD_MAX + 1];

	if (a_len > WORD_MAX || b_len > WORD_MAX)
		return UINT32_MAX;
	for (uint32_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (uint32_t i = 1; i <= a_len; i++) {
		uint32_t corner = row[0];

		row[0] = i;
		for (uint32_t j = 1; j <= b_len; j++) {
			uint32_t swap = corner + (a[i - 1] == b[j - 1] ? 0 : 1);

			corner = row[j];
			row[j] = least(swap, least(row[j], row[j - 1]) + 1);
		}
	}
	return row[b_len];
}

const char *cl_nearest(const char *word, const char *const *candidates)
{
	size_t len = strlen(word);
	uint32_t best = (uint32_t)(len / 3) + 2; /* further than that is no misspelling */
	const char *ret = NULL;

	for (uint32_t i = 0; candidates[i]; i++) {
		uint32_t d = distance(word, candidates[i]);

		if (d < best && d < strlen(candidates[i])) {
			best = d;
			ret = candidates[i];
		}
	}
	return ret;
}
