/*
 * redis_shares.h - the books of this process where several share one Redis: of
 * each limit its own part, what the others use, what it may do alone. Behind
 * one lock; knows no connection. Whether Redis counts at the moment is told in
 * redis_standing.h.
 */
#ifndef STORE_REDIS_SHARES_H
#define STORE_REDIS_SHARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

struct limits;
struct redis_share;
struct redis_shares;
struct redis_words;

/* Where a claim is booked. The window stays as long as it is held. */
struct redis_hold {
    struct redis_share *share;
    int64_t at; /* the part of a sliding window */
    int64_t amount;
};

/* What Redis told of a claim. */
struct redis_told {
    int64_t total, own; /* of all gateways; of this one, fixed windows only */
    int fits;           /* 0: it does; 1: it does not; 2: it would, but for what others have lent themselves */
    int64_t grown;      /* the lease */
    int64_t last;       /* fixed: the recall number; sliding: the part where it went, or whose end makes room */
};

/* name: this process's in Redis. limits: what providers told, and the numbers of reservations. */
struct redis_shares *redis_shares_new(const char *name, struct limits *limits);
void redis_shares_free(struct redis_shares *shares);

/* The windows of a call's claims, one hold each, until they are let go or become a reservation. */
void redis_shares_hold(struct redis_shares *shares, const struct store_call *call, int64_t now,
                       struct redis_hold *holds);
void redis_shares_let_go(struct redis_shares *shares, const struct redis_hold *holds, size_t count);
/*
 * The words for the script reserve, and for the script add, to be sent before it, if there is anything to add. False:
 * Redis does not count.
 */
bool redis_shares_ask(struct redis_shares *shares, const struct store_call *call, const struct redis_hold *holds,
                      int64_t now, struct redis_words *reserve, struct redis_words *add, uint64_t *epoch);
/*
 * Redis has granted it: books it, and the holds are the reservation's now. What a provider told may have changed
 * meanwhile and refuse it after all. False: that answer is of an older epoch and void.
 */
bool redis_shares_grant(struct redis_shares *shares, const struct store_call *call, struct redis_hold *holds,
                        const struct redis_told *told, uint64_t epoch, int64_t now, struct store_verdict *verdict);
/*
 * Redis has refused it: which limit, and how long. True: it would fit if others gave back what they have lent
 * themselves, and that is worth waiting for. has_waited: it was waited for.
 */
bool redis_shares_refuse(struct redis_shares *shares, const struct store_call *call, const struct redis_hold *holds,
                         const struct redis_told *told, bool has_waited, int64_t now, struct store_verdict *verdict);
/* Reserves without Redis; as redis_shares_grant. False: Redis counts again, or is about to: ask it. */
bool redis_shares_take(struct redis_shares *shares, const struct store_call *call, struct redis_hold *holds,
                       int64_t now, struct store_verdict *verdict);
/*
 * As store_settle. True: words are for the script add, to be sent by a thread that can; else they are kept, or told
 * with the figures once Redis is back.
 */
bool redis_shares_settle(struct redis_shares *shares, uint64_t reservation, const int64_t *amounts, size_t count,
                         int64_t now, bool can_send, struct redis_words *words, uint64_t *epoch);
/* A call without claims: only what its provider told counts. */
void redis_shares_draw(struct redis_shares *shares, const struct store_call *call, int64_t now,
                       struct store_verdict *verdict);
/* As store_fits and store_used, by what was told last. */
void redis_shares_fits(struct redis_shares *shares, const struct store_call *call, int64_t now,
                       struct store_verdict *verdict);
int64_t redis_shares_used(struct redis_shares *shares, const struct store_limit *limit, int64_t now,
                          int64_t *window_end);

#endif
