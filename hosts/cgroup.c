/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cgroup: finding the hierarchy that has the cpuset controller, and what is done in it.
 *
 * A controller is in one hierarchy only: if a v1 hierarchy has cpuset, v2 does not, so v1 is looked
 * for first. v1 mounted with "noprefix" calls its files "cpus" instead of "cpuset.cpus"; both are
 * tried. Formats: Documentation/admin-guide/cgroup-v1/cpusets.rst, cgroup-v2.rst,
 * proc_pid_mountinfo(5).
 */
#include "cgroup_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static bool path_sound(const char *path)
{
	size_t len = strnlen(path, CL_PATH_MAX);

	if (path[0] != '/' || len >= CL_PATH_MAX || strchr(path, '\n'))
		return false;
	if (len == 1)
		return true;
	for (const char *p = path; *p;) {
		size_t n = strcspn(p + 1, "/");

		if (n == 0 || (n == 1 && p[1] == '.') || (n == 2 && p[1] == '.' && p[2] == '.'))
			return false;
		p += 1 + n;
	}
	return true;
}

int cl_cgroup_path_check(const char *path, struct cl_error *reterr)
{
	char shown[CL_PATH_MAX];

	if (path_sound(path))
		return 0;
	return cl_fail(reterr, EINVAL,
		       "cgroup path '%.300s' is not an absolute path inside the hierarchy",
		       cl_escape(path, shown, sizeof(shown)));
}

bool cl_cgroup_has_word(const char *text, size_t len, const char *sep, const char *token)
{
	size_t want = strlen(token);

	for (size_t at = 0; at < len;) {
		size_t n = strcspn(text + at, sep);

		if (n > len - at)
			n = len - at;
		if (n == want && memcmp(text + at, token, want) == 0)
			return true;
		at += n + 1;
	}
	return false;
}

/* The next field of a line that is separated by single spaces; NULL at the end. */
static const char *field(const char **at, size_t *ret_len)
{
	const char *p = *at;

	while (*p == ' ')
		p++;
	*ret_len = strcspn(p, " \n");
	*at = p + *ret_len;
	return *ret_len ? p : NULL;
}

/* mountinfo writes space, tab, newline and backslash as \ooo. False: too long, or not octal. */
static bool unescape(const char *text, size_t len, char *buf, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned int c = (unsigned char)text[i];

		if (c == '\\') {
			if (len - i < 4)
				return false;
			c = 0;
			for (int k = 1; k <= 3; k++) {
				if (text[i + (size_t)k] < '0' || text[i + (size_t)k] > '7')
					return false;
				c = c * 8 + (unsigned int)(text[i + (size_t)k] - '0');
			}
			i += 3;
		}
		if (n + 1 >= size || c == 0 || c > 255)
			return false;
		buf[n++] = (char)c;
	}
	buf[n] = '\0';
	return n > 0;
}

/* "36 35 98:0 /root /mount/point rw,noatime master:1 - type source superoptions" */
static bool parse_mount(const char *line, const char *controller, struct cl_cgroup *ret_cgroup)
{
	const char *part[5], *type, *options, *at = line;
	size_t len[5], type_len, len_source, options_len, n;
	struct cl_cgroup found = { 0 };

	for (int i = 0; i < 5; i++)
		if (!(part[i] = field(&at, &len[i])))
			return false;
	for (;;) {
		const char *f = field(&at, &n);

		if (!f)
			return false;
		if (n == 1 && *f == '-')
			break;
	}
	type = field(&at, &type_len);
	if (!type || !field(&at, &len_source))
		return false;
	options = field(&at, &options_len);

	if (type_len == 7 && memcmp(type, "cgroup2", 7) == 0)
		found.version = 2;
	else if (type_len == 6 && memcmp(type, "cgroup", 6) == 0 && options &&
		 cl_cgroup_has_word(options, options_len, ",", controller))
		found.version = 1;
	else
		return false;
	/* A bind mount of a part of the hierarchy: paths would have to be cut, and groups could not
	 * be made. */
	if (len[3] != 1 || part[3][0] != '/')
		return false;
	if (!unescape(part[4], len[4], found.mount, sizeof(found.mount)))
		return false;
	*ret_cgroup = found;
	return true;
}

bool cl_cgroup_parse_mount(const char *line, struct cl_cgroup *ret_cgroup)
{
	return parse_mount(line, "cpuset", ret_cgroup);
}

static bool v2_has_cpuset(const struct cl_cgroup *v2)
{
	char name[CL_CGROUP_FILE_MAX], text[4096];

	snprintf(name, sizeof(name), "%s/cgroup.controllers", v2->mount);
	ssize_t len = cl_read_file(AT_FDCWD, name, text, sizeof(text));
	return len > 0 && cl_cgroup_has_word(text, (size_t)len, " \n", "cpuset");
}

static void say_why_not(struct cl_cgroup *cgroup)
{
	char ours[CL_CGROUP_FILE_MAX];

	snprintf(ours, sizeof(ours), "%s/closer", cgroup->mount);
	if (access(cgroup->mount, W_OK) == 0 || access(ours, W_OK) == 0)
		return;
	snprintf(cgroup->why_not, sizeof(cgroup->why_not), "no cgroup can be made in %.60s: %s",
		 cgroup->mount, errno == EROFS ? "it is mounted read-only" : "run as root");
}

void cl_cgroup_find(struct cl_cgroup *ret_cgroup)
{
	struct cl_cgroup one, v1 = { 0 }, v2 = { 0 }, cpu = { 0 };
	cl_autofclose FILE *f = fopen("/proc/self/mountinfo", "re");
	cl_autofree char *line = NULL;
	size_t size = 0;

	while (f && getline(&line, &size, f) > 0) {
		if (cpu.version == 0 && parse_mount(line, "cpu", &one) && one.version == 1)
			cpu = one;
		if (!cl_cgroup_parse_mount(line, &one))
			continue;
		if (one.version == 1 && v1.version == 0)
			v1 = one;
		if (one.version == 2 && v2.version == 0)
			v2 = one;
	}
	*ret_cgroup = (struct cl_cgroup){ 0 };
	if (v1.version) {
		*ret_cgroup = v1;
		snprintf(ret_cgroup->cpu_mount, sizeof(ret_cgroup->cpu_mount), "%s", cpu.mount);
		say_why_not(ret_cgroup);
	} else if (v2.version && v2_has_cpuset(&v2)) {
		*ret_cgroup = v2;
		say_why_not(ret_cgroup);
	} else {
		snprintf(ret_cgroup->why_not, sizeof(ret_cgroup->why_not), "%s",
			 !f ? "/proc/self/mountinfo cannot be read: mount /proc"
			 : v2.version
				 ? "cgroup v2 is mounted, but its root has no cpuset controller"
				 : "no cgroup hierarchy with the cpuset controller is mounted");
	}
}

bool cl_cgroup_is_ours(const char *path)
{
	return strncmp(path, "/closer", 7) == 0 && (path[7] == '/' || path[7] == '\0');
}

bool cl_cgroup_moves_threads(const struct cl_cgroup *cgroup)
{
	return cgroup->version == 1 && cgroup->why_not[0] == '\0';
}

/* controller: of v1; NULL: v2's. */
static bool parse_path(const char *controller, const char *text, char ret_path[CL_PATH_MAX])
{
	while (*text) {
		const char *id_end, *names, *path;
		size_t line_len = strcspn(text, "\n"), names_len, path_len;
		uint64_t id;

		if (!cl_parse_u64(text, &id, &id_end) || *id_end != ':')
			return false;
		names = id_end + 1;
		names_len = strcspn(names, ":\n");
		if (names[names_len] != ':')
			return false;
		path = names + names_len + 1;
		path_len = (size_t)(text + line_len - path);
		if (controller ? cl_cgroup_has_word(names, names_len, ",", controller)
			       : id == 0 && names_len == 0) {
			char found[CL_PATH_MAX];

			if (path_len >= CL_PATH_MAX)
				return false;
			memcpy(found, path, path_len);
			found[path_len] = '\0';
			/* "/.." begins the path of a thread that is outside of our cgroup
			 * namespace. */
			if (!path_sound(found))
				return false;
			memcpy(ret_path, found, path_len + 1);
			return true;
		}
		text += line_len + (text[line_len] == '\n');
	}
	return false;
}

bool cl_cgroup_parse(const struct cl_cgroup *cgroup, const char *text, char ret_path[CL_PATH_MAX])
{
	return parse_path(cgroup->version == 1 ? "cpuset" : NULL, text, ret_path);
}

int cl_cgroup_of_controller(int32_t tid, const char *controller, char ret_path[CL_PATH_MAX])
{
	char name[64], text[16384];

	snprintf(name, sizeof(name), "/proc/%d/cgroup", tid);
	return cl_read_file(AT_FDCWD, name, text, sizeof(text)) >= 0 &&
			       parse_path(controller, text, ret_path)
		       ? 0
		       : -ENOENT;
}

int cl_cgroup_of(const struct cl_cgroup *cgroup, int32_t tid, char ret_path[CL_PATH_MAX],
		 struct cl_error *reterr)
{
	char name[64], text[16384];

	snprintf(name, sizeof(name), "/proc/%d/cgroup", tid);
	ssize_t len = cl_read_file(AT_FDCWD, name, text, sizeof(text));
	if (len == -ENOENT || len == -ESRCH)
		return cl_fail(reterr, ESRCH, "thread %d is gone", tid);
	if (len < 0)
		return cl_fail(reterr, (int)-len, "reading %s: %s", name, strerror((int)-len));
	if (!cl_cgroup_parse(cgroup, text, ret_path))
		return cl_fail(reterr, ENOENT,
			       "thread %d is in no cgroup that can be seen from here: run closer "
			       "outside of containers",
			       tid);
	return 0;
}

int cl_cgroup_open_file(const struct cl_cgroup *cgroup, const char *path, const char *name,
			int flags)
{
	char full[CL_CGROUP_FILE_MAX];
	int fd;

	assert(cgroup->version == 1 || cgroup->version == 2);
	snprintf(full, sizeof(full), "%s%s/%s", cgroup->mount, path, name);
	fd = open(full, flags | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && cgroup->version == 1 && strncmp(name, "cpuset.", 7) == 0) {
		snprintf(full, sizeof(full), "%s%s/%s", cgroup->mount, path, name + 7);
		fd = open(full, flags | O_CLOEXEC);
	}
	return fd < 0 ? -errno : fd;
}

bool cl_cgroup_there(const struct cl_cgroup *cgroup, const char *path)
{
	char full[CL_CGROUP_FILE_MAX];
	struct stat st;

	snprintf(full, sizeof(full), "%s%s", cgroup->mount, path);
	return stat(full, &st) == 0 && S_ISDIR(st.st_mode);
}

bool cl_cgroup_to_parent(char path[CL_PATH_MAX])
{
	char *slash = strrchr(path, '/');

	if (path[1] == '\0')
		return false;
	slash[slash == path] = '\0';
	return true;
}

int cl_cgroup_read_cpus(int fd, struct cl_cpuset *ret_cpus)
{
	char text[CL_CGROUP_LIST_MAX];
	ssize_t len = cl_read_fd(fd, text, sizeof(text));

	if (len < 0)
		return (int)len;
	return cl_cpuset_parse(text, (size_t)len, ret_cpus) ? 0 : -EBADMSG;
}

int cl_cgroup_open_cpus(const struct cl_cgroup *cgroup, const char *path)
{
	const char *name = cgroup->version == 1 ? "cpuset.effective_cpus" : "cpuset.cpus.effective";
	char at[CL_PATH_MAX];

	if (!path_sound(path))
		return -EINVAL;
	snprintf(at, sizeof(at), "%s", path);
	for (;;) {
		int fd = cl_cgroup_open_file(cgroup, at, name, O_RDONLY);

		/* Before Linux 3.17 v1 had no effective CPUs: what was written was in force. */
		if (fd == -ENOENT && cgroup->version == 1)
			fd = cl_cgroup_open_file(cgroup, at, "cpuset.cpus", O_RDONLY);
		if (fd != -ENOENT || cgroup->version == 1)
			return fd;
		/* v2: where the controller is not enabled, the nearest ancestor that has it rules.
		 */
		if (!cl_cgroup_there(cgroup, path))
			return -ENOENT;
		if (!cl_cgroup_to_parent(at))
			return -EOPNOTSUPP;
	}
}

int cl_cgroup_cpus(const struct cl_cgroup *cgroup, const char *path, struct cl_cpuset *ret_cpus,
		   struct cl_error *reterr)
{
	cl_autoclose int fd = cl_cgroup_open_cpus(cgroup, path);
	int r = fd < 0 ? fd : cl_cgroup_read_cpus(fd, ret_cpus);
	char shown[CL_PATH_MAX];

	if (r == -ENODEV)
		r = -ENOENT;
	if (r < 0)
		return cl_fail(reterr, -r, "reading the CPUs of cgroup %.200s in %.200s: %s",
			       cl_escape(path, shown, sizeof(shown)), cgroup->mount, strerror(-r));
	return 0;
}

int cl_cgroup_own_cpus(const struct cl_cgroup *cgroup, const char *path, struct cl_cpuset *ret_cpus,
		       struct cl_error *reterr)
{
	int r = cl_cgroup_path_check(path, reterr);

	if (r < 0)
		return r;
	cl_autoclose int fd = cl_cgroup_open_file(cgroup, path, "cpuset.cpus", O_RDONLY);
	r = fd < 0 ? fd : cl_cgroup_read_cpus(fd, ret_cpus);
	if (r == -ENOENT && cgroup->version == 2 && cl_cgroup_there(cgroup, path)) {
		cl_cpuset_zero(ret_cpus);
		return 0;
	}
	if (r == -ENODEV)
		r = -ENOENT;
	if (r < 0)
		return cl_fail(reterr, -r, "reading cpuset.cpus of cgroup %.400s: %s", path,
			       strerror(-r));
	return 0;
}
