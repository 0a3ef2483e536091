/* Preloaded into a test run and all it starts: the wall's clock is shifted by the seconds at the beginning of the file
   that CLOCK_SHIFT names, and follows as the file changes. The monotonic clock stays, so that waits last as ever. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* The C library's own, looked for once. */
#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static volatile const int64_t *shift_s;

/* From now on the shift is read from there. Returns 0, or -1 if it cannot be. */
int follow_shift(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    void *found = mmap(NULL, sizeof *shift_s, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (found == MAP_FAILED) return -1;
    shift_s = found;
    return 0;
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CLOCK_SHIFT");
    if (path) follow_shift(path);
}

static time_t shift(void) { return shift_s ? (time_t)*shift_s : 0; }

int clock_gettime(clockid_t which, struct timespec *at) {
    REAL(clock_gettime);
    int failed = real(which, at);
    if (!failed && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) at->tv_sec += shift();
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    REAL(gettimeofday);
    int failed = real(at, zone);
    if (!failed) at->tv_sec += shift();
    return failed;
}

time_t time(time_t *into) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    if (into) *into = at.tv_sec;
    return at.tv_sec;
}

int timespec_get(struct timespec *at, int base) {
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, at) == 0 ? base : 0;
}

/* Waits until an instant may be by either clock; those of the monotonic one are small numbers. */
static const struct timespec *unshifted(const struct timespec *until, struct timespec *room) {
    if (!until || until->tv_sec < 1000000000) return until;
    *room = *until;
    room->tv_sec -= shift();
    return room;
}

int pthread_cond_timedwait(
    pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex, const struct timespec *restrict until
) {
    /* dlsym finds an older version of it, with another condition inside, up to glibc 2.35. */
    static __typeof__(&pthread_cond_timedwait) versioned;
    REAL(pthread_cond_timedwait);
    struct timespec room;
    if (!versioned) versioned = (__typeof__(versioned))dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!versioned) versioned = real;
    return versioned(condition, mutex, unshifted(until, &room));
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
    REAL(pthread_mutex_timedlock);
    struct timespec room;
    return real(mutex, unshifted(until, &room));
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    REAL(sem_timedwait);
    struct timespec room;
    return real(semaphore, unshifted(until, &room));
}

int clock_nanosleep(clockid_t which, int flags, const struct timespec *wanted, struct timespec *left) {
    REAL(clock_nanosleep);
    struct timespec room;
    if ((flags & TIMER_ABSTIME) && which == CLOCK_REALTIME) wanted = unshifted(wanted, &room);
    return real(which, flags, wanted, left);
}
