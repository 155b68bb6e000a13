/* redis_scripts.h - the scripts of redis_scripts/, which run inside Redis; the Makefile embeds them. */
#ifndef STORE_REDIS_SCRIPTS_H
#define STORE_REDIS_SCRIPTS_H

#include "net/redis.h"

extern struct redis_script redis_script_drop_mark, redis_script_find_row, redis_script_keep_key,
    redis_script_keep_learnt, redis_script_keep_mark, redis_script_keep_rows, redis_script_read_rows,
    redis_script_trim_rows;

#endif
