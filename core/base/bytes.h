/*
 * bytes.h - looks at eight bytes at a time, for loops over bytes that are
 * nearly all plain. Each answer is zero or not: it tells that there is such a
 * byte in the word, not where.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdint.h>
#include <string.h>

#define BYTES_ONES UINT64_C(0x0101010101010101)
#define BYTES_HIGHS UINT64_C(0x8080808080808080)

static inline uint64_t bytes_word(const char *data)
{
    uint64_t word;

    memcpy(&word, data, sizeof word);
    return word;
}

/* most is 128 at most. A byte that is less borrows from the next one: that is why nobody can tell where it is. */
static inline uint64_t bytes_less(uint64_t word, unsigned char most)
{
    return (word - BYTES_ONES * most) & ~word & BYTES_HIGHS;
}

static inline uint64_t bytes_equal(uint64_t word, unsigned char c)
{
    return bytes_less(word ^ (BYTES_ONES * c), 1);
}

/* Bytes beyond ASCII. */
static inline uint64_t bytes_high(uint64_t word)
{
    return word & BYTES_HIGHS;
}

#endif
