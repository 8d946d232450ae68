/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The generated part of closer-sim(5), from the tables of sections, keys, loads and events. */
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
