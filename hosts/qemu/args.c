/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What QEMU's command line and its threads' names say: who a guest is before its monitor has
 * spoken, and what its threads do where the monitor is somebody else's. Pure.
 */
#include "describe.h"

#include "lib.h"

#include <ctype.h>
#include <string.h>
#include <xxhash.h>

/* One "key=value" (or bare "value", key_len 0) of a QemuOpts string. A comma inside of a value is
 * written twice. */
struct option {
	const char *key;
	size_t key_len;
	char value[CL_PATH_MAX];
	bool cut; /* longer than that: not to be used */
};

/* The next option of *rest, up to `end`; false at the end. */
static bool next_option(const char **rest, const char *end, struct option *ret)
{
	const char *p = *rest;
	size_t len = 0;

	if (p >= end)
		return false;
	ret->key = p;
	while (p < end && *p != '=' && *p != ',')
		p++;
	if (p < end && *p == '=') {
		ret->key_len = (size_t)(p - ret->key);
		p++;
	} else {
		ret->key_len = 0;
		p = ret->key;
	}
	ret->cut = false;
	for (; p < end; p++) {
		if (*p == ',') {
			if (p + 1 >= end || p[1] != ',')
				break;
			p++;
		}
		if (len + 1 < sizeof(ret->value))
			ret->value[len++] = *p;
		else
			ret->cut = true;
	}
	ret->value[len] = '\0';
	*rest = p < end ? p + 1 : end;
	return true;
}

static bool is_key(const struct option *option, const char *key)
{
	return option->key_len == strlen(key) && memcmp(option->key, key, option->key_len) == 0;
}

static bool is_on(const struct option *option)
{
	return strcmp(option->value, "on") == 0 || strcmp(option->value, "yes") == 0 ||
	       strcmp(option->value, "true") == 0;
}

bool cl_qemu_uuid_is_zero(const struct cl_uuid *uuid)
{
	static const struct cl_uuid zero;

	return memcmp(uuid, &zero, sizeof(zero)) == 0;
}

static void take_uuid(struct cl_qemu_args *args, const char *text)
{
	if (cl_uuid_parse(text, &args->uuid))
		args->has_uuid = !cl_qemu_uuid_is_zero(&args->uuid);
}

static void take_name(struct cl_qemu_args *args, const char *text, const char *end)
{
	struct option option;

	while (next_option(&text, end, &option)) {
		if (option.key_len == 0 || is_key(&option, "guest"))
			snprintf(args->name, sizeof(args->name), "%.*s",
				 (int)sizeof(args->name) - 1, option.value);
		else if (is_key(&option, "debug-threads"))
			args->names_threads = is_on(&option);
	}
}

static void take_smbios(struct cl_qemu_args *args, const char *text, const char *end)
{
	struct option option;
	bool system_table = false;
	char uuid[CL_PATH_MAX] = "";

	while (next_option(&text, end, &option)) {
		if (is_key(&option, "type"))
			system_table = strcmp(option.value, "1") == 0;
		else if (is_key(&option, "uuid"))
			memcpy(uuid, option.value, sizeof(uuid));
	}
	if (system_table)
		take_uuid(args, uuid);
}

static void take_device(struct cl_qemu_args *args, const char *text, const char *end)
{
	struct option option;
	bool vfio = false;

	while (next_option(&text, end, &option)) {
		if (option.key_len == 0)
			vfio = strcmp(option.value, "vfio-pci") == 0 ||
			       strcmp(option.value, "vfio-pci-nohotplug") == 0;
		else if (vfio && is_key(&option, "host") && args->vfio_count < CL_QEMU_VFIO_MAX &&
			 cl_qemu_bdf(option.value, strlen(option.value),
				     &args->vfio[args->vfio_count]))
			args->vfio_count++;
	}
}

static void add_socket(struct cl_qemu_args *args, const char *path)
{
	size_t len = strlen(path);

	if (path[0] == '/' && len < CL_QEMU_PATH_MAX && args->socket_count < CL_QEMU_SOCKETS_MAX)
		memcpy(args->sockets[args->socket_count++], path, len + 1);
}

/* -qmp unix:PATH,server=on,... : one that QEMU connects out of is nobody's to join. */
static void take_qmp(struct cl_qemu_args *args, const char *text, const char *end)
{
	static const char unix_scheme[] = "unix:";
	struct option path, option;
	bool server = false;

	if (!next_option(&text, end, &path) || path.key_len > 0 || path.cut ||
	    strncmp(path.value, unix_scheme, sizeof(unix_scheme) - 1) != 0)
		return;
	while (next_option(&text, end, &option)) {
		if (is_key(&option, "server"))
			server = is_on(&option);
		else if (option.key_len == 0)
			server |= strcmp(option.value, "server") == 0;
	}
	if (server)
		add_socket(args, path.value + sizeof(unix_scheme) - 1);
}

#define CHARDEVS_MAX 64u

/* Character devices on listening unix sockets, and the names of those that are QMP monitors. */
struct chardevs {
	struct {
		char id[64], path[CL_PATH_MAX];
	} dev[CHARDEVS_MAX];
	char monitors[CL_QEMU_SOCKETS_MAX][64];
	uint32_t n, monitor_count;
};

static void take_chardev(struct chardevs *chardevs, const char *text, const char *end)
{
	struct option option;
	bool is_socket = false, server = false, good = true;
	char id[64] = "", path[CL_PATH_MAX] = "";

	while (next_option(&text, end, &option)) {
		good &= !option.cut;
		if (option.key_len == 0) {
			is_socket |= strcmp(option.value, "socket") == 0;
			server |= strcmp(option.value, "server") == 0;
		} else if (is_key(&option, "server")) {
			server = is_on(&option);
		} else if (is_key(&option, "path")) {
			memcpy(path, option.value, sizeof(path));
		} else if (is_key(&option, "id")) {
			good &= strlen(option.value) < sizeof(id);
			snprintf(id, sizeof(id), "%.*s", (int)sizeof(id) - 1, option.value);
		}
	}
	if (!good || !is_socket || !server || !path[0] || chardevs->n == CHARDEVS_MAX)
		return;
	memcpy(chardevs->dev[chardevs->n].id, id, sizeof(id));
	memcpy(chardevs->dev[chardevs->n].path, path, sizeof(path));
	chardevs->n++;
}

static void take_mon(struct chardevs *chardevs, const char *text, const char *end)
{
	struct option option;
	bool control = false;
	char id[64] = "";

	while (next_option(&text, end, &option)) {
		if (is_key(&option, "mode"))
			control = strcmp(option.value, "control") == 0;
		else if (option.key_len == 0 || is_key(&option, "chardev"))
			snprintf(id, sizeof(id), "%.*s", (int)sizeof(id) - 1, option.value);
	}
	if (control && chardevs->monitor_count < CL_QEMU_SOCKETS_MAX)
		memcpy(chardevs->monitors[chardevs->monitor_count++], id, sizeof(id));
}

static void join_chardevs(struct cl_qemu_args *args, const struct chardevs *chardevs)
{
	for (uint32_t i = 0; i < chardevs->monitor_count; i++)
		for (uint32_t j = 0; j < chardevs->n; j++)
			if (strcmp(chardevs->dev[j].id, chardevs->monitors[i]) == 0)
				add_socket(args, chardevs->dev[j].path);
}

void cl_qemu_args_parse(const char *argv, size_t len, struct cl_qemu_args *ret_args)
{
	const char *end = argv + len, *option = NULL, *p;
	struct chardevs chardevs = { .n = 0 };

	memset(ret_args, 0, sizeof(*ret_args));
	for (const char *word = argv; word < end; word = p + 1) {
		const char *name = option;

		p = memchr(word, '\0', (size_t)(end - word));
		if (!p)
			break; /* cut: half a word says nothing */
		/* QEMU takes -option and --option; all of these have one argument. */
		option = NULL;
		if (!name) {
			if (word[0] == '-')
				option = word + 1 + (word[1] == '-');
		} else if (strcmp(name, "name") == 0) {
			take_name(ret_args, word, p);
		} else if (strcmp(name, "machine") == 0 || strcmp(name, "M") == 0) {
			ret_args->is_probe = strncmp(word, "none", 4) == 0 &&
					     (word[4] == '\0' || word[4] == ',');
		} else if (strcmp(name, "uuid") == 0) {
			take_uuid(ret_args, word);
		} else if (strcmp(name, "smbios") == 0) {
			take_smbios(ret_args, word, p);
		} else if (strcmp(name, "device") == 0) {
			take_device(ret_args, word, p);
		} else if (strcmp(name, "qmp") == 0 || strcmp(name, "qmp-pretty") == 0) {
			take_qmp(ret_args, word, p);
		} else if (strcmp(name, "chardev") == 0) {
			take_chardev(&chardevs, word, p);
		} else if (strcmp(name, "mon") == 0) {
			take_mon(&chardevs, word, p);
		} else if (word[0] == '-') {
			option = word + 1 + (word[1] == '-'); /* the one before had no argument */
		}
	}
	join_chardevs(ret_args, &chardevs);
}

/* Hexadecimal digits up to a stop; false if there are none or the value is over `most`. */
static bool take_hex(const char **text, const char *end, uint64_t most, uint64_t *ret_value)
{
	const char *p = *text;
	uint64_t value = 0;

	for (; p < end && isxdigit((unsigned char)*p); p++) {
		int c = tolower((unsigned char)*p);

		value = value * 16 + (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
		if (value > most)
			return false;
	}
	if (p == *text)
		return false;
	*text = p;
	*ret_value = value;
	return true;
}

bool cl_qemu_bdf(const char *text, size_t len, uint64_t *ret_bdf)
{
	const char *p = text, *end = text + len;
	uint64_t part[4] = { 0 };
	bool has_domain = false;

	for (size_t i = 0; i < len; i++)
		has_domain |= text[i] == ':' && memchr(text + i + 1, ':', len - i - 1);
	for (unsigned i = has_domain ? 0 : 1; i < 4; i++) {
		static const uint64_t most[] = { UINT32_MAX, 0xff, 0x1f, 7 };

		if (!take_hex(&p, end, most[i], &part[i]))
			return false;
		if (i < 3 && (p == end || *p++ != (i < 2 ? ':' : '.')))
			return false;
	}
	*ret_bdf = part[0] << 16 | part[1] << 8 | part[2] << 3 | part[3];
	return p == end;
}

bool cl_qemu_irq_bdf(const char *name, uint64_t *ret_bdf)
{
	const char *at = strstr(name, "vfio-"), *open = at ? strchr(at, '(') : NULL;
	const char *close_at = open ? strchr(open, ')') : NULL;

	return close_at && cl_qemu_bdf(open + 1, (size_t)(close_at - open - 1), ret_bdf);
}

/* The names are those of QEMU 5.2 to 9.x: cpus-common, iothread.c, thread-pool.c, migration/. */
enum cl_qemu_named cl_qemu_by_name(const char *comm, uint32_t *ret_vcpu,
				   enum cl_work_kind *ret_kind)
{
	static const struct {
		const char *name;
		bool whole;
		enum cl_work_kind kind;
	} names[] = {
		{ "IO mon_iothread", true,
		  CL_WORK_HELPER }, /* the monitor's own, for out-of-band commands */
		{ "IO ", false, CL_WORK_IOTHREAD },
		{ "worker", true, CL_WORK_WORKER },
		{ "pool-worker", true, CL_WORK_WORKER },
		{ "vhost-", false, CL_WORK_VHOST },
		{ "vhost", true, CL_WORK_VHOST },
		{ "live_migration", true, CL_WORK_MIGRATION },
		{ "bg_snapshot", true, CL_WORK_MIGRATION },
		{ "return path", true, CL_WORK_MIGRATION },
		{ "multifdsend_", false, CL_WORK_MIGRATION },
		{ "multifdrecv_", false, CL_WORK_MIGRATION },
		{ "postcopy/", false, CL_WORK_MIGRATION },
		{ "fault-default", true, CL_WORK_MIGRATION },
		{ "mig/", false, CL_WORK_MIGRATION }, /* all of them, from QEMU 9.1 on */
	};
	uint64_t vcpu;
	const char *end;

	/* "CPU 0/KVM"; one thread for all of them ("ALL CPUs/TCG") stands for the first. */
	if (strncmp(comm, "ALL CPUs", 8) == 0) {
		*ret_vcpu = 0;
		return CL_QEMU_NAMED_VCPU;
	}
	if (strncmp(comm, "CPU ", 4) == 0 && cl_parse_u64(comm + 4, &vcpu, &end) &&
	    (*end == '/' || *end == '\0') && vcpu < CL_QEMU_VCPUS_MAX) {
		*ret_vcpu = (uint32_t)vcpu;
		return CL_QEMU_NAMED_VCPU;
	}
	for (size_t i = 0; i < CL_COUNT(names); i++)
		if (names[i].whole ? strcmp(comm, names[i].name) == 0
				   : strncmp(comm, names[i].name, strlen(names[i].name)) == 0) {
			*ret_kind = names[i].kind;
			return CL_QEMU_NAMED_WORK;
		}
	return CL_QEMU_NAMED_NOTHING;
}

void cl_qemu_derive_uuid(const char *where, uint64_t start, struct cl_uuid *ret_uuid)
{
	XXH128_hash_t hash = XXH3_128bits_withSeed(where, strlen(where), start);
	XXH128_canonical_t bytes;

	XXH128_canonicalFromHash(&bytes, hash);
	memcpy(ret_uuid->b, bytes.digest, sizeof(ret_uuid->b));
	ret_uuid->b[6] = (uint8_t)((ret_uuid->b[6] & 0x0f) | 0x80);
	ret_uuid->b[8] = (uint8_t)((ret_uuid->b[8] & 0x3f) | 0x80);
}
