/*
 * redis_turns.h - turns that several gateways take at one thing: who has it is
 * in moongate:turn:<name>, what came of the last in moongate:turn:<name>:told;
 * both expire. On a thread that has joined.
 */
#ifndef STORE_REDIS_TURNS_H
#define STORE_REDIS_TURNS_H

#include <stdint.h>

#include "store/store.h"

struct redis;

/* As store_take_turn and store_tell_turn. Without Redis it is everybody's turn, and nothing is told; while it is about
 * to be reached, it is nobody's. */
void redis_turns_take(struct redis *redis, const char *name, int64_t milliseconds,
                      void (*on_turn)(void *arg, const struct store_turn *turn), void *arg);
void redis_turns_tell(struct redis *redis, const char *name, int64_t milliseconds, const char *told);

#endif
