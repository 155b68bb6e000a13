/*
 * words.c - moongate.core.words: which kind of text it is, by the phrases that
 * occur in it. Every request is asked that, so a text is read once, however many
 * phrases there are, and of most words the first three letters tell that no phrase
 * begins with them. Also loadable by a plain luajit;
 * lua/moongate/testing/words.lua does the same without C.
 */
#include "bind/words.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <lauxlib.h>

enum { SLOTS = 512, PHRASES_MAX = SLOTS / 2, TEXT_MAX = 8192, STEP = 16, LOW_BITS = 31 };

/* Pairs of bytes, folded, each told by its low bits. */
struct pairs {
    uint32_t seconds[LOW_BITS + 1]; /* by the first one: a bit for each second one */
};

/* A table by the hash of a phrase's first word; phrases of one hash follow each other. */
struct finder {
    unsigned char folded[256];        /* each byte in small letters; a space for what stands between words */
    struct pairs beginnings, middles; /* first and second letters of the phrases; second and third ones */
    struct phrase {
        const char *text; /* Lua's, anchored in the list of kinds; NULL: a free slot */
        size_t length;
        uint32_t hash;
        int kind;
    } slots[SLOTS];
};

static const uint32_t NO_WORD = 2166136261u;

static uint32_t hash_on(uint32_t hash, unsigned char c)
{
    return (hash ^ c) * 16777619u;
}

static uint32_t hash_first_word(const char *text, size_t length)
{
    uint32_t hash = NO_WORD;

    for (size_t i = 0; i < length && text[i] != ' '; i++)
        hash = hash_on(hash, (unsigned char)text[i]);
    return hash;
}

static bool is_gap(int c)
{
    return c < 128 && (isspace(c) || ispunct(c));
}

static void fold(unsigned char folded[static 256])
{
    for (int c = 0; c < 256; c++)
        folded[c] = (unsigned char)(is_gap(c) ? ' ' : c >= 128 ? c : tolower(c));
}

static inline bool has_pair(const struct pairs *pairs, unsigned first, unsigned second)
{
    return pairs->seconds[first & LOW_BITS] >> (second & LOW_BITS) & 1;
}

static void add_pair(struct pairs *pairs, unsigned first, unsigned second)
{
    pairs->seconds[first & LOW_BITS] |= UINT32_C(1) << (second & LOW_BITS);
}

/* Whether a phrase may begin with the three bytes. */
static inline bool may_begin(const struct finder *finder, const unsigned char *bytes)
{
    unsigned second = finder->folded[bytes[1]];

    return has_pair(&finder->beginnings, finder->folded[bytes[0]], second) &&
           has_pair(&finder->middles, second, finder->folded[bytes[2]]);
}

static void add_beginning(struct finder *finder, const char *text, size_t length)
{
    unsigned char second = length > 1 ? (unsigned char)text[1] : ' ';

    add_pair(&finder->beginnings, (unsigned char)text[0], second);
    if (second != ' ')
        add_pair(&finder->middles, second, length > 2 ? (unsigned char)text[2] : ' ');
    else /* whatever comes behind a word of one letter */
        finder->middles.seconds[' ' & LOW_BITS] = UINT32_MAX;
}

static void add(struct finder *finder, const char *text, size_t length, int kind)
{
    uint32_t hash = hash_first_word(text, length), at = hash % SLOTS;

    while (finder->slots[at].text)
        at = (at + 1) % SLOTS;
    finder->slots[at] = (struct phrase){ text, length, hash, kind };
    if (length > 0)
        add_beginning(finder, text, length);
}

/* Whether the text goes on with the words of the phrase, and with no other letter behind them. */
static bool goes_on(const unsigned char folded[static 256], const unsigned char *at, const unsigned char *end,
                    const struct phrase *phrase)
{
    for (size_t i = 0; i < phrase->length; i++) {
        if (at == end || folded[*at++] != (unsigned char)phrase->text[i])
            return false;
        /* One space of the phrase is whatever stands between two words. */
        while (phrase->text[i] == ' ' && at < end && folded[*at] == ' ')
            at++;
    }
    return at == end || folded[*at] == ' ';
}

static int least_at(const struct finder *finder, const unsigned char *word, const unsigned char *end, int least)
{
    uint32_t hash = NO_WORD;

    for (const unsigned char *at = word; at < end && finder->folded[*at] != ' '; at++)
        hash = hash_on(hash, finder->folded[*at]);
    for (uint32_t at = hash % SLOTS; finder->slots[at].text; at = (at + 1) % SLOTS) {
        const struct phrase *phrase = &finder->slots[at];

        if (phrase->hash == hash && phrase->kind < least && goes_on(finder->folded, word, end, phrase))
            least = phrase->kind;
    }
    return least;
}

#ifdef __SSE2__
static inline __m128i between(__m128i bytes, char first, char last)
{
    __m128i beyond = _mm_sub_epi8(bytes, _mm_set1_epi8(first));

    return _mm_cmpeq_epi8(_mm_min_epu8(beyond, _mm_set1_epi8((char)(last - first))), beyond);
}

/* A bit for each of STEP bytes that stands between words, the first one lowest. */
static inline unsigned gaps_of(const unsigned char *text)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)text);
    __m128i letters = between(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), 'a', 'z'), digits = between(bytes, '0', '9');
    __m128i marks = _mm_andnot_si128(_mm_or_si128(letters, digits), between(bytes, ' ', '~'));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(marks, between(bytes, '\t', '\r')));
}
#else
static inline unsigned gaps_of(const unsigned char *text)
{
    unsigned gaps = 0;

    for (unsigned i = 0; i < STEP; i++)
        gaps |= (unsigned)is_gap(text[i]) << i;
    return gaps;
}
#endif

/* find(text): the number of the first kind of which a phrase occurs in the text, as whole words; nil: of none */
static int find(lua_State *L)
{
    const struct finder *finder = lua_touserdata(L, lua_upvalueindex(1));
    size_t length;
    const unsigned char *text = (const unsigned char *)luaL_checklstring(L, 1, &length), *end = text + length;
    unsigned gap_before = 1;
    int least = SLOTS;

    luaL_argcheck(L, length <= TEXT_MAX, 1, "a longer text than is looked at");
    for (const unsigned char *at = text; at < end; at += STEP) {
        unsigned char last[STEP + 2] = { 0 };
        bool is_last = end - at <= STEP; /* behind the end of the text is Lua's NUL, and no more */
        const unsigned char *bytes = is_last ? memcpy(last, at, (size_t)(end - at)) : at;
        unsigned gaps = gaps_of(bytes), words = (gaps << 1 | gap_before) & ~gaps; /* the first letters of words */

        words &= is_last ? ~0u >> (32 - (end - at)) : 0xffff;
        gap_before = gaps >> (STEP - 1);
        for (; words; words &= words - 1) {
            int i = __builtin_ctz(words);

            if (may_begin(finder, bytes + i))
                least = least_at(finder, at + i, end, least);
        }
    }
    if (least == SLOTS)
        return 0;
    lua_pushinteger(L, least);
    return 1;
}

/* finder(kinds): find, for kinds: lists of phrases, in small letters with single spaces between words */
static int words_finder(lua_State *L)
{
    struct finder *finder;
    int phrases = 0;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    finder = lua_newuserdata(L, sizeof *finder);
    memset(finder, 0, sizeof *finder);
    fold(finder->folded);
    for (int kind = 1; kind <= (int)lua_objlen(L, 1); kind++) {
        lua_rawgeti(L, 1, kind);
        luaL_checktype(L, 3, LUA_TTABLE);
        for (int i = 1; i <= (int)lua_objlen(L, 3); i++) {
            size_t length;
            const char *text;

            lua_rawgeti(L, 3, i);
            text = luaL_checklstring(L, -1, &length);
            luaL_argcheck(L, ++phrases <= PHRASES_MAX, 1, "too many phrases");
            add(finder, text, length, kind);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    lua_insert(L, 1);
    lua_pushcclosure(L, find, 2);
    return 1;
}

static const luaL_Reg functions[] = {
    { "finder", words_finder },
    { NULL, NULL },
};

int bind_words(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}

int luaopen_moongate_core_words(lua_State *L)
{
    return bind_words(L);
}
