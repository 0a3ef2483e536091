/* What forward.c and compiled.py share. cffi reads this file too: declarations alone. */

typedef int (*srtp_call)(void *session, void *packet, int *length);

typedef struct source source;
typedef struct line line;

/* One track on its way to one member: subscription.py's numbers, while packets go the short way. */
typedef struct {
    line *to;
    int64_t sequence_offset;
    int64_t sent_sequence;
    double sent_ms;
    uint64_t packets;
    uint64_t octets;
    uint32_t timestamp_offset;
    uint32_t sent_timestamp;
    uint32_t ssrc;
    uint8_t payload_type;
} sink;

/* A packet that is kept: for retransmission, and for whoever takes what is new. end: where its payload ends in the ring,
   counted from the first byte ever written. */
typedef struct {
    int64_t sequence;
    double arrived_ms;
    uint64_t end;
    uint32_t timestamp;
    uint16_t size;
    uint8_t marker;
} kept;

/* One track that a member sends. open: its next packet may go the short way, if it is the next.
   kept_count, taken_count, written: ever. places: by the last bits of the sequence number, where in `log`, plus one. */
struct source {
    int64_t highest;
    uint64_t received;
    uint64_t octets;
    double offset_ms;
    kept *log;
    uint64_t *places;
    uint8_t *ring;
    uint64_t kept_count;
    uint64_t taken_count;
    uint64_t written;
    uint32_t log_size;
    uint32_t ring_size;
    uint32_t ssrc;
    int32_t sink_count;
    sink *sinks[8];
    uint8_t open;
    uint8_t held_up;
};

/* Packets of one timestamp that follow upon each other, as they are taken: sequence and arrived_ms are the first one's,
   marker the last one's. end: of what they carry, which begins where the run before it ends. whole: that is a frame as
   decoders take it; else it is the sizes of `count` payloads, 2 bytes each, and the payloads. */
typedef struct {
    int64_t sequence;
    uint32_t timestamp;
    uint32_t end;
    double arrived_ms;
    uint8_t marker;
    uint8_t count;
    uint8_t whole;
} run;

typedef struct {
    source *to;
    uint32_t ssrc;
    uint8_t payload_type;
} route;

/* One member's connection. rx, tx: libsrtp's sessions; null: nothing is read, nothing sent. */
struct line {
    void *rx;
    void *tx;
    int32_t fd;
    uint32_t address_size;
    uint8_t address[28];
    uint64_t packets;
    int32_t route_count;
    route routes[16];
};

typedef struct {
    uint8_t key[20];
    uint32_t known;
    line *sender;
} entry;

/* Whose packets come from where. size: a power of two, more than twice `used`. */
typedef struct {
    entry *entries;
    uint32_t size;
    uint32_t used;
} table;

/* What the port's sockets read into and send from. left: which of the datagrams read are not done, by number;
   clear: it is decrypted already. unsent: which of the filled ones the socket did not take. still_ms: what the clock
   shows, for tests; 0: it runs. window_ms, window_count: how much is coming; pause_us: what came of it in the
   window before. */
typedef struct {
    srtp_call protect;
    srtp_call unprotect;
    uint8_t *incoming[32];
    uint8_t *outgoing[64];
    void *headers;
    int32_t in_size[32];
    uint8_t came_from[32][28];
    uint8_t clear[32];
    int32_t left[32];
    int32_t left_count;
    int32_t filled;
    int32_t out_size[64];
    line *out_to[64];
    int32_t unsent[64];
    int32_t unsent_count;
    double still_ms;
    double window_ms;
    int32_t window_count;
    int32_t pause_us;
    source *held_up[512];
    int32_t held_up_count;
} port;

/* Bytes of the structures above, and of `headers`; and which source this was built from. */
int32_t forward_size(int32_t which);
const char *forward_built_from(void);

int32_t forward_drain(port *at, table *known, int32_t fd);
int32_t forward_assign(table *known, const uint8_t *key, line *from);
int32_t forward_keep(source *of, int64_t sequence, uint32_t timestamp, uint8_t marker, double arrived_ms,
                     const uint8_t *payload, int32_t size);
int32_t forward_find(const source *of, int64_t sequence);
int32_t forward_take(source *of, run *runs, int32_t most, uint8_t *into, int32_t size, int32_t what);
