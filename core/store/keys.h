/* keys.h - the API keys of callers, found by digest in constant time. Any thread. */
#ifndef STORE_KEYS_H
#define STORE_KEYS_H

#include "store/store.h"

struct keys;

struct keys *keys_new(void);
void keys_free(struct keys *keys);
/* False if there is such a prefix or hash already. */
bool keys_add(struct keys *keys, const struct store_key *key);
/* As another gateway told it: one that is not known is added, one that was revoked is revoked here too. */
void keys_put(struct keys *keys, const struct store_key *key);
/* Takes one back that could not be kept. */
void keys_remove(struct keys *keys, const unsigned char hash[static STORE_HASH]);
/* The settings of the key, revoked or not, as a new string; NULL if there is no such key. */
char *keys_settings(struct keys *keys, const unsigned char hash[static STORE_HASH]);
char *keys_find(struct keys *keys, const unsigned char hash[static STORE_HASH]);
void keys_each(struct keys *keys, void (*each)(void *arg, const struct store_key *), void *arg);
/* How many there are in force with that prefix; if it is one, it is revoked and revoked_key is it (its settings NULL).
 */
size_t keys_revoke(struct keys *keys, const char *prefix, int64_t now, struct store_key *revoked_key);
uint64_t keys_generation(const struct keys *keys);

#endif
