/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Conversations with monitors, side by side: who is due, what is ready, who has taken too long,
 * what came of it. */
#include "talk.h"

#include "lib.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

static const struct {
	const char *level, *text, *todo;
} moods[] = {
#define X(id, level, text, todo) [CL_QEMU_##id] = { level, text, todo },
	CL_QEMU_MOODS(X)
#undef X
};

const char *cl_qemu_mood_level(enum cl_qemu_mood mood)
{
	return moods[mood].level;
}
const char *cl_qemu_mood_text(enum cl_qemu_mood mood)
{
	return moods[mood].text;
}
const char *cl_qemu_mood_todo(enum cl_qemu_mood mood)
{
	return moods[mood].todo;
}

void cl_qemu_hang_up(struct cl_qemu *q, struct cl_qemu_monitor *monitor)
{
	if (!monitor->qmp)
		return;
	cl_qmp_free(monitor->qmp); /* closes the socket, and so leaves the epoll set */
	monitor->qmp = NULL;
	monitor->guest->talking = false;
	cl_qemu_facts_done(&monitor->facts);
	assert(q->talks > 0);
	q->talks--;
}

/* A socket that nobody listens on may be one that is bound and about to listen: tried again sooner.
 */
static void back_off(struct cl_qemu_monitor *monitor, uint64_t now_ns)
{
	uint64_t wait = monitor->mood == CL_QEMU_DEAD ? CL_QEMU_RETRY_NS / 8 : CL_QEMU_RETRY_NS;
	uint32_t doubled = monitor->failures < 7 ? monitor->failures : 7;

	monitor->retry_ns = now_ns + (wait << doubled);
	monitor->failures++;
}

static void fail(struct cl_qemu *q, struct cl_qemu_monitor *monitor, enum cl_qemu_mood mood,
		 uint64_t now_ns, const char *problem)
{
	struct cl_qemu_guest *guest = monitor->guest;

	cl_qemu_hang_up(q, monitor);
	monitor->mood = mood;
	snprintf(monitor->problem, sizeof(monitor->problem), "%s", problem);
	back_off(monitor, now_ns);
	if (!guest)
		return;
	/* Somebody uses the monitor for a while: what was said before stands. Else its word counts
	 * no more. */
	if (mood != CL_QEMU_TAKEN || now_ns - guest->described_ns > CL_QEMU_TRUST_NS)
		guest->described = false;
}

/* ---- what came of it ---- */

static bool is_thread_of(void *ctx, int32_t tid)
{
	const struct cl_qemu_guest *guest = ctx;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", guest->process.tid, tid);
	return access(path, F_OK) == 0;
}

/* Now, in the unit and from the zero of proc(5)'s start times, rounded up. */
static uint64_t now_ticks(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK);

	return (uint64_t)ts.tv_sec * hz + (uint64_t)ts.tv_nsec * hz / CL_NS_PER_S + 1;
}

static void finish(struct cl_qemu *q, struct cl_qemu_monitor *monitor, uint64_t now_ns)
{
	struct cl_qemu_guest *guest = monitor->guest;
	uint32_t foreign = cl_qemu_facts_confine(&monitor->facts, is_thread_of, guest);
	bool stirred = cl_qmp_stirred(monitor->qmp);
	char text[96];

	cl_qemu_facts_done(&guest->facts);
	guest->facts = monitor->facts;
	cl_qemu_facts_init(&monitor->facts);
	memset(guest->claimed, 0, sizeof(guest->claimed));
	for (uint32_t i = 0; i < guest->facts.vcpu_count; i++)
		guest->claimed[guest->facts.vcpus[i].index / 64] |=
			UINT64_C(1) << (guest->facts.vcpus[i].index % 64);
	guest->described_ns = now_ns;
	guest->due_ns = now_ns + CL_QEMU_REFRESH_NS +
			(uint64_t)(guest->process.tid % 16) * (CL_NS_PER_S / 8);
	guest->born_before = now_ticks();
	guest->wanted = stirred;
	cl_qemu_look_inside(q, guest);
	if (foreign > 0) {
		/* An iothread that went between question and check is the same to us; the next
		 * answer clears it. */
		snprintf(text, sizeof(text), "it named %u threads that are not of process %d",
			 foreign, guest->process.tid);
		fail(q, monitor, CL_QEMU_LIAR, now_ns, text);
		return;
	}
	if (!guest->described)
		q->stirred = true;
	guest->described = true;
	cl_qemu_hang_up(q, monitor);
	monitor->mood = CL_QEMU_GOOD;
	monitor->problem[0] = '\0';
	monitor->failures = 0;
	monitor->retry_ns = 0;
}

static int take_reply(void *ctx, enum cl_qmp_query query, const json_t *reply,
		      struct cl_error *reterr)
{
	struct cl_qemu_monitor *monitor = ctx;

	return cl_qemu_facts_take(&monitor->facts, query, reply, reterr);
}

static void serve(struct cl_qemu *q, struct cl_qemu_monitor *monitor)
{
	struct cl_error err = { 0 };
	bool wrote = cl_qmp_wants_write(monitor->qmp);
	int r = cl_qmp_service(monitor->qmp, &err);
	uint64_t now_ns = cl_clock_ns();

	if (r > 0) {
		finish(q, monitor, now_ns);
	} else if (r == -EPIPE && !cl_qmp_heard(monitor->qmp)) {
		fail(q, monitor, CL_QEMU_SILENT, now_ns, "it hung up without a greeting");
	} else if (r < 0) {
		fail(q, monitor, r == -EBADMSG ? CL_QEMU_BROKEN : CL_QEMU_SILENT, now_ns, err.text);
	} else if (wrote != cl_qmp_wants_write(monitor->qmp)) {
		struct epoll_event event = { .events = EPOLLIN | (wrote ? 0 : EPOLLOUT),
					     .data.ptr = monitor };

		epoll_ctl(q->epoll, EPOLL_CTL_MOD, cl_qmp_fd(monitor->qmp), &event);
	}
}

/* ---- beginning ---- */

/* Connects; *ret_pid is who listens, 0 if the queue of those who wait for the monitor is full. */
static int connect_to(const char *path, int *ret_fd, int32_t *ret_pid)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct ucred listener = { 0 };
	socklen_t size = sizeof(listener);
	cl_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &listener, &size) < 0)
		return -errno;
	*ret_pid = listener.pid;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

static enum cl_qemu_mood mood_of_connect(int code)
{
	switch (code) {
	case EAGAIN:
		return CL_QEMU_TAKEN;
	case EACCES:
	case EPERM:
		return CL_QEMU_DENIED;
	case ECONNREFUSED:
	case ENOENT:
		return CL_QEMU_DEAD;
	default:
		return CL_QEMU_SILENT;
	}
}

static bool is_due(const struct cl_qemu_guest *guest, uint64_t now_ns)
{
	if (!guest->described)
		return true;
	return now_ns >= guest->due_ns ||
	       (guest->wanted && now_ns - guest->described_ns >= CL_QEMU_WANTED_NS);
}

static bool may_begin(const struct cl_qemu_monitor *monitor, uint64_t now_ns)
{
	if (monitor->qmp || now_ns < monitor->retry_ns)
		return false;
	return !monitor->guest || (is_due(monitor->guest, now_ns) && !monitor->guest->talking);
}

/* Whose monitor is it? By who listens; where that is not QEMU (libvirt binds the socket for it), by
 * who holds it. */
static struct cl_qemu_guest *owner_of(struct cl_qemu *q, struct cl_qemu_monitor *monitor,
				      int32_t pid, struct cl_error *reterr)
{
	if (pid <= 0 || !cl_qemu_confirm(pid, monitor->path)) {
		int32_t owner = cl_qemu_procs_owner(q->procs, monitor->path);

		if (owner == 0) {
			if (pid > 0)
				cl_fail(reterr, EPERM, "process %d listens on it", pid);
			else
				cl_fail(reterr, ESRCH, "nobody is known to listen on it");
			return NULL;
		}
		pid = owner;
	}
	return cl_qemu_guest_of(q, pid, monitor->path, reterr);
}

static void begin(struct cl_qemu *q, struct cl_qemu_monitor *monitor, uint64_t now_ns)
{
	const struct cl_qmp_taker taker = { .take = take_reply, .ctx = monitor };
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = monitor };
	struct cl_error err = { 0 };
	int32_t pid = 0;
	int fd = -1, r = connect_to(monitor->path, &fd, &pid);

	if (r < 0 && r != -EAGAIN) {
		fail(q, monitor, mood_of_connect(-r), now_ns, strerror(-r));
		return;
	}
	monitor->guest = owner_of(q, monitor, pid, &err);
	if (r < 0) {
		fail(q, monitor, CL_QEMU_TAKEN, now_ns, "others wait for it already");
	} else if (!monitor->guest) {
		close(fd);
		fail(q, monitor, CL_QEMU_STRANGER, now_ns, err.text);
	} else if (!is_due(monitor->guest, now_ns) || monitor->guest->talking) {
		close(fd); /* a second monitor of a guest that is known */
	} else if (cl_qmp_new(fd, &taker, &monitor->qmp, &err) < 0) {
		fail(q, monitor, CL_QEMU_SILENT, now_ns, err.text);
	} else {
		q->talks++;
		monitor->guest->talking = true;
		monitor->begun_ns = now_ns;
		if (epoll_ctl(q->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
			fail(q, monitor, CL_QEMU_SILENT, now_ns, strerror(errno));
	}
}

/*
 * Healthy and new ones first: who failed before takes nobody's place. Meeting a new guest costs a
 * look at its process, so that with hundreds of them the deadline has to be looked at in between:
 * the rest is for the next round.
 */
static void begin_due(struct cl_qemu *q, uint64_t now_ns)
{
	for (int failed = 0; failed < 2; failed++)
		for (uint32_t i = 0; i < q->monitor_count && q->talks < CL_QEMU_TALKS_MAX; i++) {
			if ((q->monitors[i]->failures > 0) != failed ||
			    !may_begin(q->monitors[i], now_ns))
				continue;
			begin(q, q->monitors[i], now_ns);
			if (cl_clock_ns() - now_ns > CL_QEMU_BEGIN_NS)
				return;
		}
}

/* ---- time ---- */

static uint64_t ends_at(const struct cl_qemu_monitor *monitor)
{
	return monitor->begun_ns +
	       (cl_qmp_heard(monitor->qmp) ? CL_QEMU_TALK_NS : CL_QEMU_GREETING_NS);
}

static void expire(struct cl_qemu *q, uint64_t now_ns)
{
	for (uint32_t i = 0; i < q->monitor_count; i++) {
		struct cl_qemu_monitor *monitor = q->monitors[i];

		if (!monitor->qmp || now_ns < ends_at(monitor))
			continue;
		if (cl_qmp_heard(monitor->qmp))
			fail(q, monitor, CL_QEMU_SILENT, now_ns,
			     "it did not finish its answers in 2 s");
		else
			fail(q, monitor, CL_QEMU_TAKEN, now_ns,
			     "it accepted, and did not greet in 300 ms");
	}
}

/* When the next conversation runs out of time or may be tried again. */
static uint64_t next_deadline(const struct cl_qemu *q, uint64_t now_ns)
{
	uint64_t next = UINT64_MAX;

	for (uint32_t i = 0; i < q->monitor_count; i++) {
		const struct cl_qemu_monitor *monitor = q->monitors[i];
		uint64_t at = UINT64_MAX;

		if (monitor->qmp)
			at = ends_at(monitor);
		else if (monitor->failures > 0 && q->talks < CL_QEMU_TALKS_MAX &&
			 (!monitor->guest ||
			  (is_due(monitor->guest, now_ns) && !monitor->guest->talking)))
			at = monitor->retry_ns;
		if (at < next)
			next = at;
	}
	return next;
}

/* ---- the loop ---- */

static void drain_inotify(struct cl_qemu *q)
{
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

	while (read(q->inotify, buf, sizeof(buf)) > 0)
		q->dirty = true;
}

static void handle(struct cl_qemu *q, const struct epoll_event *event)
{
	enum cl_qemu_source *source = event->data.ptr;

	switch (*source) {
	case CL_QEMU_SOURCE_INOTIFY:
		drain_inotify(q);
		break;
	case CL_QEMU_SOURCE_GUEST: {
		struct cl_qemu_guest *guest = event->data.ptr;

		/* Dropped before the next snapshot, not here: other events of this round may point
		 * to it. */
		guest->gone = q->stirred = true;
		epoll_ctl(q->epoll, EPOLL_CTL_DEL, guest->pidfd, NULL);
		break;
	}
	case CL_QEMU_SOURCE_MONITOR: {
		struct cl_qemu_monitor *monitor = event->data.ptr;

		if (monitor->qmp)
			serve(q, monitor);
		break;
	}
	}
}

void cl_qemu_round(struct cl_qemu *q, uint64_t until_ns, int fd, bool *ret_fd_ready)
{
	struct epoll_event events[64];
	struct pollfd wait[2] = { { .fd = q->epoll, .events = POLLIN },
				  { .fd = fd, .events = POLLIN } };
	uint64_t now_ns = cl_clock_ns(), next;
	struct timespec timeout;
	int n;

	begin_due(q, now_ns);
	next = next_deadline(q, now_ns);
	if (next > until_ns)
		next = until_ns;
	next = next > now_ns ? next - now_ns : 0;
	timeout = (struct timespec){ .tv_sec = (time_t)(next / CL_NS_PER_S),
				     .tv_nsec = (long)(next % CL_NS_PER_S) };
	*ret_fd_ready = false;
	if (ppoll(wait, 2, &timeout, NULL) > 0) {
		*ret_fd_ready = wait[1].revents != 0;
		n = wait[0].revents ? epoll_wait(q->epoll, events, CL_COUNT(events), 0) : 0;
		for (int i = 0; i < n; i++)
			handle(q, &events[i]);
	}
	expire(q, cl_clock_ns());
}

static bool is_worth_waiting(const struct cl_qemu *q, uint64_t now_ns)
{
	for (uint32_t i = 0; i < q->monitor_count; i++) {
		const struct cl_qemu_monitor *monitor = q->monitors[i];

		if (monitor->failures == 0 && (monitor->qmp || may_begin(monitor, now_ns)))
			return true;
	}
	return false;
}

void cl_qemu_pump(struct cl_qemu *q, uint64_t until_ns)
{
	bool ready;

	do
		cl_qemu_round(q, is_worth_waiting(q, cl_clock_ns()) ? until_ns : 0, -1, &ready);
	while (cl_clock_ns() < until_ns && is_worth_waiting(q, cl_clock_ns()));
}
