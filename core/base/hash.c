/* hash.c - see hash.h. SipHash-1-3, open addressing, deletion by shifting back. */
#include "base/hash.h"

#include <pthread.h>
#include <string.h>

#include "base/id.h"
#include "base/mem.h"

static uint64_t seed[2];
static pthread_once_t seeded = PTHREAD_ONCE_INIT;

static void make_seed(void)
{
    id_random(seed, sizeof seed);
}

static inline uint64_t rotate(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

uint64_t hash_code(const void *name, size_t length)
{
    const unsigned char *bytes = name;
    uint64_t v[4], word;
    size_t left = length;

    pthread_once(&seeded, make_seed);
    v[0] = seed[0] ^ 0x736f6d6570736575u;
    v[1] = seed[1] ^ 0x646f72616e646f6du;
    v[2] = seed[0] ^ 0x6c7967656e657261u;
    v[3] = seed[1] ^ 0x7465646279746573u;
    for (; left >= 8; left -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = (uint64_t)length << 56;
    for (size_t i = 0; i < left; i++)
        word |= (uint64_t)bytes[i] << (8 * i);
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
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
    uint64_t code = hash_code(name, length);
    size_t at;

    if (hash->count >= hash->capacity / 4 * 3)
        grow(hash);
    at = slot_of(hash, code, name, length);
    hash->count += hash->slots[at].value == NULL;
    hash->slots[at] = (struct hash_slot){ code, name, length, value };
}

void *hash_remove(struct hash *hash, const void *name, size_t length)
{
    size_t mask = hash->capacity - 1, at, next;
    void *value;

    if (hash->count == 0)
        return NULL;
    at = slot_of(hash, hash_code(name, length), name, length);
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
