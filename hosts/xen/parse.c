/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of threads and interrupts, and paths of xenstore, taken apart. Guests choose parts of them.
 */
#include "xen/parse.h"

#include "lib.h"

#include <string.h>

#define PF_KTHREAD 0x00200000u /* linux/sched.h; the same since 2.6.27 */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The whole of [from, end) as a number up to most. */
static bool number(const char *from, const char *end, uint64_t most, uint32_t *ret_value)
{
	const char *stop;
	uint64_t value;

	if (from == end || !is_digit(*from) || !cl_parse_u64(from, &value, &stop) || stop != end ||
	    value > most)
		return false;
	*ret_value = (uint32_t)value;
	return true;
}

/* The blank before field `to`, from the one before (or the end of) `from`. */
static const char *field_after(const char *p, int from, int to)
{
	for (; p && from < to; from++)
		p = strchr(p + 1, ' ');
	return p;
}

bool cl_xen_parse_stat(const char *text, struct cl_xen_stat *ret_stat)
{
	const char *open = strchr(text, '('), *p = strrchr(text, ')');
	uint64_t parent, session, flags;

	if (!open || !p || p < open)
		return false;
	size_t len = (size_t)(p - open - 1);

	if (len >= sizeof(ret_stat->comm))
		len = sizeof(ret_stat->comm) - 1;
	memcpy(ret_stat->comm, open + 1, len);
	ret_stat->comm[len] = '\0';
	/* p is at the end of field 2 */
	p = field_after(p, 2, 4);
	if (!p || !cl_parse_u64(p + 1, &parent, NULL) || parent > INT32_MAX)
		return false;
	p = field_after(p, 4, 6);
	if (!p || !cl_parse_u64(p + 1, &session, NULL) || session > INT32_MAX)
		return false;
	p = field_after(p, 6, 9);
	if (!p || !cl_parse_u64(p + 1, &flags, NULL) || flags > UINT32_MAX)
		return false;
	p = field_after(p, 9, 22);
	if (!p || !cl_parse_u64(p + 1, &ret_stat->start, NULL))
		return false;
	ret_stat->parent = (int32_t)parent;
	ret_stat->session = (int32_t)session;
	ret_stat->flags = (uint32_t)flags;
	return true;
}

bool cl_xen_is_kernel_thread(const struct cl_xen_stat *stat)
{
	return stat->flags & PF_KTHREAD;
}

static bool set_device(struct cl_xen_named *named, const char *from, const char *end)
{
	size_t len = (size_t)(end - from);

	if (len == 0 || len >= sizeof(named->device))
		return false;
	memcpy(named->device, from, len);
	named->device[len] = '\0';
	return true;
}

/* Is text, which ends where the kernel may have cut it, the beginning of word? */
static bool begins(const char *text, const char *word, bool may_be_cut)
{
	size_t len = strlen(text);

	return strcmp(text, word) == 0 ||
	       (may_be_cut && len < strlen(word) && memcmp(text, word, len) == 0);
}

static const char *last_queue(const char *comm)
{
	const char *found = NULL;

	for (const char *p = comm; (p = strstr(p, "-q")); p += 2)
		if (is_digit(p[2]))
			found = p;
	return found;
}

static bool parse_netback(const char *comm, bool cut, struct cl_xen_named *named)
{
	const char *q = last_queue(comm), *end;

	if (!q)
		return false;
	end = q + 2 + strspn(q + 2, "0123456789");
	if (!number(q + 2, end, UINT16_MAX, &named->queue) || !set_device(named, comm, q))
		return false;
	bool rx = begins(end, "-guest-rx", cut), dealloc = begins(end, "-dealloc", cut);

	if (!rx && !dealloc)
		return false;
	if (*end == '\0' && cut)
		named->queue = CL_NONE; /* its digits may go on */
	named->kind = rx && dealloc ? CL_WORK_HELPER
		      : rx          ? CL_WORK_NETBACK_RX
				    : CL_WORK_NETBACK_DEALLOC;
	return true;
}

static bool parse_napi(const char *comm, bool cut, struct cl_xen_named *named)
{
	const char *from = comm + 5, *dash = strrchr(from, '-');

	named->kind = CL_WORK_NAPI;
	named->cut = cut && (!dash || dash[1 + strspn(dash + 1, "0123456789")] != '\0');
	if (named->cut)
		return set_device(named, from, from + strlen(from));
	return dash && (is_digit(dash[1]) || cut) &&
	       dash[1 + strspn(dash + 1, "0123456789")] == '\0' && set_device(named, from, dash);
}

static bool parse_disk(const char *comm, bool cut, struct cl_xen_named *named)
{
	const char *dot = strchr(comm, '.'), *dash = strrchr(comm, '-'), *end;
	uint32_t domid;

	if (!dot || !number(comm, dot, CL_XEN_DOMIDS - 1, &domid) || dot[1] == '\0')
		return false;
	named->kind = CL_WORK_BLKBACK;
	named->is_disk = true;
	if (dash && dash > dot + 1 && is_digit(dash[1])) {
		end = dash + 1 + strspn(dash + 1, "0123456789");
		if (!number(dash + 1, end, UINT16_MAX, &named->queue))
			return false;
		if (cut)
			named->queue = CL_NONE;
		return *end == '\0' && set_device(named, comm, dash);
	}
	if (!cut)
		return false;
	named->cut = true;
	end = comm + strlen(comm);
	return set_device(named, comm, end[-1] == '-' ? end - 1 : end);
}

bool cl_xen_parse_thread(const char *comm, struct cl_xen_named *ret_named)
{
	bool cut = strlen(comm) == CL_XEN_CUT;

	*ret_named = (struct cl_xen_named){ .queue = CL_NONE };
	if (strlen(comm) >= CL_XEN_COMM)
		return false;
	if (strncmp(comm, "napi/", 5) == 0)
		return parse_napi(comm, cut, ret_named);
	return is_digit(comm[0]) ? parse_disk(comm, cut, ret_named)
				 : parse_netback(comm, cut, ret_named);
}

bool cl_xen_parse_irq(const char *name, struct cl_xen_named *ret_named)
{
	const char *q = last_queue(name), *end = name + strlen(name);

	*ret_named = (struct cl_xen_named){ .kind = CL_WORK_INTERRUPT, .queue = CL_NONE };
	if (!q)
		return set_device(ret_named, name, end);
	const char *dash = q + 2 + strspn(q + 2, "0123456789");

	return (*dash == '\0' || strcmp(dash, "-tx") == 0 || strcmp(dash, "-rx") == 0) &&
	       number(q + 2, dash, UINT16_MAX, &ret_named->queue) && set_device(ret_named, name, q);
}

bool cl_xen_is_device(const struct cl_xen_named *named, const char *device)
{
	if (!named->cut)
		return strcmp(named->device, device) == 0;
	/* blkback cuts the name itself before it adds the ring. */
	return strncmp(named->device, device, strlen(named->device)) == 0;
}

bool cl_xen_parse_backend(const char *path, uint32_t *ret_domid)
{
	static const char tree[] = "/local/domain/0/backend/";
	const char *kind, *slash;

	if (strncmp(path, tree, sizeof(tree) - 1) != 0)
		return false;
	kind = path + sizeof(tree) - 1;
	slash = strchr(kind, '/');
	return slash &&
	       number(slash + 1, slash + 1 + strcspn(slash + 1, "/"), CL_XEN_DOMIDS - 1, ret_domid);
}

bool cl_xen_parse_owner(const char *path, uint32_t *ret_domid)
{
	static const char tree[] = "/local/domain/";
	const char *from, *end;

	if (strncmp(path, tree, sizeof(tree) - 1) != 0)
		return false;
	from = path + sizeof(tree) - 1;
	end = from + strcspn(from, "/");
	return strncmp(end, "/backend/", 9) == 0 && number(from, end, CL_XEN_DOMIDS - 1, ret_domid);
}

bool cl_xen_parse_model(const char *args, size_t len, uint32_t *ret_domid)
{
	bool next = false;

	for (size_t at = 0; at < len;) {
		size_t n = strnlen(args + at, len - at);

		if (at + n == len)
			return false; /* cut off: a number may go on */
		if (next)
			return number(args + at, args + at + n, CL_XEN_DOMIDS - 1, ret_domid);
		next = strcmp(args + at, "-xen-domid") == 0;
		at += n + 1;
	}
	return false;
}

uint64_t cl_xen_home(uint64_t affinity, const uint64_t *vcpu_nodes, uint32_t vcpu_count,
		     uint64_t all)
{
	uint64_t held = 0;

	affinity &= all;
	if (affinity != all || (all & (all - 1)) == 0)
		return affinity;
	for (uint32_t v = 0; v < vcpu_count; v++)
		if ((vcpu_nodes[v] & all) != all)
			held |= vcpu_nodes[v] & all;
	return held == all ? all : 0;
}

void cl_xen_own_id(const struct cl_uuid *id, uint32_t domid, struct cl_uuid *ret_id)
{
	*ret_id = *id;
	ret_id->b[0] ^= 0xff;
	ret_id->b[1] ^= (uint8_t)(domid >> 8);
	ret_id->b[2] ^= (uint8_t)domid;
}

/* Up to eight digits; the text goes on behind them. */
static bool parse_hex(const char **text, uint32_t *ret)
{
	const char *p = *text;

	for (*ret = 0; p < *text + 8; p++) {
		char c = *p;

		if (c >= '0' && c <= '9')
			*ret = *ret << 4 | (uint32_t)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			*ret = *ret << 4 | (uint32_t)((c | 0x20) - 'a' + 10);
		else
			break;
	}
	bool any = p > *text;

	*text = p;
	return any;
}

bool cl_xen_parse_device(const char *text, uint64_t *ret_device)
{
	uint32_t high, low;

	if (!parse_hex(&text, &high) || *text++ != ':' || !parse_hex(&text, &low) || *text)
		return false;
	*ret_device = (uint64_t)high << 32 | low;
	return true;
}
