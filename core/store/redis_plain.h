/* redis_plain.h - what a provider's words come to as the plain strings that other tools read (limit:..., balance:...).
 */
#ifndef STORE_REDIS_PLAIN_H
#define STORE_REDIS_PLAIN_H

#include <stdint.h>

#include "store/redis_told.h"

struct limits;

/*
 * The provider's word for itself where there is one that holds, else the word for that of its models that has the least
 * share left.
 */
void redis_plain_gather(struct limits *limits, const char *provider, int64_t now, struct redis_told_plain *plain);

#endif
