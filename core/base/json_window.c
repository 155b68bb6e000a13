/* json_window.c - see json_window.h. */
#include "base/json_window.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>

static uint64_t stops_of(const char *text)
{
    uint64_t stops = 0;

    for (int i = 0; i < JSON_WINDOW; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text + i));
        __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), slash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);

        stops |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, slash), control)) << i;
    }
    return stops;
}
#else
static uint64_t stops_of(const char *text)
{
    uint64_t stops = 0;

    for (int i = 0; i < JSON_WINDOW; i++)
        stops |= (uint64_t)(text[i] == '"' || text[i] == '\\' || (unsigned char)text[i] < 0x20) << i;
    return stops;
}
#endif

uint64_t json_window_stops(const char *text, size_t length, size_t number)
{
    size_t base = number * JSON_WINDOW;
    char rest[JSON_WINDOW];

    if (length - base >= JSON_WINDOW)
        return stops_of(text + base);
    memset(rest, 0, sizeof rest);
    memcpy(rest, text + base, length - base);
    return stops_of(rest);
}
