// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * retranslate: loaded into QEMU (LD_PRELOAD) it makes the emulated machine translate all its code
 * anew whenever a line comes from the named pipe RETRANSLATE.
 *
 * QEMU before 8.1 may keep a translation of code that another CPU changed while it was made: the
 * page is not yet known to hold code, so nothing is dropped. A kernel that patches itself (a
 * tracepoint that is switched on) then leaves a CPU at a breakpoint that is not there any more, for
 * ever. Neither a debugger's breakpoints nor the monitor drop translations; tb_flush does, which
 * QEMU exports to its modules.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef void flush_fn(void *cpu);
typedef void *cpu_fn(int index);

static void *listen_for(void *path)
{
	flush_fn *flush = (flush_fn *)dlsym(RTLD_DEFAULT, "tb_flush");
	cpu_fn *cpu = (cpu_fn *)dlsym(RTLD_DEFAULT, "qemu_get_cpu");
	/* For writing, too: there is no end of file when a writer closes. */
	int fd = open(path, O_RDWR | O_CLOEXEC);
	char line[64];

	while (fd >= 0 && read(fd, line, sizeof(line)) > 0) {
		if (flush && cpu && cpu(0))
			flush(cpu(0));
		fprintf(stderr, "retranslate: %s\n",
			flush && cpu ? "done" : "this QEMU has no tb_flush");
	}
	return NULL;
}

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("RETRANSLATE");
	pthread_t thread;

	/* For QEMU alone, not for what it starts. */
	unsetenv("LD_PRELOAD");
	if (path && pthread_create(&thread, NULL, listen_for, strdup(path)) == 0)
		pthread_detach(thread);
}
