/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A scenario's text to sections of entries, of the testbed first, then the scenario, then --set. */
#include "setup.h"

#include "lib.h"
#include "places.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct reader { /* one file */
	struct sim_scenario *scenario;
	struct cl_error *reterr;
	const char *at, *end;
	uint32_t file, line;
	struct sim_section *section;
	int failed;
};

/* Of the line that is being read; the first error counts. */
static void fail(struct reader *reader, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void fail(struct reader *reader, int code, const char *format, ...)
{
	char text[CL_ERROR_MAX];
	va_list ap;

	if (reader->failed)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	reader->failed = sim_fail_line(reader->scenario, reader->file, reader->line, reader->reterr,
				       code, text);
}

/* ---- reading ---- */

static bool is_name(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.",
			    text[i]))
			return false;
	return len > 0 && len < SIM_NAME_MAX;
}

static bool find_kind(const char *text, size_t len, enum sim_section_kind *ret_kind)
{
	for (uint32_t kind = 0; kind < SIM_SECTION_KINDS; kind++) {
		const char *name = sim_section_infos[kind].name;

		if (strlen(name) == len && memcmp(name, text, len) == 0) {
			*ret_kind = (enum sim_section_kind)kind;
			return true;
		}
	}
	return false;
}

/* "guest web" between the brackets. NULL: said why not. */
static struct sim_section *begin_section(struct reader *reader, const char *text)
{
	size_t len = strcspn(text, " \t");
	const char *name = text + len + strspn(text + len, " \t");
	enum sim_section_kind kind = SIM_IN_SCENARIO;
	char clean[256], word[32], near[64];

	cl_escape(text, clean, sizeof(clean));
	if (!find_kind(text, len, &kind)) {
		const char *names[SIM_SECTION_KINDS + 1] = { NULL };

		for (uint32_t i = 0; i < SIM_SECTION_KINDS; i++)
			names[i] = sim_section_infos[i].name;
		snprintf(word, sizeof(word), "%.*s", (int)(len < 31 ? len : 31), text);
		fail(reader, ENOENT, "there is no section [%s]%s", clean,
		     sim_near(word, names, near, sizeof(near)));
		return NULL;
	}
	if (sim_section_infos[kind].named ? !is_name(name) : *name != '\0') {
		fail(reader, EINVAL,
		     sim_section_infos[kind].named ? "[%s] needs a name of at most 23 letters, "
						     "digits, - _ and ."
						   : "[%s] takes no name",
		     clean);
		return NULL;
	}
	struct sim_section *section = sim_section_find(reader->scenario, kind,
						       sim_section_infos[kind].named ? name : NULL);

	if (section && section->lines[reader->file]) {
		if (reader->file >= SIM_OF_VARIANT)
			return section;
		fail(reader, EEXIST, "[%s] is there already, in line %u", clean,
		     section->lines[reader->file]);
		return NULL;
	}
	if (!section && reader->scenario->section_count == SIM_SECTIONS_MAX)
		fail(reader, E2BIG, "more than %u sections", SIM_SECTIONS_MAX);
	else if (!section && !(section = sim_section_add(reader->scenario, kind, name)))
		fail(reader, ENOMEM, "no memory");
	if (section)
		section->lines[reader->file] = reader->line;
	return section;
}

static void take_section(struct reader *reader, char *line)
{
	char *end = strchr(line, ']');

	reader->section = NULL;
	if (!end) {
		fail(reader, EINVAL, "a section ends with ]");
		return;
	}
	*end = '\0';
	reader->section = begin_section(reader, line + 1);
	*end = ']';
}

/* libinih's reader: a line at a time, without the blanks before it, which would continue the last
 * value. A section is begun here, since one without keys is one, too. */
static char *next_line(char *buf, int size, void *stream)
{
	struct reader *reader = stream;
	const char *end;
	size_t len;

	if (reader->at >= reader->end || reader->failed)
		return NULL;
	reader->line++;
	end = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
	end = end ? end : reader->end;
	while (reader->at < end && (*reader->at == ' ' || *reader->at == '\t'))
		reader->at++;
	len = (size_t)(end - reader->at);
	if (len > SIM_LINE_MAX || len + 2 > (size_t)size) {
		fail(reader, EINVAL, "a line longer than %u bytes", SIM_LINE_MAX);
		return NULL;
	}
	if (memchr(reader->at, '\0', len)) {
		fail(reader, EINVAL, "a line with a byte of zero: this is no text");
		return NULL;
	}
	memcpy(buf, reader->at, len);
	buf[len] = '\n';
	buf[len + 1] = '\0';
	reader->at = end < reader->end ? end + 1 : end;
	if (*buf == '[')
		take_section(reader, buf);
	return buf;
}

static void take_entry(struct reader *reader, struct sim_section *section, const char *key,
		       const char *value)
{
	char clean[256];

	if (++reader->scenario->entry_count > SIM_ENTRIES_MAX) {
		fail(reader, E2BIG, "more than %u keys", SIM_ENTRIES_MAX);
		return;
	}
	for (uint32_t i = 0; i < section->entry_count; i++) {
		if (strcmp(section->entries[i].key, key) == 0 && reader->file < SIM_OF_VARIANT &&
		    section->entries[i].file == reader->file) {
			fail(reader, EEXIST, "%s is there already, in line %u",
			     cl_escape(key, clean, sizeof(clean)), section->entries[i].line);
			return;
		}
	}
	if (!sim_section_put(section, key, value, reader->file, reader->line))
		fail(reader, ENOMEM, "no memory");
}

static int handler(void *user, const char *section, const char *key, const char *value)
{
	struct reader *reader = user;
	char clean[256];

	if (reader->failed)
		return 0;
	if (!reader->section)
		fail(reader, EINVAL, "'%s' is in no section", cl_escape(key, clean, sizeof(clean)));
	else
		take_entry(reader, reader->section, key, value ? value : "");
	return reader->failed == 0;
}

static int read_text(struct sim_scenario *scenario, uint32_t file, const char *text, size_t len,
		     struct cl_error *reterr)
{
	struct reader reader = {
		.scenario = scenario, .reterr = reterr, .at = text, .end = text + len, .file = file
	};
	int line = ini_parse_stream(next_line, &reader, handler, &reader);

	if (!reader.failed && line != 0) {
		reader.line = line > 0 ? (uint32_t)line : 0;
		fail(&reader, line > 0 ? EINVAL : ENOMEM,
		     line > 0 ? "this is neither [section] nor key = value" : "no memory");
	}
	return reader.failed;
}

/* "guest.web.count", "guest web.count", "scenario.duration": of --set, or of a variant's line. */
static int take_set(struct sim_scenario *scenario, const char *name, const char *value,
		    uint32_t file, uint32_t line, struct cl_error *reterr)
{
	struct reader reader = {
		.scenario = scenario, .reterr = reterr, .file = file, .line = line
	};
	char section[SIM_LINE_MAX], clean[256], *dot, *first;

	snprintf(section, sizeof(section), "%s", name);
	dot = strrchr(section, '.');
	if (!dot || dot == section || !dot[1]) {
		fail(&reader, EINVAL, "'%s' is not SECTION.KEY",
		     cl_escape(name, clean, sizeof(clean)));
		return reader.failed;
	}
	*dot = '\0';
	first = strpbrk(section, " .");
	if (first)
		*first = ' ';
	reader.section = begin_section(&reader, section);
	if (reader.section && reader.section->kind == SIM_IN_VARIANT)
		fail(&reader, EINVAL, "a variant cannot be changed");
	else if (reader.section)
		take_entry(&reader, reader.section, dot + 1, value);
	return reader.failed;
}

static int take_option(struct sim_scenario *scenario, const char *text, struct cl_error *reterr)
{
	const char *equals = strchr(text, '=');
	char name[SIM_LINE_MAX], clean[256];

	if (!equals || (size_t)(equals - text) >= sizeof(name))
		return cl_fail(reterr, EINVAL, "--set: '%s' is not SECTION.KEY=VALUE",
			       cl_escape(text, clean, sizeof(clean)));
	snprintf(name, sizeof(name), "%.*s", (int)(equals - text), text);
	return take_set(scenario, name, equals + 1, SIM_OF_SETS, 1, reterr);
}

static int take_variant(struct sim_scenario *scenario, const char *name, struct cl_error *reterr)
{
	const struct sim_section *section = sim_section_find(scenario, SIM_IN_VARIANT, name);
	const char *names[64] = { NULL };
	char near[64], clean[128];
	int r = 0;

	for (uint32_t i = 0; i < 62 && (names[i] = sim_scenario_variant(scenario, i)); i++)
		;
	if (!section)
		return cl_fail(reterr, ENOENT, "%.200s has no variant '%s'%s",
			       scenario->paths[SIM_OF_SCENARIO],
			       cl_escape(name, clean, sizeof(clean)),
			       sim_near(name, names, near, sizeof(near)));
	for (uint32_t i = 0; r == 0 && i < section->entry_count; i++)
		r = take_set(scenario, section->entries[i].key, section->entries[i].value,
			     SIM_OF_VARIANT, section->entries[i].line, reterr);
	return r;
}

/* ---- all of it ---- */

static struct sim_scenario *new_scenario(const char *path)
{
	struct sim_scenario *scenario = calloc(1, sizeof(*scenario));
	const char *base = strrchr(path, '/'), *dot;

	if (scenario)
		scenario->sections = calloc(SIM_SECTIONS_MAX + 1, sizeof(struct sim_section *));
	if (!scenario || !scenario->sections) {
		sim_scenario_free(scenario);
		return NULL;
	}
	snprintf(scenario->paths[SIM_OF_SCENARIO], CL_PATH_MAX, "%s", path);
	snprintf(scenario->paths[SIM_OF_VARIANT], CL_PATH_MAX, "%s", path);
	strcpy(scenario->paths[SIM_OF_SETS], "--set");
	strcpy(scenario->paths[SIM_OF_TESTBED], "testbed");
	if (base)
		snprintf(scenario->dir, sizeof(scenario->dir), "%.*s", (int)(base - path), path);
	else
		strcpy(scenario->dir, ".");
	base = base ? base + 1 : path;
	dot = strrchr(base, '.');
	snprintf(scenario->id, sizeof(scenario->id), "%.*s",
		 (int)(dot && dot > base ? dot - base : (long)strlen(base)), base);
	for (uint32_t kind = 0; kind < SIM_SECTION_KINDS; kind++)
		if (!sim_section_infos[kind].named &&
		    !sim_section_add(scenario, (enum sim_section_kind)kind, "")) {
			sim_scenario_free(scenario);
			return NULL;
		}
	return scenario;
}

static int finish(struct sim_scenario *scenario, struct cl_error *reterr)
{
	int r;

	if (!sim_section_find(scenario, SIM_IN_POOL, NULL) &&
	    !sim_section_add(scenario, SIM_IN_POOL, "all"))
		return cl_fail(reterr, ENOMEM, "reading a scenario: no memory");
	r = sim_scenario_values(scenario, reterr);
	return r < 0 ? r : sim_scenario_check(scenario, reterr);
}

static char *read_file(const char *path, size_t *ret_len, struct cl_error *reterr)
{
	char *text = malloc(SIM_FILE_MAX + 1);
	ssize_t n = text ? cl_read_file(AT_FDCWD, path, text, SIM_FILE_MAX) : -ENOMEM;

	if (n < 0) {
		cl_fail(reterr, (int)-n, "reading %.300s: %s", path, strerror((int)-n));
		free(text);
		return NULL;
	}
	*ret_len = (size_t)n;
	return text;
}

static int read_path(struct sim_scenario *scenario, uint32_t file, struct cl_error *reterr)
{
	size_t len = 0;
	cl_autofree char *text = read_file(scenario->paths[file], &len, reterr);

	return text ? read_text(scenario, file, text, len, reterr) : -reterr->code;
}

/* The scenario is read before it is known which testbed it names: put behind that one's entries. */
static int read_testbed(struct sim_scenario *scenario, struct cl_error *reterr)
{
	struct sim_section *section = sim_section_find(scenario, SIM_IN_SCENARIO, NULL);
	const char *name = NULL;
	struct cl_error err;

	for (uint32_t i = 0; i < section->entry_count; i++)
		if (strcmp(section->entries[i].key, "testbed") == 0)
			name = section->entries[i].value;
	if (!name)
		return 0;
	if (sim_place_testbed(scenario->dir, name, scenario->paths[SIM_OF_TESTBED], &err) < 0)
		return sim_fail_at(scenario, section, "testbed", reterr, err.code, "%s", err.text);
	return read_path(scenario, SIM_OF_TESTBED, reterr);
}

/* Of each section what the testbed says, then the scenario, then --set: later ones count. */
static void order_entries(struct sim_scenario *scenario)
{
	for (uint32_t s = 0; s < scenario->section_count; s++) {
		struct sim_section *section = scenario->sections[s];

		for (uint32_t i = 1; i < section->entry_count; i++) {
			struct sim_line entry = section->entries[i];
			uint32_t k = i;

			for (; k > 0 && section->entries[k - 1].file > entry.file; k--)
				section->entries[k] = section->entries[k - 1];
			section->entries[k] = entry;
		}
	}
}

static int read_all(struct sim_scenario *scenario, const char *variant, const char *const *sets,
		    uint32_t set_count, struct cl_error *reterr)
{
	int r = read_path(scenario, SIM_OF_SCENARIO, reterr);

	if (r == 0 && variant)
		r = take_variant(scenario, variant, reterr);
	for (uint32_t i = 0; r == 0 && i < set_count; i++)
		r = take_option(scenario, sets[i], reterr);
	if (r == 0)
		r = read_testbed(scenario, reterr);
	order_entries(scenario);
	return r == 0 ? finish(scenario, reterr) : r;
}

static int give(struct sim_scenario *scenario, int r, struct sim_scenario **ret_scenario,
		const struct cl_error *err, struct cl_error *reterr)
{
	if (r == 0) {
		*ret_scenario = scenario;
		return 0;
	}
	sim_scenario_free(scenario);
	if (reterr)
		*reterr = *err;
	return r;
}

int sim_scenario_read_as(const char *path, const char *variant, const char *const *sets,
			 uint32_t set_count, struct sim_scenario **ret_scenario,
			 struct cl_error *reterr)
{
	struct sim_scenario *scenario = strlen(path) < CL_PATH_MAX ? new_scenario(path) : NULL;
	struct cl_error err;

	if (!scenario)
		return cl_fail(reterr, ENOMEM, "reading %.200s: no memory, or too long a path",
			       path);
	return give(scenario, read_all(scenario, variant, sets, set_count, &err), ret_scenario,
		    &err, reterr);
}

/* One whose variants are not sound is not, either. */
int sim_scenario_read(const char *path, const char *const *sets, uint32_t set_count,
		      struct sim_scenario **ret_scenario, struct cl_error *reterr)
{
	struct sim_scenario *scenario = NULL, *other;
	struct cl_error err;
	const char *variant;
	int r = sim_scenario_read_as(path, NULL, sets, set_count, &scenario, &err);

	for (uint32_t i = 0; r == 0 && (variant = sim_scenario_variant(scenario, i)); i++) {
		other = NULL;
		r = sim_scenario_read_as(path, variant, sets, set_count, &other, &err);
		sim_scenario_free(other);
	}
	return give(scenario, r, ret_scenario, &err, reterr);
}

int sim_scenario_parse(const char *text, size_t len, const char *testbed, size_t testbed_len,
		       struct sim_scenario **ret_scenario, struct cl_error *reterr)
{
	struct sim_scenario *scenario = new_scenario("text.ini");
	struct cl_error err;
	int r = 0;

	if (!scenario)
		return cl_fail(reterr, ENOMEM, "reading a scenario: no memory");
	if (testbed)
		r = read_text(scenario, SIM_OF_TESTBED, testbed, testbed_len, &err);
	if (r == 0)
		r = read_text(scenario, SIM_OF_SCENARIO, text, len, &err);
	if (r == 0)
		r = finish(scenario, &err);
	return give(scenario, r, ret_scenario, &err, reterr);
}
