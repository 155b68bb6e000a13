/* json_search.c - see json_search.h. */
#include "base/json_search.h"

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/json_scan.h"
#include "base/json_skip.h"

struct search {
    const char *text;
    const struct json_start *starts;
    size_t count, shortest;
    bool is_first[256];
    uint32_t firsts; /* of what is folded, only that is looked at in which a string begins so */
#ifdef __SSE2__
    __m128i first[JSON_STARTS_MOST], second[JSON_STARTS_MOST]; /* of each, sixteen times */
#endif
};

/* Whether the string whose first byte, behind its quote, is at `at` begins with one of them. */
static bool begins(const struct search *search, size_t at, size_t end)
{
    for (size_t i = 0; i < search->count; i++)
        if (end - at >= search->starts[i].length &&
            memcmp(search->text + at, search->starts[i].text, search->starts[i].length) == 0)
            return true;
    return false;
}

#ifdef __SSE2__

static inline __m128i sixteen(const char *text)
{
    return _mm_loadu_si128((const __m128i *)(const void *)text);
}

/* The first place from `at` on at which there may be a quote and one of them behind it. */
static size_t skip_others(const struct search *search, size_t at, size_t end)
{
    for (; search->shortest > 1 && end - at >= 18; at += 16) {
        __m128i quotes = _mm_cmpeq_epi8(sixteen(search->text + at), _mm_set1_epi8('"'));
        __m128i first = sixteen(search->text + at + 1), second = sixteen(search->text + at + 2);
        __m128i any = _mm_setzero_si128();
        unsigned found;

        for (size_t i = 0; i < search->count; i++)
            any = _mm_or_si128(
                any, _mm_and_si128(_mm_cmpeq_epi8(first, search->first[i]), _mm_cmpeq_epi8(second, search->second[i])));
        found = (unsigned)_mm_movemask_epi8(_mm_and_si128(any, quotes));
        if (found)
            return at + (unsigned)__builtin_ctz(found);
    }
    return at;
}

static void prepare(struct search *search)
{
    for (size_t i = 0; i < search->count; i++) {
        search->first[i] = _mm_set1_epi8(search->starts[i].text[0]);
        search->second[i] = _mm_set1_epi8(search->starts[i].length > 1 ? search->starts[i].text[1] : 0);
    }
}

#else

static size_t skip_others(const struct search *search, size_t at, size_t end)
{
    const char *quote = memchr(search->text + at, '"', end - at);

    return quote ? (size_t)(quote - search->text) : end;
}

static void prepare(struct search *search)
{
    (void)search;
}

#endif

/* Looks at what is folded as it is written. Behind a quote that closes a string stands no letter, and before one that
 * is inside of a string stands a backslash. */
static bool begins_inside(const struct search *search, const struct json_node *folded)
{
    for (size_t at = folded->start; at < folded->end; at++) {
        at = skip_others(search, at, folded->end);
        if (at >= folded->end)
            break;
        if (search->text[at] == '"' && search->text[at - 1] != '\\' && begins(search, at + 1, folded->end))
            return true;
    }
    return false;
}

bool json_begins(const char *text, const struct json_index *index, const struct json_start *starts, size_t count)
{
    struct search search = { .text = text, .starts = starts, .count = count, .shortest = SIZE_MAX };

    for (size_t i = 0; i < count; i++) {
        search.is_first[(unsigned char)starts[i].text[0]] = true;
        search.firsts |= UINT32_C(1) << json_skip_first(starts[i].text[0]);
        if (starts[i].length < search.shortest)
            search.shortest = starts[i].length;
    }
    if (search.shortest < JSON_FIRSTS_LEAST)
        search.firsts = UINT32_MAX;
    prepare(&search);
    for (size_t i = 0; i < index->count; i++) {
        const struct json_node *node = &index->nodes[i];

        if (node->type == JSON_FOLDED && (node->end & search.firsts) && begins_inside(&search, node - 1))
            return true;
        /* Nearly all are over with here. */
        if (node->type == JSON_STRING && node->size >= search.shortest &&
            search.is_first[(unsigned char)text[node->start + 1]] && begins(&search, node->start + 1, node->end - 1))
            return true;
    }
    return false;
}
