/*
 * words.c - moongate.core.words: which kind of text it is, by the phrases that
 * occur in it. Every request is asked that, so a text is read once, however many
 * phrases there are, and of most words the first three letters tell that no phrase
 * begins with them. Also loadable by a plain luajit;
 * lua/moongate/testing/words.lua does the same without C.
 */
#include "bind/words.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <lauxlib.h>

enum { SLOTS = 512, PHRASES_MAX = SLOTS / 2, TEXT_MAX = 8192, STEP = 16, ALL = 0xffff, BEGINNING_BITS = 15 };

/* A table by the hash of a phrase's first word; phrases of one hash follow each other. */
struct finder {
    unsigned char folded[256]; /* each byte in small letters; a space for what stands between words */
    uint32_t beginnings[(1 << BEGINNING_BITS) / 32]; /* a bit for each three bytes that a phrase may begin with */
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

/* The bit of three bytes: of four, read at once, of which the last does not count. */
static inline unsigned beginning_of(const unsigned char *bytes)
{
    /* What a letter has alike, be it large or small. */
    static const unsigned char alike[] = { 0x5f, 0x5f, 0x5f, 0 };
    uint32_t word, mask;

    memcpy(&word, bytes, sizeof word);
    memcpy(&mask, alike, sizeof mask);
    return (word & mask) * UINT32_C(2654435761) >> (32 - BEGINNING_BITS);
}

static inline bool may_begin(const struct finder *finder, const unsigned char *bytes)
{
    unsigned bit = beginning_of(bytes);

    return finder->beginnings[bit / 32] >> bit % 32 & 1;
}

/* Whether a byte of a text may stand where a phrase has that letter. Where it has a space, and behind it, stands what
 * ends a word, or the NUL that ends a text. */
static bool may_stand(const struct finder *finder, unsigned c, unsigned char letter)
{
    return finder->folded[c] == letter || (letter == ' ' && c == 0);
}

static void add_beginning(struct finder *finder, const char *text, size_t length)
{
    unsigned char letters[3] = { ' ', ' ', ' ' };

    memcpy(letters, text, length < sizeof letters ? length : sizeof letters);
    for (unsigned second = 0; second <= UCHAR_MAX; second++)
        for (unsigned third = 0; third <= UCHAR_MAX && may_stand(finder, second, letters[1]); third++)
            if (letters[1] == ' ' || may_stand(finder, third, letters[2])) {
                unsigned bit =
                    beginning_of((unsigned char[]){ letters[0], (unsigned char)second, (unsigned char)third, 0 });

                finder->beginnings[bit / 32] |= UINT32_C(1) << bit % 32;
            }
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

/* The least of the kind that was found before, and of those of which a phrase begins here, if a word does. */
static int least_at(const struct finder *finder, const unsigned char *text, const unsigned char *word,
                    const unsigned char *end, int least)
{
    uint32_t hash = NO_WORD;

    if (word > text && finder->folded[word[-1]] != ' ')
        return least;
    for (const unsigned char *at = word; at < end && finder->folded[*at] != ' '; at++)
        hash = hash_on(hash, finder->folded[*at]);
    for (uint32_t at = hash % SLOTS; finder->slots[at].text; at = (at + 1) % SLOTS) {
        const struct phrase *phrase = &finder->slots[at];

        if (phrase->hash == hash && phrase->kind < least && goes_on(finder->folded, word, end, phrase))
            least = phrase->kind;
    }
    return least;
}

/* A bit for each of STEP bytes, the first one lowest; of both kinds some may be missing. */
struct look {
    unsigned letters; /* what goes on in a word */
    unsigned gaps;
};

#ifdef __SSE2__
static inline struct look look_at(const unsigned char *text)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)text);
    __m128i places = _mm_sub_epi8(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
    __m128i letters = _mm_cmpeq_epi8(_mm_min_epu8(places, _mm_set1_epi8('z' - 'a')), places);
    __m128i gaps = _mm_cmpeq_epi8(_mm_and_si128(bytes, _mm_set1_epi8((char)0xf0)), _mm_set1_epi8(' '));

    /* All outside ASCII have their highest bit. */
    return (struct look){ (unsigned)_mm_movemask_epi8(_mm_or_si128(letters, bytes)),
                          (unsigned)_mm_movemask_epi8(gaps) };
}
#else
static inline struct look look_at(const unsigned char *text)
{
    struct look look = { 0 };

    for (unsigned i = 0; i < STEP; i++)
        look.letters |= (unsigned)!is_gap(text[i]) << i;
    look.gaps = ~look.letters;
    return look;
}
#endif

/* find(text): the number of the first kind of which a phrase occurs in the text, as whole words; nil: of none */
static int find(lua_State *L)
{
    const struct finder *finder = lua_touserdata(L, lua_upvalueindex(1));
    size_t length;
    const unsigned char *text = (const unsigned char *)luaL_checklstring(L, 1, &length), *end = text + length;
    unsigned letter_before = 0;
    int least = SLOTS;

    luaL_argcheck(L, length <= TEXT_MAX, 1, "a longer text than is looked at");
    for (const unsigned char *at = text; at < end; at += STEP) {
        unsigned char last[STEP + 4]; /* behind the end of the text is Lua's NUL, and no more */
        const unsigned char *bytes = at;
        struct look look;
        unsigned words;

        if (end - at < (ptrdiff_t)sizeof last)
            bytes = memcpy(memset(last, ' ', sizeof last), at, (size_t)(end - at));
        look = look_at(bytes);
        words = ~(look.letters << 1 | letter_before | look.gaps) & ALL; /* where one may begin */
        letter_before = look.letters >> (STEP - 1);
        for (; words; words &= words - 1) {
            unsigned i = (unsigned)__builtin_ctz(words);

            if (may_begin(finder, bytes + i))
                least = least_at(finder, text, at + i, end, least);
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
