/* The short way of ordinary packets: read many, decrypt, forward, keep, send many; Python is called once for all.

   Ordinary is the next packet of a track that runs on and that nobody waits to begin with. Everything else is left to
   Python, in order: once a packet of a track was left, so are those behind it, until Python has been there. All rules
   are Python's (publication.py, subscription.py); it tells them to us by filling in forward.h's structures, and it owns
   their memory. Nothing here allocates, and nothing is trusted that came from the network: sizes are checked where they
   are read, and no packet is written past its place. */

#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "forward.h"

enum {
    AT_ONCE = 32,
    HELD_UP = AT_ONCE * 16, /* the routes of as many lines */
    OUT = 64,
    PLACE = 2048,         /* bytes for a datagram */
    LARGEST = 1500,       /* guard.MAX_DATAGRAM_BYTES */
    TRAILER = 16 + 128,   /* what libsrtp may add */
    FIXED = 12,
    RUN = 64,
    PAUSE_US = 400,
    STAY_PAUSES = 8,
    WINDOW_MS = 100,
    DENSE = 150,  /* packets in a window: five calls */
    DENSER = 600, /* twenty; twice as long from forty on */
};

enum { TIMES, PACKETS, SOUND, VP8 }; /* what is taken of the payloads, as in compiled.py */

typedef struct {
    struct mmsghdr in[AT_ONCE];
    struct iovec in_place[AT_ONCE];
    struct mmsghdr out[OUT];
    struct iovec out_place[OUT];
    int32_t prepared;
} headers;

_Static_assert(LARGEST + TRAILER <= PLACE, "a protected packet fits into its place");

int32_t forward_size(int32_t which)
{
    switch (which) {
    case 0: return sizeof(headers);
    case 1: return sizeof(sink);
    case 2: return sizeof(kept);
    case 3: return sizeof(source);
    case 4: return sizeof(run);
    case 5: return sizeof(line);
    case 6: return sizeof(table);
    case 7: return sizeof(port);
    }
    return -1;
}

const char *forward_built_from(void) { return BUILT_FROM; }

static uint16_t read16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }
static uint32_t read32(const uint8_t *at) { return (uint32_t)read16(at) << 16 | read16(at + 2); }
static void write16(uint8_t *at, uint16_t value) { at[0] = (uint8_t)(value >> 8); at[1] = (uint8_t)value; }
static void write32(uint8_t *at, uint32_t value) { write16(at, (uint16_t)(value >> 16)); write16(at + 2, (uint16_t)value); }

/* Who sends from where ------------------------------------------------------------------------------------------- */

/* key: port and address as the network has them, zeros behind an IPv4 address, and a byte for the family. */
static int read_key(const uint8_t *name, socklen_t size, uint8_t *key)
{
    memset(key, 0, 20);
    const struct sockaddr *any = (const struct sockaddr *)name;
    if (size >= sizeof(struct sockaddr_in) && any->sa_family == AF_INET) {
        memcpy(key, name + 2, 6);
        key[18] = 4;
        return 1;
    }
    if (size >= sizeof(struct sockaddr_in6) && any->sa_family == AF_INET6) {
        memcpy(key, name + 2, 2);
        memcpy(key + 2, name + 8, 16);
        key[18] = 6;
        return 1;
    }
    return 0;
}

static uint32_t place_of(const table *known, const uint8_t *key)
{
    uint32_t hash = 2166136261u;
    for (int i = 0; i < 19; i++)
        hash = (hash ^ key[i]) * 16777619u;
    hash ^= hash >> 15;
    uint32_t at = hash & (known->size - 1);
    while (known->entries[at].known && memcmp(known->entries[at].key, key, 20) != 0)
        at = (at + 1) & (known->size - 1);
    return at;
}

/* from: null for nobody. Returns 0 if the table has to grow first. */
int32_t forward_assign(table *known, const uint8_t *key, line *from)
{
    uint32_t at = place_of(known, key);
    if (!known->entries[at].known) {
        if (from == NULL)
            return 1;
        if (2 * (known->used + 1) >= known->size)
            return 0;
        known->used++;
        known->entries[at].known = 1;
        memcpy(known->entries[at].key, key, 20);
    }
    known->entries[at].sender = from;
    return 1;
}

/* What is kept --------------------------------------------------------------------------------------------------- */

static int is_whole(const source *of, const kept *one) { return of->written - (one->end - one->size) <= of->ring_size; }

/* Where a payload of this size would begin: never across the ring's end. */
static uint64_t begin_of(const source *of, uint32_t size)
{
    uint64_t at = of->written;
    uint32_t left = of->ring_size - (uint32_t)(at % of->ring_size);
    return left < size ? at + left : at;
}

/* Whether one more can be kept without losing one that was not taken. */
static int has_room(const source *of, uint32_t size)
{
    if (size > of->ring_size)
        return 0;
    if (of->kept_count == of->taken_count)
        return 1;
    const kept *oldest = &of->log[of->taken_count % of->log_size];
    return of->kept_count - of->taken_count < of->log_size &&
           begin_of(of, size) + size - (oldest->end - oldest->size) <= of->ring_size;
}

int32_t forward_keep(source *of, int64_t sequence, uint32_t timestamp, uint8_t marker, double arrived_ms,
                     const uint8_t *payload, int32_t size)
{
    if (size < 0 || size > LARGEST || !has_room(of, (uint32_t)size))
        return 0;
    uint64_t at = begin_of(of, (uint32_t)size);
    kept *one = &of->log[of->kept_count % of->log_size];
    memcpy(of->ring + at % of->ring_size, payload, (size_t)size);
    of->written = at + (uint64_t)size;
    *one = (kept){sequence, arrived_ms, of->written, timestamp, (uint16_t)size, marker};
    of->kept_count++;
    of->places[(uint64_t)sequence % of->log_size] = of->kept_count;
    return 1;
}

/* Returns where in the log a packet is, -1 if it is not there any more or never was, -2 if it came but its payload is
   gone. */
int32_t forward_find(const source *of, int64_t sequence)
{
    uint64_t place = of->places[(uint64_t)sequence % of->log_size];
    if (place == 0 || of->kept_count - (place - 1) > of->log_size)
        return -1;
    const kept *one = &of->log[(place - 1) % of->log_size];
    if (one->sequence != sequence)
        return -1;
    return is_whole(of, one) ? (int32_t)((place - 1) % of->log_size) : -2;
}

/* As vp8.descriptor_size (RFC 7741 §4.2): 0 if this is no VP8. */
static uint32_t vp8_descriptor_size(const uint8_t *payload, uint32_t size)
{
    uint32_t end = 1;
    if (size == 0)
        return 0;
    if (payload[0] & 0x80) {
        if (size < 2)
            return 0;
        uint8_t extensions = payload[1];
        end = 2;
        if (extensions & 0x80) {
            if (size <= end)
                return 0;
            end += payload[end] & 0x80 ? 2 : 1;
        }
        end += (extensions & 0x40 ? 1 : 0) + (extensions & 0x30 ? 1 : 0);
    }
    return size > end ? end : 0;
}

static const kept *not_taken(const source *of, int32_t number)
{
    return &of->log[(of->taken_count + (uint64_t)number) % of->log_size];
}

static const uint8_t *payload_of(const source *of, const kept *one)
{
    return of->ring + (one->end - one->size) % of->ring_size;
}

/* Whether the next `count` packets are one VP8 picture from its first packet to its last, and nothing else. */
static int is_picture(const source *of, int32_t count)
{
    if (!not_taken(of, count - 1)->marker)
        return 0;
    for (int32_t i = 0; i < count; i++) {
        const kept *one = not_taken(of, i);
        const uint8_t *payload = payload_of(of, one);
        if (vp8_descriptor_size(payload, one->size) == 0 || ((payload[0] & 0x17) == 0x10) != (i == 0))
            return 0;
    }
    return 1;
}

/* Describe what was not taken yet in `runs`, and write what it carries `into`, as far as there is room for both;
   returns how many runs. Sound comes by packet, VP8 by picture where it is whole. */
int32_t forward_take(source *of, run *runs, int32_t most, uint8_t *into, int32_t size, int32_t what)
{
    int32_t taken = 0, at = 0;
    while (taken < most && of->taken_count < of->kept_count) {
        const kept *first = not_taken(of, 0), *last = first;
        uint64_t left = of->kept_count - of->taken_count;
        int32_t count = 1, bytes = first->size;
        while (what != SOUND && count < RUN && (uint64_t)count < left && !last->marker) {
            const kept *next = not_taken(of, count);
            if (next->timestamp != first->timestamp || next->sequence != last->sequence + 1)
                break;
            last = next;
            count++;
            bytes += next->size;
        }
        int whole = what == SOUND || (what == VP8 && is_picture(of, count));
        if (at + 2 * count + bytes > size)
            break;
        if (what == PACKETS || (what == VP8 && !whole))
            for (int32_t i = 0; i < count; i++, at += 2)
                memcpy(into + at, &not_taken(of, i)->size, 2);
        for (int32_t i = 0; i < count && what != TIMES; i++) {
            const kept *one = not_taken(of, i);
            const uint8_t *payload = payload_of(of, one);
            uint32_t skip = whole && what == VP8 ? vp8_descriptor_size(payload, one->size) : 0;
            memcpy(into + at, payload + skip, one->size - skip);
            at += (int32_t)(one->size - skip);
        }
        runs[taken++] = (run){first->sequence, first->timestamp, (uint32_t)at, first->arrived_ms,
                              last->marker,    (uint8_t)count,   (uint8_t)whole};
        of->taken_count += (uint64_t)count;
    }
    return taken;
}

/* Sending -------------------------------------------------------------------------------------------------------- */

static void send_filled(port *at)
{
    headers *all = at->headers;
    int32_t sent = 0;
    while (sent < at->filled) {
        int32_t fd = at->out_to[sent]->fd, end = sent;
        while (end < at->filled && at->out_to[end]->fd == fd)
            end++;
        int done = sendmmsg(fd, all->out + sent, (unsigned)(end - sent), MSG_DONTWAIT);
        if (done > 0) {
            sent += done;
        } else if (errno != EINTR) {
            /* The first one failed. A socket that takes no more takes none of the others either. */
            int full = errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS;
            for (int32_t last = full ? end : sent + 1; sent < last; sent++)
                if (full && at->unsent_count < OUT)
                    at->unsent[at->unsent_count++] = sent;
        }
    }
}

static void forward(port *at, sink *to, uint8_t marker, int64_t sequence, uint32_t timestamp, double arrived_ms,
                    const uint8_t *payload, int32_t size)
{
    headers *all = at->headers;
    line *line = to->to;
    to->sent_sequence = sequence + to->sequence_offset;
    to->sent_timestamp = timestamp + to->timestamp_offset;
    to->sent_ms = arrived_ms;
    to->packets++;
    to->octets += (uint64_t)size;
    if (line->tx == NULL || FIXED + size > LARGEST)
        return;
    if (at->filled == OUT) {
        if (at->unsent_count) /* their places are Python's until it has looked at them */
            return;
        send_filled(at);
        if (at->unsent_count)
            return;
        at->filled = 0;
    }
    uint8_t *packet = at->outgoing[at->filled];
    packet[0] = 0x80;
    packet[1] = (uint8_t)(to->payload_type | marker << 7);
    write16(packet + 2, (uint16_t)(to->sent_sequence & 0xFFFF));
    write32(packet + 4, to->sent_timestamp);
    write32(packet + 8, to->ssrc);
    memcpy(packet + FIXED, payload, (size_t)size);
    int length = FIXED + size;
    if (at->protect(line->tx, packet, &length) != 0)
        return;
    at->out_size[at->filled] = length;
    at->out_to[at->filled] = line;
    all->out_place[at->filled].iov_len = (size_t)length;
    all->out[at->filled].msg_hdr.msg_name = line->address;
    all->out[at->filled].msg_hdr.msg_namelen = line->address_size;
    at->filled++;
}

/* Receiving ------------------------------------------------------------------------------------------------------ */

enum outcome { DONE, LEFT };

static void hold_up(port *at, source *of)
{
    if (!of->held_up && at->held_up_count < HELD_UP) {
        of->held_up = 1;
        at->held_up[at->held_up_count++] = of;
    }
}

static enum outcome take(port *at, line *from, int32_t number, double now_ms)
{
    uint8_t *data = at->incoming[number];
    int length = at->in_size[number];
    if (at->unprotect(from->rx, data, &length) != 0 || length < FIXED || length > LARGEST)
        return DONE;
    at->in_size[number] = length;
    from->packets++;
    /* As rtp.header_end: sources and header extensions are skipped, padding is cut off. */
    int32_t begin = FIXED + 4 * (data[0] & 0x0F), end = length;
    if (data[0] & 0x10) {
        if (begin + 4 > length)
            return DONE;
        begin += 4 + 4 * read16(data + begin + 2);
    }
    if (data[0] & 0x20)
        end -= data[length - 1];
    if (begin > end)
        return DONE;
    uint8_t payload_type = data[1] & 0x7F, marker = data[1] >> 7;
    uint16_t sequence = read16(data + 2);
    uint32_t timestamp = read32(data + 4), ssrc = read32(data + 8);
    source *of = NULL;
    for (int32_t i = 0; i < from->route_count; i++)
        if (from->routes[i].ssrc == ssrc && from->routes[i].payload_type == payload_type)
            of = from->routes[i].to;
    at->clear[number] = 1;
    if (of == NULL) { /* a repetition, or something new: of which track, Python has to say */
        for (int32_t i = 0; i < from->route_count; i++)
            hold_up(at, from->routes[i].to);
        return LEFT;
    }
    int64_t next = of->highest + 1;
    double arrived_ms = now_ms + of->offset_ms;
    if (!of->open || of->held_up || of->ssrc != ssrc || (uint16_t)(next & 0xFFFF) != sequence ||
        !forward_keep(of, next, timestamp, marker, arrived_ms, data + begin, end - begin)) {
        hold_up(at, of);
        return LEFT;
    }
    of->highest = next;
    of->received++;
    of->octets += (uint64_t)(end - begin);
    for (int32_t i = 0; i < of->sink_count; i++)
        forward(at, of->sinks[i], marker, next, timestamp, arrived_ms, data + begin, end - begin);
    return DONE;
}

static double clock_ms(const port *at)
{
    struct timespec now;
    if (at->still_ms != 0)
        return at->still_ms;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1e6;
}

/* Everything that stays as it is from one reading to the next. */
static void prepare(port *at)
{
    headers *all = at->headers;
    for (int i = 0; i < AT_ONCE; i++) {
        all->in_place[i] = (struct iovec){at->incoming[i], PLACE};
        all->in[i].msg_hdr = (struct msghdr){.msg_name = at->came_from[i],
                                             .msg_namelen = sizeof at->came_from[i],
                                             .msg_iov = &all->in_place[i],
                                             .msg_iovlen = 1};
    }
    for (int i = 0; i < OUT; i++) {
        all->out_place[i].iov_base = at->outgoing[i];
        all->out[i].msg_hdr = (struct msghdr){.msg_iov = &all->out_place[i], .msg_iovlen = 1};
    }
    all->prepared = 1;
}

/* Read what is there, do what is ordinary, send what comes of it; returns how many datagrams were read. */
static int32_t drain_once(port *at, table *known, int32_t fd, double now_ms)
{
    headers *all = at->headers;
    at->left_count = at->filled = at->unsent_count = 0;
    if (!all->prepared)
        prepare(at);
    int count = recvmmsg(fd, all->in, AT_ONCE, MSG_DONTWAIT, NULL);
    if (count <= 0)
        return 0;
    for (int32_t i = 0; i < count; i++) {
        const uint8_t *data = at->incoming[i];
        int32_t size = (int32_t)all->in[i].msg_len;
        socklen_t name_size = all->in[i].msg_hdr.msg_namelen;
        uint8_t key[20];
        all->in[i].msg_hdr.msg_namelen = sizeof at->came_from[i]; /* for the next one */
        at->clear[i] = 0;
        at->in_size[i] = size;
        if (size <= 0 || size > LARGEST || !read_key(at->came_from[i], name_size, key))
            continue;
        if (size >= FIXED && data[0] >> 6 == 2 && !(data[1] >= 192 && data[1] < 224)) {
            line *from = known->entries[place_of(known, key)].sender;
            if (from != NULL && from->rx != NULL && take(at, from, i, now_ms) == DONE)
                continue;
        }
        at->left[at->left_count++] = i;
    }
    if (!at->unsent_count)
        send_filled(at);
    for (int32_t i = 0; i < at->held_up_count; i++)
        at->held_up[i]->held_up = 0;
    at->held_up_count = 0;
    return count;
}

/* How long to wait for more before reading again, by how much has been coming: not at all for a few packets, for which the
   loop's other business is not kept waiting. */
static int32_t pause_us(port *at, int32_t count, double now_ms)
{
    at->window_count += count;
    if (now_ms - at->window_ms >= WINDOW_MS) {
        int32_t most = 2 * DENSER, dense = at->window_count < most ? at->window_count : most;
        at->pause_us = dense < DENSE ? 0 : dense < DENSER ? PAUSE_US : PAUSE_US * dense / DENSER;
        at->window_ms = now_ms;
        at->window_count = 0;
    }
    return at->pause_us;
}

/* Drain, and where much is coming stay for what comes next. Waking up here costs a fraction of a turn of Python's loop,
   which has its turn after STAY_PAUSES at the latest, and at once when there is something for it to do; and what comes in
   half a millisecond is read and sent together for a fraction of what it costs one by one. */
int32_t forward_drain(port *at, table *known, int32_t fd)
{
    double began_ms = clock_ms(at), now_ms = began_ms;
    int32_t count = drain_once(at, known, fd, now_ms), total = count;
    for (int32_t pause; (pause = pause_us(at, count, now_ms)) && count > 0 && at->left_count == 0 && at->unsent_count == 0;) {
        if (count < AT_ONCE)
            nanosleep(&(struct timespec){0, pause * 1000}, NULL);
        now_ms = clock_ms(at);
        if (now_ms - began_ms >= STAY_PAUSES * pause / 1000.0)
            break;
        count = drain_once(at, known, fd, now_ms);
        total += count;
    }
    return total;
}
