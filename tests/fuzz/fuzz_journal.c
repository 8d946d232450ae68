/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_journal: any bytes as a journal, as they are and with checksums made right line by line, so
 * that what is behind the checksum is reached too. What is accepted must be sound, and its fold
 * must cover its changes exactly.
 */
#include "internal.h"

#include <assert.h>
#include <string.h>
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text, size_t len, bool skip)
{
	struct cl_journal j;
	struct cl_error err;
	uint32_t covered = 0;

	if (cl_journal_parse_with(text, len, skip, &j, &err) < 0) {
		assert(memchr(err.text, '\0', sizeof(err.text)));
		return;
	}
	assert(j.bytes <= len);
	assert(skip || j.skipped == 0);
	for (uint32_t i = 0; i < j.entry_count; i++) {
		const struct cl_journal_entry *e = &j.entries[i];

		assert(e->change_count > 0 && e->change_first == covered);
		covered += e->change_count;
		/* made and removed again: from absent to absent */
		assert(cl_change_sound(&e->change) ||
		       (e->change.kind == CL_CHANGE_GROUP && !e->change.from.present &&
			!e->change.to.present));
		for (uint32_t k = e->change_first; k < covered; k++) {
			assert(cl_change_sound(&j.changes[k]));
			assert(cl_change_same(&j.changes[k], &e->change));
		}
		assert(i == 0 || !cl_change_same(&j.entries[i - 1].change, &e->change));
	}
	assert(covered == j.change_count);
	cl_journal_done(&j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size * 12 + 64);
	size_t len = 0, at = 0;

	if (!text)
		abort();
	check((const char *)data, size, false);
	check((const char *)data, size, true);
	while (at < size) {
		const uint8_t *end = memchr(data + at, '\n', size - at);
		size_t n = end ? (size_t)(end - data) - at : size - at;
		size_t keep = n;

		/* off with a checksum that it may have, on with a right one */
		if (n > 10 && data[at + n - 10] == ' ' && data[at + n - 9] == '#')
			keep = n - 10;
		memcpy(text + len, data + at, keep);
		len += keep;
		len += (size_t)sprintf(text + len, " #%08x\n", XXH32(data + at, keep, 0));
		at += n + 1;
	}
	check(text, len, false);
	check(text, len, true);
	free(text);
	return 0;
}
