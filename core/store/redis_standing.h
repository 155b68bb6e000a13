/*
 * redis_standing.h - whether Redis counts at this moment, and how the books of
 * redis_shares.h come to agree with it.
 *
 * AWAY: what was counted and lent before is all there is. SYNCING: Redis is
 * told the figures, and they go on changing meanwhile. LANDING: it is told by
 * how much; for this one round trip nothing is decided. ONLINE: Redis decides.
 */
#ifndef STORE_REDIS_STANDING_H
#define STORE_REDIS_STANDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct redis_hold;
struct redis_shares;
struct redis_words;

enum redis_state { REDIS_AWAY, REDIS_SYNCING, REDIS_LANDING, REDIS_ONLINE };

/* epoch (may be NULL) counts how often Redis went away. */
enum redis_state redis_standing_of(struct redis_shares *shares, uint64_t *epoch);
/* From here on this process is alone. False: it was already, or epoch (0: any) is over. */
bool redis_standing_go_away(struct redis_shares *shares, uint64_t epoch);
/* AWAY becomes SYNCING: all figures, for the script sync, in count pieces. Each is to be freed, and the list. */
struct redis_words *redis_standing_sync(struct redis_shares *shares, const char *session, size_t *count);
/* SYNCING becomes LANDING. words: what changed since the figures were taken, for the script add. False: it went away.
 */
bool redis_standing_land(struct redis_shares *shares, struct redis_words *words);
/* LANDING becomes ONLINE. contact_us: when Redis was asked that has answered. False: it went away. */
bool redis_standing_go_online(struct redis_shares *shares, int64_t contact_us, int64_t gateways);
void redis_standing_note_contact(struct redis_shares *shares, int64_t contact_us, int64_t gateways);
int64_t redis_standing_gateways(struct redis_shares *shares);

/* While ONLINE: what Redis was not told yet, for the script add. False: nothing. */
bool redis_standing_unsent(struct redis_shares *shares, struct redis_words *words);
/* What was lent up to that number is asked back. True: the words are for the script unlease. */
bool redis_standing_recall(struct redis_shares *shares, const char *key, size_t length, int64_t number,
                           struct redis_words *words);
/* The words of the script beat for windows that were of use lately, at most so many; and those, to be let go. */
struct redis_hold *redis_standing_beat(struct redis_shares *shares, struct redis_words *words, size_t most,
                                       size_t *count);
void redis_standing_hear(struct redis_shares *shares, const struct redis_hold *hold, int64_t total, int64_t own);
/* Learnt limits changed since this was asked last. */
bool redis_standing_has_news(struct redis_shares *shares);
/* Before the end: what is still reserved was never used. */
void redis_standing_give_back(struct redis_shares *shares);

#endif
