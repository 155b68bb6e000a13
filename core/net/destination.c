/* destination.c - see destination.h. */
#include "net/destination.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

/* More than a configuration has. Where a script makes URLs up, all are forgotten and the known ones soon back. */
enum { DESTINATIONS = 256 };

static bool take_apart(struct destination *destination, const char *url)
{
    char *host = NULL, *port = NULL;
    bool is_good = curl_url_set(destination->parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                   curl_url_get(destination->parts, CURLUPART_HOST, &host, 0) == CURLUE_OK && *host &&
                   curl_url_get(destination->parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK;

    if (is_good) {
        destination->url = mem_text(url);
        destination->host = mem_text(host);
        destination->port = mem_text(port);
    }
    curl_free(host);
    curl_free(port);
    return is_good;
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
