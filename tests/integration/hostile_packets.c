/* Hostile packets through forward.c under the sanitizers: run by test_short_way.py. Keys are played: the last 16 bytes of a
   datagram go, or come. Argument: the seed of chance. Everything is as small as it may be, so that edges are met. */

#include "forward.c"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TRACKS = 3, LOG = 8, RING = 3000, ROUNDS = 4000 };

static int unprotect(void *session, void *packet, int *length)
{
    (void)session;
    if (*length < 28 || ((uint8_t *)packet)[*length - 1] == 0xEE)
        return 1;
    *length -= 16;
    return 0;
}

static int protect(void *session, void *packet, int *length)
{
    (void)session;
    memset((uint8_t *)packet + *length, 1, TRAILER);
    *length += 16;
    return 0;
}

int main(int count, char **arguments)
{
    srandom(count > 1 ? (unsigned)atoi(arguments[1]) : 0);
    int receiving = socket(AF_INET, SOCK_DGRAM, 0), sending = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, there = here;
    socklen_t size = sizeof here;
    if (bind(receiving, (void *)&here, size) || bind(sending, (void *)&there, size) ||
        getsockname(receiving, (void *)&here, &size) || getsockname(sending, (void *)&there, &size))
        return 2;
    port at = {.protect = protect, .unprotect = unprotect, .headers = calloc(1, (size_t)forward_size(0))};
    for (int i = 0; i < AT_ONCE; i++)
        at.incoming[i] = malloc(PLACE);
    for (int i = 0; i < OUT; i++)
        at.outgoing[i] = malloc(PLACE);
    line from = {.rx = &from, .tx = &from, .fd = receiving, .address_size = sizeof there};
    memcpy(from.address, &there, sizeof there);
    source tracks[TRACKS] = {0};
    sink sinks[TRACKS][2] = {0};
    for (int i = 0; i < TRACKS; i++) {
        tracks[i] = (source){.log = calloc(LOG, sizeof(kept)), .places = calloc(LOG, sizeof(uint64_t)),
                             .ring = malloc(RING), .log_size = LOG, .ring_size = RING, .ssrc = (uint32_t)i,
                             .sink_count = 2, .open = 1, .highest = 65530};
        for (int k = 0; k < 2; k++) {
            sinks[i][k].to = &from;
            tracks[i].sinks[k] = &sinks[i][k];
        }
        from.routes[from.route_count++] = (route){&tracks[i], (uint32_t)i, 96};
    }
    table known = {.entries = calloc(4, sizeof(entry)), .size = 4};
    uint8_t key[20];
    if (!read_key((uint8_t *)&there, sizeof there, key) || !forward_assign(&known, key, &from))
        return 2;
    uint8_t *taken = malloc(4096);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = (int)(random() % 40); i >= 0; i--) {
            uint8_t data[1700];
            size_t length = random() % 8 ? (size_t)(random() % 120) + 20 : (size_t)(random() % 1700);
            for (size_t k = 0; k < length; k++)
                data[k] = (uint8_t)random();
            source *of = &tracks[random() % TRACKS];
            if (length >= 12 && random() % 16) {
                data[0] = random() % 4 ? 0x80 : (uint8_t)(0x80 | random() % 64);
                data[1] = (uint8_t)(96 | random() % 2 << 7);
                write16(data + 2, (uint16_t)(of->highest + 1 + (random() % 8 ? 0 : random() % 5 - 2)));
                write32(data + 8, of->ssrc);
                if (length > 15 && random() % 4) { /* the descriptor of VP8, as often as not */
                    static const uint8_t firsts[] = {0x10, 0x00, 0x90, 0x80};
                    write32(data + 4, (uint32_t)(random() % 2));
                    data[12] = firsts[random() % 4];
                }
            }
            sendto(sending, data, length, MSG_DONTWAIT, (void *)&here, sizeof here);
        }
        at.still_ms = 1 + round;
        forward_drain(&at, &known, receiving);
        for (int32_t i = 0; i < at.left_count; i++)
            if (at.left[i] < 0 || at.left[i] >= AT_ONCE || at.in_size[at.left[i]] > LARGEST)
                return 3;
        for (int i = 0; i < TRACKS; i++) {
            source *of = &tracks[i];
            if (random() % 3 == 0)
                of->open = (uint8_t)(random() % 4 != 0);
            if (random() % 2)
                for (int32_t taken_runs = 1; taken_runs > 0;) {
                    int32_t room = 1 + (int32_t)(random() % 4096);
                    uint8_t *into = malloc((size_t)room);
                    run *runs = malloc(3 * sizeof(run));
                    taken_runs = forward_take(of, runs, 3, into, room, (int32_t)(random() % 4));
                    if (taken_runs > 0 && runs[taken_runs - 1].end > (uint32_t)room)
                        return 6;
                    free(into);
                    free(runs);
                }
            if (random() % 9 == 0) {
                of->taken_count = of->kept_count;
                forward_keep(of, of->highest - random() % 12, 1, 0, 0, taken, (int32_t)(random() % 1600));
                of->taken_count = of->kept_count;
            }
            if (forward_find(of, of->highest - random() % 20) >= LOG)
                return 4;
        }
        while (recv(sending, taken, 4096, MSG_DONTWAIT) >= 0) { }
    }
    printf("%llu %llu\n", (unsigned long long)from.packets, (unsigned long long)tracks[0].received);
    return tracks[0].received > 100 ? 0 : 5;
}
