/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading the journal: lines, checksums, and the fold of all changes of one object into one entry.
 *
 * Nothing in it is believed that was not written by us: the file must be ours, each line must carry
 * its checksum, and what it says must be something that closer could have done (cl_change_sound).
 */
#include "journal_words.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#define SUM_BYTES 10u /* " #" and 8 hex digits */
#define NO_REPAIR "; `closer undo --skip-corrupt` undoes what the sound lines say"

/* One change or drop, in the order of the file. */
struct record {
	struct cl_change change;
	struct cl_journal_note note;
	uint32_t at;
	bool drop;
};

struct parser {
	struct cl_journal *journal;
	struct record *records;
	uint32_t count, cap;
	uint32_t last_id;
	uint64_t ticks;
	bool planned, has_boot, has_id, has_host, skip;
	const char *wrong; /* what is wrong with the present line */
};

/* ---- lines ---- */

static struct record *add_record(struct parser *parser)
{
	struct record *r;

	if (parser->count == parser->cap) {
		uint32_t cap = parser->cap ? parser->cap * 2 : 64;

		r = realloc(parser->records, cap * sizeof(*r));
		if (!r)
			return NULL;
		parser->records = r;
		parser->cap = cap;
	}
	r = &parser->records[parser->count];
	memset(r, 0, sizeof(*r));
	r->at = parser->count++;
	return r;
}

static bool parse_change_words(char *p, struct record *r, uint64_t *ret_id)
{
	struct cl_change *c = &r->change;
	uint64_t process = 0;
	char *why;

	if (!next_number(&p, CL_NONE - 1, ret_id) || *ret_id == 0 || !next_object(&p, c))
		return false;
	if (c->kind == CL_CHANGE_THREAD &&
	    (!next_is(&p, "process") || !next_number(&p, INT32_MAX, &process)))
		return false;
	c->process = (int32_t)process;
	if (!next_is(&p, "from") || !next_setting(&p, c->kind, &c->from) || !next_is(&p, "to") ||
	    !next_setting(&p, c->kind, &c->to))
		return false;
	if (!next_is(&p, "why") || !next_word(&p, &why) || *p)
		return false;
	r->note.inherited =
		(c->kind == CL_CHANGE_THREAD &&
		 strcmp(why, cl_reason_name(CL_REASON_INHERITED)) == 0) ||
		(cl_change_entitles(c->kind) && strcmp(why, cl_reason_name(CL_REASON_REBORN)) == 0);
	r->note.fenced =
		c->kind == CL_CHANGE_THREAD && strcmp(why, cl_reason_name(CL_REASON_FENCE)) == 0;
	return cl_change_sound(c);
}

static int parse_change(struct parser *parser, char *p)
{
	struct record *r;
	uint64_t id;

	if (parser->count >= CL_JOURNAL_CHANGES_MAX) {
		parser->wrong = "more changes than a journal may hold";
		return -EBADMSG;
	}
	r = add_record(parser);
	if (!r)
		return -ENOMEM;
	parser->wrong = "not a change that closer could have made";
	if (!parse_change_words(p, r, &id)) {
		parser->count--;
		return -EBADMSG;
	}
	if (id <= parser->last_id || (id != parser->last_id + 1 && !parser->skip)) {
		parser->wrong = "its number does not follow on the one before: lines are missing";
		parser->count--;
		return -EBADMSG;
	}
	parser->last_id = parser->journal->last_id = (uint32_t)id;
	r->note.ticks = parser->ticks;
	if (r->note.inherited) {
		struct cl_setting from = r->change.from;

		r->change.from = r->change.to;
		r->change.to = from;
	}
	return 0;
}

static int parse_drop(struct parser *parser, char *p)
{
	struct record *r;

	if (parser->count >= CL_JOURNAL_CHANGES_MAX)
		return -EBADMSG;
	r = add_record(parser);
	if (!r)
		return -ENOMEM;
	if (!next_object(&p, &r->change) || r->change.kind == CL_CHANGE_GROUP || *p) {
		parser->count--;
		return -EBADMSG;
	}
	r->drop = true;
	return 0;
}

static bool parse_plan(struct parser *parser, char *p)
{
	uint64_t n;
	char *when;

	if (!next_number(&p, UINT32_MAX - 1, &n) || !next_word(&p, &when) ||
	    !next_is(&p, "ticks") || !next_number(&p, UINT64_MAX, &parser->ticks) || *p)
		return false;
	parser->journal->last_plan = (uint32_t)n;
	parser->planned = true;
	parser->journal->confirmed = false;
	return true;
}

static bool parse_outcome(struct parser *parser, char *p, bool failed)
{
	uint64_t id;
	char *name;

	return next_number(&p, parser->last_id, &id) && id > 0 &&
	       (!failed || next_word(&p, &name)) && !*p;
}

static bool parse_id(char *p, uint64_t *ret)
{
	uint64_t id = 0;

	if (strlen(p) != 16)
		return false;
	for (; *p; p++) {
		int digit = hex_digit(*p);

		if (digit < 0)
			return false;
		id = id << 4 | (uint64_t)digit;
	}
	*ret = id;
	return true;
}

/* A boot id becomes part of a file name: 36 characters of a uuid and nothing else. */
static bool parse_boot(char *p, char ret[64])
{
	struct cl_uuid uuid;

	if (!cl_uuid_parse(p, &uuid))
		return false;
	snprintf(ret, 64, "%s", p);
	return true;
}

/* Of several the first undoes all. */
static bool parse_until(struct parser *parser, char *p)
{
	struct cl_journal *j = parser->journal;
	uint64_t ns;

	if (!next_number(&p, UINT64_MAX, &ns) || ns == 0 || *p)
		return false;
	if (j->until_ns == 0 || ns < j->until_ns)
		j->until_ns = ns;
	return true;
}

static bool parse_confirmed(struct parser *parser, const char *p)
{
	if (*p)
		return false;
	parser->journal->confirmed = true;
	parser->journal->until_ns = 0;
	return true;
}

static int parse_line(struct parser *parser, char *p)
{
	struct cl_journal *j = parser->journal;
	char *word;
	bool fine = false;

	parser->wrong = "not a line that closer writes";
	if (!next_word(&p, &word) || j->undone)
		return -EBADMSG;
	if (strcmp(word, "change") == 0 && parser->planned)
		return parse_change(parser, p);
	if (strcmp(word, "drop") == 0)
		return parse_drop(parser, p);
	if (strcmp(word, "done") == 0)
		fine = parse_outcome(parser, p, false);
	else if (strcmp(word, "failed") == 0)
		fine = parse_outcome(parser, p, true);
	else if (strcmp(word, "plan") == 0)
		fine = parse_plan(parser, p);
	else if (strcmp(word, "confirmed") == 0)
		fine = parse_confirmed(parser, p);
	else if (strcmp(word, "until") == 0)
		fine = parse_until(parser, p);
	else if (strcmp(word, "undone") == 0)
		fine = j->undone = *p == '\0';
	else if (strcmp(word, "boot") == 0)
		fine = !parser->has_boot && (parser->has_boot = parse_boot(p, j->boot));
	else if (strcmp(word, "id") == 0)
		fine = !parser->has_id && (parser->has_id = parse_id(p, &j->id));
	else if (strcmp(word, "host") == 0)
		fine = !parser->has_host && next_text(&p, j->host, sizeof(j->host)) && !*p &&
		       (parser->has_host = true);
	return fine ? 0 : -EBADMSG;
}

/* Takes the checksum off a line; false if it has none or a wrong one. */
static bool check_sum(char *line, size_t len)
{
	uint32_t sum = 0;

	if (len <= SUM_BYTES || memchr(line, '\0', len) || line[len - 10] != ' ' ||
	    line[len - 9] != '#')
		return false;
	for (size_t i = len - 8; i < len; i++) {
		int digit = hex_digit(line[i]);

		if (digit < 0)
			return false;
		sum = sum << 4 | (uint32_t)digit;
	}
	line[len - SUM_BYTES] = '\0';
	return XXH32(line, len - SUM_BYTES, 0) == sum;
}

/* ---- folding ---- */

static int by_object(const void *pa, const void *pb)
{
	const struct record *a = *(const struct record *const *)pa,
			    *b = *(const struct record *const *)pb;
	int order = cl_change_compare(&a->change, &b->change);

	return order ? order : a->at < b->at ? -1 : 1;
}

static int by_first(const void *pa, const void *pb)
{
	const struct record *const *const *a = pa, *const *const *b = pb;

	return (**a)->at < (**b)->at ? -1 : 1;
}

/*
 * One object's records, in order, into an entry. A drop ends what was ours: what came before counts
 * no more, what comes after starts anew from the value that it found.
 */
static void fold_object(struct cl_journal *j, struct record *const *group, uint32_t n)
{
	struct cl_journal_entry *e = &j->entries[j->entry_count];
	uint32_t first = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (group[i]->drop && i + 1 < n)
			first = i + 1;
	}
	if (group[n - 1]->drop)
		e->dropped = true;
	if (first == n - 1 && e->dropped)
		first = 0; /* dropped for good: keep its changes, they tell what it may have passed
			      on */
	e->change_first = j->change_count;
	for (uint32_t i = first; i < n; i++) {
		if (group[i]->drop)
			continue;
		j->changes[j->change_count] = group[i]->change;
		j->notes[j->change_count++] = group[i]->note;
	}
	e->change_count = j->change_count - e->change_first;
	if (e->change_count == 0) {
		e->dropped = false;
		return; /* a drop of something that we never set */
	}
	e->change = j->changes[e->change_first];
	e->change.to = j->changes[j->change_count - 1].to;
	/* Not every change need have moved it between groups: its first group is where the first
	 * that did found it. */
	for (uint32_t i = e->change_first; i < j->change_count; i++) {
		const struct cl_change *c = &j->changes[i];

		if (!c->from.has_path)
			continue;
		if (!e->change.from.has_path)
			snprintf(e->change.from.path, CL_PATH_MAX, "%s", c->from.path);
		snprintf(e->change.to.path, CL_PATH_MAX, "%s", c->to.path);
		e->change.from.has_path = e->change.to.has_path = true;
	}
	j->entry_count++;
}

/* Group by object, the groups in order of their first record. */
static int fold(struct parser *parser)
{
	struct cl_journal *j = parser->journal;
	uint32_t n = parser->count, groups = 0;
	cl_autofree struct record **sorted = calloc(n + 1, sizeof(struct record *));
	cl_autofree struct record ***starts = calloc(n + 1, sizeof(struct record **));

	if (n == 0)
		return 0;
	if (!sorted || !starts)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		sorted[i] = &parser->records[i];
	qsort(sorted, n, sizeof(struct record *), by_object);
	for (uint32_t i = 0; i < n; i++) {
		if (i == 0 || !cl_change_same(&sorted[i]->change, &sorted[i - 1]->change))
			starts[groups++] = &sorted[i];
	}
	qsort(starts, groups, sizeof(struct record **), by_first);
	j->changes = calloc(n, sizeof(*j->changes));
	j->notes = calloc(n, sizeof(*j->notes));
	j->entries = calloc(groups, sizeof(*j->entries));
	if (!j->changes || !j->notes || !j->entries)
		return -ENOMEM;
	for (uint32_t g = 0; g < groups; g++) {
		uint32_t len = 1, at = (uint32_t)(starts[g] - sorted);

		while (at + len < n &&
		       cl_change_same(&sorted[at + len]->change, &sorted[at]->change))
			len++;
		fold_object(j, &sorted[at], len);
	}
	return 0;
}

static int parse_all(struct parser *parser, char *text, size_t len, struct cl_error *reterr)
{
	struct cl_journal *j = parser->journal;
	size_t at = 0;
	uint32_t number = 0;

	while (at < len) {
		char *line = text + at, *end = memchr(line, '\n', len - at);
		int r = -EBADMSG;

		number++;
		if (!end && number > 1) {
			j->torn = true;
			break;
		}
		at = end ? (size_t)(end - text) + 1 : len;
		j->bytes = at;
		parser->wrong = "its checksum is wrong";
		if (end && check_sum(line, (size_t)(end - line)))
			r = number > 1                            ? parse_line(parser, line)
			    : strcmp(line, CL_JOURNAL_MAGIC) == 0 ? 0
								  : -EBADMSG;
		if (r == -ENOMEM)
			return cl_fail(reterr, ENOMEM, "reading the journal: no memory");
		if (r < 0 && number == 1)
			return cl_fail(reterr, EBADMSG,
				       "line 1 of the journal: not a journal of this closer; it "
				       "was left alone: move it away if it is not needed");
		if (r < 0 && !parser->skip)
			return cl_fail(reterr, EBADMSG, "line %u of the journal: %s" NO_REPAIR,
				       number, parser->wrong);
		j->skipped += r < 0;
	}
	if (number == 0)
		return cl_fail(
			reterr, EBADMSG,
			"line 1 of the journal: the file is empty, so it is not a journal of "
			"closer: move it away");
	if (!parser->skip && (!parser->has_boot || !parser->has_id || !parser->has_host))
		return cl_fail(reterr, EBADMSG,
			       "line %u of the journal: it ends before boot, id and host are "
			       "said" NO_REPAIR,
			       number);
	return 0;
}

int cl_journal_parse_with(const char *text, size_t len, bool skip, struct cl_journal *ret_journal,
			  struct cl_error *reterr)
{
	struct cl_journal journal = { 0 };
	/* Skipping, a plan line may be the bad one: then nothing counts as born after it. */
	struct parser parser = {
		.journal = &journal, .skip = skip, .planned = skip, .ticks = skip ? UINT64_MAX : 0
	};
	char *copy;
	int r;

	if (len > CL_JOURNAL_BYTES_MAX)
		return cl_fail(reterr, EFBIG, "the journal is longer than %u bytes",
			       CL_JOURNAL_BYTES_MAX);
	copy = malloc(len + 1);
	if (!copy)
		return cl_fail(reterr, ENOMEM, "reading the journal: no memory");
	memcpy(copy, text, len);
	copy[len] = '\0';
	r = parse_all(&parser, copy, len, reterr);
	if (r == 0) {
		r = fold(&parser);
		if (r < 0)
			cl_fail(reterr, -r, "reading the journal: no memory");
	}
	free(copy);
	free(parser.records);
	if (r < 0) {
		cl_journal_done(&journal);
		return r;
	}
	*ret_journal = journal;
	return 0;
}

int cl_journal_parse(const char *text, size_t len, struct cl_journal *ret_journal,
		     struct cl_error *reterr)
{
	return cl_journal_parse_with(text, len, false, ret_journal, reterr);
}

void cl_journal_done(struct cl_journal *journal)
{
	free(journal->changes);
	free(journal->notes);
	free(journal->entries);
	*journal = (struct cl_journal){ 0 };
}
