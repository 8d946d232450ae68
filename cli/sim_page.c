/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The report: one HTML page that needs nothing beside it. Plots are gnuplot's SVG, put into the
 * page; without gnuplot there are the tables alone.
 */
#include "sim.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#define SVG_MAX   (8u << 20)
#define FILE_TEXT (1u << 20)

static void put_html(FILE *out, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			/* control characters have no place in a page */
			fputc((unsigned char)*text < ' ' && *text != '\n' && *text != '\t' ? '?'
											   : *text,
			      out);
		}
	}
}

static void put_cell(FILE *out, const char *tag, const char *class, const char *text)
{
	fprintf(out, *class ? "<%s class=\"%s\">" : "<%s>", tag, class);
	put_html(out, text);
	fprintf(out, "</%s>", tag);
}

static const char style[] =
	"body{font:15px/1.45 sans-serif;max-width:75em;margin:2em auto;padding:0 1em;color:#222}"
	"table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .7em;text-align:right;"
	"border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}"
	".better{color:#0a6b2d}.worse{color:#b00020;font-weight:bold}.met{color:#0a6b2d}"
	".missed{color:#b00020;font-weight:bold}pre{background:#f6f6f6;padding:1em;overflow:auto}"
	"svg{max-width:100%;height:auto}.left td{text-align:left}";

/* ---- plots ---- */

/* gnuplot's text: letters, digits and what units are made of. */
static void put_label(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++)
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 ./-_%:",
			   *text))
			fputc(*text == '_' ? '-' : *text, out);
	fputc('"', out);
}

/* One block a policy; a line a variant: its number, mean, half width, its name. */
static void put_data(FILE *out, const struct sim_trial *trial, const struct sim_metric *metric,
		     uint32_t at, double by)
{
	for (uint32_t p = 0; p < trial->policy_count; p++) {
		fprintf(out, "$d%u_%u << EOD\n", at, p);
		for (uint32_t a = p; a < trial->arm_count; a += trial->policy_count) {
			struct sim_figure figure = sim_trial_figure(trial, metric->name, a);

			if (figure.n > 0)
				fprintf(out, "%u %.9g %.9g %s\n",
					trial->variant_count > 1 ? a / trial->policy_count : p,
					figure.mean / by, figure.half / by,
					trial->variant_count > 1 ? trial->arms[a].variant
								 : trial->arms[a].policy->name);
		}
		fprintf(out, "EOD\n");
	}
}

/* Boxes of the policies; over several variants a line for each policy. */
static void put_plot(FILE *out, const struct sim_trial *trial, uint32_t at)
{
	bool lines = trial->variant_count > 1;

	fprintf(out, "\nplot ");
	for (uint32_t p = 0; p < trial->policy_count; p++)
		fprintf(out,
			lines ? "%s$d%u_%u using 1:2:xtic(4) with lines lc %u title '%s', $d%u_%u "
				"using 1:2:3 with yerrorbars lc %u pt 7 ps 0.4 notitle"
			      : "%s$d%u_%u using 1:2:xtic(4) with boxes lc %u title '%s', $d%u_%u "
				"using 1:2:3 with yerrorbars lc rgb 'black' pt 0 notitle",
			p ? ", " : "", at, p, p + 1, trial->policies[p]->name, at, p, p + 1);
	fprintf(out, "\n");
}

static void put_script(FILE *out, const struct sim_trial *trial,
		       const struct sim_metric *const *metrics, uint32_t n)
{
	uint32_t rows = (n + 2) / 3;
	bool lines = trial->variant_count > 1;

	fprintf(out, "set terminal svg size 1000,%u dynamic font 'sans-serif,11'\n", rows * 230);
	for (uint32_t i = 0; i < n; i++) {
		struct sim_figure base = sim_trial_figure(trial, metrics[i]->name, 0);

		put_data(out, trial, metrics[i], i, sim_scale_of(metrics[i]->unit, base.mean).by);
	}
	fprintf(out,
		"set multiplot layout %u,3\nset style fill solid 0.5\nset boxwidth 0.6\n%s\n"
		"set yrange [0:*]\nset xrange [-0.6:%u.6]\nset grid ytics\n",
		rows, lines ? "set key bottom right" : "unset key",
		(lines ? trial->variant_count : trial->policy_count) - 1);
	for (uint32_t i = 0; i < n; i++) {
		struct sim_figure base = sim_trial_figure(trial, metrics[i]->name, 0);
		char title[128];

		snprintf(title, sizeof(title), "%s: %s", metrics[i]->name,
			 sim_scale_of(metrics[i]->unit, base.mean).unit);
		fprintf(out, "set title ");
		put_label(out, title);
		put_plot(out, trial, i);
	}
	fprintf(out, "unset multiplot\n");
}

/* What gnuplot prints for the script; NULL where it is missing or fails. */
static char *plot(const char *script)
{
	char command[CL_PATH_MAX + 64];
	size_t len;
	FILE *in;

	snprintf(command, sizeof(command), "gnuplot %s 2>/dev/null", script);
	in = popen(command, "re");
	char *svg = in ? malloc(SVG_MAX) : NULL;

	if (!svg) {
		if (in)
			pclose(in);
		return NULL;
	}
	len = fread(svg, 1, SVG_MAX - 1, in);
	svg[len] = '\0';
	if (pclose(in) != 0 || !strstr(svg, "<svg") || !strstr(svg, "</svg>")) {
		free(svg);
		return NULL;
	}
	return svg;
}

static bool put_plots(FILE *out, const struct sim_trial *trial)
{
	const struct sim_metric *metrics[SIM_METRICS_MAX];
	uint32_t n = sim_trial_metrics(trial, metrics, SIM_METRICS_MAX);
	char path[] = "/tmp/closer-sim-XXXXXX";
	int fd = n > 0 ? mkstemp(path) : -1;
	FILE *script = fd >= 0 ? fdopen(fd, "w") : NULL;

	if (!script) {
		if (fd >= 0)
			close(fd);
		return n == 0;
	}
	put_script(script, trial, metrics, n);
	fclose(script);
	cl_autofree char *svg = plot(path);

	unlink(path);
	if (svg)
		fprintf(out, "%s\n", strstr(svg, "<svg"));
	return svg != NULL;
}

/* ---- tables ---- */

static void put_row(FILE *out, const struct sim_trial *trial, const struct sim_metric *metric,
		    uint32_t base)
{
	struct sim_figure first = sim_trial_figure(trial, metric->name, base);
	struct sim_scale scale = sim_scale_of(metric->unit, first.n ? first.mean : metric->value);
	char text[96];

	fprintf(out, "<tr>");
	put_cell(out, "td", "", metric->name);
	put_cell(out, "td", "", scale.unit);
	for (uint32_t a = base; a < base + trial->policy_count; a++) {
		struct sim_figure figure = sim_trial_figure(trial, metric->name, a);

		put_cell(out, "td", "", sim_figure_text(&figure, scale.by, text, sizeof(text)));
		if (a == base)
			continue;
		struct sim_difference difference = sim_trial_difference(trial, metric, a, base);

		put_cell(out, "td",
			 difference.mark == SIM_BETTER  ? "better"
			 : difference.mark == SIM_WORSE ? "worse"
							: "",
			 sim_difference_text(&difference, text, sizeof(text)));
	}
	fprintf(out, "</tr>\n");
}

static void put_metrics(FILE *out, const struct sim_trial *trial, uint32_t base)
{
	const struct sim_metric *metrics[SIM_METRICS_MAX];
	uint32_t n = sim_trial_metrics(trial, metrics, SIM_METRICS_MAX);

	if (*trial->arms[base].variant)
		fprintf(out, "<h3>%s</h3>\n", trial->arms[base].variant);

	fprintf(out, "<table><tr><th>metric</th><th>unit</th>");
	for (uint32_t p = 0; p < trial->policy_count; p++) {
		put_cell(out, "th", "", trial->policies[p]->name);
		if (p > 0)
			fprintf(out, "<th>to %s</th>", trial->policies[0]->name);
	}
	fprintf(out, "</tr>\n");
	for (uint32_t i = 0; i < n; i++)
		put_row(out, trial, metrics[i], base);
	fprintf(out, "</table>\n");
}

static void put_expectations(FILE *out, const struct sim_trial *trial)
{
	struct sim_expectation expect;
	char text[128];

	if (!sim_scenario_expects(trial->scenario, 0, &expect))
		return;
	fprintf(out, "<h3>What is expected</h3><table class=\"left\"><tr><th></th><th>metric"
		     "</th><th>policy</th><th>theirs</th><th>ours</th><th>off by</th><th>where</th>"
		     "</tr>\n");
	for (uint32_t i = 0; sim_scenario_expects(trial->scenario, i, &expect); i++) {
		struct sim_verdict verdict = sim_judge(trial, &expect);
		bool fine = verdict.figure ? verdict.met : verdict.right;

		fprintf(out, "<tr>");
		put_cell(out, "td", "", expect.name);
		put_cell(out, "td", "", expect.metric);
		snprintf(text, sizeof(text), "%.40s%s%.40s", expect.policy,
			 *expect.against ? " to " : "", expect.against);
		put_cell(out, "td", "", text);
		put_cell(out, "td", "", sim_expected_text(&expect, &verdict, text, sizeof(text)));
		put_cell(out, "td", "", sim_ours_text(&expect, &verdict, text, sizeof(text)));
		put_cell(out, "td",
			 !verdict.ran ? ""
			 : fine       ? "met"
				      : "missed",
			 sim_verdict_text(&verdict, text, sizeof(text)));
		fprintf(out, "<td>%s", expect.goal ? "goal: " : "");
		put_html(out, expect.source);
		fprintf(out, "</td></tr>\n");
	}
	fprintf(out, "</table>\n");
}

/* What was simulated, to the letter: the page is all that is needed to do it again. */
static void put_files(FILE *out, const struct sim_trial *trial)
{
	static const char *const names[] = { "the scenario", "the testbed" };
	cl_autofree char *text = malloc(FILE_TEXT);

	for (uint32_t i = 0; text && i < CL_COUNT(names); i++) {
		const char *path = sim_scenario_file(trial->scenario, i);

		if (!path || cl_read_file(AT_FDCWD, path, text, FILE_TEXT) < 0)
			continue;
		fprintf(out, "<details><summary>%s</summary><pre>", names[i]);
		put_html(out, text);
		fprintf(out, "</pre></details>\n");
	}
}

static bool put_trial(FILE *out, const struct sim_trial *trial)
{
	const char *const facts[][2] = {
		{ "paper: ", sim_scenario_paper(trial->scenario) },
		{ "testbed: ", sim_scenario_testbed(trial->scenario) },
		{ "native: ", sim_scenario_native(trial->scenario) },
	};
	bool plotted;

	fprintf(out, "<h2 id=\"");
	put_html(out, sim_scenario_id(trial->scenario));
	fprintf(out, "\">");
	put_html(out, sim_scenario_id(trial->scenario));
	fprintf(out, "</h2>\n<p>");
	put_html(out, sim_scenario_title(trial->scenario));
	for (uint32_t i = 0; i < CL_COUNT(facts); i++) {
		if (!*facts[i][1])
			continue;
		fprintf(out, "<br>%s", facts[i][0]);
		put_html(out, facts[i][1]);
	}
	fprintf(out, "<br>seeds %llu to %llu, simulated %.3g s each</p>\n",
		(unsigned long long)trial->first_seed,
		(unsigned long long)(trial->first_seed + trial->seed_count - 1),
		(double)sim_scenario_duration_ns(trial->scenario) / 1e9);
	if (sim_trial_alike(trial))
		fprintf(out, "<p>Nothing here depends on the seed: all runs are the same, and the "
			     "intervals say nothing.</p>\n");
	for (uint32_t a = 0; a < trial->arm_count; a += trial->policy_count)
		put_metrics(out, trial, a);
	put_expectations(out, trial);
	plotted = put_plots(out, trial);
	put_files(out, trial);
	return plotted;
}

static void put_head(FILE *out, const struct sim_trial *trials, uint32_t count)
{
	struct sim_tally tally = { 0 };
	char text[256];

	fprintf(out,
		"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
		"<title>closer sim</title><style>%s</style></head><body>\n"
		"<h1>closer sim</h1>\n",
		style);
	fprintf(out,
		"<p>Means over seeds with their 95 %% intervals (Student's t); differences "
		"are of the same seeds. <span class=\"better\">better</span> and <span "
		"class=\"worse\">WORSE</span> are where the interval does not hold zero.</p>\n");
	for (uint32_t i = 0; i < count; i++)
		sim_count_verdicts(&trials[i], &tally);
	if (*sim_count_text(&tally.sources, SIM_OF_SOURCES, text, sizeof(text)))
		fprintf(out, "<p>Expected: %s.</p>\n", text);
	if (*sim_count_text(&tally.goals, SIM_OF_GOALS, text, sizeof(text)))
		fprintf(out, "<p>Expected: %s.</p>\n", text);
	fprintf(out, count > 1 ? "<ul>" : "");
	for (uint32_t i = 0; i < count && count > 1; i++) {
		const char *id = sim_scenario_id(trials[i].scenario);

		fprintf(out, "<li><a href=\"#");
		put_html(out, id);
		fprintf(out, "\">");
		put_html(out, id);
		fprintf(out, "</a>: ");
		put_html(out, sim_scenario_title(trials[i].scenario));
		fprintf(out, "</li>\n");
	}
	fprintf(out, count > 1 ? "</ul>\n" : "");
}

int sim_page(const char *dir, const struct sim_trial *trials, uint32_t count, bool *ret_plots,
	     struct cl_error *reterr)
{
	char path[CL_PATH_MAX + 16];
	FILE *out;

	*ret_plots = true;
	if (strlen(dir) >= CL_PATH_MAX)
		return cl_fail(reterr, ENAMETOOLONG, "the folder %.200s...: too long", dir);
	if (mkdir(dir, 0777) < 0 && errno != EEXIST)
		return cl_fail(reterr, errno, "making the folder %.200s: %s", dir, strerror(errno));
	snprintf(path, sizeof(path), "%s/index.html", dir);
	out = fopen(path, "we");
	if (!out)
		return cl_fail(reterr, errno, "writing %.200s: %s", path, strerror(errno));
	put_head(out, trials, count);
	for (uint32_t i = 0; i < count; i++)
		*ret_plots = put_trial(out, &trials[i]) && *ret_plots;
	fprintf(out, "</body></html>\n");
	bool bad = ferror(out) != 0;

	if (fclose(out) != 0 || bad)
		return cl_fail(reterr, EIO, "writing %.200s: it could not be written whole", path);
	return 0;
}
