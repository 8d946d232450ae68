/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changes and settings as text. */
#include "cli.h"

char *cli_setting_text(enum cl_change_kind kind, const struct cl_setting *setting, char *buf,
		       size_t size)
{
	char cpus[256], path[CL_PATH_MAX];

	if (kind == CL_CHANGE_GROUP && !setting->present) {
		snprintf(buf, size, "absent");
		return buf;
	}
	if (kind == CL_CHANGE_RATE || kind == CL_CHANGE_QUOTA || kind == CL_CHANGE_IO ||
	    kind == CL_CHANGE_PACKETS) {
		if (setting->present)
			return cli_limit_text(kind, setting->number, setting->period_ns, buf, size);
		snprintf(buf, size, "no limit");
		return buf;
	}
	if (kind == CL_CHANGE_FENCE || kind == CL_CHANGE_NIC) {
		snprintf(buf, size, "%lld", (long long)setting->number);
		return buf;
	}
	if (kind == CL_CHANGE_MEMORY)
		return cl_bytes_text((uint64_t)setting->number, buf, size);
	if (cl_change_entitles(kind))
		return cli_lever_text(kind == CL_CHANGE_CAP      ? CL_LEVER_CAP
				      : kind == CL_CHANGE_WEIGHT ? CL_LEVER_WEIGHT
								 : CL_LEVER_BUDGET,
				      (uint64_t)setting->number, buf, size);
	if (kind == CL_CHANGE_VCPU)
		return cli_pcpus_text(&setting->cpus, buf, size);
	cli_cpus_text(&setting->cpus, cpus, sizeof(cpus));
	if (kind == CL_CHANGE_THREAD && setting->has_path)
		snprintf(buf, size, "%s in %s", cpus, cl_escape(setting->path, path, sizeof(path)));
	else
		snprintf(buf, size, "%s", cpus);
	return buf;
}

char *cli_change_text(const struct cl_change *change, char *buf, size_t size)
{
	char path[CL_PATH_MAX];

	switch (change->kind) {
	case CL_CHANGE_THREAD:
		snprintf(buf, size, "thread %d", change->thread.tid);
		break;
	case CL_CHANGE_IRQ:
		snprintf(buf, size, "interrupt %u", change->irq);
		break;
	case CL_CHANGE_GROUP:
		snprintf(buf, size, "container %s", cl_escape(change->path, path, sizeof(path)));
		break;
	case CL_CHANGE_FENCE:
		snprintf(buf, size, "fence of %s", cl_escape(change->path, path, sizeof(path)));
		break;
	case CL_CHANGE_VCPU:
		if (change->domid == 0)
			snprintf(buf, size, "vCPU %u of dom0", change->vcpu);
		else
			snprintf(buf, size, "vCPU %u of domain %u", change->vcpu, change->domid);
		break;
	case CL_CHANGE_RATE:
		snprintf(buf, size, "transmit rate of device %u of domain %u", change->handle,
			 change->domid);
		break;
	case CL_CHANGE_QUOTA:
		snprintf(buf, size, "quota of %s", cl_escape(change->path, path, sizeof(path)));
		break;
	case CL_CHANGE_IO:
		snprintf(buf, size, "disk %u:%u in %s", (unsigned)(change->device >> 32),
			 (unsigned)(change->device & UINT32_MAX),
			 cl_escape(change->path, path, sizeof(path)));
		break;
	case CL_CHANGE_PACKETS:
		snprintf(buf, size, "packets out of %s",
			 cl_escape(change->path, path, sizeof(path)));
		break;
	case CL_CHANGE_NIC:
		snprintf(buf, size, "NAPI of %s", cl_escape(change->path, path, sizeof(path)));
		break;
	case CL_CHANGE_CAP:
		snprintf(buf, size, "cap of domain %u", change->domid);
		break;
	case CL_CHANGE_WEIGHT:
		snprintf(buf, size, "weight of domain %u", change->domid);
		break;
	case CL_CHANGE_BUDGET:
		snprintf(buf, size, "budget of domain %u", change->domid);
		break;
	case CL_CHANGE_MEMORY:
		snprintf(buf, size, "memory target of domain %u", change->domid);
		break;
	}
	return buf;
}
