/* The short way of ordinary frames into a recording's file: place, wait, write in the order of their times.

   Ordinary is a sound or a whole VP8 picture that follows upon the one before it, that no decoder can begin with, and
   whose block goes into the cluster that is open. Everything else is left to Python in its turn, and so are all rules
   (frames.py, segment_file.py, webm.py); what stands here stands there too. Nothing here allocates: Python owns all
   memory, and keeps what frames point to until they are written. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "forward.h"
#include "settle.h"

enum { BLOCK_HEADER = 9, MOST_CLUSTER_MS = 1000, VIDEO_INTER = 0x01 };
static const double MOST_MS = 1e15; /* what a double still counts in halves */
enum answer { DONE, LEFT, FULL }; /* as in settling.py */

int32_t settle_size(int32_t which)
{
    switch (which) {
    case 0: return sizeof(frame);
    case 1: return sizeof(queue);
    case 2: return sizeof(placing);
    case 3: return sizeof(blocks);
    }
    return -1;
}

static int is_ordinary(const queue *of, const placing *at, const run *one, const uint8_t *data, uint32_t size)
{
    if (size == 0)
        return 0;
    return of->sounds || (one->whole && one->sequence == at->due && data[0] & VIDEO_INTER);
}

/* As Places.place, where it only learns; returns 0 where it has to think. */
static int place(placing *at, uint32_t timestamp, double room_ms)
{
    if (timestamp == at->timestamp)
        return 1;
    uint32_t distance = timestamp - (uint32_t)at->latest;
    if (distance == 0 || distance >= UINT32_C(1) << 31)
        return 0;
    int64_t extended = at->latest + distance;
    double media_ms = (double)extended / at->khz, offset_ms = room_ms - media_ms;
    if (fabs(offset_ms - *at->offset_ms) > at->anew_ms)
        return 0;
    *at->offset_ms = offset_ms;
    at->latest = extended;
    at->timestamp = timestamp;
    at->media_ms = media_ms;
    return 1;
}

/* Take runs of one track that `into` has room for; returns how many, the one behind them is Python's. begin: of the
   first one's payload. */
int32_t settle_take(queue *into, placing *at, const run *runs, const double *places_ms, int32_t count,
                    const uint8_t *payloads, uint32_t begin, int64_t hold)
{
    int32_t taken = 0;
    for (; taken < count && into->end < into->size; taken++) {
        const run *one = &runs[taken];
        const uint8_t *data = payloads + begin;
        uint32_t size = one->end - begin;
        if (places_ms[taken] <= at->began_ms || !is_ordinary(into, at, one, data, size) ||
            !place(at, one->timestamp, places_ms[taken]))
            break;
        into->frames[into->end++] = (frame){at->media_ms, at->offset_ms, 0, data, hold, size, 0};
        at->due = one->sequence + one->count;
        begin = one->end;
    }
    return taken;
}

/* Those of equal times stay as they came. They nearly always stand in their order. */
static void order(queue *of)
{
    frame *all = of->frames;
    of->end -= of->begin;
    memmove(all, all + of->begin, (size_t)of->end * sizeof *all);
    of->begin = 0;
    for (int32_t i = 0; i < of->end; i++)
        all[i].room_ms = all[i].media_ms + *all[i].offset_ms;
    for (int32_t i = 1; i < of->end; i++) {
        if (all[i - 1].room_ms <= all[i].room_ms)
            continue;
        frame late = all[i];
        int32_t at = i;
        for (; at > 0 && all[at - 1].room_ms > late.room_ms; at--)
            all[at] = all[at - 1];
        all[at] = late;
    }
}

static int64_t held_from(const queue *of, int64_t least)
{
    for (int32_t i = of->begin; i < of->end; i++)
        if (of->frames[i].hold < least)
            least = of->frames[i].hold;
    return least;
}

static const frame *first_of(const queue *of) { return of->begin < of->end ? &of->frames[of->begin] : NULL; }

/* As SegmentFile and WebmWriter do with a frame that begins neither a file nor a cluster nor an entry of the index. */
static enum answer write_block(blocks *to, int32_t track, const frame *one)
{
    if (one->left || !to->open || !(fabs(one->room_ms) < MOST_MS))
        return LEFT;
    int64_t at_ms = (int64_t)rint(one->room_ms) - to->offset_ms, in_cluster_ms = at_ms - to->cluster_ms;
    int sounds = to->queues[track]->sounds;
    if (at_ms <= to->last_ms[track] || in_cluster_ms <= -MOST_CLUSTER_MS ||
        in_cluster_ms >= MOST_CLUSTER_MS || (sounds && at_ms >= to->cue_ms[track]))
        return LEFT;
    if (one->size > (uint32_t)to->out_size || (uint32_t)(to->out_size - to->filled) < BLOCK_HEADER + one->size)
        return to->filled ? FULL : LEFT;
    uint8_t *out = to->out + to->filled;
    uint32_t size = 0x10000000 | (one->size + 4);
    uint16_t relative = (uint16_t)in_cluster_ms;
    uint8_t header[BLOCK_HEADER] = {0xA3, (uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size,
                                    0x80 | to->tracks[track], (uint8_t)(relative >> 8), (uint8_t)relative, sounds ? 0x80 : 0};
    memcpy(out, header, BLOCK_HEADER);
    memcpy(out + BLOCK_HEADER, one->data, one->size);
    to->filled += (int32_t)(BLOCK_HEADER + one->size);
    to->last_ms[track] = at_ms;
    return DONE;
}

/* Write blocks until nothing more is due. LEFT: what is first in `queues[0]` or `queues[1]` by its time, the former where
   they are equal, is Python's. FULL: call again, with an empty `out`. */
int32_t settle_write(blocks *to, double until_ms)
{
    order(to->queues[0]);
    order(to->queues[1]);
    for (;;) {
        const frame *sound = first_of(to->queues[0]), *picture = first_of(to->queues[1]);
        int32_t track = sound != NULL && (picture == NULL || sound->room_ms <= picture->room_ms) ? 0 : 1;
        const frame *one = track == 0 ? sound : picture;
        if (one == NULL || one->room_ms > until_ms) {
            to->held_from = held_from(to->queues[1], held_from(to->queues[0], INT64_MAX));
            return DONE;
        }
        enum answer answer = write_block(to, track, one);
        if (answer != DONE)
            return answer;
        to->queues[track]->begin++;
    }
}
