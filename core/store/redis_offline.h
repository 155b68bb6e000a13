/*
 * redis_offline.h - a store on Redis as commands open it, beside gateways or
 * without: over one line, as no gateway of its own. Has no spool, and counts
 * nothing.
 */
#ifndef STORE_REDIS_OFFLINE_H
#define STORE_REDIS_OFFLINE_H

#include <stdbool.h>
#include <stddef.h>

struct store;

/* As open_reader and open_keys of a backend. */
bool redis_offline_open_reader(struct store *store, const char *place, char *error, size_t error_size);
bool redis_offline_open_keys(struct store *store, const char *place, char *error, size_t error_size);

#endif
