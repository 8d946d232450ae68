/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bill: what guests used and what they were charged for it, from the ledger on disk. */
#include "cli.h"

#include "bill.h"
#include "tenants.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* The order of --by's words, which count from 1. */
enum by { BY_GUEST = 1, BY_TENANT, BY_KIND };

#define NOBODY "-" /* a tenant's name where a guest has none */

struct line { /* of the answer */
	struct cl_bill_row row;
	char name[4 * CL_NAME_MAX];
};

struct bill {
	const struct cli_call *call;
	enum by by;
	struct cl_tenants tenants;
	struct line *lines;
	uint32_t n;
	struct cl_bill_row total;
	uint64_t since_ns, until_ns;
};

/* ---- times ---- */

/* "2026-11-20", "2026-11-20T18:30", with seconds, as local time; or "24h": so long ago. */
static bool parse_when(const char *text, uint64_t *ret_ns)
{
	static const char *const forms[] = { "%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S" };
	uint64_t ago, now = (uint64_t)time(NULL) * CL_NS_PER_S;

	for (size_t i = 0; i < CL_COUNT(forms); i++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *end = strptime(text, forms[i], &tm);
		time_t at;

		if (!end || *end)
			continue;
		at = mktime(&tm);
		if (at < 0)
			return false;
		*ret_ns = (uint64_t)at * CL_NS_PER_S;
		return true;
	}
	if (!cli_parse_time(text, &ago) || ago > now)
		return false;
	*ret_ns = now - ago;
	return true;
}

static void when_text(uint64_t ns, char *buf, size_t size)
{
	time_t at = (time_t)(ns / CL_NS_PER_S);
	struct tm tm;

	localtime_r(&at, &tm);
	strftime(buf, size, "%Y-%m-%dT%H:%M:%S%z", &tm);
}

/* ---- the answer ---- */

static void add(struct cl_bill_row *to, const struct cl_bill_row *row)
{
	to->intervals += row->intervals;
	to->guest_ns += row->guest_ns;
	to->host_ns += row->host_ns;
	to->charge.charged_ns += row->charge.charged_ns;
	to->charge.repaid_ns += row->charge.repaid_ns;
	to->charge.owed_ns += row->charge.owed_ns;
	to->charge.written_off_ns += row->charge.written_off_ns;
}

static struct line *line_of(struct bill *b, const char *name, bool fresh)
{
	for (uint32_t i = 0; i < b->n && !fresh; i++)
		if (strcmp(b->lines[i].name, name) == 0)
			return &b->lines[i];
	struct line *lines = realloc(b->lines, (b->n + 1) * sizeof(*lines));

	if (!lines)
		return NULL;
	b->lines = lines;
	memset(&lines[b->n], 0, sizeof(*lines));
	snprintf(lines[b->n].name, sizeof(lines[b->n].name), "%s", name);
	return &lines[b->n++];
}

static int take(void *ctx, const struct cl_bill_row *row)
{
	struct bill *b = ctx;
	const char *tenant = cl_tenants_find(&b->tenants, &row->guest);
	struct line *line = line_of(b, b->by == BY_TENANT ? tenant ? tenant : NOBODY : row->name,
				    b->by != BY_TENANT);

	if (!line)
		return -ENOMEM;
	line->row.guest = row->guest;
	add(&line->row, row);
	add(&b->total, row);
	return 0;
}

/* ---- as a table, CSV and JSON ---- */

struct column {
	const char *title, *key;
	size_t offset;
	bool kinds; /* of kinds, too */
};

#define AT(member) offsetof(struct cl_bill_row, member)

static const struct column columns[] = {
	{ "GUEST CPU", "guest_ns", AT(guest_ns), false },
	{ "HOST CPU", "host_ns", AT(host_ns), true },
	{ "CHARGED", "charged_ns", AT(charge.charged_ns), false },
	{ "REPAID", "repaid_ns", AT(charge.repaid_ns), false },
	{ "OWED", "owed_ns", AT(charge.owed_ns), false },
	{ "WRITTEN OFF", "written_off_ns", AT(charge.written_off_ns), false },
};

static const char *const names[] = { "", "guest", "tenant", "kind" };

static uint64_t value(const struct cl_bill_row *row, const struct column *column)
{
	return *(const uint64_t *)(const void *)((const char *)row + column->offset);
}

static void print_line(const struct bill *b, const char *name, const char *uuid,
		       const struct cl_bill_row *row)
{
	printf("%-24s", name);
	if (b->by == BY_GUEST)
		printf("  %-36s", uuid);
	for (size_t i = 0; i < CL_COUNT(columns); i++) {
		uint64_t ns = row ? value(row, &columns[i]) : 0;

		if (b->by == BY_KIND && !columns[i].kinds)
			continue;
		if (row)
			printf("  %10llu.%03llu s", (unsigned long long)(ns / CL_NS_PER_S),
			       (unsigned long long)(ns % CL_NS_PER_S / CL_NS_PER_MS));
		else
			printf("  %16s", columns[i].title);
	}
	printf("\n");
}

static void print_table(const struct bill *b)
{
	static const char *const heads[] = { "", "GUEST", "TENANT", "KIND" };
	char uuid[CL_UUID_TEXT], since[64], until[64];

	when_text(b->since_ns, since, sizeof(since));
	when_text(b->until_ns, until, sizeof(until));
	printf("CPU time from %s to %s\n\n", b->since_ns ? since : "the first", until);
	print_line(b, heads[b->by], "UUID", NULL);
	for (uint32_t i = 0; i < b->n; i++) {
		cl_uuid_format(&b->lines[i].row.guest, uuid);
		print_line(b, b->lines[i].name, uuid, &b->lines[i].row);
	}
	print_line(b, "all", "", &b->total);
}

/* A name that a spreadsheet would take for a formula is none. */
static void print_csv_name(const char *name)
{
	printf("\"%s", strchr("=+-@", *name) && *name ? "'" : "");
	for (; *name; name++)
		printf(*name == '"' ? "\"\"" : "%c", *name);
	printf("\"");
}

static void print_csv(const struct bill *b)
{
	char uuid[CL_UUID_TEXT];

	printf("%s%s", names[b->by], b->by == BY_GUEST ? ",uuid" : "");
	for (size_t i = 0; i < CL_COUNT(columns); i++)
		if (b->by != BY_KIND || columns[i].kinds)
			printf(",%s", columns[i].key);
	printf("\n");
	for (uint32_t l = 0; l < b->n; l++) {
		print_csv_name(b->lines[l].name);
		cl_uuid_format(&b->lines[l].row.guest, uuid);
		if (b->by == BY_GUEST)
			printf(",%s", uuid);
		for (size_t i = 0; i < CL_COUNT(columns); i++)
			if (b->by != BY_KIND || columns[i].kinds)
				printf(",%llu",
				       (unsigned long long)value(&b->lines[l].row, &columns[i]));
		printf("\n");
	}
}

static json_t *row_json(const struct bill *b, const struct line *line,
			const struct cl_bill_row *row)
{
	json_t *o = json_object();
	char uuid[CL_UUID_TEXT];

	if (line) {
		cl_uuid_format(&row->guest, uuid);
		json_object_set_new(o, b->by == BY_GUEST ? "name" : names[b->by],
				    json_string(line->name));
		if (b->by == BY_GUEST) {
			json_object_set_new(o, "uuid", json_string(uuid));
			json_object_set_new(o, "intervals",
					    json_integer((json_int_t)row->intervals));
		}
	}
	for (size_t i = 0; i < CL_COUNT(columns); i++)
		if (b->by != BY_KIND || columns[i].kinds)
			json_object_set_new(o, columns[i].key,
					    json_integer((json_int_t)value(row, &columns[i])));
	return o;
}

static enum cli_exit print_json(const struct bill *b)
{
	json_t *rows = json_array();

	for (uint32_t i = 0; i < b->n; i++)
		json_array_append_new(rows, row_json(b, &b->lines[i], &b->lines[i].row));
	return cli_json(b->call,
			json_pack("{s:I,s:I,s:s,s:o,s:o}", "since_ns", (json_int_t)b->since_ns,
				  "until_ns", (json_int_t)b->until_ns, "by", names[b->by], "rows",
				  rows, "total", row_json(b, NULL, &b->total)));
}

static enum cli_exit print(const struct bill *b)
{
	if (b->call->v.json)
		return print_json(b);
	if (b->call->v.csv)
		print_csv(b);
	else
		print_table(b);
	return CLI_OK;
}

static enum cli_exit run(const struct cli_call *call)
{
	struct bill b = { .call = call,
			  .by = call->v.by ? (enum by)call->v.by : BY_GUEST,
			  .until_ns = (uint64_t)time(NULL) * CL_NS_PER_S + CL_NS_PER_S };
	const char *path = call->v.ledger ? call->v.ledger : CL_BILL_FILE;
	struct cl_error err;

	if (call->v.since && !parse_when(call->v.since, &b.since_ns))
		return cli_usage(call,
				 "'%s' for --since is no time: 2026-11-20, "
				 "2026-11-20T18:30, or 24h for so long ago",
				 call->v.since);
	if (call->v.until && !parse_when(call->v.until, &b.until_ns))
		return cli_usage(call,
				 "'%s' for --until is no time: 2026-11-20, "
				 "2026-11-20T18:30, or 24h for so long ago",
				 call->v.until);
	if (b.since_ns >= b.until_ns)
		return cli_usage(call, "--since is not before %s: there is no time between them",
				 call->v.until ? "--until" : "now");
	if (call->v.json && call->v.csv)
		return cli_usage(call, "--json or --csv, not both");
	if (b.by == BY_TENANT && !call->v.tenants)
		return cli_usage(call, "--by tenant needs --tenants FILE: a line \"UUID TENANT\" "
				       "for each guest");
	if (call->v.tenants && cl_tenants_read(call->v.tenants, &b.tenants, &err) < 0)
		return cli_error(call, &err);
	int r = cl_bill_report(path, b.by == BY_KIND, b.since_ns,
			       call->v.until ? b.until_ns : UINT64_MAX, take, &b, &err);
	enum cli_exit code;

	if (r == -ENOMEM)
		cl_fail(&err, ENOMEM, "adding up %.300s: no memory", path);
	code = r < 0 ? cli_error(call, &err) : print(&b);
	free(b.lines);
	cl_tenants_done(&b.tenants);
	return code;
}

static const struct cli_option options[] = {
	{ "ledger", 'l', CLI_STRING, "FILE", CLI_AT(ledger), CLI_GROUP_ALL,
	  "what `closer run --ledger FILE` keeps; default " CL_BILL_FILE },
	{ "since", 0, CLI_STRING, "TIME", CLI_AT(since), CLI_GROUP_ALL,
	  "from then on: 2026-11-20, 2026-11-20T18:30, or 24h for so long ago" },
	{ "until", 0, CLI_STRING, "TIME", CLI_AT(until), CLI_GROUP_ALL,
	  "what began before then, likewise" },
	{ "by", 0, CLI_CHOICE, "guest|tenant|kind", CLI_AT(by), CLI_GROUP_ALL,
	  "a line for each of these; default guest" },
	{ "tenants", 0, CLI_STRING, "FILE", CLI_AT(tenants), CLI_GROUP_ALL,
	  "whose guests these are: a line \"UUID TENANT\" for each" },
	{ "csv", 0, CLI_FLAG, NULL, CLI_AT(csv), CLI_GROUP_ALL, "print CSV, in ns" },
	{ NULL, 0, CLI_FLAG, NULL, 0, CLI_GROUP_ALL, NULL },
};

const struct cli_verb cli_verb_bill = {
	.name = "bill",
	.groups = CLI_GROUP_JSON,
	.options = options,
	.doc = "print what guests used and were charged, from the ledger",
	.text = "Adds up the ledger that `closer run --ledger FILE` keeps: CPU time inside each "
		"guest and outside it, two figures, and what it was charged for the second "
		"(parameter charge, closer-params(5)): charged is repaid, owed and written off, "
		"to the ns. Guests are known by uuid through restarts, reboots and new names. "
		"Intervals are kept for an hour, minutes for two days, hours for 60 days, days "
		"for two years: a time is cut at what is kept of it. Tenants are the file's, since "
		"a guest's owner chooses its name. A file that is damaged is said to be, and left.",
	.run = run,
};
