/* redis_command.c - see redis_command.h. */
#include "net/redis_command.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "net/redis.h"

enum { SHA1_SIZE = 20, CODE_SIZE = 24 };

static void write_head(struct buf *out, char kind, size_t number)
{
    char text[24];
    size_t at = sizeof text;

    text[--at] = '\n';
    text[--at] = '\r';
    do {
        text[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    text[--at] = kind;
    buf_add(out, text + at, sizeof text - at);
}

static void write_word(struct buf *out, const char *text, size_t length)
{
    write_head(out, '$', length);
    buf_add(out, text, length);
    buf_add(out, "\r\n", 2);
}

static void write_text(struct buf *out, const char *text)
{
    write_word(out, text, strlen(text));
}

void redis_command_write(struct buf *out, const struct redis_word *words, size_t count)
{
    write_head(out, '*', count);
    for (size_t i = 0; i < count; i++)
        write_word(out, words[i].text, words[i].length);
}

/* Several threads may come here first at the same time. */
static const char *digest_of(struct redis_script *script)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    unsigned char digest[SHA1_SIZE];

    if (__atomic_load_n(&script->has_digest, __ATOMIC_ACQUIRE))
        return script->digest;
    pthread_mutex_lock(&lock);
    if (!script->has_digest) {
        if (!EVP_Digest(script->source, strlen(script->source), digest, NULL, EVP_sha1(), NULL)) {
            fputs("moongate: OpenSSL has no SHA-1, which Redis scripts need\n", stderr);
            abort();
        }
        for (int i = 0; i < SHA1_SIZE; i++)
            snprintf(script->digest + 2 * i, 3, "%02x", digest[i]);
        __atomic_store_n(&script->has_digest, true, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&lock);
    return script->digest;
}

void redis_command_write_run(struct buf *out, struct redis_script *script, size_t key_count,
                             const struct redis_word *words, size_t count)
{
    char keys[24];

    snprintf(keys, sizeof keys, "%zu", key_count);
    write_head(out, '*', count + 3);
    write_word(out, "EVALSHA", 7);
    write_word(out, digest_of(script), 2 * SHA1_SIZE);
    write_text(out, keys);
    for (size_t i = 0; i < count; i++)
        write_word(out, words[i].text, words[i].length);
}

void redis_command_write_load(struct buf *out, const struct redis_script *script)
{
    write_head(out, '*', 3);
    write_text(out, "SCRIPT");
    write_text(out, "LOAD");
    write_text(out, script->source);
}

bool redis_command_is_unknown_script(const struct redis_reply *reply)
{
    return redis_kind(reply) == REDIS_ERROR && strncmp(redis_text(reply, NULL), "NOSCRIPT", 8) == 0;
}

/* ---- the greeting ---- */

size_t redis_command_greet(struct buf *out, const struct redis_address *address)
{
    char database[16];
    size_t count = 1;

    if (address->password[0]) {
        write_head(out, '*', address->user[0] ? 3 : 2);
        write_text(out, "AUTH");
        if (address->user[0])
            write_text(out, address->user);
        write_text(out, address->password);
        count++;
    }
    if (address->database) {
        snprintf(database, sizeof database, "%d", address->database);
        write_head(out, '*', 2);
        write_text(out, "SELECT");
        write_text(out, database);
        count++;
    }
    write_head(out, '*', 1);
    write_text(out, "PING");
    return count;
}

bool redis_command_is_loading(const struct redis_reply *reply)
{
    return redis_kind(reply) == REDIS_ERROR && strncmp(redis_text(reply, NULL), "LOADING", 7) == 0;
}

bool redis_command_is_welcome(const struct redis_address *address, const struct redis_reply *reply, char *error,
                              size_t error_size)
{
    const char *text = redis_text(reply, NULL);
    char name[REDIS_NAME_SIZE], code[CODE_SIZE];
    size_t length = strcspn(text, " ");

    redis_name(address, name);
    if (redis_kind(reply) == REDIS_STATUS)
        return true;
    if (redis_kind(reply) != REDIS_ERROR)
        snprintf(error, error_size, "what answers at %s is not Redis", name);
    else if (strncmp(text, "WRONGPASS", 9) == 0 || strncmp(text, "ERR invalid password", 20) == 0)
        snprintf(error, error_size, "Redis at %s refuses the %s", name,
                 address->user[0] ? "user or the password" : "password");
    else if (strncmp(text, "NOAUTH", 6) == 0)
        snprintf(error, error_size, "Redis at %s asks for a password, and the address has none", name);
    else if (strstr(text, "without any password") || strstr(text, "no password is set"))
        snprintf(error, error_size, "Redis at %s has no password: take it out of the address", name);
    else if (strstr(text, "DB index") || strstr(text, "invalid DB"))
        snprintf(error, error_size, "Redis at %s has no database %d", name, address->database);
    else if (strncmp(text, "ERR max number of clients", 25) == 0)
        snprintf(error, error_size, "Redis at %s has as many clients as it takes (see its maxclients)", name);
    else if (redis_command_is_loading(reply))
        snprintf(error, error_size, "Redis at %s is still loading its data", name);
    else {
        /* The code alone: an error for an unknown command quotes its words, which may be the password. */
        snprintf(code, sizeof code, "%.*s", (int)(length < CODE_SIZE ? length : CODE_SIZE - 1), text);
        snprintf(error, error_size, "Redis at %s answers its greeting with the error %s", name, code);
    }
    return false;
}
