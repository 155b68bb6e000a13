/*
 * keys.c - see keys.h. A million keys are about 250 MB of them; adding and
 * finding take no longer for that. Revoking reads them all: people do it,
 * requests do not.
 */
#include "store/keys.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "store/digest.h"

struct keys {
    pthread_rwlock_t lock;
    struct hash hashes;
    struct hash prefixes;
    atomic_uint_fast64_t generation;
};

struct keys *keys_new(void)
{
    struct keys *keys = mem_zero(sizeof *keys);

    pthread_rwlock_init(&keys->lock, NULL);
    return keys;
}

/* A key's settings lie behind it in the same block. */
void keys_free(struct keys *keys)
{
    struct store_key *key;
    size_t at = 0;

    if (!keys)
        return;
    while ((key = hash_next(&keys->hashes, &at)))
        mem_free(key);
    hash_free(&keys->hashes);
    hash_free(&keys->prefixes);
    pthread_rwlock_destroy(&keys->lock);
    mem_free(keys);
}

void keys_put(struct keys *keys, const struct store_key *key)
{
    struct store_key *known;

    if (keys_add(keys, key))
        return;
    pthread_rwlock_wrlock(&keys->lock);
    known = hash_get(&keys->hashes, key->hash, STORE_HASH);
    if (known && !known->revoked && key->revoked) {
        known->revoked = key->revoked;
        atomic_fetch_add(&keys->generation, 1);
    }
    pthread_rwlock_unlock(&keys->lock);
}

void keys_remove(struct keys *keys, const unsigned char hash[static STORE_HASH])
{
    struct store_key *key;

    pthread_rwlock_wrlock(&keys->lock);
    key = hash_remove(&keys->hashes, hash, STORE_HASH);
    if (key) {
        hash_remove(&keys->prefixes, key->prefix, strlen(key->prefix));
        atomic_fetch_add(&keys->generation, 1);
    }
    pthread_rwlock_unlock(&keys->lock);
    mem_free(key);
}

char *keys_settings(struct keys *keys, const unsigned char hash[static STORE_HASH])
{
    const struct store_key *key;
    char *settings;

    pthread_rwlock_rdlock(&keys->lock);
    key = hash_get(&keys->hashes, hash, STORE_HASH);
    settings = key ? mem_text(key->settings) : NULL;
    pthread_rwlock_unlock(&keys->lock);
    return settings;
}

bool keys_add(struct keys *keys, const struct store_key *key)
{
    const char *settings = key->settings ? key->settings : "{}";
    size_t size = strlen(settings) + 1;
    struct store_key *copy = mem_alloc(sizeof *copy + size);
    bool is_new;

    *copy = *key;
    copy->prefix[sizeof copy->prefix - 1] = '\0';
    copy->settings = memcpy((char *)(copy + 1), settings, size);
    pthread_rwlock_wrlock(&keys->lock);
    is_new = !hash_get(&keys->hashes, copy->hash, STORE_HASH) &&
             !hash_get(&keys->prefixes, copy->prefix, strlen(copy->prefix));
    if (is_new) {
        hash_put(&keys->hashes, copy->hash, STORE_HASH, copy);
        hash_put(&keys->prefixes, copy->prefix, strlen(copy->prefix), copy);
        atomic_fetch_add(&keys->generation, 1);
    }
    pthread_rwlock_unlock(&keys->lock);
    if (!is_new)
        mem_free(copy);
    return is_new;
}

char *keys_find(struct keys *keys, const unsigned char hash[static STORE_HASH])
{
    const struct store_key *key;
    char *settings = NULL;

    pthread_rwlock_rdlock(&keys->lock);
    key = hash_get(&keys->hashes, hash, STORE_HASH);
    if (key && digest_equals(key->hash, hash) && key->revoked == 0)
        settings = mem_text(key->settings);
    pthread_rwlock_unlock(&keys->lock);
    return settings;
}

void keys_each(struct keys *keys, void (*each)(void *arg, const struct store_key *), void *arg)
{
    const struct store_key *key;
    size_t at = 0;

    pthread_rwlock_rdlock(&keys->lock);
    while ((key = hash_next(&keys->hashes, &at)))
        each(arg, key);
    pthread_rwlock_unlock(&keys->lock);
}

size_t keys_revoke(struct keys *keys, const char *prefix, int64_t now, struct store_key *revoked_key)
{
    struct store_key *key, *match = NULL;
    size_t at = 0, count = 0, length = strlen(prefix);

    pthread_rwlock_wrlock(&keys->lock);
    while ((key = hash_next(&keys->hashes, &at))) {
        if (key->revoked == 0 && strncmp(key->prefix, prefix, length) == 0) {
            match = key;
            count++;
        }
    }
    if (count == 1) {
        match->revoked = now > 0 ? now : 1;
        *revoked_key = *match;
        revoked_key->settings = NULL;
        atomic_fetch_add(&keys->generation, 1);
    }
    pthread_rwlock_unlock(&keys->lock);
    return count;
}

uint64_t keys_generation(const struct keys *keys)
{
    return atomic_load(&keys->generation);
}
