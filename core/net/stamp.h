/* stamp.h - what tells one state of a file from the next, through symbolic links. */
#ifndef NET_STAMP_H
#define NET_STAMP_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

struct stamp {
    dev_t device;
    ino_t number;
    off_t size; /* -1: there is none */
    struct timespec changed;
};

struct stamp stamp_of(const char *path);
bool stamp_is_same(const struct stamp *one, const struct stamp *other);

#endif
