/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What xenstore says of a guest: its name, its devices with back ends in dom0, the event channels
 * of their queues, its device model. Below /local/domain/0 only dom0 writes; below the guest's own
 * path the guest does, so that ports and numbers of queues are hostile: bounded here, and asked of
 * Xen before they count.
 */
#include "xen/guests.h"

#include "lib.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdarg.h>
#include <string.h>

#define RETRY_NS (5 * CL_NS_PER_S) /* between two tries to connect */

static const char *const kind_names[] = {
	[CL_XEN_VIF] = "vif",
	[CL_XEN_VBD] = "vbd",
	[CL_XEN_QDISK] = "qdisk",
};

struct reading {
	struct cl_xen *xen;
	struct cl_xen_guest *guest;
	uint64_t deadline_ns;
	uint64_t answer_ns; /* for one answer */
	int failed;         /* -ETIMEDOUT or -EPIPE: nothing more is asked */
	struct cl_error err;
};

/* Does an answer speak of xenstored rather than of what was asked? */
static bool is_down(int r)
{
	return r == -ETIMEDOUT || r == -EPIPE;
}

static int note(struct reading *reading, int r)
{
	if (is_down(r))
		reading->failed = r;
	return r;
}

static uint64_t limit(const struct reading *reading)
{
	uint64_t by = cl_clock_ns() + reading->answer_ns;

	return by < reading->deadline_ns ? by : reading->deadline_ns;
}

static int read_text(struct reading *reading, char *buf, size_t size, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static int read_text(struct reading *reading, char *buf, size_t size, const char *format, ...)
{
	char path[CL_PATH_MAX];
	va_list ap;

	buf[0] = '\0';
	if (reading->failed)
		return reading->failed;
	va_start(ap, format);
	vsnprintf(path, sizeof(path), format, ap);
	va_end(ap);
	int r = cl_store_read(&reading->xen->store, path, limit(reading), buf, size, &reading->err);
	if (r < 0)
		buf[0] = '\0';
	return note(reading, r);
}

/* A number that the guest or the toolstack wrote; 0 if there is none. */
static uint32_t read_number(struct reading *reading, uint32_t most, const char *path)
{
	uint64_t value;

	if (reading->failed)
		return 0;
	int r = note(reading, cl_store_number(&reading->xen->store, path, limit(reading), most,
					      &value, &reading->err));
	return r < 0 ? 0 : (uint32_t)value;
}

/* ---- devices ---- */

static uint32_t read_port(struct reading *reading, const char *base, const char *suffix)
{
	char path[CL_PATH_MAX];

	snprintf(path, sizeof(path), "%s/event-channel%s", base, suffix);
	return read_number(reading, INT32_MAX, path);
}

static void read_ports(struct reading *reading, struct cl_xen_device *device)
{
	char front[CL_PATH_MAX / 2], base[CL_PATH_MAX - 64];
	uint32_t queues;

	snprintf(front, sizeof(front), "/local/domain/%u/device/%s/%u",
		 reading->guest->domain.domid, device->kind == CL_XEN_VIF ? "vif" : "vbd",
		 device->handle);
	snprintf(base, sizeof(base), "%s/multi-queue-num-queues", front);
	queues = read_number(reading, CL_XEN_QUEUES_MAX, base);
	device->port_count = queues ? queues : 1;
	for (uint32_t q = 0; q < device->port_count && !reading->failed; q++) {
		struct cl_xen_port *port = &device->ports[q];

		if (queues > 1)
			snprintf(base, sizeof(base), "%s/queue-%u", front, q);
		else
			snprintf(base, sizeof(base), "%s", front);
		port->tx = device->kind == CL_XEN_VIF ? read_port(reading, base, "-tx") : 0;
		port->rx = port->tx ? read_port(reading, base, "-rx") : 0;
		if (!port->tx)
			port->tx = port->rx = read_port(reading, base, "");
		if (!port->tx && queues == 1) { /* one queue, written as if there were more */
			snprintf(base, sizeof(base), "%s/queue-0", front);
			port->tx = read_port(reading, base, "-tx");
			port->rx = read_port(reading, base, "-rx");
		}
	}
}

static void open_counters(struct reading *reading, struct cl_xen_device *device)
{
	static const char *const nic[] = { "rx_packets", "rx_bytes", "tx_packets", "tx_bytes" };
	static const char *const disk[] = { "rd_req", "rd_sect", "wr_req", "wr_sect" };
	char path[CL_PATH_MAX];

	for (uint32_t i = 0; i < 4; i++) {
		device->counters[i] = -1;
		if (device->kind == CL_XEN_VIF)
			snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/%s",
				 device->name, nic[i]);
		else if (device->kind == CL_XEN_VBD)
			snprintf(path, sizeof(path),
				 "/sys/bus/xen-backend/devices/vbd-%u-%u/statistics/%s",
				 reading->guest->domain.domid, device->handle, disk[i]);
		else
			continue;
		device->counters[i] = open(path, O_RDONLY | O_CLOEXEC);
	}
	device->threaded = -1;
	if (device->kind != CL_XEN_VIF)
		return;
	snprintf(path, sizeof(path), "/sys/class/net/%s/threaded", device->name);
	device->threaded = open(path, O_RDONLY | O_CLOEXEC);
	device->ifindex = if_nametoindex(device->name);
	cl_threads_own_interface(reading->xen->threads, device->ifindex,
				 reading->guest->domain.domid);
}

/* A name that becomes part of a path of sysfs: dom0 wrote it, from the guest's configuration. */
static bool is_plain(const char *name)
{
	return name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static void name_device(struct reading *reading, struct cl_xen_device *device)
{
	uint32_t domid = reading->guest->domain.domid;
	char text[CL_NAME_MAX];

	if (device->kind == CL_XEN_VIF) {
		read_text(reading, text, sizeof(text), "/local/domain/0/backend/vif/%u/%u/vifname",
			  domid, device->handle);
		snprintf(device->name, sizeof(device->name), "%s", text);
		if (!is_plain(text))
			snprintf(device->name, sizeof(device->name), "vif%u.%u", domid,
				 device->handle);
		return;
	}
	read_text(reading, text, sizeof(text), "/local/domain/0/backend/%s/%u/%u/dev",
		  kind_names[device->kind], domid, device->handle);
	/* blkback_name() in xen-blkback/xenbus.c: at most 15 characters, "/dev/" left out. */
	snprintf(device->name, CL_XEN_CUT + 1, "%u.%s", domid,
		 strncmp(text, "/dev/", 5) == 0 ? text + 5 : text);
}

/* What blkback reads from and writes to: below dom0's path, where only the toolstack writes. */
static void read_device(struct reading *reading, struct cl_xen_device *device)
{
	char text[32];

	device->device = CL_UNKNOWN;
	if (device->kind != CL_XEN_VBD ||
	    read_text(reading, text, sizeof(text),
		      "/local/domain/0/backend/vbd/%u/%u/physical-device",
		      reading->guest->domain.domid, device->handle) <= 0 ||
	    !cl_xen_parse_device(text, &device->device))
		device->device = CL_UNKNOWN;
}

static void read_devices(struct reading *reading, enum cl_xen_device_kind kind,
			 struct cl_xen_device *devices, uint32_t *count)
{
	char *list = reading->xen->list;
	char path[CL_PATH_MAX];
	const char *end;

	if (reading->failed)
		return;
	snprintf(path, sizeof(path), "/local/domain/0/backend/%s/%u", kind_names[kind],
		 reading->guest->domain.domid);
	int len = note(reading, cl_store_list(&reading->xen->store, path, limit(reading), list,
					      sizeof(reading->xen->list), &reading->err));

	for (int at = 0; at < len && *count < CL_XEN_DEVICES_MAX && !reading->failed;
	     at += (int)strlen(list + at) + 1) {
		struct cl_xen_device *device = &devices[*count];
		uint64_t handle;

		if (!cl_parse_u64(list + at, &handle, &end) || *end || handle >= UINT32_MAX)
			continue;
		memset(device, 0, sizeof(*device));
		device->kind = kind;
		device->handle = (uint32_t)handle;
		name_device(reading, device);
		if (kind != CL_XEN_QDISK)
			read_ports(reading, device);
		open_counters(reading, device);
		read_device(reading, device);
		++*count;
	}
}

static void close_devices(struct cl_xen_device *devices, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t k = 0; k < 4; k++)
			if (devices[i].counters[k] >= 0)
				close(devices[i].counters[k]);
		if (devices[i].threaded >= 0)
			close(devices[i].threaded);
	}
}

void cl_xen_forget_devices(struct cl_xen_guest *guest)
{
	close_devices(guest->devices, guest->device_count);
	free(guest->devices);
	guest->devices = NULL;
	guest->device_count = 0;
}

/* ---- the guest ---- */

/* A back end that is not dom0's, by what libxl keeps for itself: the guest cannot write there. */
static void read_driver(struct reading *reading)
{
	char *list = reading->xen->list;
	struct cl_xen_guest *guest = reading->guest;
	char path[CL_PATH_MAX];

	guest->driver_domid = 0;
	for (uint32_t kind = CL_XEN_VIF; kind <= CL_XEN_VBD && !reading->failed; kind++) {
		snprintf(path, sizeof(path), "/libxl/%u/device/%s", guest->domain.domid,
			 kind_names[kind]);
		int len = note(reading,
			       cl_store_list(&reading->xen->store, path, limit(reading), list,
					     sizeof(reading->xen->list), &reading->err));

		for (int at = 0; at < len && !guest->driver_domid;
		     at += (int)strlen(list + at) + 1) {
			uint32_t owner;

			if (!is_plain(list + at) || strlen(list + at) > 16)
				continue;
			if (read_text(reading, path, sizeof(path), "/libxl/%u/device/%s/%s/backend",
				      guest->domain.domid, kind_names[kind], list + at) > 0 &&
			    cl_xen_parse_owner(path, &owner))
				guest->driver_domid = owner;
		}
	}
}

static uint64_t nodes_of(const struct cl_hyper_machine *machine, const struct cl_cpuset *pcpus)
{
	uint64_t nodes = 0;

	for (uint32_t p = cl_cpuset_next(pcpus, 0); p != CL_NONE && p < machine->pcpu_count;
	     p = cl_cpuset_next(pcpus, p + 1))
		if (machine->pcpus[p].online && machine->pcpus[p].node < CL_NODES_MAX)
			nodes |= UINT64_C(1) << machine->pcpus[p].node;
	return nodes;
}

/*
 * Where its memory lies is where its affinity pointed when it was given. A domain that is being
 * made has none yet, so it is asked until it has a device; what is pinned later moves no memory.
 */
static void ask_home(struct cl_xen *xen, struct cl_xen_guest *guest)
{
	uint32_t count = xen->machine.node_count, domid = guest->domain.domid;
	uint64_t all = count < 64 ? (UINT64_C(1) << count) - 1 : UINT64_MAX, affinity;
	uint64_t nodes[CL_CPUS_MAX];
	struct cl_cpuset pcpus, soft;

	if (guest->housed || cl_hyper_home(xen->hyper, domid, &affinity) < 0)
		return;
	uint32_t vcpus =
		guest->domain.vcpu_count < CL_CPUS_MAX ? guest->domain.vcpu_count : CL_CPUS_MAX;

	for (uint32_t v = 0; v < vcpus; v++)
		nodes[v] = cl_hyper_vcpu_cpus(xen->hyper, domid, v, &pcpus, &soft) == 0
				   ? nodes_of(&xen->machine, &pcpus)
				   : all;
	guest->home = cl_xen_home(affinity, nodes, vcpus, all);
	guest->housed = guest->device_count > 0;
}

static void describe(struct reading *reading)
{
	struct cl_xen_device *devices = reading->xen->scratch;
	struct cl_xen_guest *guest = reading->guest;
	uint32_t count = 0, domid = guest->domain.domid;
	char path[CL_PATH_MAX], name[CL_STORE_PAYLOAD + 1];

	guest->dirty = false; /* before: an event that comes meanwhile is news */

	read_text(reading, name, sizeof(name), "/local/domain/%u/name", domid);
	snprintf(path, sizeof(path), "/local/domain/%u/image/device-model-pid", domid);
	int32_t model = (int32_t)read_number(reading, INT32_MAX, path);

	read_driver(reading);
	for (uint32_t kind = CL_XEN_VIF; kind <= CL_XEN_QDISK; kind++)
		read_devices(reading, kind, devices, &count);
	struct cl_xen_device *kept =
		reading->failed || count == 0 ? NULL : malloc(count * sizeof(*kept));

	if (reading->failed || (count > 0 && !kept)) {
		close_devices(devices, count);
		guest->dirty = true; /* asked again at the next tick */
		return;
	}
	if (count > 0)
		memcpy(kept, devices, count * sizeof(*kept));
	cl_xen_forget_devices(guest);
	guest->devices = kept;
	guest->device_count = count;
	guest->model = model;
	ask_home(reading->xen, guest);
	snprintf(guest->name, sizeof(guest->name), "%s", name);
	/* One that is being made is given its name after its number. */
	guest->dirty |= !name[0];
	guest->described = true;
	guest->described_ns = cl_clock_ns();
}

/* Connects, and asks to be told. What happened meanwhile is not known: everything is read anew. */
static int connect_store(struct cl_xen *xen, uint64_t deadline_ns, struct cl_error *reterr)
{
	static const char *const watched[] = { "/local/domain/0/backend", "@introduceDomain",
					       "@releaseDomain" };
	uint64_t now_ns = cl_clock_ns();
	int r;

	if (xen->store.fd >= 0)
		return 0;
	if (now_ns < xen->store_retry_ns)
		return -EAGAIN;
	xen->store_retry_ns = now_ns + RETRY_NS;
	r = cl_store_open(&xen->store, cl_xen_event, xen, reterr);
	for (size_t i = 0; r == 0 && i < CL_COUNT(watched); i++)
		r = cl_store_watch(&xen->store, watched[i], deadline_ns, reterr);
	if (r < 0) {
		cl_store_close(&xen->store);
		return r;
	}
	for (uint32_t i = 0; i < xen->guest_count; i++)
		xen->guests[i].dirty = true;
	return 0;
}

void cl_xen_describe(struct cl_xen *xen, uint64_t deadline_ns, uint64_t answer_ns)
{
	struct reading reading = { .xen = xen, .deadline_ns = deadline_ns, .answer_ns = answer_ns };
	int r = connect_store(xen, deadline_ns, &reading.err);

	if (r == 0)
		r = cl_store_drain(&xen->store, &reading.err);
	/* It is given its nodes long before it has a device, and work for it starts at once. */
	for (uint32_t i = 0; i < xen->guest_count; i++)
		if (!xen->guests[i].housed)
			ask_home(xen, &xen->guests[i]);
	for (uint32_t i = 0; i < xen->guest_count && r == 0; i++) {
		if (!xen->guests[i].dirty)
			continue;
		reading.guest = &xen->guests[i];
		describe(&reading);
		r = reading.failed;
	}
	if (r == 0)
		xen->store_problem[0] = '\0';
	else if (r != -EAGAIN)
		snprintf(xen->store_problem, sizeof(xen->store_problem), "%s", reading.err.text);
}

void cl_xen_event(void *ctx, const char *path)
{
	struct cl_xen *xen = ctx;
	uint32_t domid;

	cl_xen_stir(xen, cl_xen_parse_backend(path, &domid) ? domid : 0);
}
