/* What clocks.c and clocks.py share, behind forward.h. cffi reads this file too: declarations alone. */

/* What clocks.TrackClock knows of a track, in its words. most_lag_ms: from there on a sender began anew. placed, placed_ms:
   the last timestamp, and where it belongs. */
typedef struct {
    int64_t latest;
    double khz;
    double offset_ms;
    double window_lag_ms;
    double window_ends_ms;
    double most_lag_ms;
    double lag_ms;
    double placed_ms;
    uint32_t placed;
} pace;

/* What publication.Arrivals knows of a track. begun: there was a packet before. */
typedef struct {
    double khz;
    double jitter;
    double transit;
    uint32_t timestamp;
    uint32_t begun;
} arrivals;

int32_t clocks_size(int32_t which);
int32_t clocks_place(pace *of, const run *runs, int32_t from, int32_t count, double *places_ms);
void clocks_note(arrivals *of, const run *runs, int32_t count);
