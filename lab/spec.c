// SPDX-License-Identifier: GPL-2.0-or-later
/* spec: the text of a command into loads. Everything is checked; each refusal says which load,
 * which word, and why. */
#include "loadgen.h"
#include "wire.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum type { COUNT, BYTES, TIME, PATH, ADDRESS };

#define BIT(id) (1u << LG_##id)
#define DISK    (BIT(DISK_READ) | BIT(DISK_WRITE))
#define UDP     (BIT(UDP_OUT) | BIT(UDP_IN) | BIT(UDP_ECHO))
#define TCP     (BIT(TCP_OUT) | BIT(TCP_IN))
#define ALL     ((1u << LG_KIND_COUNT) - 1)

static const struct key {
	const char *name;
	enum type type;
	unsigned kinds, needed_by;
	uint64_t least, most;
	size_t offset;
	const char *doc;
} keys[] = {
	{ "for", TIME, ALL, 0, LG_NS_PER_MS, 86400 * LG_NS_PER_S, offsetof(struct lg_load, for_ns),
	  "how long: 500ms, 5s, 1m; absent: until stopped" },
	{ "rate", COUNT, ALL, 0, 1, 10000000, offsetof(struct lg_load, rate),
	  "operations a second, open loop; absent: as fast as it can" },
	{ "to", ADDRESS, UDP | TCP, UDP | TCP, 0, 0, offsetof(struct lg_load, to),
	  "the peer, IP:PORT" },
	{ "size", BYTES, UDP | TCP | DISK, 0, 1, 1 << 20, offsetof(struct lg_load, size),
	  "bytes of a packet (40 to 1472), message or block (multiple of 512); 256, 4096 for TCP and disk" },
	{ "dev", PATH, DISK, DISK, 0, 0, offsetof(struct lg_load, dev),
	  "the block device or file" },
	{ "depth", COUNT, DISK | BIT(CPU), 0, 1, LG_DEPTH_MAX, offsetof(struct lg_load, depth),
	  "operations in flight, by as many threads; 1" },
	{ "span", BYTES, DISK | BIT(DIRTY), 0, 4096, UINT64_C(1) << 40,
	  offsetof(struct lg_load, span),
	  "bytes of the disk (all) or of memory (16m) that are touched" },
	{ "seq", COUNT, DISK, 0, 0, 1, offsetof(struct lg_load, seq),
	  "1: in order, 0: at random; 0" },
	{ "work", COUNT, BIT(CPU), 0, 1, 1000000000, offsetof(struct lg_load, work),
	  "rounds an operation; 100000" },
};

static const char *const kind_names[] = {
#define X(id, name, op) [LG_##id] = name,
	LG_KINDS(X)
#undef X
};

static const char *const kind_ops[] = {
#define X(id, name, op) [LG_##id] = op,
	LG_KINDS(X)
#undef X
};

const char *lg_kind_name(enum lg_kind kind)
{
	return kind_names[kind];
}

void lg_usage(FILE *out)
{
	fprintf(out,
		"LOADS: KIND [KEY=VALUE..] [+ KIND [KEY=VALUE..]]..  the loads run side by side\n"
		"kinds, and what an operation is:\n");
	for (size_t i = 0; i < LG_KIND_COUNT; i++)
		fprintf(out, "  %-11s %s\n", kind_names[i], kind_ops[i]);
	fprintf(out, "keys:\n");
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		fprintf(out, "  %-11s %s\n", keys[i].name, keys[i].doc);
}

__attribute__((format(printf, 3, 4))) static bool refuse(char *error, size_t size,
							 const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, size, format, args);
	va_end(args);
	return false;
}

/* Digits and a suffix out of a table; no sign, no space, no overflow. */
static bool parse_scaled(const char *text, const char *const *suffixes, const uint64_t *scales,
			 uint64_t *ret_value)
{
	uint64_t value = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return false;
	if (p == text)
		return false;
	for (size_t i = 0; suffixes[i]; i++)
		if (strcmp(p, suffixes[i]) == 0)
			return !__builtin_mul_overflow(value, scales[i], ret_value);
	return false;
}

static bool parse_count(const char *text, uint64_t *ret_value)
{
	return parse_scaled(text, (const char *const[]){ "", NULL }, (const uint64_t[]){ 1 },
			    ret_value);
}

static bool parse_bytes(const char *text, uint64_t *ret_bytes)
{
	return parse_scaled(text, (const char *const[]){ "", "k", "m", "g", NULL },
			    (const uint64_t[]){ 1, 1 << 10, 1 << 20, 1 << 30 }, ret_bytes);
}

bool lg_parse_time(const char *text, uint64_t *ret_ns)
{
	return parse_scaled(text, (const char *const[]){ "", "s", "ms", "us", "m", NULL },
			    (const uint64_t[]){ LG_NS_PER_S, LG_NS_PER_S, LG_NS_PER_MS, 1000,
						60 * LG_NS_PER_S },
			    ret_ns);
}

bool lg_parse_address(const char *text, struct sockaddr_in *ret_address)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	const char *colon = strchr(text, ':');
	char ip[INET_ADDRSTRLEN];
	uint64_t port;

	if (!colon || (size_t)(colon - text) >= sizeof(ip))
		return false;
	memcpy(ip, text, (size_t)(colon - text));
	ip[colon - text] = '\0';
	if (inet_pton(AF_INET, ip, &address.sin_addr) != 1 || !parse_count(colon + 1, &port) ||
	    port < 1 || port > 65535)
		return false;
	address.sin_port = htons((uint16_t)port);
	*ret_address = address;
	return true;
}

static const struct key *key_find(const char *name, enum lg_kind kind)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(keys[i].name, name) == 0 && (keys[i].kinds & (1u << kind)))
			return &keys[i];
	return NULL;
}

static void keys_of(enum lg_kind kind, char *buf, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && at < size; i++)
		if (keys[i].kinds & (1u << kind))
			at += (size_t)snprintf(buf + at, size - at, "%s%s", at ? " " : "",
					       keys[i].name);
}

static bool set(struct lg_load *load, const struct key *key, const char *value, char *error,
		size_t size)
{
	char *member = (char *)load + key->offset;
	uint64_t number = 0;
	bool parsed = false;

	switch (key->type) {
	case COUNT:
		parsed = parse_count(value, &number);
		break;
	case BYTES:
		parsed = parse_bytes(value, &number);
		break;
	case TIME:
		parsed = lg_parse_time(value, &number);
		break;
	case PATH:
		if (value[0] != '/' || strlen(value) >= sizeof(load->dev))
			return refuse(error, size,
				      "%s=%s is not an absolute path of at most %zu bytes",
				      key->name, value, sizeof(load->dev) - 1);
		strcpy(member, value);
		return true;
	case ADDRESS:
		return lg_parse_address(value, (struct sockaddr_in *)(void *)member) ||
		       refuse(error, size, "%s=%s is not IP:PORT", key->name, value);
	}
	if (!parsed)
		return refuse(error, size, "%s=%s is not a number with a unit that is known",
			      key->name, value);
	if (number < key->least || number > key->most)
		return refuse(error, size, "%s=%s is outside %llu to %llu", key->name, value,
			      (unsigned long long)key->least, (unsigned long long)key->most);
	memcpy(member, &number, sizeof(number));
	return true;
}

/* What hangs together: defaults, and sizes that the kind can do. */
static bool finish(struct lg_load *load, unsigned given, char *error, size_t size)
{
	bool udp = (UDP >> load->kind) & 1u, disk = (DISK >> load->kind) & 1u;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if ((keys[i].needed_by & (1u << load->kind)) && !(given & (1u << i)))
			return refuse(error, size, "%s= is missing: %s", keys[i].name, keys[i].doc);
	if (load->size == 0)
		load->size = udp ? 256 : 4096;
	if (load->depth == 0)
		load->depth = 1;
	if (load->work == 0)
		load->work = 100000;
	if (load->kind == LG_DIRTY && load->span == 0)
		load->span = 16 << 20;
	if (udp && (load->size < sizeof(struct lg_wire) || load->size > LG_UDP_MAX))
		return refuse(error, size, "size=%llu does not fit a UDP packet of %zu to %u bytes",
			      (unsigned long long)load->size, sizeof(struct lg_wire), LG_UDP_MAX);
	if (disk && load->size % 512)
		return refuse(error, size, "size=%llu is no multiple of 512",
			      (unsigned long long)load->size);
	if (load->kind == LG_DIRTY && load->span > UINT64_C(1) << 36)
		return refuse(error, size, "span=%llu is more memory than 64g",
			      (unsigned long long)load->span);
	if (disk && load->span && load->span < load->size)
		return refuse(error, size, "span=%llu is less than a block",
			      (unsigned long long)load->span);
	return true;
}

/* One word of one load: its kind if it has none yet, else KEY=VALUE. */
static bool take(struct lg_load *load, bool *kind_known, unsigned *given, char *word, char *error,
		 size_t size)
{
	if (!*kind_known) {
		for (unsigned i = 0; i < LG_KIND_COUNT; i++)
			if (strcmp(word, kind_names[i]) == 0) {
				load->kind = (enum lg_kind)i;
				*kind_known = true;
				return true;
			}
		return refuse(error, size, "'%s' is no kind of load", word);
	}
	char *value = strchr(word, '=');

	if (!value)
		return refuse(error, size, "'%s' is not KEY=VALUE", word);
	*value++ = '\0';
	const struct key *key = key_find(word, load->kind);

	if (!key) {
		char known[128];

		keys_of(load->kind, known, sizeof(known));
		return refuse(error, size, "%s has no key '%s'; it has: %s", kind_names[load->kind],
			      word, known);
	}
	unsigned bit = 1u << (key - keys);

	if (*given & bit)
		return refuse(error, size, "%s= is given twice", key->name);
	*given |= bit;
	return set(load, key, value, error, size);
}

uint32_t lg_parse(char *text, struct lg_load ret_loads[LG_LOADS_MAX], char *error, size_t size)
{
	struct lg_load loads[LG_LOADS_MAX];
	uint32_t n = 0;
	bool kind_known = false;
	unsigned given = 0;
	char why[256], *save = NULL;

	memset(loads, 0, sizeof(loads));
	for (char *word = strtok_r(text, " \t", &save);; word = strtok_r(NULL, " \t", &save)) {
		bool ok;

		if (word && strcmp(word, "+") != 0) {
			ok = take(&loads[n], &kind_known, &given, word, why, sizeof(why));
		} else {
			ok = kind_known ? finish(&loads[n], given, why, sizeof(why))
					: refuse(why, sizeof(why), "there is no kind of load here");
			kind_known = false;
			given = 0;
			n += ok;
		}
		if (!ok) {
			refuse(error, size, "load %u: %s", n + 1, why);
			return 0;
		}
		if (!word)
			break;
		if (n == LG_LOADS_MAX) {
			refuse(error, size, "more than %u loads", LG_LOADS_MAX);
			return 0;
		}
	}
	memcpy(ret_loads, loads, sizeof(loads));
	return n;
}
