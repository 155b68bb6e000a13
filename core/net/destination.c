/* destination.c - see destination.h. */
#include "net/destination.h"

#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/mem.h"

/* More than a configuration has. Where a script makes URLs up, all are forgotten and the known ones soon back. */
enum { DESTINATIONS = 256 };

/* One part of the URL, ours; NULL: there is none. */
static char *part(const struct destination *destination, CURLUPart what, unsigned flags)
{
    char *text = NULL, *copy;

    if (curl_url_get(destination->parts, what, &text, flags) != CURLUE_OK)
        return NULL;
    copy = mem_text(text);
    curl_free(text);
    return copy;
}

/* "Basic ..." of what stands before the host; NULL: nothing does. */
static char *authorization_of(const struct destination *destination)
{
    static const char scheme[] = "Basic ";
    char *user = part(destination, CURLUPART_USER, CURLU_URLDECODE);
    char *password = part(destination, CURLUPART_PASSWORD, CURLU_URLDECODE);
    char *both, *text;
    size_t length;

    if (!user && !password)
        return NULL;
    both = mem_format("%s:%s", user ? user : "", password ? password : "");
    length = strlen(both);
    text = mem_alloc(sizeof scheme + (length + 2) / 3 * 4);
    EVP_EncodeBlock((unsigned char *)stpcpy(text, scheme), (const unsigned char *)both, (int)length);
    mem_free(both);
    mem_free(password);
    mem_free(user);
    return text;
}

static char *target_of(const struct destination *destination)
{
    char *path = part(destination, CURLUPART_PATH, CURLU_URLENCODE);
    char *query = part(destination, CURLUPART_QUERY, 0);
    char *target = mem_format("%s%s%s", path ? path : "/", query ? "?" : "", query ? query : "");

    mem_free(path);
    mem_free(query);
    return target;
}

static uint32_t scope_of(const struct destination *destination)
{
    char *zone = part(destination, CURLUPART_ZONEID, 0);
    unsigned scope = zone ? if_nametoindex(zone) : 0;

    if (zone && !scope)
        scope = (unsigned)strtoul(zone, NULL, 10);
    mem_free(zone);
    return scope;
}

static char *without_brackets(const char *host)
{
    size_t length = strlen(host);

    return *host == '[' && length > 2 ? mem_copy(host + 1, length - 2) : mem_text(host);
}

static bool take_apart(struct destination *destination, const char *url)
{
    char *scheme, *given;

    if (curl_url_set(destination->parts, CURLUPART_URL, url, 0) != CURLUE_OK)
        return false;
    destination->host = part(destination, CURLUPART_HOST, CURLU_PUNYCODE);
    destination->port = part(destination, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    if (!destination->host || !*destination->host || !destination->port)
        return false;
    scheme = part(destination, CURLUPART_SCHEME, 0);
    given = part(destination, CURLUPART_PORT, CURLU_NO_DEFAULT_PORT);
    destination->url = mem_text(url);
    destination->name = without_brackets(destination->host);
    destination->scope = scope_of(destination);
    destination->origin =
        mem_format("%s://%s%%%u:%s", scheme, destination->host, destination->scope, destination->port);
    destination->authority = mem_format("%s%s%s", destination->host, given ? ":" : "", given ? given : "");
    destination->target = target_of(destination);
    destination->authorization = authorization_of(destination);
    destination->is_secure = strcmp(scheme, "https") == 0;
    destination->is_http = destination->is_secure || strcmp(scheme, "http") == 0;
    mem_free(given);
    mem_free(scheme);
    return true;
}

struct destination *destination_take(struct destinations *destinations, const char *url)
{
    size_t length = strlen(url);
    struct destination *destination = hash_get(&destinations->by_url, url, length);

    if (!destination) {
        destination = mem_zero(sizeof *destination);
        destination->holders = 1;
        destination->parts = curl_url();
        if (!take_apart(destination, url)) {
            destination_drop(destination);
            return NULL;
        }
        if (destinations->by_url.count == DESTINATIONS)
            destination_forget_all(destinations);
        hash_put(&destinations->by_url, destination->url, length, destination);
    }
    destination->holders++;
    return destination;
}

void destination_drop(struct destination *destination)
{
    if (!destination || --destination->holders)
        return;
    curl_url_cleanup(destination->parts);
    mem_free(destination->url);
    mem_free(destination->host);
    mem_free(destination->port);
    mem_free(destination->name);
    mem_free(destination->origin);
    mem_free(destination->target);
    mem_free(destination->authority);
    if (destination->authorization)
        explicit_bzero(destination->authorization, strlen(destination->authorization));
    mem_free(destination->authorization);
    mem_free(destination);
}

void destination_forget_all(struct destinations *destinations)
{
    struct destination *destination;
    size_t at = 0;

    while ((destination = hash_next(&destinations->by_url, &at)))
        destination_drop(destination);
    hash_free(&destinations->by_url);
}
