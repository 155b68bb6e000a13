/* members.c - see members.h. */
#include "gate/members.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>

static inline uint64_t places_of(__m128i bytes, char c)
{
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(c)));
}

static void find(const char *text, uint64_t *quotes, uint64_t *colons)
{
    for (int i = 0; i < MEMBERS_WINDOW; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text + i));

        *quotes |= places_of(bytes, '"') << i;
        *colons |= places_of(bytes, ':') << i;
    }
}
#else
static void find(const char *text, uint64_t *quotes, uint64_t *colons)
{
    for (int i = 0; i < MEMBERS_WINDOW; i++) {
        *quotes |= (uint64_t)(text[i] == '"') << i;
        *colons |= (uint64_t)(text[i] == ':') << i;
    }
}
#endif

static void look_at(struct members *members, const char *window)
{
    size_t left = (size_t)(members->end - window);
    uint64_t quotes = 0, colons = 0;
    const char *text = window;
    char rest[MEMBERS_WINDOW];

    if (left < sizeof rest) {
        memset(rest, 0, sizeof rest);
        memcpy(rest, window, left);
        text = rest;
    }
    find(text, &quotes, &colons);
    members->window = window;
    members->earlier = members->quotes;
    members->quotes = quotes;
    members->colons = colons;
}

struct members members_of(const char *data, size_t length)
{
    struct members members = { .data = data, .end = data + length, .window = data };

    if (length > 0)
        look_at(&members, data);
    return members;
}

void members_look_on(struct members *members)
{
    look_at(members, members->window + MEMBERS_WINDOW);
}

const char *members_look_back(const struct members *members, const char *place)
{
    for (const char *at = place; at > members->data && place - at < MEMBERS_NAME_BYTES - 1;)
        if (*--at == '"')
            return at;
    return NULL;
}
