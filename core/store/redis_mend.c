/* redis_mend.c - see redis_mend.h. */
#include "store/redis_mend.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/redis.h"
#include "net/redis_line.h"

static const char BROKEN[] = "BROKEN ";

static bool move_aside(struct redis_line *line, const char *key)
{
    char *aside = mem_format("%s:broken", key);
    const struct redis_word words[] = { { "RENAME", 6 }, { key, strlen(key) }, { aside, strlen(aside) } };
    struct redis_reply *reply = redis_line_call(line, words, 3);
    bool is_done = redis_kind(reply) == REDIS_STATUS;

    log_line(LOG_ERROR,
             is_done ? "a key in Redis held something else and was moved aside"
                     : "a key in Redis holds something else: remove or rename it",
             "key", key, "to", is_done ? aside : NULL, NULL);
    redis_reply_free(reply);
    mem_free(aside);
    return is_done;
}

bool redis_mend_key(struct redis_line *line, const char *key, const char *kind)
{
    const struct redis_word words[] = { { "TYPE", 4 }, { key, strlen(key) } };
    struct redis_reply *reply = redis_line_call(line, words, 2);
    const char *found = redis_text(reply, NULL);
    bool is_good = redis_kind(reply) == REDIS_STATUS && (strcmp(found, kind) == 0 || strcmp(found, "none") == 0);
    bool is_other = redis_kind(reply) == REDIS_STATUS && !is_good;

    redis_reply_free(reply);
    return is_good || (is_other && move_aside(line, key));
}

bool redis_mend_named(struct redis_line *line, const struct redis_reply *reply)
{
    const char *text = redis_text(reply, NULL);

    return redis_kind(reply) == REDIS_ERROR && strncmp(text, BROKEN, sizeof BROKEN - 1) == 0 &&
           move_aside(line, text + sizeof BROKEN - 1);
}
