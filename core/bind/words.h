/* words.h - opens moongate.core.words, see words.c. Also loadable by a plain luajit (package.loadlib). */
#ifndef BIND_WORDS_H
#define BIND_WORDS_H

#include <lua.h>

int bind_words(lua_State *L);
int luaopen_moongate_core_words(lua_State *L);

#endif
