// A disk that fills: after so many writes to files of a store the next one is torn in the middle, and all
// further ones fail as they do where no room is left. Or the process is killed at that write instead.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long room = -1;  // writes that still fit; negative: all
static int deadly = 0, torn = 0, refused = 0;

void disk_holds(long writes, int kills) {
    room = writes;
    deadly = kills;
    torn = refused = 0;
}

int disk_refused(void) { return refused; }

static int is_store(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    return length > 0 && (path[length] = 0, strstr(path, "runs.sqlite") != NULL);
}

static int is_full(int file) {
    if (room < 0 || !is_store(file)) return 0;
    if (room > 0) return room--, 0;
    return refused = 1;
}

static void die_if_deadly(void) {
    if (deadly) kill(getpid(), SIGKILL);
}

#define NEXT(name) (dlsym(RTLD_NEXT, #name))

#define WRITE(name, offset_type)                                                               \
    ssize_t name(int file, const void *bytes, size_t count, offset_type at) {                  \
        ssize_t (*next)(int, const void *, size_t, offset_type) = NEXT(name);                  \
        if (!is_full(file)) return next(file, bytes, count, at);                               \
        if (torn || count < 2) return die_if_deadly(), errno = ENOSPC, -1;                     \
        torn = 1;                                                                              \
        ssize_t half = next(file, bytes, count / 2, at);                                       \
        return die_if_deadly(), half;                                                          \
    }

WRITE(pwrite, off_t)
WRITE(pwrite64, off64_t)

ssize_t write(int file, const void *bytes, size_t count) {
    ssize_t (*next)(int, const void *, size_t) = NEXT(write);
    return is_full(file) ? (die_if_deadly(), errno = ENOSPC, -1) : next(file, bytes, count);
}

#define CHANGE(name, type)                                                                     \
    int name(int file, type length) {                                                          \
        int (*next)(int, type) = NEXT(name);                                                   \
        return is_full(file) ? (die_if_deadly(), errno = ENOSPC, -1) : next(file, length);     \
    }

CHANGE(ftruncate, off_t)
CHANGE(ftruncate64, off64_t)

#define SYNC(name)                                                                             \
    int name(int file) {                                                                       \
        int (*next)(int) = NEXT(name);                                                         \
        return is_full(file) ? (die_if_deadly(), errno = ENOSPC, -1) : next(file);             \
    }

SYNC(fsync)
SYNC(fdatasync)
