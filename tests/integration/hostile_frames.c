/* Frames of any size, time and order through settle.c under the sanitizers: run by test_short_way.py. Argument: the seed of
   chance. Memory is exactly as large as it is said to be, and what is needed no more is given back at once. */

#include "settle.c"

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 3000, QUEUE = 16, RUNS = 12, OUT = 900 };

int main(int count, char **arguments)
{
    srandom(count > 1 ? (unsigned)atoi(arguments[1]) : 0);
    frame *frames[2] = {malloc(QUEUE * sizeof(frame)), malloc(QUEUE * sizeof(frame))};
    queue queues[2] = {{frames[0], 0, 0, QUEUE, 1}, {frames[1], 0, 0, QUEUE, 0}};
    double offset_ms[2] = {0, 0};
    placing at[2] = {{.khz = 48, .anew_ms = 2500, .offset_ms = &offset_ms[0]}, {.khz = 90, .anew_ms = 2500, .offset_ms = &offset_ms[1]}};
    blocks to = {.queues = {&queues[0], &queues[1]}, .tracks = {2, 1}, .out = malloc(OUT), .out_size = OUT, .last_ms = {-1, -1}};
    uint8_t *held[ROUNDS * 2] = {0};
    int64_t freed = 0, written = 0, left = 0;
    for (int64_t round = 0; round < ROUNDS; round++) {
        int track = (int)(random() % 2);
        run *runs = malloc(RUNS * sizeof(run));
        double *places_ms = malloc(RUNS * sizeof(double));
        int32_t size = 0, runs_count = (int32_t)(random() % (RUNS + 1));
        for (int32_t i = 0; i < runs_count; i++) {
            size += random() % 8 ? (int32_t)(random() % 60) : (int32_t)(random() % 2000);
            uint32_t timestamp = at[track].timestamp + (random() % 16 ? (uint32_t)(900 * (i + 1)) : (uint32_t)random());
            runs[i] = (run){at[track].due + i, timestamp, (uint32_t)size, 0, 1, 1, random() % 16 != 0};
            places_ms[i] = (at[track].latest + 900 * (i + 1)) / at[track].khz + (random() % 16 ? 0 : random() % 6000 - 3000);
        }
        held[round] = malloc(size ? (size_t)size : 1);
        for (int32_t i = 0; i < size; i++)
            held[round][i] = (uint8_t)(random() | 1);
        int32_t taken = settle_take(&queues[track], &at[track], runs, places_ms, runs_count, held[round], 0, round);
        if (taken < 0 || taken > runs_count || queues[track].end > QUEUE)
            return 2;
        free(runs);
        free(places_ms);
        if (random() % 8 == 0) {
            to.cluster_ms = to.last_ms[0] > to.last_ms[1] ? to.last_ms[0] : to.last_ms[1];
            to.cue_ms[0] = to.cluster_ms + 2000;
            to.open = 1;
        }
        enum answer answer = FULL;
        while (answer != DONE) {
            answer = (enum answer)settle_write(&to, random() % 32 ? at[track].media_ms - 300 : 1e300);
            if (to.filled < 0 || to.filled > OUT)
                return 3;
            written += to.filled;
            to.filled = 0;
            if (answer == LEFT) { /* Python takes it */
                left++;
                queue *first = queues[0].begin < queues[0].end ? &queues[0] : &queues[1];
                first->begin++;
                if (first->begin > first->end)
                    return 4;
            }
        }
        for (; freed < to.held_from && freed <= round; freed++)
            free(held[freed]);
    }
    printf("%lld %lld\n", (long long)written, (long long)left);
    return written > 10000 ? 0 : 5;
}
