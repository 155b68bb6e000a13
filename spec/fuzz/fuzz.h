/*
 * fuzz.h - what fuzz targets share. Each reads bytes from outside as the gateway does, and must neither crash nor break
 * what it promises. libFuzzer drives them (`make fuzz`), or replay.c over the kept inputs (`make test`).
 */
#ifndef SPEC_FUZZ_H
#define SPEC_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise: broken, it is a finding like a crash. */
static inline void fuzz_promise(bool kept, const char *promise)
{
    if (kept)
        return;
    fprintf(stderr, "broken promise: %s\n", promise);
    abort();
}

/* How the network cuts the input: pieces of 1 to `most` bytes, drawn from a seed. */
static inline size_t fuzz_piece(uint32_t *seed, size_t left, size_t most)
{
    size_t piece;

    *seed = *seed * 1664525u + 1013904223u;
    piece = 1 + (*seed >> 8) % most;
    return piece < left ? piece : left;
}

#endif
