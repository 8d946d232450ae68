// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * peer: the other end of the guests' network loads, on the host: counts, echoes, and sends on
 * request. One thread. What guests send is hostile: sizes and tables are bounded, and nothing is
 * sent to one that stopped asking.
 */
#include "loadgen.h"
#include "wire.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FLOWS_MAX       256u
#define SENDERS_MAX     64u
#define CONNECTIONS_MAX 64u
#define BURST           64u /* packets or reads of one socket before the others have their turn */
#define RATE_MAX        1000000u

struct flow {
	uint64_t id, packets, bytes, used;
};

struct sender {
	bool active;
	struct sockaddr_in to;
	uint64_t id, rate, size, start_ns, sent, asked_ns;
};

struct connection {
	int fd;
	struct lg_wire hello;
	size_t hello_len;
	bool sends;
	uint64_t rate, size, start_ns, sent_bytes;
};

struct peer {
	int udp, tcp;
	uint64_t clock; /* counts uses: the flow used longest ago makes room */
	struct flow flows[FLOWS_MAX];
	struct sender senders[SENDERS_MAX];
	struct connection connections[CONNECTIONS_MAX];
	uint32_t connection_count;
};

static struct flow *flow_of(struct peer *peer, uint64_t id)
{
	struct flow *oldest = &peer->flows[0];

	for (uint32_t i = 0; i < FLOWS_MAX; i++) {
		struct flow *flow = &peer->flows[i];

		if (flow->used && flow->id == id) {
			flow->used = ++peer->clock;
			return flow;
		}
		if (flow->used < oldest->used)
			oldest = flow;
	}
	*oldest = (struct flow){ .id = id, .used = ++peer->clock };
	return oldest;
}

static struct sender *sender_of(struct peer *peer, uint64_t id, const struct sockaddr_in *from,
				bool add)
{
	struct sender *room = NULL;

	for (uint32_t i = 0; i < SENDERS_MAX; i++) {
		struct sender *sender = &peer->senders[i];

		if (sender->active && sender->id == id &&
		    sender->to.sin_addr.s_addr == from->sin_addr.s_addr &&
		    sender->to.sin_port == from->sin_port)
			return sender;
		if (!sender->active && !room)
			room = sender;
	}
	if (!add || !room)
		return NULL;
	*room = (struct sender){ .active = true, .id = id, .to = *from, .start_ns = lg_now() };
	return room;
}

static void udp_packet(struct peer *peer, uint8_t *packet, size_t len,
		       const struct sockaddr_in *from)
{
	struct lg_wire wire;

	if (len < sizeof(wire))
		return;
	memcpy(&wire, packet, sizeof(wire));
	if (wire.magic != htobe32(LG_MAGIC))
		return;
	uint64_t id = be64toh(wire.flow);
	struct flow *flow;
	struct sender *sender;

	switch (be32toh(wire.type)) {
	case LG_WIRE_DATA:
		flow = flow_of(peer, id);
		flow->packets++;
		flow->bytes += len;
		break;
	case LG_WIRE_QUERY:
		flow = flow_of(peer, id);
		wire.type = htobe32(LG_WIRE_ANSWER);
		wire.a = htobe64(flow->packets);
		wire.b = htobe64(flow->bytes);
		sendto(peer->udp, &wire, sizeof(wire), MSG_DONTWAIT, (const struct sockaddr *)from,
		       sizeof(*from));
		break;
	case LG_WIRE_ECHO:
		wire.type = htobe32(LG_WIRE_ECHOED);
		memcpy(packet, &wire, sizeof(wire));
		sendto(peer->udp, packet, len, MSG_DONTWAIT, (const struct sockaddr *)from,
		       sizeof(*from));
		break;
	case LG_WIRE_SEND:
		if (be64toh(wire.a) > RATE_MAX || be64toh(wire.b) < sizeof(wire) ||
		    be64toh(wire.b) > LG_UDP_MAX)
			break;
		sender = sender_of(peer, id, from, true);
		if (!sender)
			break;
		sender->rate = be64toh(wire.a);
		sender->size = be64toh(wire.b);
		sender->asked_ns = lg_now();
		break;
	case LG_WIRE_STOP:
		sender = sender_of(peer, id, from, false);
		if (sender)
			sender->active = false;
		break;
	default:
		break;
	}
}

static void udp_readable(struct peer *peer)
{
	uint8_t packet[LG_UDP_MAX];

	for (uint32_t i = 0; i < BURST; i++) {
		struct sockaddr_in from;
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(peer->udp, packet, sizeof(packet), MSG_DONTWAIT,
				     (struct sockaddr *)&from, &from_len);

		if (n < 0)
			return;
		udp_packet(peer, packet, (size_t)n, &from);
	}
}

/* Sends what is due; returns when the next is, ns. */
static uint64_t udp_send(struct peer *peer, uint64_t now)
{
	uint8_t packet[LG_UDP_MAX] = { 0 };
	uint64_t next = UINT64_MAX;

	for (uint32_t i = 0; i < SENDERS_MAX; i++) {
		struct sender *sender = &peer->senders[i];

		if (sender->active && now - sender->asked_ns > LG_FORGET_MS * LG_NS_PER_MS)
			sender->active = false;
		if (!sender->active)
			continue;
		uint64_t due = now;

		for (uint32_t k = 0; k < BURST; k++) {
			due = sender->rate ? sender->start_ns + lg_due(sender->rate, sender->sent)
					   : now;
			if (due > now)
				break;
			struct lg_wire wire = {
				.magic = htobe32(LG_MAGIC),
				.type = htobe32(LG_WIRE_DATA),
				.flow = htobe64(sender->id),
				.time_ns = htobe64(due),
			};
			memcpy(packet, &wire, sizeof(wire));
			sendto(peer->udp, packet, sender->size, MSG_DONTWAIT,
			       (struct sockaddr *)&sender->to, sizeof(sender->to));
			sender->sent++; /* dropped or not: it was offered */
		}
		if (due < next)
			next = due;
	}
	return next;
}

static void connection_close(struct peer *peer, uint32_t i)
{
	close(peer->connections[i].fd);
	peer->connections[i] = peer->connections[--peer->connection_count];
}

static void tcp_accept(struct peer *peer)
{
	int fd = accept4(peer->tcp, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (peer->connection_count == CONNECTIONS_MAX) {
		close(fd);
		return;
	}
	peer->connections[peer->connection_count++] = (struct connection){ .fd = fd };
}

/* The hello, whole. False: not one of ours. */
static bool greeted(struct connection *connection)
{
	const struct lg_wire *hello = &connection->hello;

	if (hello->magic != htobe32(LG_MAGIC))
		return false;
	connection->sends = hello->type == htobe32(LG_WIRE_SEND);
	connection->rate = be64toh(hello->a);
	connection->size = be64toh(hello->b);
	connection->start_ns = lg_now();
	return connection->rate <= RATE_MAX && connection->size >= 1 && connection->size <= 1 << 20;
}

/* False: it is over. */
static bool tcp_readable(struct connection *connection)
{
	uint8_t sink[1 << 16];

	for (uint32_t i = 0; i < BURST; i++) {
		bool greeting = connection->hello_len < sizeof(connection->hello);
		void *at = greeting ? (uint8_t *)&connection->hello + connection->hello_len : sink;
		ssize_t n = recv(connection->fd, at,
				 greeting ? sizeof(connection->hello) - connection->hello_len
					  : sizeof(sink),
				 MSG_DONTWAIT);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (n == 0)
			return false;
		if (greeting) {
			connection->hello_len += (size_t)n;
			if (connection->hello_len == sizeof(connection->hello) &&
			    !greeted(connection))
				return false;
		}
	}
	return true;
}

/* Sends what is due to one; true if the socket would take no more. *ret_next: when more is due. */
static bool tcp_send(struct connection *connection, uint64_t now, uint64_t *ret_next)
{
	static const uint8_t zeros[1 << 16];

	for (uint32_t k = 0; k < BURST; k++) {
		/* Bytes that should have gone by now; a message goes whole when it is due. */
		uint64_t due_bytes =
			connection->rate
				? lg_due_count(connection->rate, now - connection->start_ns + 1) *
					  connection->size
				: UINT64_MAX;

		if (due_bytes <= connection->sent_bytes) {
			*ret_next =
				connection->start_ns +
				lg_due(connection->rate, connection->sent_bytes / connection->size);
			return false;
		}
		uint64_t left = due_bytes - connection->sent_bytes;
		ssize_t n = send(connection->fd, zeros, left < sizeof(zeros) ? left : sizeof(zeros),
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return true;
		connection->sent_bytes += (uint64_t)n;
	}
	*ret_next = now;
	return false;
}

static int listen_at(const struct sockaddr_in *address, int type)
{
	int one = 1, room = 4 << 20, fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) ||
	    (type == SOCK_STREAM && listen(fd, (int)CONNECTIONS_MAX))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* One turn: send what is due, wait for what comes or is due next, take it. */
static void turn(struct peer *peer)
{
	struct pollfd fds[2 + CONNECTIONS_MAX];
	uint64_t now = lg_now(), next = udp_send(peer, now);

	fds[0] = (struct pollfd){ .fd = peer->udp, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = peer->tcp, .events = POLLIN };
	for (uint32_t i = 0; i < peer->connection_count; i++) {
		struct connection *connection = &peer->connections[i];
		uint64_t due = UINT64_MAX;
		bool full = connection->sends &&
			    connection->hello_len == sizeof(connection->hello) &&
			    tcp_send(connection, now, &due);

		fds[2 + i] = (struct pollfd){ .fd = connection->fd,
					      .events = (short)(POLLIN | (full ? POLLOUT : 0)) };
		if (due < next)
			next = due;
	}
	now = lg_now();
	uint64_t wait = next > now ? next - now : 0;
	struct timespec ts = {
		.tv_sec = (time_t)(wait / LG_NS_PER_S),
		.tv_nsec = (long)(wait % LG_NS_PER_S),
	};

	if (ppoll(fds, 2 + peer->connection_count, next == UINT64_MAX ? NULL : &ts, NULL) <= 0)
		return;
	/* Backwards: closing one puts the last in its place. */
	for (uint32_t i = peer->connection_count; i-- > 0;)
		if ((fds[2 + i].revents & (POLLIN | POLLHUP | POLLERR)) &&
		    !tcp_readable(&peer->connections[i]))
			connection_close(peer, i);
	if (fds[0].revents & POLLIN)
		udp_readable(peer);
	if (fds[1].revents & POLLIN)
		tcp_accept(peer);
}

int lg_peer(const struct sockaddr_in *address)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (!peer) {
		fprintf(stderr, "loadgen peer: no memory\n");
		return 1;
	}
	peer->udp = listen_at(address, SOCK_DGRAM);
	peer->tcp = listen_at(address, SOCK_STREAM);
	if (peer->udp < 0 || peer->tcp < 0) {
		fprintf(stderr,
			"loadgen peer: listening: %s; is another peer there, is the address this machine's?\n",
			strerror(errno));
		free(peer);
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	for (;;)
		turn(peer);
}
