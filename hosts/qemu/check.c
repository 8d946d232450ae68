/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an operator should know of the QEMU host: what was found, what is missing, and what to do
 * about it. */
#include "speak.h"
#include "guests.h"

#include "lib.h"

#include <string.h>

static void check_monitors(const struct cl_qemu *q, const struct speaker *to)
{
	uint32_t good = 0;

	for (uint32_t i = 0; i < q->monitor_count; i++) {
		const struct cl_qemu_monitor *monitor = q->monitors[i];
		const char *todo = cl_qemu_mood_todo(monitor->mood);
		char path[256], problem[320];

		good += monitor->mood == CL_QEMU_GOOD;
		/* One that was not asked is a second monitor of a guest, or its turn has not come.
		 */
		if (monitor->mood == CL_QEMU_GOOD || monitor->mood == CL_QEMU_NEW)
			continue;
		speak(to, cl_qemu_mood_level(monitor->mood), "monitor %s %s (%s)%s%s",
		      cl_escape(monitor->path, path, sizeof(path)),
		      cl_qemu_mood_text(monitor->mood),
		      cl_escape(monitor->problem, problem, sizeof(problem)), *todo ? ": " : "",
		      todo);
	}
	speak(to, "ok", "%u QMP sockets, of which %u were asked and answered", q->monitor_count,
	      good);
	if (q->cut)
		speak(to, "lost",
		      "more than %u sockets, or paths of more than %u bytes: these are left out",
		      CL_QEMU_PATHS_MAX, CL_QEMU_PATH_MAX - 1);
}

static void check_guest(const struct cl_qemu_guest *guest, const struct speaker *to)
{
	char name[256], uuid[CL_UUID_TEXT];

	cl_escape(guest->name[0] ? guest->name : guest->facts.name, name, sizeof(name));
	cl_uuid_format(&guest->id, uuid);
	if (guest->described || guest->described_ns) {
		if (!guest->names_threads)
			speak(to, "note",
			      "guest '%s' (process %d) does not name its threads: workers and migration are "
			      "'helper'; start QEMU with -name ID,debug-threads=on",
			      name, guest->process.tid);
	} else if (guest->names_threads) {
		speak(to, "note",
		      "guest '%s' (process %d) is not described: its threads are known by their names",
		      name, guest->process.tid);
	} else {
		speak(to, "lost",
		      "guest '%s' (process %d) is known neither by a monitor nor by names: its threads are left "
		      "alone; start QEMU with -name ID,debug-threads=on",
		      name, guest->process.tid);
	}
	if (guest->disputed)
		speak(to, "bad",
		      "guest '%s' (process %d) claims a uuid that an older guest has; it is called %s here",
		      name, guest->process.tid, uuid);
	else if (guest->id_from == CL_QEMU_ID_DERIVED)
		speak(to, "note",
		      "guest '%s' (process %d) has no uuid; it is called %s until it ends: start QEMU with -uuid",
		      name, guest->process.tid, uuid);
	if (guest->contradicts)
		speak(to, "bad",
		      "guest '%s' (process %d): its monitor says another uuid than its arguments, which count",
		      name, guest->process.tid);
	if (guest->facts.migrating)
		speak(to, "note", "guest '%s' is migrating", name);
	if (guest->facts.stopped)
		speak(to, "note", "guest '%s' is paused", name);
}

void cl_qemu_check(struct cl_qemu *q, void (*say)(void *ctx, const char *level, const char *text),
		   void *ctx)
{
	const struct speaker to = { say, ctx };
	uint64_t now_ns = cl_clock_ns();
	uint32_t guests = 0, described = 0;
	struct cl_error err;

	if (cl_qemu_scan(q, now_ns, &err) < 0)
		speak(&to, "bad", "%s", err.text);
	cl_qemu_pump(q, now_ns + CL_QEMU_TALK_NS);
	cl_qemu_drop_gone(q);
	cl_qemu_settle_ids(q);
	for (uint32_t i = 0; i < q->guest_count; i++) {
		guests += q->guests[i] != NULL;
		described += q->guests[i] && q->guests[i]->described;
	}
	speak(&to, guests ? "ok" : "note", "%u QEMU guests, %u of them described by their monitor",
	      guests, described);
	check_monitors(q, &to);
	for (uint32_t i = 0; i < q->guest_count; i++)
		if (q->guests[i])
			check_guest(q->guests[i], &to);
	if (q->dropped_guests)
		speak(&to, "lost", "more than %u guests: the others are left out",
		      q->limits.guests);
	if (q->inotify < 0)
		speak(&to, "lost",
		      "no inotify (fs.inotify.max_user_instances): new guests are seen within 10 s only");
	speak(&to, "note",
	      "softirqs that guests' packets cause are not attributed; a tap's packets run in the main loop "
	      "(to the host) and in their sender (to the guest)");
	if (q->home_problem[0])
		speak(&to, "lost", "%s", q->home_problem);
	if (q->irq_problem[0])
		speak(&to, "lost", "%s", q->irq_problem);
}
