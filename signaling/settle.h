/* What settle.c and settling.py share, behind forward.h. cffi reads this file too: declarations alone. */

/* A frame that waits for its turn in a recording's file. offset_ms: from media time to the room's clock, which may still
   change. room_ms: what that makes. hold: what its data belongs to, by number. left: it is Python's to write. */
typedef struct {
    double media_ms;
    const double *offset_ms;
    double room_ms;
    const uint8_t *data;
    int64_t hold;
    uint32_t size;
    uint8_t left;
} frame;

/* Those of one track, in the order in which they came or, once looked at, of their times. */
typedef struct {
    frame *frames;
    int32_t begin;
    int32_t end;
    int32_t size;
    int32_t sounds;
} queue;

/* What frames.Places knows of a track before a batch and after it, in the same words. due: the sequence number of the
   picture that is next. began_ms: what belongs before it is Python's to judge. */
typedef struct {
    int64_t latest;
    int64_t due;
    double *offset_ms;
    double media_ms;
    double khz;
    double began_ms;
    double anew_ms;
    uint32_t timestamp;
} placing;

/* Where a file's blocks go. By track, sounds first: last_ms, the time of the last frame, -1 before the first, and cue_ms,
   from when on the next keyframe is to be in the index. open: there is a cluster. held_from: what belongs to lower numbers is needed no more. */
typedef struct {
    queue *queues[2];
    int64_t offset_ms;
    int64_t cluster_ms;
    int64_t last_ms[2];
    int64_t cue_ms[2];
    uint8_t tracks[2];
    uint8_t open;
    int64_t held_from;
    uint8_t *out;
    int32_t out_size;
    int32_t filled;
} blocks;

int32_t settle_size(int32_t which);
int32_t settle_take(queue *into, placing *at, const run *runs, const double *places_ms, int32_t count,
                    const uint8_t *payloads, uint32_t begin, int64_t hold);
int32_t settle_write(blocks *to, double until_ms);
