/*
 * json.h - opens moongate.core.json: JSON for Lua. json.c turns texts into
 * values, json_text.c (and json_seen.c, json_form.c) values into texts,
 * document.c looks into texts without building them, outline.c tells whether
 * they look as they should. Also loadable by a plain luajit (package.loadlib).
 */
#ifndef BIND_JSON_H
#define BIND_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include <lua.h>
#include <lauxlib.h>

#include "base/buf.h"
#include "base/json_scan.h"

int bind_json(lua_State *L);
int luaopen_moongate_core_json(lua_State *L);

/* Upvalues of every function of the module: working memory, and the metatables of arrays, documents, outlines. */
enum { JSON_UP_KEPT = 1, JSON_UP_ARRAY, JSON_UP_DOCUMENT, JSON_UP_OUTLINE, JSON_UPS = 4 };

enum { JSON_DEPTH = 200, JSON_TAKEN_MOST = 16 };

struct json_name {
    const char *text;
    size_t length;
};

/*
 * Working memory of one Lua state, used again from call to call. No Lua code
 * runs while it is in use (no metamethods, no finalizers in Lua), so it has one
 * user at a time, and an error half-way loses nothing.
 */
struct json_kept {
    const char *type; /* json.written is this */
    struct json_index index;
    struct buf out;
    struct buf text; /* what json.add adds to, from call to call */
    struct json_name *names;
    size_t names_count, names_capacity;
    const void *array; /* its metatable */
};

/* Empty, and freed of what one huge text had needed. */
struct json_kept *json_kept(lua_State *L);
/* Begins the text of json.add anew. */
void json_forget_text(struct json_kept *kept);
/*
 * The string at index, or, where that is json.written, the text of json.add, which holds until the next one is begun.
 * NULL: neither is there.
 */
const char *json_text_at(lua_State *L, int index);
/* A policy's budget holds in here too: raises when it is used up. */
void json_check_time(lua_State *L);
/* Adds the keys of the table at index to the names, sorted; raises if one is no string. */
void json_add_keys(lua_State *L, struct json_kept *kept, int index);
/* Pushes the string at node, unescaped; the value at node `at`. Both use kept->out. */
void json_push_string(lua_State *L, struct json_kept *kept, const char *text, const struct json_node *node);
void json_push_value(lua_State *L, struct json_kept *kept, const char *text, const struct json_index *index, size_t at);
/* Encodes the value at index, which is counted from below. */
void json_add_value(lua_State *L, struct json_kept *kept, struct buf *out, int index);
/* The same of a value whose type is known. */
void json_add_typed(lua_State *L, struct json_kept *kept, struct buf *out, int index, int type);
/* Adds a text as it is. A comma has nothing to part behind an opening bracket. */
void json_add_raw(struct buf *out, const char *text, size_t length);
/* The functions of json_text.c, and one each of json_seen.c and json_form.c among them. */
extern const luaL_Reg json_text_functions[];
int json_add_seen(lua_State *L);
int json_form(lua_State *L);
double json_number(const char *text, const struct json_node *node);
/* Pushes what doc:fits answers of the value at node `at` and the outline at index, and answers how many values. */
int json_fits(lua_State *L, int index, const char *text, struct json_index *nodes, size_t at);
void json_push_outline_type(lua_State *L);
extern const luaL_Reg json_outline_functions[];
/* Adds to the metatable of documents, on top of the stack, the names of the kinds of values, in their order. */
void json_add_kinds(lua_State *L);
/* The end of a document. */
int json_document_collected(lua_State *L);
/* The functions of document.c: scan, and the methods of a document. */
extern const luaL_Reg json_document_functions[], json_document_methods[];
/* Pushes bytes that are no string of Lua's, for attempt.send and json.scan; they are taken from out. */
void json_push_bytes(lua_State *L, struct buf *bytes);
/* The bytes of a string, or of what json_push_bytes has pushed, which is empty then: for mem_free. NULL: nothing is
 * there. */
char *json_take_body(lua_State *L, int index, size_t *length);

#endif
