/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where QEMU's sockets and processes are. */
#include "discover.h"

#include "lib.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>

int cl_qemu_place_parse(const char *arg, struct cl_qemu_place *ret_place, struct cl_error *reterr)
{
	struct stat st;
	size_t len = strlen(arg);

	if (strcmp(arg, "auto") == 0 || len == 0) {
		*ret_place = (struct cl_qemu_place){ .where = CL_QEMU_AUTO };
		return 0;
	}
	if (len >= CL_PATH_MAX)
		return cl_fail(reterr, ENAMETOOLONG,
			       "qemu: a folder or pattern has at most %u bytes", CL_PATH_MAX - 1);
	*ret_place = (struct cl_qemu_place){ .where = CL_QEMU_PATTERN };
	memcpy(ret_place->path, arg, len + 1);
	if (strpbrk(arg, "*?["))
		return 0;
	if (stat(arg, &st) < 0)
		return cl_fail(
			reterr, errno,
			"qemu:%s: %s; give the folder with the guests' QMP sockets, a pattern such as "
			"'qemu:/run/qemu-server/*.qmp', or qemu:auto",
			arg, strerror(errno));
	if (S_ISDIR(st.st_mode)) {
		ret_place->where = CL_QEMU_DIR;
		while (len > 1 && ret_place->path[len - 1] == '/')
			ret_place->path[--len] = '\0';
	} else if (!S_ISSOCK(st.st_mode)) {
		return cl_fail(reterr, ENOTSOCK, "qemu:%s: neither a folder nor a socket", arg);
	}
	return 0;
}

void cl_qemu_paths_done(struct cl_qemu_paths *paths)
{
	free(paths->path);
	*paths = (struct cl_qemu_paths){ 0 };
}

static void add_path(struct cl_qemu_paths *paths, const char *path)
{
	size_t len = strlen(path);

	if (len >= CL_QEMU_PATH_MAX || paths->n == CL_QEMU_PATHS_MAX)
		paths->cut = true;
	else
		memcpy(paths->path[paths->n++], path, len + 1);
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void sort_paths(struct cl_qemu_paths *paths)
{
	uint32_t kept = 0;

	qsort(paths->path, paths->n, sizeof(*paths->path), compare_paths);
	for (uint32_t i = 0; i < paths->n; i++) {
		if (kept > 0 && strcmp(paths->path[kept - 1], paths->path[i]) == 0)
			continue;
		if (kept != i)
			memcpy(paths->path[kept], paths->path[i], sizeof(*paths->path));
		kept++;
	}
	paths->n = kept;
}

static bool is_socket(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

static bool is_declared(const struct cl_qemu_procs *procs, const char *path)
{
	for (uint32_t i = 0; i < cl_qemu_procs_count(procs); i++) {
		const struct cl_qemu_args *args = &cl_qemu_procs_at(procs, i)->args;

		for (uint32_t j = 0; j < args->socket_count; j++)
			if (strcmp(args->sockets[j], path) == 0)
				return true;
	}
	return false;
}

/* A console or a guest agent must not be connected to: it serves one client as well, and it is not
 * ours to ask. */
static bool sounds_like_qmp(const char *name)
{
	return fnmatch("*.qmp", name, 0) == 0 || fnmatch("*qmp*.sock", name, 0) == 0 ||
	       fnmatch("qmp*", name, 0) == 0 || fnmatch("*monitor*", name, 0) == 0;
}

static void glob_sockets(const char *pattern, struct cl_qemu_paths *paths)
{
	glob_t found = { 0 };

	if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			if (is_socket(found.gl_pathv[i]))
				add_path(paths, found.gl_pathv[i]);
	globfree(&found);
}

/* The folder's own name may have glob's characters in it. */
static void read_folder(const char *dir, const struct cl_qemu_procs *procs,
			struct cl_qemu_paths *paths)
{
	char path[CL_PATH_MAX];
	struct dirent *entry;
	DIR *folder = opendir(dir);

	while (folder && (entry = readdir(folder))) {
		int n = snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);

		if (n > 0 && n < (int)sizeof(path) &&
		    (sounds_like_qmp(entry->d_name) || is_declared(procs, path)) && is_socket(path))
			add_path(paths, path);
	}
	if (folder)
		closedir(folder);
}

static void add_declared(const struct cl_qemu_procs *procs, struct cl_qemu_paths *paths)
{
	for (uint32_t i = 0; i < cl_qemu_procs_count(procs); i++) {
		const struct cl_qemu_args *args = &cl_qemu_procs_at(procs, i)->args;

		for (uint32_t j = 0; j < args->socket_count; j++)
			if (is_socket(args->sockets[j]))
				add_path(paths, args->sockets[j]);
	}
}

int cl_qemu_paths_read(const struct cl_qemu_place *place, const struct cl_qemu_procs *procs,
		       struct cl_qemu_paths *ret_paths, struct cl_error *reterr)
{
	struct cl_qemu_paths paths = { .path = calloc(CL_QEMU_PATHS_MAX, sizeof(*paths.path)) };

	if (!paths.path)
		return cl_fail(reterr, ENOMEM, "listing QMP sockets: no memory");
	switch (place->where) {
	case CL_QEMU_DIR:
		read_folder(place->path, procs, &paths);
		break;
	case CL_QEMU_PATTERN:
		glob_sockets(place->path, &paths);
		break;
	case CL_QEMU_AUTO:
		add_declared(procs, &paths);
		break;
	}
	sort_paths(&paths);
	*ret_paths = paths;
	return 0;
}

/* The folder that a path is in; the nearest one above it that exists. */
static void add_folder_of(struct cl_qemu_paths *dirs, const char *path)
{
	char dir[CL_PATH_MAX];
	struct stat st;

	snprintf(dir, sizeof(dir), "%.*s", (int)sizeof(dir) - 1, path);
	for (char *slash = strrchr(dir, '/'); slash; slash = strrchr(dir, '/')) {
		slash[slash == dir] = '\0';
		if (stat(dir, &st) == 0 && S_ISDIR(st.st_mode)) {
			add_path(dirs, dir);
			return;
		}
		if (slash == dir)
			return;
	}
}

int cl_qemu_paths_watch(const struct cl_qemu_place *place, const struct cl_qemu_paths *sockets,
			struct cl_qemu_paths *ret_dirs, struct cl_error *reterr)
{
	struct cl_qemu_paths dirs = { .path = calloc(CL_QEMU_PATHS_MAX, sizeof(*dirs.path)) };
	char parent[CL_PATH_MAX];

	if (!dirs.path)
		return cl_fail(reterr, ENOMEM, "watching the folders of QMP sockets: no memory");
	if (place->where == CL_QEMU_DIR)
		add_path(&dirs, place->path);
	if (place->where == CL_QEMU_PATTERN) {
		size_t plain = strcspn(place->path, "*?[");
		glob_t found = { 0 };
		char *slash;

		/* What is fixed of it, and what its folders match now
		 * ("/var/lib/libvirt/qemu/domain-*"). */
		snprintf(parent, sizeof(parent), "%.*s", (int)plain, place->path);
		add_folder_of(&dirs, parent);
		snprintf(parent, sizeof(parent), "%s", place->path);
		slash = strrchr(parent, '/');
		if (slash && slash != parent)
			*slash = '\0';
		if (slash && glob(parent, GLOB_NOSORT | GLOB_ONLYDIR, NULL, &found) == 0)
			for (size_t i = 0; i < found.gl_pathc; i++)
				add_path(&dirs, found.gl_pathv[i]);
		globfree(&found);
	}
	for (uint32_t i = 0; i < sockets->n; i++)
		add_folder_of(&dirs, sockets->path[i]);
	sort_paths(&dirs);
	*ret_dirs = dirs;
	return 0;
}
