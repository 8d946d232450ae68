/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * irq: the numbered interrupts of /proc/interrupts, and the masks of those that a guest owns.
 *
 * A line is "number: count per CPU... chip hwirq [Level|Edge] name[, name...]" (kernel/irq/proc.c,
 * show_interrupts). Neither chip nor hwirq says anything about whose it is; the name does, as its
 * driver gave it. Xen's dynamic interrupts have no hwirq, but "-event" in its place.
 */
#include "linux.h"

#include "lib.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define KEPT_MAX 1024u /* descriptors; of more interrupts the masks are opened each time */
#define TEXT_MIN 65536u
#define TEXT_MAX (64u << 20) /* 4,096 CPUs x 1,024 interrupts x 11 bytes, with room */

/* An interrupt's mask through a kept descriptor; of one that was freed it reads -EIO for good. */
struct kept {
	uint32_t number;
	int fd;
	uint64_t tick; /* when it was last asked for */
};

struct cl_irqs {
	int fd;
	char *text;
	size_t size;
	uint64_t tick;
	struct kept *kept; /* by number */
	uint32_t kept_count;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static const char *skip_blank(const char *p)
{
	while (is_blank(*p))
		p++;
	return p;
}

static const char *skip_word(const char *p)
{
	return p + strcspn(p, " \t\n");
}

bool cl_irq_parse_line(const char *line, uint32_t *ret_number, uint64_t *ret_count, char *ret_name,
		       size_t size)
{
	const char *p = skip_blank(line);
	uint64_t number, count, sum = 0;

	if (!cl_parse_u64(p, &number, &p) || *p != ':' || number >= UINT32_MAX || size == 0)
		return false;
	for (p = skip_blank(p + 1);; p = skip_blank(p)) {
		const char *end;

		if (!cl_parse_u64(p, &count, &end) ||
		    !(is_blank(*end) || *end == '\n' || *end == '\0'))
			break; /* the chip: from here on nothing is a count, digits or not */
		sum = count > UINT64_MAX - sum ? UINT64_MAX : sum + count;
		p = end;
	}
	p = skip_blank(skip_word(p)); /* chip */
	p = skip_blank(skip_word(p)); /* hwirq, or -event */
	size_t len = strcspn(p, " \t\n");
	if ((len == 5 && memcmp(p, "Level", 5) == 0) || (len == 4 && memcmp(p, "Edge", 4) == 0))
		p = skip_blank(p + len);
	len = strcspn(p, "\n");
	while (len > 0 && is_blank(p[len - 1]))
		len--;
	if (len >= size)
		len = size - 1;
	memcpy(ret_name, p, len);
	ret_name[len] = '\0';
	*ret_number = (uint32_t)number;
	*ret_count = sum;
	return true;
}

int cl_irqs_new(struct cl_irqs **ret_irqs, struct cl_error *reterr)
{
	struct cl_irqs *irqs = calloc(1, sizeof(*irqs));

	if (!irqs)
		return cl_fail(reterr, ENOMEM, "reading interrupts: no memory");
	irqs->fd = -1;
	irqs->text = malloc(TEXT_MIN);
	irqs->size = TEXT_MIN;
	irqs->kept = calloc(KEPT_MAX, sizeof(irqs->kept[0]));
	if (!irqs->text || !irqs->kept) {
		cl_irqs_free(irqs);
		return cl_fail(reterr, ENOMEM, "reading interrupts: no memory");
	}
	irqs->fd = open("/proc/interrupts", O_RDONLY | O_CLOEXEC);
	if (irqs->fd < 0) {
		int code = errno;

		cl_irqs_free(irqs);
		return cl_fail(reterr, code, "opening /proc/interrupts: %s", strerror(code));
	}
	*ret_irqs = irqs;
	return 0;
}

void cl_irqs_free(struct cl_irqs *irqs)
{
	if (!irqs)
		return;
	if (irqs->fd >= 0)
		close(irqs->fd);
	for (uint32_t i = 0; i < irqs->kept_count; i++)
		close(irqs->kept[i].fd);
	free(irqs->kept);
	free(irqs->text);
	free(irqs);
}

/* All of the file; the buffer grows until it fits, and stays. */
static int read_all(struct cl_irqs *irqs, struct cl_error *reterr)
{
	for (;;) {
		ssize_t len = cl_read_fd(irqs->fd, irqs->text, irqs->size);

		if (len >= 0)
			return 0;
		if (len != -EFBIG || irqs->size >= TEXT_MAX)
			return cl_fail(reterr, (int)-len, "reading /proc/interrupts: %s",
				       strerror((int)-len));
		char *more = realloc(irqs->text, irqs->size * 4);

		if (!more)
			return cl_fail(reterr, ENOMEM, "reading /proc/interrupts: no memory");
		irqs->text = more;
		irqs->size *= 4;
	}
}

static uint32_t kept_at(const struct cl_irqs *irqs, uint32_t number)
{
	uint32_t low = 0, high = irqs->kept_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (irqs->kept[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void forget(struct cl_irqs *irqs, uint32_t at)
{
	close(irqs->kept[at].fd);
	irqs->kept_count--;
	memmove(&irqs->kept[at], &irqs->kept[at + 1],
		(irqs->kept_count - at) * sizeof(irqs->kept[0]));
}

static ssize_t read_list(struct cl_irqs *irqs, uint32_t number, char *text, size_t size)
{
	uint32_t at = kept_at(irqs, number);
	char name[64];
	ssize_t len;

	if (at < irqs->kept_count && irqs->kept[at].number == number) {
		irqs->kept[at].tick = irqs->tick;
		len = cl_read_fd(irqs->kept[at].fd, text, size);
		if (len >= 0)
			return len;
		forget(irqs, at); /* freed; perhaps there is another of its number by now */
	}
	snprintf(name, sizeof(name), "/proc/irq/%u/smp_affinity_list", number);
	int fd = open(name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	len = cl_read_fd(fd, text, size);
	if (len < 0 || irqs->kept_count == KEPT_MAX) {
		close(fd);
		return len;
	}
	memmove(&irqs->kept[at + 1], &irqs->kept[at],
		(irqs->kept_count - at) * sizeof(irqs->kept[0]));
	irqs->kept[at] = (struct kept){ number, fd, irqs->tick };
	irqs->kept_count++;
	return len;
}

static void forget_old(struct cl_irqs *irqs)
{
	for (uint32_t i = irqs->kept_count; i-- > 0;)
		if (irqs->kept[i].tick != irqs->tick)
			forget(irqs, i);
}

static struct cl_mask_ix read_mask(struct cl_irqs *irqs, struct cl_snapshot *snap, uint32_t number)
{
	char text[24576];
	struct cl_cpuset cpus;
	ssize_t len = read_list(irqs, number, text, sizeof(text));

	if (len < 0 || !cl_cpuset_parse(text, (size_t)len, &cpus))
		return (struct cl_mask_ix){ CL_NONE };
	return cl_snapshot_mask(snap, &cpus);
}

int cl_irqs_observe(struct cl_irqs *irqs, struct cl_snapshot *snap,
		    struct cl_guest_ix (*owner)(void *ctx, const char *name), void *ctx,
		    struct cl_error *reterr)
{
	uint64_t read_ns = cl_clock_ns();
	int r = read_all(irqs, reterr);

	if (r < 0)
		return r;
	irqs->tick++;
	/* The first line names the CPUs; it does not begin with a number and a colon. */
	for (char *line = irqs->text, *next; *line; line = next) {
		char name[CL_NAME_MAX];
		uint32_t number;
		uint64_t count;

		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		if (!cl_irq_parse_line(line, &number, &count, name, sizeof(name)) || !name[0])
			continue;
		struct cl_guest_ix guest = owner(ctx, name);
		if (guest.v == CL_NONE)
			continue;
		struct cl_mask_ix mask = read_mask(irqs, snap, number);
		if (mask.v == CL_NONE)
			continue; /* freed since it was listed */
		struct cl_irq *irq = cl_snapshot_add_irqs(snap);
		if (!irq)
			continue; /* counted as dropped */
		irq->number = number;
		irq->guest = guest;
		irq->name = cl_snapshot_text(snap, name);
		irq->mask = mask;
		irq->count = count;
	}
	forget_old(irqs);
	snap->part_ns[CL_PART_IRQS] = read_ns;
	return 0;
}
