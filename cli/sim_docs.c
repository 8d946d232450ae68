/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a scenario may say, from the tables of sections, keys, loads and events: `closer sim
 * --keys`, and the generated part of closer-sim(5). */
#include "cli.h"
#include "setup.h"
#include "value.h"

#include <string.h>

static void put(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (strchr("\\*_#|[]<>~", *text))
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void put_keys(FILE *out, const struct sim_load_param *keys, bool costs)
{
	for (const struct sim_load_param *key = keys; key->name; key++) {
		char def[32], low[32], high[32];

		fprintf(out, "*");
		put(out, key->name);
		fprintf(out, "*\n\t");
		put(out, key->doc);
		if (key->unit != SIM_TEXT && !costs) {
			sim_value_text(key, key->def, def, sizeof(def));
			sim_value_text(key, key->least, low, sizeof(low));
			sim_value_text(key, key->most, high, sizeof(high));
			fprintf(out, " (%s; default %s", sim_unit_doc(key->unit), def);
			if (key->unit != SIM_BOOL)
				fprintf(out, ", from %s to %s", low, high);
			fputc(')', out);
		}
		fprintf(out, "\n\n");
	}
}

void cli_sim_scdoc(FILE *out)
{
	fprintf(out, "# SECTIONS\n\n");
	for (uint32_t kind = 0; kind < SIM_SECTION_KINDS; kind++) {
		const struct sim_section_info *info = &sim_section_infos[kind];

		fprintf(out, "## [%s%s]\n\n", info->name, info->named ? " NAME" : "");
		put(out, info->doc);
		fprintf(out, "\n\n");
		put_keys(out, info->keys, kind == SIM_IN_COSTS);
	}
	fprintf(out, "# LOADS\n\n");
	for (uint32_t i = 0; sim_loads[i]; i++) {
		fprintf(out, "## %s\n\n", sim_loads[i]->name);
		put(out, sim_loads[i]->doc);
		fprintf(out, "\n\n");
		put_keys(out, sim_loads[i]->params, false);
	}
	fprintf(out, "# EVENTS\n\n");
	for (const struct sim_event_kind *kind = sim_event_kinds; kind->name; kind++) {
		fprintf(out, "*%s*\n\t", kind->name);
		put(out, kind->doc);
		fprintf(out, "\n\n");
	}
	fprintf(out, "# SCHEDULERS\n\n");
	for (uint32_t i = 0; sim_scheds[i]; i++) {
		fprintf(out, "*%s*\n\t", sim_scheds[i]->name);
		put(out, sim_scheds[i]->doc);
		fprintf(out, "\n\n");
	}
}

/* ---- the same, for a terminal ---- */

static void list_keys(FILE *out, const struct sim_load_param *keys)
{
	for (const struct sim_load_param *key = keys; key->name; key++) {
		char def[32] = "";

		if (key->unit != SIM_TEXT && key->def)
			sim_value_text(key, key->def, def, sizeof(def));
		fprintf(out, "  %-18s %-8s %s\n", key->name, def, key->doc);
	}
	fprintf(out, "\n");
}

void cli_sim_keys(FILE *out)
{
	for (uint32_t kind = 0; kind < SIM_SECTION_KINDS; kind++) {
		const struct sim_section_info *info = &sim_section_infos[kind];

		fprintf(out, "[%s%s]  %s\n", info->name, info->named ? " NAME" : "", info->doc);
		list_keys(out, info->keys);
	}
	for (uint32_t i = 0; sim_loads[i]; i++) {
		fprintf(out, "type = %s  %s\n", sim_loads[i]->name, sim_loads[i]->doc);
		list_keys(out, sim_loads[i]->params);
	}
	for (const struct sim_event_kind *kind = sim_event_kinds; kind->name; kind++)
		fprintf(out, "what = %-10s %s\n", kind->name, kind->doc);
	fprintf(out, "\n");
	for (uint32_t i = 0; sim_scheds[i]; i++)
		fprintf(out, "scheduler = %-8s %s\n", sim_scheds[i]->name, sim_scheds[i]->doc);
}
