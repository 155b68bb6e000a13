/* id.c - see id.h. */
#include "base/id.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"

void id_random(void *bytes, size_t length)
{
    unsigned char *next = bytes;

    while (length > 0) {
        ssize_t got = getrandom(next, length, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            fputs("moongate: the system's random source cannot be read\n", stderr);
            abort();
        }
        next += got;
        length -= (size_t)got;
    }
}

void id_make(char id[static ID_LENGTH + 1])
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    /* A pool per thread: one system call serves 25 ids. */
    static _Thread_local unsigned char pool[250];
    static _Thread_local size_t left;
    uint64_t time = (uint64_t)clock_recent_wall_ms();
    const unsigned char *random;

    if (left == 0) {
        id_random(pool, sizeof pool);
        left = sizeof pool;
    }
    left -= 10;
    random = pool + left;
    for (int i = 9; i >= 0; i--, time >>= 5)
        id[i] = digits[time & 31];
    for (int i = 0; i < 2; i++) {
        uint64_t bits = 0;

        for (int j = 0; j < 5; j++)
            bits = bits << 8 | random[5 * i + j];
        for (int j = 7; j >= 0; j--, bits >>= 5)
            id[10 + 8 * i + j] = digits[bits & 31];
    }
    id[ID_LENGTH] = '\0';
}
