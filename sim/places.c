/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where scenarios and testbeds are. */
#include "places.h"

#include "lib.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define UP_MAX 5u /* folders above the program: build/release/cli, and its like */

static bool is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The tree that this program was built in. */
static bool find_tree(char *ret_dir, size_t size)
{
	char exe[CL_PATH_MAX], probe[CL_PATH_MAX + 32];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	exe[len > 0 ? len : 0] = '\0';
	for (uint32_t i = 0; i < UP_MAX; i++) {
		char *slash = strrchr(exe, '/');

		if (!slash)
			return false;
		*slash = '\0';
		snprintf(probe, sizeof(probe), "%s/sim/scenarios", exe);
		if (is_dir(probe)) {
			snprintf(ret_dir, size, "%s/sim", exe);
			return true;
		}
	}
	return false;
}

/* The folder with scenarios/ and testbeds/. */
static void find_dir(char ret_dir[CL_PATH_MAX])
{
	const char *told = getenv("CLOSER_SIM_DIR");

	if (told && *told)
		snprintf(ret_dir, CL_PATH_MAX, "%s", told);
	else if (!find_tree(ret_dir, CL_PATH_MAX))
		snprintf(ret_dir, CL_PATH_MAX, "%s", CLOSER_SIM_DATA);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct sim_place *)a)->name, ((const struct sim_place *)b)->name);
}

static uint32_t list_dir(const char *dir, struct sim_place *places, uint32_t max)
{
	DIR *d = opendir(dir);
	const struct dirent *entry;
	uint32_t n = 0;

	while (d && n < max && (entry = readdir(d))) {
		size_t len = strlen(entry->d_name);

		if (len < 5 || len - 4 >= sizeof(places->name) || entry->d_name[0] == '.' ||
		    strcmp(entry->d_name + len - 4, ".ini") != 0)
			continue;
		snprintf(places[n].name, sizeof(places->name), "%.*s", (int)len - 4, entry->d_name);
		snprintf(places[n].path, CL_PATH_MAX, "%s/%s", dir, entry->d_name);
		n++;
	}
	if (d)
		closedir(d);
	qsort(places, n, sizeof(*places), by_name);
	return n;
}

uint32_t sim_place_list(struct sim_place *places, uint32_t max)
{
	char dir[CL_PATH_MAX], path[CL_PATH_MAX + 16];

	find_dir(dir);
	snprintf(path, sizeof(path), "%s/scenarios", dir);
	return list_dir(path, places, max);
}

/* "there is no WHAT 'x' in DIR, did you mean 'y'?" */
static int fail_missing(const char *what, const char *name, const char *dir,
			struct cl_error *reterr)
{
	struct sim_place *places = calloc(256, sizeof(*places));
	const char *names[257] = { NULL }, *near;
	uint32_t n = places ? list_dir(dir, places, 256) : 0;
	char clean[128];

	for (uint32_t i = 0; i < n; i++)
		names[i] = places[i].name;
	near = cl_nearest(name, names);
	cl_fail(reterr, ENOENT, "there is no %s '%s' in %.200s%s%s%s", what,
		cl_escape(name, clean, sizeof(clean)), dir, near ? ", did you mean '" : "",
		near ? near : "", near ? "'?" : "");
	free(places);
	return -ENOENT;
}

static bool is_file_name(const char *name)
{
	size_t len = strlen(name);

	return strchr(name, '/') || (len > 4 && strcmp(name + len - 4, ".ini") == 0);
}

int sim_place_scenario(const char *name, char ret_path[CL_PATH_MAX], struct cl_error *reterr)
{
	char dir[CL_PATH_MAX], where[CL_PATH_MAX + 16];

	if (strlen(name) >= CL_PATH_MAX - 32)
		return cl_fail(reterr, ENAMETOOLONG, "a scenario's name of %zu bytes",
			       strlen(name));
	if (is_file_name(name)) {
		snprintf(ret_path, CL_PATH_MAX, "%s", name);
		return 0;
	}
	find_dir(dir);
	snprintf(where, sizeof(where), "%s/scenarios", dir);
	if (snprintf(ret_path, CL_PATH_MAX, "%s/%s.ini", where, name) < (int)CL_PATH_MAX &&
	    access(ret_path, F_OK) == 0)
		return 0;
	return fail_missing("scenario", name, where, reterr);
}

int sim_place_testbed(const char *dir, const char *name, char ret_path[CL_PATH_MAX],
		      struct cl_error *reterr)
{
	static const char *const beside[] = { "%s/../testbeds/%s.ini", "%s/testbeds/%s.ini",
					      "%s/%s.ini" };
	char found[CL_PATH_MAX], where[CL_PATH_MAX + 16];

	if (!*name || strchr(name, '/') || name[0] == '.')
		return cl_fail(reterr, EINVAL, "a testbed is a name, without path and .ini");
	for (uint32_t i = 0; i < CL_COUNT(beside); i++) {
		if (snprintf(ret_path, CL_PATH_MAX, beside[i], dir, name) < (int)CL_PATH_MAX &&
		    access(ret_path, R_OK) == 0)
			return 0;
	}
	find_dir(found);
	snprintf(where, sizeof(where), "%s/testbeds", found);
	if (snprintf(ret_path, CL_PATH_MAX, "%s/%s.ini", where, name) < (int)CL_PATH_MAX &&
	    access(ret_path, R_OK) == 0)
		return 0;
	return fail_missing("testbed", name, where, reterr);
}
