/* redis_place.c - see redis_place.h. */
#include "store/redis_place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "net/redis.h"

static const char SPOOL[] = "spool=";

/* False: it is empty, too long, or not percent-encoded right. */
static bool decode(const char *text, size_t length, char *to, size_t size)
{
    size_t at = 0;

    for (size_t i = 0; i < length && at + 1 < size; i++) {
        char digits[3] = "", *end;

        if (text[i] != '%') {
            to[at++] = text[i];
            continue;
        }
        if (i + 2 >= length)
            return false;
        memcpy(digits, text + i + 1, 2);
        to[at++] = (char)strtol(digits, &end, 16);
        if (*end || !to[at - 1])
            return false;
        i += 2;
    }
    to[at] = '\0';
    return at > 0 && at + 1 < size;
}

bool redis_place_parse(const char *place, struct redis_address *address, char *folder, size_t folder_size, char *error,
                       size_t error_size)
{
    const char *query = strchr(place, '?');
    struct buf rest = { 0 };
    bool is_good = true, is_first = true;

    snprintf(folder, folder_size, ".");
    buf_add(&rest, place, query ? (size_t)(query - place) : strlen(place));
    /* Everything but the spool is for redis_parse. */
    while (is_good && query) {
        const char *part = query + 1, *next = strchr(part, '&');
        size_t length = next ? (size_t)(next - part) : strlen(part);

        if (strncmp(part, SPOOL, sizeof SPOOL - 1) == 0) {
            is_good = decode(part + sizeof SPOOL - 1, length - (sizeof SPOOL - 1), folder, folder_size);
        } else {
            buf_add_char(&rest, is_first ? '?' : '&');
            buf_add(&rest, part, length);
            is_first = false;
        }
        query = next;
    }
    if (!is_good)
        snprintf(error, error_size,
                 "the Redis address: the spool is not a folder, percent-encoded: write "
                 "?spool=/var/lib/moongate");
    is_good = is_good && redis_parse(buf_text_of(&rest), address, error, error_size);
    buf_free(&rest);
    return is_good;
}
