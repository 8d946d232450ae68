/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A scenario as sections of entries: found, added to, freed; and errors that say where. */
#include "setup.h"

#include "lib.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- sections ---- */

struct sim_section *sim_section_next(const struct sim_scenario *scenario,
				     enum sim_section_kind kind, uint32_t *at)
{
	while (*at < scenario->section_count) {
		struct sim_section *section = scenario->sections[(*at)++];

		if (section->kind == kind)
			return section;
	}
	return NULL;
}

struct sim_section *sim_section_find(const struct sim_scenario *scenario,
				     enum sim_section_kind kind, const char *name)
{
	struct sim_section *section;

	for (uint32_t at = 0; (section = sim_section_next(scenario, kind, &at));)
		if (!name || strcmp(section->name, name) == 0)
			return section;
	return NULL;
}

struct sim_section *sim_section_add(struct sim_scenario *scenario, enum sim_section_kind kind,
				    const char *name)
{
	const struct sim_section_info *info = &sim_section_infos[kind];
	struct sim_section *section = calloc(1, sizeof(*section));

	if (!section || (info->bytes && !(section->values = calloc(1, info->bytes)))) {
		free(section);
		return NULL;
	}
	section->kind = kind;
	snprintf(section->name, sizeof(section->name), "%s", name);
	scenario->sections[scenario->section_count++] = section;
	return section;
}

bool sim_section_put(struct sim_section *section, const char *key, const char *value, uint32_t file,
		     uint32_t line)
{
	if (section->entry_count == section->entry_cap) {
		uint32_t cap = section->entry_cap ? section->entry_cap * 2 : 8;
		struct sim_line *entries = realloc(section->entries, cap * sizeof(*entries));

		if (!entries)
			return false;
		section->entries = entries;
		section->entry_cap = cap;
	}
	struct sim_line *entry = &section->entries[section->entry_count];

	*entry = (struct sim_line){ strdup(key), strdup(value), file, line };
	if (entry->key && entry->value)
		section->entry_count++;
	else
		free(entry->key), free(entry->value);
	return entry->key && entry->value;
}

void sim_scenario_free(struct sim_scenario *scenario)
{
	for (uint32_t s = 0; scenario && s < scenario->section_count; s++) {
		struct sim_section *section = scenario->sections[s];

		for (uint32_t i = 0; i < section->entry_count; i++) {
			free(section->entries[i].key);
			free(section->entries[i].value);
		}
		if (section->kind == SIM_IN_LOAD)
			free(((struct sim_setup_load *)section->values)->values);
		free(section->entries);
		free(section->values);
		free(section);
	}
	if (scenario)
		free(scenario->sections);
	free(scenario);
}

/* ---- errors ---- */

char *sim_near(const char *word, const char *const *names, char *buf, size_t size)
{
	const char *near = cl_nearest(word, names);

	snprintf(buf, size, near ? ", did you mean '%s'?" : "", near);
	return buf;
}

int sim_fail_line(const struct sim_scenario *scenario, uint32_t file, uint32_t line,
		  struct cl_error *reterr, int code, const char *text)
{
	if (file == SIM_OF_SETS)
		return cl_fail(reterr, code, "--set: %s", text);
	if (line == 0)
		return cl_fail(reterr, code, "%.200s: %s", scenario->paths[file], text);
	return cl_fail(reterr, code, "%.200s:%u: %s", scenario->paths[file], line, text);
}

int sim_fail_at(const struct sim_scenario *scenario, const struct sim_section *section,
		const char *key, struct cl_error *reterr, int code, const char *format, ...)
{
	const struct sim_section_info *info = &sim_section_infos[section->kind];
	uint32_t file = SIM_OF_SCENARIO, line = section->lines[SIM_OF_SCENARIO];
	char text[CL_ERROR_MAX], full[CL_ERROR_MAX];
	va_list ap;

	for (uint32_t i = 0; line == 0 && i < SIM_FILES; i++) {
		line = section->lines[i];
		file = line ? i : file;
	}
	for (uint32_t i = 0; key && i < section->entry_count; i++) {
		if (strcmp(section->entries[i].key, key) == 0) {
			file = section->entries[i].file;
			line = section->entries[i].line;
		}
	}
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	snprintf(full, sizeof(full), "[%s%s%s] %s", info->name, info->named ? " " : "",
		 section->name, text);
	return sim_fail_line(scenario, file, line, reterr, code, full);
}

/* ---- guests ---- */

char *sim_guest_name(const struct sim_section *guest, uint32_t i, char buf[32])
{
	const struct sim_setup_domain *domain = guest->values;

	if (domain->count > 1)
		snprintf(buf, 32, "%s-%u", guest->name, i);
	else
		snprintf(buf, 32, "%s", guest->name);
	return buf;
}

bool sim_guest_fits(const struct sim_section *guest, uint32_t i, const char *pattern)
{
	char name[32];

	/* The name of the section means all of them. */
	return strcmp(guest->name, pattern) == 0 ||
	       fnmatch(pattern, sim_guest_name(guest, i, name), 0) == 0;
}
