/*
 * hash.c - see hash.h. Open addressing, deletion by shifting back. The code of a name is made as wyhash makes it, by
 * products of 128 bits folded into 64, and every factor has a part that nobody outside of the process knows.
 */
#include "base/hash.h"

#include <pthread.h>
#include <string.h>

#include "base/bytes.h"
#include "base/id.h"
#include "base/mem.h"

static uint64_t seed[3];
static pthread_once_t seeded = PTHREAD_ONCE_INIT;

static void make_seed(void)
{
    id_random(seed, sizeof seed);
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t half_word(const char *bytes)
{
    uint32_t half;

    memcpy(&half, bytes, sizeof half);
    return half;
}

static inline uint64_t mix(const char *bytes, size_t length, const uint64_t factors[static 3])
{
    uint64_t state = factors[0], first = 0, last = 0;
    size_t left = length;

    for (; left > 16; left -= 16, bytes += 16)
        state = fold(bytes_word(bytes) ^ factors[1], bytes_word(bytes + 8) ^ state);
    /* The two may have bytes in common: the length tells which. */
    if (left >= 8) {
        first = bytes_word(bytes);
        last = bytes_word(bytes + left - 8);
    } else if (left >= 4) {
        first = half_word(bytes);
        last = half_word(bytes + left - 4);
    } else if (left > 0) {
        first = (unsigned char)bytes[0];
        last = (uint64_t)(unsigned char)bytes[left / 2] << 8 | (unsigned char)bytes[left - 1];
    }
    return fold(factors[2] ^ length, fold(first ^ factors[1], last ^ state));
}

uint64_t hash_code(const void *bytes, size_t length)
{
    pthread_once(&seeded, make_seed);
    return mix(bytes, length, seed);
}

uint64_t hash_sum(const void *bytes, size_t length, uint64_t begin)
{
    /* wyhash's own. */
    const uint64_t factors[] = { UINT64_C(0xa0761d6478bd642f) ^ begin, UINT64_C(0xe7037ed1a0b428db),
                                 UINT64_C(0x8ebc6af09c88c6e3) };

    return mix(bytes, length, factors);
}

/* The slot that holds the name, or the free one where it would be. */
static size_t slot_of(const struct hash *hash, uint64_t code, const void *name, size_t length)
{
    size_t mask = hash->capacity - 1;
    size_t at = code & mask;

    for (; hash->slots[at].value; at = (at + 1) & mask) {
        const struct hash_slot *slot = &hash->slots[at];

        if (slot->code == code && slot->length == length && memcmp(slot->name, name, length) == 0)
            break;
    }
    return at;
}

void *hash_get_coded(const struct hash *hash, uint64_t code, const void *name, size_t length)
{
    return hash->count == 0 ? NULL : hash->slots[slot_of(hash, code, name, length)].value;
}

void *hash_get(const struct hash *hash, const void *name, size_t length)
{
    if (hash->count == 0)
        return NULL;
    return hash_get_coded(hash, hash_code(name, length), name, length);
}

static void grow(struct hash *hash)
{
    struct hash bigger = { .capacity = hash->capacity ? hash->capacity * 2 : 16, .count = hash->count };
    size_t mask = bigger.capacity - 1;

    bigger.slots = mem_zero(bigger.capacity * sizeof *bigger.slots);
    for (size_t i = 0; i < hash->capacity; i++) {
        size_t at = hash->slots[i].code & mask;

        if (!hash->slots[i].value)
            continue;
        while (bigger.slots[at].value)
            at = (at + 1) & mask;
        bigger.slots[at] = hash->slots[i];
    }
    mem_free(hash->slots);
    *hash = bigger;
}

void hash_put(struct hash *hash, const void *name, size_t length, void *value)
{
    hash_put_coded(hash, hash_code(name, length), name, length, value);
}

void hash_put_coded(struct hash *hash, uint64_t code, const void *name, size_t length, void *value)
{
    size_t at;

    if (hash->count >= hash->capacity / 4 * 3)
        grow(hash);
    at = slot_of(hash, code, name, length);
    hash->count += hash->slots[at].value == NULL;
    hash->slots[at] = (struct hash_slot){ code, name, length, value };
}

void *hash_remove(struct hash *hash, const void *name, size_t length)
{
    return hash->count == 0 ? NULL : hash_remove_coded(hash, hash_code(name, length), name, length);
}

void *hash_remove_coded(struct hash *hash, uint64_t code, const void *name, size_t length)
{
    size_t mask = hash->capacity - 1, at, next;
    void *value;

    if (hash->count == 0)
        return NULL;
    at = slot_of(hash, code, name, length);
    value = hash->slots[at].value;
    if (!value)
        return NULL;
    hash->count--;
    /* Whoever stands behind the gap and would rather stand in it or before it moves up. */
    for (next = (at + 1) & mask; hash->slots[next].value; next = (next + 1) & mask) {
        size_t home = hash->slots[next].code & mask;

        if (((next - home) & mask) >= ((next - at) & mask)) {
            hash->slots[at] = hash->slots[next];
            at = next;
        }
    }
    hash->slots[at] = (struct hash_slot){ 0 };
    return value;
}

void *hash_next(const struct hash *hash, size_t *at)
{
    while (*at < hash->capacity) {
        void *value = hash->slots[(*at)++].value;

        if (value)
            return value;
    }
    return NULL;
}

void hash_free(struct hash *hash)
{
    mem_free(hash->slots);
    *hash = (struct hash){ 0 };
}
