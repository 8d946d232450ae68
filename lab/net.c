// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * net: the loads that talk to a peer (peer.c). What a guest sent counts when it has arrived: for
 * UDP the peer is asked, for TCP the kernel knows what was acknowledged.
 */
#include "loadgen.h"
#include "wire.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

static void timeouts(int fd)
{
	struct timeval tv = { .tv_usec = (suseconds_t)(LG_POLL_NS / 1000) };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

static void fill(struct lg_wire *wire, enum lg_wire_type type, uint64_t flow, uint64_t a,
		 uint64_t b, uint64_t time_ns)
{
	*wire = (struct lg_wire){
		.magic = htobe32(LG_MAGIC),
		.type = htobe32(type),
		.flow = htobe64(flow),
		.a = htobe64(a),
		.b = htobe64(b),
		.time_ns = htobe64(time_ns),
	};
}

/* Is it one of our packets, of this type and flow? */
static bool is(const void *packet, ssize_t len, enum lg_wire_type type, uint64_t flow,
	       struct lg_wire *ret_wire)
{
	if (len < (ssize_t)sizeof(*ret_wire))
		return false;
	memcpy(ret_wire, packet, sizeof(*ret_wire));
	return ret_wire->magic == htobe32(LG_MAGIC) && ret_wire->type == htobe32(type) &&
	       ret_wire->flow == htobe64(flow);
}

static bool is_tcp(const struct lg_run *run)
{
	return run->load.kind == LG_TCP_OUT || run->load.kind == LG_TCP_IN;
}

int lg_net_open(struct lg_run *run, char *error, size_t size)
{
	int one = 1, room = 1 << 20;
	struct lg_wire wire;

	if (getrandom(&run->flow, sizeof(run->flow), 0) != sizeof(run->flow))
		run->flow = lg_now();
	run->fd = socket(AF_INET, (is_tcp(run) ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
	if (run->fd < 0)
		goto fail;
	setsockopt(run->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (connect(run->fd, (struct sockaddr *)&run->load.to, sizeof(run->load.to)))
		goto fail;
	if (is_tcp(run)) {
		setsockopt(run->fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof(one));
		fill(&wire, LG_WIRE_SINK, run->flow, 0, run->load.size, 0);
		if (run->load.kind == LG_TCP_OUT &&
		    send(run->fd, &wire, sizeof(wire), MSG_NOSIGNAL) != sizeof(wire))
			goto fail;
	}
	timeouts(run->fd);
	return 0;
fail:
	snprintf(error, size, "reaching the peer: %s; is `loadgen peer` running there?",
		 strerror(errno));
	return -errno;
}

static void udp_send(struct lg_run *run, enum lg_wire_type type)
{
	uint8_t packet[LG_UDP_MAX] = { 0 };
	struct lg_wire wire;
	uint64_t due;

	while (lg_next(run, &due)) {
		fill(&wire, type, run->flow, 0, 0, due);
		memcpy(packet, &wire, sizeof(wire));
		if (send(run->fd, packet, run->load.size, 0) != (ssize_t)run->load.size) {
			atomic_fetch_add(&run->errors, 1);
			continue;
		}
		/* An echo is done when it is back; that is the receiver's. */
		if (type == LG_WIRE_DATA)
			lg_done(run, due, run->load.size);
	}
}

/* Asks for packets and counts them. Its latency is the delay beyond the fastest packet's: the
 * clocks differ. */
static void udp_receive(struct lg_run *run)
{
	uint8_t packet[LG_UDP_MAX];
	struct lg_wire wire;
	uint64_t asked = 0;
	int64_t fastest = INT64_MAX;

	while (!lg_over(run)) {
		uint64_t now = lg_now();

		if (asked == 0 || now - asked > LG_KEEPALIVE_MS * LG_NS_PER_MS) {
			fill(&wire, LG_WIRE_SEND, run->flow, run->load.rate, run->load.size, now);
			if (send(run->fd, &wire, sizeof(wire), 0) != sizeof(wire))
				atomic_fetch_add(&run->errors, 1);
			asked = now;
		}
		ssize_t n = recv(run->fd, packet, sizeof(packet), 0);

		if (!is(packet, n, LG_WIRE_DATA, run->flow, &wire))
			continue;
		now = lg_now();
		int64_t transit = (int64_t)(now - be64toh(wire.time_ns));

		if (transit < fastest)
			fastest = transit;
		lg_done(run, now - (uint64_t)(transit - fastest), (uint64_t)n);
	}
	fill(&wire, LG_WIRE_STOP, run->flow, 0, 0, 0);
	send(run->fd, &wire, sizeof(wire), 0);
}

void *lg_net_receiver(void *arg)
{
	struct lg_run *run = arg;
	uint8_t packet[LG_UDP_MAX];
	struct lg_wire wire;

	while (!lg_over(run)) {
		ssize_t n = recv(run->fd, packet, sizeof(packet), 0);

		if (is(packet, n, LG_WIRE_ECHOED, run->flow, &wire))
			lg_done(run, be64toh(wire.time_ns), (uint64_t)n);
	}
	return NULL;
}

static void tcp_send(struct lg_run *run)
{
	static const uint8_t zeros[1 << 16];
	uint64_t due;

	while (lg_next(run, &due)) {
		uint64_t left = run->load.size;

		while (left && !lg_over(run)) {
			ssize_t n = send(run->fd, zeros,
					 left < sizeof(zeros) ? left : sizeof(zeros), MSG_NOSIGNAL);

			if (n > 0)
				left -= (uint64_t)n;
			else if (n < 0 && errno != EAGAIN && errno != EINTR) {
				atomic_fetch_add(&run->errors, 1);
				return;
			}
		}
		if (left == 0)
			lg_done(run, due, run->load.size);
	}
}

static void tcp_receive(struct lg_run *run)
{
	uint8_t buf[1 << 14];
	struct lg_wire wire;

	/* Only now: what the peer sends is counted from when the load starts. */
	fill(&wire, LG_WIRE_SEND, run->flow, run->load.rate, run->load.size, 0);
	if (send(run->fd, &wire, sizeof(wire), MSG_NOSIGNAL) != sizeof(wire)) {
		atomic_fetch_add(&run->errors, 1);
		return;
	}
	while (!lg_over(run)) {
		ssize_t n = recv(run->fd, buf, sizeof(buf), 0);

		if (n > 0) {
			atomic_fetch_add_explicit(&run->bytes, (uint64_t)n, memory_order_relaxed);
		} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			atomic_fetch_add(&run->errors, 1);
			return;
		}
	}
}

void *lg_net_thread(void *arg)
{
	struct lg_run *run = arg;

	switch (run->load.kind) {
	case LG_UDP_OUT:
		udp_send(run, LG_WIRE_DATA);
		break;
	case LG_UDP_ECHO:
		udp_send(run, LG_WIRE_ECHO);
		break;
	case LG_UDP_IN:
		udp_receive(run);
		break;
	case LG_TCP_OUT:
		tcp_send(run);
		break;
	case LG_TCP_IN:
		tcp_receive(run);
		break;
	case LG_CPU:
	case LG_DIRTY:
	case LG_DISK_READ:
	case LG_DISK_WRITE:
	case LG_KIND_COUNT:
		assert(!"not a network load");
	}
	return NULL;
}

/* How many packets of this flow the peer has. Asked on a socket of its own, so that no load reads
 * the answer. */
static bool query(const struct lg_run *run, uint64_t *ret_packets, uint64_t *ret_bytes)
{
	uint8_t packet[LG_UDP_MAX];
	struct lg_wire wire;
	bool found = false;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	timeouts(fd);
	if (connect(fd, (const struct sockaddr *)&run->load.to, sizeof(run->load.to)) == 0) {
		for (int attempt = 0; attempt < 20 && !found; attempt++) {
			fill(&wire, LG_WIRE_QUERY, run->flow, 0, 0, 0);
			if (send(fd, &wire, sizeof(wire), 0) != sizeof(wire))
				continue;
			found = is(packet, recv(fd, packet, sizeof(packet), 0), LG_WIRE_ANSWER,
				   run->flow, &wire);
		}
	}
	close(fd);
	if (found) {
		*ret_packets = be64toh(wire.a);
		*ret_bytes = be64toh(wire.b);
	}
	return found;
}

void lg_net_count(struct lg_run *run, uint64_t *ops, uint64_t *bytes, uint64_t *errors)
{
	int unsent = 0;

	switch (run->load.kind) {
	case LG_UDP_OUT:
		/* A peer that does not answer has received nothing that we know of. */
		if (!query(run, ops, bytes)) {
			*ops = run->last.ops;
			*bytes = run->last.bytes;
			(*errors)++;
		}
		break;
	case LG_TCP_OUT:
		if (ioctl(run->fd, SIOCOUTQ, &unsent) == 0 && unsent > 0)
			*bytes -= *bytes < (uint64_t)unsent ? *bytes : (uint64_t)unsent;
		*ops = *bytes / run->load.size;
		break;
	case LG_TCP_IN:
		*ops = *bytes / run->load.size;
		break;
	case LG_UDP_IN:
	case LG_UDP_ECHO:
	case LG_CPU:
	case LG_DIRTY:
	case LG_DISK_READ:
	case LG_DISK_WRITE:
	case LG_KIND_COUNT:
		break;
	}
}
