/*
 * words.c - moongate.core.words: which kind of text it is, by the phrases that
 * occur in it. Every request is asked that, so a text is read once, however many
 * phrases there are. Also loadable by a plain luajit; lua/moongate/testing/words.lua
 * does the same without C.
 */
#include "bind/words.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <lauxlib.h>

enum { SLOTS = 512, PHRASES_MAX = SLOTS / 2, TEXT_MAX = 8192 };

/* A table by the hash of a phrase's first word; phrases of one hash follow each other. */
struct finder {
    unsigned char folded[256]; /* each byte in small letters; a space for what stands between words */
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

static void fold(unsigned char folded[static 256])
{
    for (int c = 0; c < 256; c++)
        folded[c] = (unsigned char)(c >= 128 ? c : isspace(c) || ispunct(c) ? ' ' : tolower(c));
}

static void add(struct finder *finder, const char *text, size_t length, int kind)
{
    uint32_t hash = hash_first_word(text, length), at = hash % SLOTS;

    while (finder->slots[at].text)
        at = (at + 1) % SLOTS;
    finder->slots[at] = (struct phrase){ text, length, hash, kind };
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

static int least_at(const struct finder *finder, uint32_t hash, const unsigned char *word, const unsigned char *end,
                    int least)
{
    for (uint32_t at = hash % SLOTS; finder->slots[at].text; at = (at + 1) % SLOTS) {
        const struct phrase *phrase = &finder->slots[at];

        if (phrase->hash == hash && phrase->kind < least && goes_on(finder->folded, word, end, phrase))
            least = phrase->kind;
    }
    return least;
}

/* find(text): the number of the first kind of which a phrase occurs in the text, as whole words; nil: of none */
static int find(lua_State *L)
{
    const struct finder *finder = lua_touserdata(L, lua_upvalueindex(1));
    size_t length;
    const unsigned char *text = (const unsigned char *)luaL_checklstring(L, 1, &length);
    const unsigned char *end = text + length, *word = text;
    uint32_t hash = NO_WORD;
    int least = SLOTS;

    luaL_argcheck(L, length <= TEXT_MAX, 1, "a longer text than is looked at");
    for (const unsigned char *at = text; at < end; at++) {
        unsigned char c = finder->folded[*at];

        if (c != ' ') {
            hash = hash_on(hash, c);
            continue;
        }
        if (at > word)
            least = least_at(finder, hash, word, end, least);
        hash = NO_WORD;
        word = at + 1;
    }
    if (end > word)
        least = least_at(finder, hash, word, end, least);
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
