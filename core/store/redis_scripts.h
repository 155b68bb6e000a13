/*
 * redis_scripts.h - the scripts that Redis runs for us, each one atomic. Made
 * by core/embed.lua of the files in redis_scripts/, which say what they take
 * and answer.
 */
#ifndef STORE_REDIS_SCRIPTS_H
#define STORE_REDIS_SCRIPTS_H

#include "net/redis.h"

extern struct redis_script redis_script_add;
extern struct redis_script redis_script_beat;
extern struct redis_script redis_script_bury;
extern struct redis_script redis_script_drop_mark;
extern struct redis_script redis_script_find_row;
extern struct redis_script redis_script_hello;
extern struct redis_script redis_script_keep_key;
extern struct redis_script redis_script_keep_learnt;
extern struct redis_script redis_script_keep_mark;
extern struct redis_script redis_script_keep_models;
extern struct redis_script redis_script_keep_rows;
extern struct redis_script redis_script_read_rows;
extern struct redis_script redis_script_ready;
extern struct redis_script redis_script_reserve;
extern struct redis_script redis_script_sync;
extern struct redis_script redis_script_take_turn;
extern struct redis_script redis_script_tell_turn;
extern struct redis_script redis_script_trim_rows;
extern struct redis_script redis_script_unlease;

/* The first number of what reserve, add, sync, unlease and beat answer; BROKEN: the second is which key, from 1. */
enum redis_status { REDIS_GRANTED, REDIS_BLOCKED, REDIS_LEASED, REDIS_AGAIN, REDIS_BROKEN };

#endif
