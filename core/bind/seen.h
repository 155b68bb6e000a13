/*
 * seen.h - what a view has read of a target is a list of Lua's: the places in it,
 * as lua/moongate/seen.lua has them, where it is told what they hold.
 */
#ifndef BIND_SEEN_H
#define BIND_SEEN_H

enum seen_place {
    SEEN_INDEX = 1,
    SEEN_WAIT,
    SEEN_WHY,
    SEEN_OPEN,
    SEEN_LATENCY_MS,
    SEEN_ERROR_RATE,
    SEEN_OPEN_S,
    SEEN_COUNTS,
    SEEN_TOLD,
    SEEN_BALANCE,
    SEEN_GAUGE, /* what reads it, see gauge.c */
    SEEN_PLACES = SEEN_GAUGE
};

#endif
