/*
 * hash.h - finds things by name in constant time. Names are bytes (a text, a
 * digest) that the thing itself keeps: the table copies and frees nothing but
 * its own slots. Seeded, so nobody can choose names that collide.
 * Zero-initialised is empty.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_slot {
    uint64_t code;
    const void *name;
    size_t length;
    void *value; /* NULL: free */
};

struct hash {
    struct hash_slot *slots;
    size_t count;
    size_t capacity; /* a power of two */
};

/* 64 bits of the bytes, as good as random, and others in every process: what hash_get works out of a name first. Any
 * thread. */
uint64_t hash_code(const void *bytes, size_t length);
/* 64 bits of the bytes and of where they begin, the same in every process: tells whether all of them were written. */
uint64_t hash_sum(const void *bytes, size_t length, uint64_t begin);
/* The value under that name, or NULL. */
void *hash_get(const struct hash *hash, const void *name, size_t length);
/* Puts value (not NULL) under a name that is not in the table yet; name must live as long as it is there. */
void hash_put(struct hash *hash, const void *name, size_t length, void *value);
/* Takes the value out and returns it; NULL if there was none. */
void *hash_remove(struct hash *hash, const void *name, size_t length);
/* The same three for a name whose code is known. */
void *hash_get_coded(const struct hash *hash, uint64_t code, const void *name, size_t length);
void hash_put_coded(struct hash *hash, uint64_t code, const void *name, size_t length, void *value);
void *hash_remove_coded(struct hash *hash, uint64_t code, const void *name, size_t length);
/* Walks over all: *at begins at 0; NULL is the end. Nothing may be put or removed meanwhile. */
void *hash_next(const struct hash *hash, size_t *at);
void hash_free(struct hash *hash); /* back to empty */

#endif
