/* members.c - see members.h. */
#include "gate/members.h"

#ifdef __SSE2__
#include <emmintrin.h>

static inline uint64_t colons_of(const char *text)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)text);

    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(':')));
}
#else
static inline uint64_t colons_of(const char *text)
{
    uint64_t colons = 0;

    for (int i = 0; i < 16; i++)
        colons |= (uint64_t)(text[i] == ':') << i;
    return colons;
}
#endif

static inline uint64_t find(const char *text)
{
    return colons_of(text) | colons_of(text + 16) << 16 | colons_of(text + 32) << 32 | colons_of(text + 48) << 48;
}

uint64_t members_colons(const char *data, const char *end, const char *window)
{
    size_t left = (size_t)(end - window);
    char rest[MEMBERS_WINDOW] = { 0 };

    if (left >= MEMBERS_WINDOW)
        return find(window);
    if (end - data >= MEMBERS_WINDOW) /* what was looked at already drops out again */
        return find(end - MEMBERS_WINDOW) >> (MEMBERS_WINDOW - left);
    memcpy(rest, window, left);
    return find(rest);
}
