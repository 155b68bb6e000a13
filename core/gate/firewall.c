/* firewall.c - see firewall.h. Reads the settings that C itself keeps, never what Lua says of a target. */
#include "gate/firewall.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/buf.h"
#include "base/headers.h"
#include "gate/exchange.h"
#include "gate/settings.h"
#include "gate/spending.h"
#include "gate/worker.h"

static size_t length_of(const char *base)
{
    size_t length = strcspn(base, "?#");

    while (length > 0 && base[length - 1] == '/')
        length--;
    return length;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A path without its percent signs; its end is that of the path. */
static void decode_path(const char *path, struct buf *out)
{
    size_t length = strcspn(path, "?#");

    for (size_t i = 0; i < length; i++) {
        int high = path[i] == '%' && length - i > 2 ? hex_digit(path[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(path[i + 2]) : -1;

        if (high * 16 + low == 0)
            low = -1; /* no text goes on behind it */

        buf_add_char(out, low >= 0 ? (char)(high * 16 + low) : path[i]);
        i += low >= 0 ? 2 : 0;
    }
}

/* Whether a path climbs: a segment of dots would be taken out on the way, and what stands before it. */
static bool climbs(const char *path)
{
    struct buf plain = { 0 };
    bool found = false;

    decode_path(path, &plain);
    for (const char *at = strpbrk(buf_text_of(&plain), "/\\"); at && !found; at = strpbrk(at + 1, "/\\")) {
        size_t dots = strspn(at + 1, ".");

        found = *at == '\\' || ((dots == 1 || dots == 2) && (at[1 + dots] == '\0' || strchr("/\\", at[1 + dots])));
    }
    buf_free(&plain);
    return found;
}

/* The same host and folder: what stands behind the address may not go on in its last word ("api.groq.com.evil"), nor
 * lead out of the folder. */
static bool is_below(const char *url, const char *base)
{
    size_t length = length_of(base);

    return strncmp(url, base, length) == 0 && (url[length] == '/' || url[length] == '?' || url[length] == '\0') &&
           !climbs(url + length);
}

/* ".../models/<name>:verb", or the whole name without "models/" where it has a kind of its own ("tunedModels/x"). */
static bool path_names(const char *path, const char *model)
{
    static const char prefix[] = "/models/";
    struct buf plain = { 0 };
    const char *text;
    char *verb;
    bool fits;

    decode_path(path, &plain);
    buf_text_of(&plain);
    verb = plain.data ? strrchr(plain.data, ':') : NULL;
    if (verb)
        *verb = '\0';
    text = plain.data ? plain.data : "";
    if (strncmp(model, prefix + 1, sizeof prefix - 2) == 0)
        model += sizeof prefix - 2;
    if (strncmp(text, prefix, sizeof prefix - 1) == 0)
        fits = strcmp(text + sizeof prefix - 1, model) == 0;
    else
        fits = text[0] == '/' && strcmp(text + 1, model) == 0;
    buf_free(&plain);
    return fits;
}

static const char *spends(const struct settings *settings, const struct settings_target *target, const char *url,
                          const char *body, size_t length)
{
    const char *model = target->upstream_id ? target->upstream_id : "";
    bool by_path = target->is_named_by_path;

    if (by_path && !path_names(url + length_of(target->base_url), model))
        return "zero_spend is on and the call's address does not name the target's model";
    if (by_path && strncmp(model, "models/", 7) == 0)
        model += 7;
    return spending_refuses(settings->spending, body, length, model, by_path);
}

const char *firewall_refuses(const struct exchange *exchange, const char *target, const char *url, const char *body,
                             size_t length)
{
    const struct settings *settings = exchange->worker->settings;
    const struct settings_target *known = settings_target(settings, target);

    if (!known)
        return "the target is not in the configuration";
    if (exchange->private && !known->is_local)
        return "the request is private and the target is not on this machine";
    if (settings->zero_spend && !known->costs_nothing)
        return "zero_spend is on and the target is not known to cost nothing";
    if (!url != !known->base_url)
        return "the call does not go the target's way";
    if (url && !is_below(url, known->base_url))
        return "the call's address is not the target's";
    if (url && settings->zero_spend)
        return spends(settings, known, url, body, length);
    return NULL;
}

const char *firewall_refuses_headers(const struct exchange *exchange, const struct headers *headers)
{
    static const char *const names[] = { "host", "content-length", "transfer-encoding", "content-encoding" };

    for (size_t i = 0; exchange->worker->settings->zero_spend && i < sizeof names / sizeof *names; i++) {
        if (headers_count(headers, names[i]) > 0)
            return "zero_spend is on and a header would have the call read otherwise than it is written";
    }
    return NULL;
}
