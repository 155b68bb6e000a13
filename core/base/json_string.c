/*
 * json_string.c - see json_string.h. Most of a long string is looked at 64
 * bytes at a time, by a bit for each: that takes as long for text full of
 * escapes, as code and prose have them, as for text without.
 */
#include "base/json_string.h"

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <immintrin.h>
#endif

#include "base/bytes.h"
#include "base/utf8.h"

#define INLINE inline __attribute__((always_inline))

static size_t fail(struct json_string *string, size_t at, const char *message)
{
    string->message = message;
    return at;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int json_string_unit(const char *text, size_t available)
{
    int unit = 0;

    if (available < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(text[i]);

        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* At a backslash; answers the place behind the escape. */
static size_t scan_escape(const char *text, size_t at, size_t length, struct json_string *string)
{
    size_t left = length - at, meant;
    int unit;

    if (left < 2)
        return fail(string, length, "the text ends inside a string");
    switch (text[at + 1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        string->saved++;
        return at + 2;
    case 'u':
        break;
    default:
        return fail(string, at, "unknown escape in a string");
    }
    unit = json_string_unit(text + at + 2, left - 2);
    if (unit < 0)
        return fail(string, at, "\\u must be followed by four hexadecimal digits");
    if (unit == 0)
        return fail(string, at, "a NUL character is not allowed in a string");
    meant = unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
    if (unit < 0xd800 || unit > 0xdfff) {
        string->saved += 6 - meant;
        return at + 6;
    }
    if (unit <= 0xdbff && left >= 12 && text[at + 6] == '\\' && text[at + 7] == 'u') {
        unit = json_string_unit(text + at + 8, left - 8);
        if (unit >= 0xdc00 && unit <= 0xdfff) {
            string->saved += 12 - 4;
            return at + 12;
        }
    }
    return fail(string, at, "a lone surrogate is not a character");
}

/* The next byte that is not plain ASCII inside a string: a quote, a backslash, a control or a part of UTF-8. */
static size_t skip_plain(const char *text, size_t at, size_t length)
{
    for (; length - at >= 8; at += 8) {
        uint64_t word = bytes_word(text + at);

        if (bytes_less(word, 0x20) | bytes_high(word) | bytes_equal(word, '"') | bytes_equal(word, '\\'))
            break;
    }
    while (at < length) {
        unsigned char c = (unsigned char)text[at];

        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
            break;
        at++;
    }
    return at;
}

#ifdef __SSE2__

enum { BLOCK = 64 };

static uint64_t bits(__m128i bytes[static 4])
{
    return (uint64_t)_mm_movemask_epi8(bytes[0]) | (uint64_t)_mm_movemask_epi8(bytes[1]) << 16 |
           (uint64_t)_mm_movemask_epi8(bytes[2]) << 32 | (uint64_t)_mm_movemask_epi8(bytes[3]) << 48;
}

static inline uint64_t bits_of_slashes(const char *text)
{
    __m128i found[4];

    for (int i = 0; i < 4; i++)
        found[i] = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)(text + i * 16)), _mm_set1_epi8('\\'));
    return bits(found);
}

/* Quotes and controls. *slashes: whether there are backslashes. */
static inline uint64_t bits_of_ends(const char *text, bool *slashes)
{
    __m128i found[4], slash = _mm_setzero_si128(), any = slash;

    for (int i = 0; i < 4; i++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text + i * 16));

        found[i] = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes),
                                _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')));
        any = _mm_or_si128(any, found[i]);
        slash = _mm_or_si128(slash, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
    }
    *slashes = _mm_movemask_epi8(slash) != 0;
    return _mm_movemask_epi8(any) ? bits(found) : 0;
}

/* What a backslash before it makes one byte of, but for backslashes. */
static inline uint64_t bits_of_letters(const char *text)
{
    __m128i found[4];

    for (int i = 0; i < 4; i++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text + i * 16));
        __m128i b_or_f = _mm_cmpeq_epi8(_mm_or_si128(bytes, _mm_set1_epi8('b' ^ 'f')), _mm_set1_epi8('f'));
        __m128i n = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('n')), r = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('r'));
        __m128i t = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('t')), solidus = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('/'));
        __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));

        found[i] =
            _mm_or_si128(_mm_or_si128(_mm_or_si128(b_or_f, n), _mm_or_si128(r, t)), _mm_or_si128(solidus, quote));
    }
    return bits(found);
}

/* The same three, of 32 bytes at once. */
#define WIDE __attribute__((target("avx2,bmi,popcnt")))

WIDE static inline __m256i wide(const char *text)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)text);
}

WIDE static inline uint64_t wide_bits(__m256i low, __m256i high)
{
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}

WIDE static inline uint64_t wide_slashes(const char *text)
{
    const __m256i slash = _mm256_set1_epi8('\\');

    return wide_bits(_mm256_cmpeq_epi8(wide(text), slash), _mm256_cmpeq_epi8(wide(text + 32), slash));
}

WIDE static inline __m256i wide_ends_of(__m256i bytes)
{
    return _mm256_or_si256(_mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1f)), bytes),
                           _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('"')));
}

WIDE static inline uint64_t wide_ends(const char *text, bool *slashes)
{
    *slashes = wide_slashes(text) != 0;
    return wide_bits(wide_ends_of(wide(text)), wide_ends_of(wide(text + 32)));
}

/* By the halves of a byte: of those that begin with 2, 6 and 7, which are letters by what they end with. None of these
 * is beyond ASCII. */
WIDE static inline __m256i wide_letters_of(__m256i bytes)
{
    const __m256i ends = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 0, 7, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 1));
    const __m256i begins = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 0, 1, 0, 0, 0, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0));
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0f));
    __m256i found = _mm256_and_si256(_mm256_shuffle_epi8(ends, bytes), _mm256_shuffle_epi8(begins, high));

    return _mm256_cmpgt_epi8(found, _mm256_setzero_si256());
}

WIDE static inline uint64_t wide_letters(const char *text)
{
    return wide_bits(wide_letters_of(wide(text)), wide_letters_of(wide(text + 32)));
}

/* What there is to know of 64 bytes, in one way or the other. */
struct looks {
    uint64_t (*ends)(const char *text, bool *slashes);
    uint64_t (*slashes)(const char *text);
    uint64_t (*letters)(const char *text);
};

/* The bits of the backslashes that begin an escape; the byte before is no such. A run of them begins one at its first,
 * third and so on: a subtraction carries through each run, and so finds which of its bits are odd. */
static INLINE uint64_t bits_of_escapes(uint64_t slashes)
{
    const uint64_t odd = UINT64_C(0xaaaaaaaaaaaaaaaa);
    uint64_t behind = slashes << 1;

    return (((behind | odd) - slashes) ^ odd) & slashes;
}

/* Where the string ends, or what skip_block does not look at begins: an escape of a character's number, or a byte that
 * must not be there. Stops, too, where less than a block is left. */
static INLINE size_t skip_by(const struct looks *looks, const char *text, size_t at, size_t length, size_t *saved)
{
    while (length - at >= BLOCK) {
        const char *here = text + at;
        bool has_slashes;
        uint64_t stops = looks->ends(here, &has_slashes), slashes, escapes, escaped;
        unsigned most = BLOCK, stop;

        if (!has_slashes) {
            if (stops)
                return at + (unsigned)__builtin_ctzll(stops);
            at += BLOCK;
            continue;
        }
        slashes = looks->slashes(here);
        escapes = bits_of_escapes(slashes);
        escaped = escapes << 1;
        /* What the last byte begins is for the next block. */
        if (escapes >> 63)
            most = BLOCK - 1;
        /* An escaped quote is no end. What else is escaped, and is none of the letters, is an end at its backslash. */
        stops = (stops & ~escaped) | (escaped & ~(slashes | looks->letters(here))) >> 1;
        stop = stops ? (unsigned)__builtin_ctzll(stops) : BLOCK;
        if (stop > most)
            stop = most;
        *saved += (size_t)__builtin_popcountll(stop < BLOCK ? escapes & ((UINT64_C(1) << stop) - 1) : escapes);
        at += stop;
        if (stop < most)
            break;
    }
    return at;
}

WIDE static size_t skip_wide(const char *text, size_t at, size_t length, size_t *saved)
{
    const struct looks looks = { wide_ends, wide_slashes, wide_letters };

    return skip_by(&looks, text, at, length, saved);
}

static size_t skip_narrow(const char *text, size_t at, size_t length, size_t *saved)
{
    const struct looks looks = { bits_of_ends, bits_of_slashes, bits_of_letters };

    return skip_by(&looks, text, at, length, saved);
}

static size_t skip_blocks(const char *text, size_t at, size_t length, size_t *saved)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") ? skip_wide(text, at, length, saved)
                                                                           : skip_narrow(text, at, length, saved);
}

#else

static size_t skip_blocks(const char *text, size_t at, size_t length, size_t *saved)
{
    (void)text;
    (void)length;
    (void)saved;
    return at;
}

#endif

struct json_string json_string(const char *text, size_t at, size_t length, bool is_utf8)
{
    struct json_string string = { 0 };

    while (!string.message) {
        if (is_utf8)
            at = skip_blocks(text, at, length, &string.saved);
        at = skip_plain(text, at, length);
        if (at == length) {
            fail(&string, at, "the text ends inside a string");
        } else if (text[at] == '"') {
            break;
        } else if (text[at] == '\\') {
            /* Letters that are written by number come in words. */
            do
                at = scan_escape(text, at, length, &string);
            while (!string.message && at < length && text[at] == '\\');
        } else if ((unsigned char)text[at] < 0x20) {
            fail(&string, at, "a control character in a string must be escaped");
        } else {
            /* Known to be well-formed, it may be looked at in the middle of a character. */
            size_t size = is_utf8 ? 1 : utf8_length(text + at, length - at);

            if (size == 0)
                fail(&string, at, "a string must be well-formed UTF-8");
            at += size;
        }
    }
    string.end = at;
    return string;
}
