/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * other_abi: preloaded, it passes every question to the hypervisor on as if it were written for
 * another version of its interface: what a libxenctrl of another Xen does. The hypervisor's answer
 * is its own.
 */
#include <stdarg.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/xen/privcmd.h */
struct hypercall {
	uint64_t op;
	uint64_t arg[5];
};
#define IOCTL_HYPERCALL 0x305000ul /* _IOC(_IOC_NONE, 'P', 0, sizeof(struct hypercall)) */

/* xen/include/public/xen.h: both begin with a command and the version that it is written for */
enum { OP_SYSCTL = 35, OP_DOMCTL = 36 };

__attribute__((visibility("default"))) int ioctl(int fd, unsigned long request, ...);

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == IOCTL_HYPERCALL) {
		const struct hypercall *call = arg;

		if (call->op == OP_SYSCTL || call->op == OP_DOMCTL)
			((uint32_t *)(uintptr_t)call->arg[0])[1]++;
	}
	return (int)syscall(SYS_ioctl, fd, request, arg);
}
