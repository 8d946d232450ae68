/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzes all that the QEMU host reads of others. The first byte chooses: 'W' a monitor's whole
 * conversation, 'R' one after the greeting, 'A' a command line, 'N' the name of a thread, an
 * interrupt, a PCI address and a tun descriptor's text.
 */
#include "lib.h"
#include "qemu/discover.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take(void *ctx, enum cl_qmp_query query, const json_t *reply, struct cl_error *reterr)
{
	struct cl_qemu_facts *facts = ctx;
	int r = cl_qemu_facts_take(facts, query, reply, reterr);

	/* What was taken is inside the limits, and each thread is found again. */
	assert(facts->vcpu_count <= CL_QEMU_VCPUS_MAX && facts->disk_count <= CL_QEMU_DISKS_MAX);
	for (uint32_t i = 0; i < facts->vcpu_count; i++) {
		assert(facts->vcpus[i].index < CL_QEMU_VCPUS_MAX && facts->vcpus[i].tid > 0);
		assert(cl_qemu_facts_vcpu(facts, facts->vcpus[i].tid) == &facts->vcpus[i]);
	}
	assert(strlen(facts->name) < sizeof(facts->name));
	return r;
}

/* In parts whose size the second byte says, as a socket would hand them over. */
static void run_talk(const char *before, const uint8_t *data, size_t size)
{
	struct cl_qemu_facts facts;
	const struct cl_qmp_taker taker = { .take = take, .ctx = &facts };
	struct cl_qmp *qmp = NULL;
	struct cl_error err;
	size_t part = size ? (size_t)data[0] + 1 : 1, out;
	int r = 0;

	cl_qemu_facts_init(&facts);
	if (cl_qmp_new(-1, &taker, &qmp, &err) < 0)
		return;
	r = cl_qmp_feed(qmp, before, strlen(before), &err);
	assert(r == 0);
	for (size_t at = 1; at < size && r == 0; at += part)
		r = cl_qmp_feed(qmp, (const char *)data + at, size - at < part ? size - at : part,
				&err);
	cl_qmp_out(qmp, &out);
	assert(out < 1024);
	cl_qmp_free(qmp);
	cl_qemu_facts_done(&facts);
}

static void run_args(const char *argv, size_t size)
{
	struct cl_qemu_args args;

	cl_qemu_args_parse(argv, size, &args);
	assert(strlen(args.name) < sizeof(args.name) && args.socket_count <= CL_QEMU_SOCKETS_MAX);
	assert(!args.has_uuid || !cl_qemu_uuid_is_zero(&args.uuid));
	for (uint32_t i = 0; i < args.socket_count; i++)
		assert(args.sockets[i][0] == '/' &&
		       memchr(args.sockets[i], '\0', sizeof(args.sockets[i])));
}

static void run_names(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), tap[16];
	enum cl_work_kind kind = CL_WORK_KIND_COUNT;
	uint32_t vcpu = CL_NONE;
	uint64_t bdf = 0;

	if (!text)
		return;
	memcpy(text, data, size);
	text[size] = '\0';
	switch (cl_qemu_by_name(text, &vcpu, &kind)) {
	case CL_QEMU_NAMED_VCPU:
		assert(vcpu < CL_QEMU_VCPUS_MAX);
		break;
	case CL_QEMU_NAMED_WORK:
		assert(kind < CL_WORK_KIND_COUNT);
		break;
	case CL_QEMU_NAMED_NOTHING:
		break;
	}
	if (cl_qemu_bdf(text, size, &bdf) || cl_qemu_irq_bdf(text, &bdf))
		assert(bdf >> 48 == 0);
	if (cl_qemu_tap_parse(text, tap))
		assert(tap[0] && strlen(tap) < sizeof(tap) && !strchr(tap, '/'));
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	switch (data[0]) {
	case 'W':
		run_talk("", data + 1, size - 1);
		break;
	case 'R':
		run_talk("{\"QMP\": {\"version\": {}}}\n{\"return\": {}, \"id\": 0}\n", data + 1,
			 size - 1);
		break;
	case 'A':
		run_args((const char *)data + 1, size - 1);
		break;
	default:
		run_names(data + 1, size - 1);
	}
	return 0;
}
