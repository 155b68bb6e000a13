/* redis.c - see redis.h. */
#include "net/redis.h"

#include <hiredis/hiredis.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum { PORT = 6379, PORT_MOST = 65535, DATABASE_DIGITS = 9, DEADLINE_MOST_MS = 10000 };

/* Errors that speak of the server's state, not of the command; the last ones mean that we are not let in (any more). */
static const char *const unavailable[] = { "LOADING",    "READONLY", "MASTERDOWN", "OOM",    "MISCONF",
                                           "BUSY",       "TRYAGAIN", "MOVED",      "ASK",    "CLUSTERDOWN",
                                           "NOREPLICAS", "NOSCRIPT", "NOAUTH",     "NOPERM", "WRONGPASS",
                                           "UNBLOCKED",  "EXECABORT" };

/* ---- addresses ---- */

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes text into out. What is wrong with it, or NULL. */
static const char *decode(const char *text, size_t length, char *out, size_t size)
{
    size_t made = 0;

    for (size_t i = 0; i < length; i++) {
        char c = text[i];

        if (c == '%') {
            int high = i + 2 < length ? digit_of(text[i + 1]) : -1;
            int low = high >= 0 ? digit_of(text[i + 2]) : -1;

            if (low < 0)
                return "has a % that is not followed by two hex digits (a % itself is written %25)";
            c = (char)(high * 16 + low);
            i += 2;
        }
        if ((unsigned char)c < ' ' || c == 127)
            return "has a control character in it";
        if (made + 1 >= size)
            return "is too long";
        out[made++] = c;
    }
    out[made] = '\0';
    return NULL;
}

/* Writes the sentence and is false, so that it can be returned. Parts of an address are never quoted: any may be the
 * password of one that is written wrongly. */
static bool refuse(char *error, size_t size, const char *part, const char *fault)
{
    snprintf(error, size, "the Redis address: the %s %s", part, fault);
    return false;
}

/* All of text as a number from least to most; -1 if it is none. */
static int number_of(const char *text, size_t length, int least, int most)
{
    int64_t number = 0;

    if (length == 0 || length > DATABASE_DIGITS)
        return -1;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        number = number * 10 + (text[i] - '0');
    }
    return number >= least && number <= most ? (int)number : -1;
}

static bool parse_login(const char *login, size_t length, struct redis_address *address, char *error, size_t size)
{
    const char *colon = memchr(login, ':', length);
    size_t user_length = colon ? (size_t)(colon - login) : length;
    const char *fault;

    if (!colon)
        return refuse(error, size, "user", "has no password: write user:password@host, or :password@host");
    if ((fault = decode(login, user_length, address->user, sizeof address->user)))
        return refuse(error, size, "user", fault);
    if ((fault = decode(colon + 1, length - user_length - 1, address->password, sizeof address->password)))
        return refuse(error, size, "password", fault);
    if (address->user[0] && !address->password[0])
        return refuse(error, size, "user", "has no password: write user:password@host");
    return true;
}

static bool parse_host(const char *host, size_t length, struct redis_address *address, char *error, size_t size)
{
    const char *port = NULL, *end = host + length, *fault;

    if (length && *host == '[') {
        const char *bracket = memchr(host, ']', length);

        if (!bracket || (bracket + 1 < end && bracket[1] != ':'))
            return refuse(error, size, "host", "is an IPv6 address that is not written [...]:port");
        port = bracket + 1 < end ? bracket + 2 : NULL;
        host++;
        length = (size_t)(bracket - host);
    } else if ((port = memchr(host, ':', length))) {
        length = (size_t)(port++ - host);
    }
    if (length == 0)
        return refuse(error, size, "host", "is missing: write //host:port/database, or ///path/of/a/socket");
    if ((fault = decode(host, length, address->host, sizeof address->host)))
        return refuse(error, size, "host", fault);
    if (strpbrk(address->host, "/ \"'"))
        return refuse(error, size, "host", "is not a name or an IP address");
    address->port = port ? number_of(port, (size_t)(end - port), 1, PORT_MOST) : PORT;
    if (address->port < 0)
        return refuse(error, size, "port", "is not a number from 1 to 65535");
    return true;
}

static bool parse_database(const char *text, size_t length, struct redis_address *address, char *error, size_t size)
{
    address->database = number_of(text, length, 0, INT_MAX);
    return address->database >= 0 || refuse(error, size, "database", "is not a number, such as 0");
}

static bool parse_option(const char *option, size_t length, struct redis_address *address, char *error, size_t size)
{
    if (length >= 3 && strncmp(option, "db=", 3) == 0)
        return parse_database(option + 3, length - 3, address, error, size);
    if (length < 12 || strncmp(option, "deadline_ms=", 12) != 0)
        return refuse(error, size, "option", "is not known: there are ?db=NUMBER and deadline_ms=NUMBER");
    address->deadline_ms = number_of(option + 12, length - 12, 1, DEADLINE_MOST_MS);
    return address->deadline_ms > 0 || refuse(error, size, "deadline_ms", "is not a number from 1 to 10000");
}

static bool parse_query(const char *query, struct redis_address *address, char *error, size_t size)
{
    for (;;) {
        size_t length = strcspn(query, "&");

        if (!parse_option(query, length, address, error, size))
            return false;
        if (!query[length])
            return true;
        query += length + 1;
    }
}

static bool parse_place(const char *place, struct redis_address *address, char *error, size_t size)
{
    const char *rest, *query, *at, *fault;
    size_t length;

    if (strncmp(place, "//", 2) != 0)
        return refuse(error, size, "place", "does not begin with //, as in //127.0.0.1:6379/0");
    place += 2;
    rest = place + strcspn(place, "/?");
    at = memrchr(place, '@', (size_t)(rest - place));
    if (at && !parse_login(place, (size_t)(at - place), address, error, size))
        return false;
    if (at)
        place = at + 1;
    query = strchr(rest, '?');
    length = query ? (size_t)(query - rest) : strlen(rest);
    if (query && !parse_query(query + 1, address, error, size))
        return false;
    if (place < rest) {
        if (!parse_host(place, (size_t)(rest - place), address, error, size))
            return false;
        return length <= 1 || parse_database(rest + 1, length - 1, address, error, size);
    }
    if (length <= 1)
        return parse_host(place, 0, address, error, size);
    if ((fault = decode(rest, length, address->host, sizeof((struct sockaddr_un *)0)->sun_path)))
        return refuse(error, size, "path of the Unix socket", fault);
    return true;
}

bool redis_parse(const char *place, struct redis_address *address, char *error, size_t error_size)
{
    const char *authority_end;

    memset(address, 0, sizeof *address);
    if (parse_place(place, address, error, error_size))
        return true;
    /* A password that was pasted in as it is, is the likeliest reason for what looks like a wrong host or port. */
    authority_end = strncmp(place, "//", 2) == 0 ? place + 2 + strcspn(place + 2, "/?") : NULL;
    if (authority_end && authority_end > place + 2 && strchr(authority_end, '@'))
        refuse(error, error_size, "password", "has a / or ? in it: write %2F for / and %3F for ?");
    memset(address, 0, sizeof *address);
    return false;
}

void redis_name(const struct redis_address *address, char name[static REDIS_NAME_SIZE])
{
    char database[16] = "";

    if (address->database)
        snprintf(database, sizeof database, "%s%d", address->port ? "/" : "?db=", address->database);
    if (!address->port)
        snprintf(name, REDIS_NAME_SIZE, "%s%s", address->host, database);
    else
        snprintf(name, REDIS_NAME_SIZE, strchr(address->host, ':') ? "[%s]:%d%s" : "%s:%d%s", address->host,
                 address->port, database);
}

/* ---- replies: they are hiredis' own, under a name that tells nobody so ---- */

static const redisReply *inner(const struct redis_reply *reply)
{
    return (const redisReply *)reply;
}

enum redis_kind redis_kind(const struct redis_reply *reply)
{
    if (!reply)
        return REDIS_NIL;
    switch (inner(reply)->type) {
    case REDIS_REPLY_INTEGER:
        return REDIS_INTEGER;
    case REDIS_REPLY_STRING:
        return REDIS_TEXT;
    case REDIS_REPLY_STATUS:
        return REDIS_STATUS;
    case REDIS_REPLY_ARRAY:
        return REDIS_ARRAY;
    case REDIS_REPLY_ERROR:
        return REDIS_ERROR;
    default:
        return REDIS_NIL;
    }
}

int64_t redis_integer(const struct redis_reply *reply)
{
    const char *text;
    char *end;
    long long number;

    if (redis_kind(reply) == REDIS_INTEGER)
        return inner(reply)->integer;
    if (redis_kind(reply) != REDIS_TEXT)
        return 0;
    text = inner(reply)->str;
    number = strtoll(text, &end, 10);
    return end == text + inner(reply)->len ? number : 0;
}

const char *redis_text(const struct redis_reply *reply, size_t *length)
{
    enum redis_kind kind = redis_kind(reply);
    bool has_text = kind == REDIS_TEXT || kind == REDIS_STATUS || kind == REDIS_ERROR;

    if (length)
        *length = has_text ? inner(reply)->len : 0;
    return has_text ? inner(reply)->str : "";
}

size_t redis_count(const struct redis_reply *reply)
{
    return redis_kind(reply) == REDIS_ARRAY ? inner(reply)->elements : 0;
}

const struct redis_reply *redis_item(const struct redis_reply *reply, size_t index)
{
    return index < redis_count(reply) ? (const struct redis_reply *)inner(reply)->element[index] : NULL;
}

static bool begins_with_code(const char *text)
{
    for (size_t i = 0; i < sizeof unavailable / sizeof *unavailable; i++) {
        size_t length = strlen(unavailable[i]);

        if (strncmp(text, unavailable[i], length) == 0 && (text[length] == ' ' || text[length] == '\0'))
            return true;
    }
    return strncmp(text, "ERR max number of clients", 25) == 0;
}

bool redis_is_unavailable(const struct redis_reply *reply)
{
    const char *text, *within;

    if (!reply)
        return true;
    if (redis_kind(reply) != REDIS_ERROR)
        return false;
    text = redis_text(reply, NULL);
    if (begins_with_code(text))
        return true;
    /* Before Redis 7 a script's error carries that of the command inside: "ERR Error running script (...): ... -OOM".
     */
    within = strncmp(text, "ERR Error running script", 24) == 0 ? strstr(text, ": -") : NULL;
    return within && begins_with_code(within + 3);
}

void redis_reply_free(struct redis_reply *reply)
{
    if (reply)
        freeReplyObject(reply);
}
