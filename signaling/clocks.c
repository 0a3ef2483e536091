/* Where packets that passed belong on the room's clock, as long as nothing is learnt from them, and how evenly they came.
   The rules are those of clocks.py and publication.py, which do the rest. */

#include <stdint.h>
#include <stddef.h>

#include "forward.h"
#include "clocks.h"

int32_t clocks_size(int32_t which)
{
    switch (which) {
    case 0: return sizeof(pace);
    case 1: return sizeof(arrivals);
    }
    return -1;
}

/* Place runs from `from` on; returns which one is Python's, `count` if none. */
int32_t clocks_place(pace *of, const run *runs, int32_t from, int32_t count, double *places_ms)
{
    for (; from < count; from++) {
        uint32_t timestamp = runs[from].timestamp;
        if (timestamp != of->placed) {
            uint32_t distance = timestamp - (uint32_t)of->latest;
            double arrived_ms = runs[from].arrived_ms;
            double media_ms = (double)(of->latest + distance) / of->khz, lag_ms = arrived_ms - media_ms;
            if (distance == 0 || distance >= UINT32_C(1) << 31 || !(lag_ms >= of->window_lag_ms) ||
                !(lag_ms <= of->most_lag_ms) || !(arrived_ms < of->window_ends_ms))
                break;
            of->latest += distance;
            of->lag_ms = lag_ms;
            of->placed = timestamp;
            of->placed_ms = media_ms + of->offset_ms;
        }
        places_ms[from] = of->placed_ms;
    }
    return from;
}

/* As Arrivals.note (RFC 3550 A.8). */
void clocks_note(arrivals *of, const run *runs, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        if (of->begun && runs[i].timestamp == of->timestamp)
            continue;
        double transit = runs[i].arrived_ms * of->khz - runs[i].timestamp, difference = transit - of->transit;
        if (difference < 0)
            difference = -difference;
        if (of->begun && difference < 1 << 20)
            of->jitter += (difference - of->jitter) / 16;
        of->transit = transit;
        of->timestamp = runs[i].timestamp;
        of->begun = 1;
    }
}
