/*
 * utf8.c - see utf8.h. A whole text is looked at 16 bytes at a time where the
 * processor can: by the three tables of Keiser and Lemire, "Validating UTF-8
 * in less than one instruction per byte" (2020).
 */
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <tmmintrin.h>
#endif

#include "base/bytes.h"

static int follows(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

size_t utf8_length(const char *text, size_t available)
{
    const unsigned char *s = (const unsigned char *)text;

    if (available == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        return available >= 2 && follows(s[1]) ? 2 : 0;
    if (s[0] >= 0xe0 && s[0] <= 0xef) {
        if (available < 3 || !follows(s[1]) || !follows(s[2]))
            return 0;
        if (s[0] == 0xe0 && s[1] < 0xa0) /* overlong */
            return 0;
        if (s[0] == 0xed && s[1] > 0x9f) /* surrogate */
            return 0;
        return 3;
    }
    if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        if (available < 4 || !follows(s[1]) || !follows(s[2]) || !follows(s[3]))
            return 0;
        if (s[0] == 0xf0 && s[1] < 0x90)
            return 0;
        if (s[0] == 0xf4 && s[1] > 0x8f)
            return 0;
        return 4;
    }
    return 0;
}

static bool is_valid_by_character(const char *text, size_t length)
{
    size_t at = 0;

    while (at < length) {
        size_t size;

        if (length - at >= 8 && !bytes_high(bytes_word(text + at))) {
            at += 8;
            continue;
        }
        size = utf8_length(text + at, length - at);
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

#ifdef __SSE2__

/* What may be wrong with two bytes that follow each other. It is, where all three tables say so. */
enum {
    TOO_SHORT = 1 << 0,  /* a first byte, and none that continues it */
    TOO_LONG = 1 << 1,   /* ASCII, and a byte that continues */
    OVERLONG_3 = 1 << 2, /* three bytes for what takes two */
    TOO_LARGE = 1 << 3,  /* beyond U+10FFFF */
    SURROGATE = 1 << 4,
    OVERLONG_2 = 1 << 5,
    OVERLONG_4 = 1 << 6, /* and beyond U+13FFFF: the tables need no bit of its own for that */
    TWO_MORE = 1 << 7,   /* two that continue: right where a first byte of three or four stands before them */
    ANY_LOW = TOO_SHORT | TOO_LONG | TWO_MORE
};

/* Sixteen bytes behind the sixteen before them: which of them are wrong. */
__attribute__((target("ssse3"))) static __m128i wrong_bytes(__m128i bytes, __m128i before)
{
    const char large = (char)(ANY_LOW | TOO_LARGE | OVERLONG_4);
    const __m128i first_high =
        _mm_setr_epi8(TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, (char)TWO_MORE,
                      (char)TWO_MORE, (char)TWO_MORE, (char)TWO_MORE, TOO_SHORT | OVERLONG_2, TOO_SHORT,
                      TOO_SHORT | OVERLONG_3 | SURROGATE, TOO_SHORT | TOO_LARGE | OVERLONG_4);
    const __m128i first_low =
        _mm_setr_epi8((char)(ANY_LOW | OVERLONG_2 | OVERLONG_3 | OVERLONG_4), (char)(ANY_LOW | OVERLONG_2),
                      (char)ANY_LOW, (char)ANY_LOW, (char)(ANY_LOW | TOO_LARGE), large, large, large, large, large,
                      large, large, large, (char)(large | SURROGATE), large, large);
    const char more = (char)(TOO_LONG | OVERLONG_2 | TWO_MORE);
    const __m128i second_high =
        _mm_setr_epi8(TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT,
                      (char)(more | OVERLONG_3 | OVERLONG_4), (char)(more | OVERLONG_3 | TOO_LARGE),
                      (char)(more | SURROGATE | TOO_LARGE), (char)(more | SURROGATE | TOO_LARGE), TOO_SHORT, TOO_SHORT,
                      TOO_SHORT, TOO_SHORT);
    const __m128i low_half = _mm_set1_epi8(0x0f);
    __m128i one = _mm_alignr_epi8(bytes, before, 15), two = _mm_alignr_epi8(bytes, before, 14);
    __m128i three = _mm_alignr_epi8(bytes, before, 13);
    __m128i wrong =
        _mm_and_si128(_mm_and_si128(_mm_shuffle_epi8(first_high, _mm_and_si128(_mm_srli_epi16(one, 4), low_half)),
                                    _mm_shuffle_epi8(first_low, _mm_and_si128(one, low_half))),
                      _mm_shuffle_epi8(second_high, _mm_and_si128(_mm_srli_epi16(bytes, 4), low_half)));
    /* The top bit where a byte is the third or fourth of its character: there, and only there, are two that continue.
     */
    __m128i later =
        _mm_or_si128(_mm_subs_epu8(two, _mm_set1_epi8(0xe0 - 0x80)), _mm_subs_epu8(three, _mm_set1_epi8(0xf0 - 0x80)));

    return _mm_xor_si128(_mm_and_si128(later, _mm_set1_epi8((char)0x80)), wrong);
}

/* Where it stands in a text: all zero at its beginning. */
struct looking {
    __m128i before; /* the last sixteen bytes */
    __m128i open;   /* not zero: their last character goes on */
    __m128i wrong;  /* not zero: something was */
};

static inline __m128i block(const char *text)
{
    return _mm_loadu_si128((const __m128i *)(const void *)text);
}

__attribute__((target("ssse3"))) static inline void look_at(struct looking *looking, __m128i bytes)
{
    /* The last three bytes that a block may have, if no character goes on in the next. */
    const __m128i last =
        _mm_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, (char)0xef, (char)0xdf, (char)0xbf);

    looking->wrong = _mm_or_si128(looking->wrong, wrong_bytes(bytes, looking->before));
    looking->open = _mm_subs_epu8(bytes, last);
    looking->before = bytes;
}

static bool is_ascii(const char *text)
{
    return _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(block(text), block(text + 16)),
                                          _mm_or_si128(block(text + 32), block(text + 48)))) == 0;
}

__attribute__((target("ssse3"))) static bool is_valid_by_blocks(const char *text, size_t length)
{
    struct looking looking = { _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128() };
    char rest[16] = { 0 };
    size_t at = 0;

    for (; length - at >= 64; at += 64) {
        if (is_ascii(text + at)) {
            looking.wrong = _mm_or_si128(looking.wrong, looking.open);
            looking.before = looking.open = _mm_setzero_si128();
            continue;
        }
        for (size_t i = 0; i < 64; i += 16)
            look_at(&looking, block(text + at + i));
    }
    for (; length - at >= 16; at += 16)
        look_at(&looking, block(text + at));
    memcpy(rest, text + at, length - at);
    look_at(&looking, block(rest));
    looking.wrong = _mm_or_si128(looking.wrong, looking.open);
    return _mm_movemask_epi8(_mm_cmpeq_epi8(looking.wrong, _mm_setzero_si128())) == 0xffff;
}

bool utf8_is_valid(const char *text, size_t length)
{
    return __builtin_cpu_supports("ssse3") ? is_valid_by_blocks(text, length) : is_valid_by_character(text, length);
}

#else

bool utf8_is_valid(const char *text, size_t length)
{
    return is_valid_by_character(text, length);
}

#endif
