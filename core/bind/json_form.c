/*
 * json_form.c - JSON whose texts are always the same: they are told once, and
 * cross the border no more, as they do with json.add.
 */
#include "bind/json.h"

#include <string.h>

/* A raw text of a form; that much of it is written even where there is no value for it. */
struct text {
    const char *bytes;
    size_t length, always;
};

/* The first text, one for each value, and the last. */
struct form {
    int values;
    struct text texts[];
};

enum { FORM_UP = 2, FORM_VALUES = 200 };

/* What form answers: add with the texts known, given the values alone, and perhaps raw texts to follow. */
static int add_form(lua_State *L)
{
    struct json_kept *kept = lua_touserdata(L, lua_upvalueindex(JSON_UP_KEPT));
    const struct form *form = lua_touserdata(L, lua_upvalueindex(FORM_UP));
    const struct text *text = form->texts;
    struct buf *out = &kept->text;
    int given = lua_gettop(L);

    kept->names_count = 0;
    json_add_raw(out, text->bytes, text->length);
    for (int i = 1; i <= form->values; i++) {
        int type = i <= given ? lua_type(L, i) : LUA_TNIL;

        text++;
        if (type != LUA_TNIL) {
            json_add_raw(out, text->bytes, text->length);
            json_add_typed(L, kept, out, i, type);
        } else if (text->always) {
            json_add_raw(out, text->bytes, text->always);
        }
    }
    text++;
    json_add_raw(out, text->bytes, text->length);
    for (int i = form->values + 1; i <= given; i++) {
        size_t length;
        const char *raw = luaL_checklstring(L, i, &length);

        json_add_raw(out, raw, length);
    }
    return 0;
}

/* Makes one text of the strings on top of the stack, which may be one or two, and takes them off. */
static void take_texts(lua_State *L, struct text *text, int strings, char **to)
{
    text->bytes = *to;
    for (int i = strings; i > 0; i--) {
        size_t length;
        const char *bytes = lua_tolstring(L, -i, &length);

        memcpy(*to, bytes, length);
        *to += length;
        text->always = text->length;
        text->length += length;
    }
    lua_pop(L, strings);
}

/* Pushes the text of a value as one or two strings; answers how many. */
static int push_texts(lua_State *L, int index, size_t *bytes)
{
    int strings = 1;

    lua_rawgeti(L, 2, index);
    if (lua_istable(L, -1)) {
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        lua_remove(L, -3);
        strings = 2;
    }
    for (int i = strings; i > 0; i--) {
        luaL_argcheck(L, lua_type(L, -i) == LUA_TSTRING, 2, "a text is a string or two");
        *bytes += lua_objlen(L, -i);
    }
    return strings;
}

/*
 * form(raw, texts, raw): a function that adds the first text, each value that it is given behind the text of its place,
 * and the last text; what it is given beyond that are raw texts, too. Where a value is nil, its text is left out; where
 * that is { a, b }, b is. For what is written again and again.
 */
int json_form(lua_State *L)
{
    size_t bytes, length, unused = 0;
    struct form *form;
    char *to;
    int values;

    luaL_checklstring(L, 1, &bytes);
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_checklstring(L, 3, &length);
    lua_settop(L, 3);
    values = (int)lua_objlen(L, 2);
    luaL_argcheck(L, values <= FORM_VALUES, 2, "too many texts");
    bytes += length;
    for (int i = 1; i <= values; i++)
        lua_pop(L, push_texts(L, i, &bytes));
    lua_pushvalue(L, lua_upvalueindex(JSON_UP_KEPT));
    length = sizeof *form + ((size_t)values + 2) * sizeof *form->texts;
    form = lua_newuserdata(L, length + bytes);
    memset(form, 0, length);
    form->values = values;
    to = (char *)form + length;
    lua_pushvalue(L, 1);
    take_texts(L, &form->texts[0], 1, &to);
    for (int i = 1; i <= values; i++)
        take_texts(L, &form->texts[i], push_texts(L, i, &unused), &to);
    lua_pushvalue(L, 3);
    take_texts(L, &form->texts[values + 1], 1, &to);
    lua_pushcclosure(L, add_form, FORM_UP);
    return 1;
}
