/* redis_place.h - what stands behind "redis:" in a store's address: the server, and the folder of the spool. */
#ifndef STORE_REDIS_PLACE_H
#define STORE_REDIS_PLACE_H

#include <stdbool.h>
#include <stddef.h>

struct redis_address;

/*
 * As redis_parse; besides, the query may name a folder, percent-encoded: "//host:port/db?spool=/var/lib/moongate". It
 * is
 * "." if none is named. False: error says what is wrong, without the password.
 */
bool redis_place_parse(const char *place, struct redis_address *address, char *folder, size_t folder_size, char *error,
                       size_t error_size);

#endif
