/* pages.c - moongate.core.pages: the files of core/dashboard/, as they are embedded in the binary. */
#include "bind/bind.h"

#include <string.h>

#include <lauxlib.h>

#include "script/vm.h"

static const char FOLDER[] = "dashboard/";

/* get(name): the text of the file, or nil */
static int pages_get(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);

    for (const struct vm_source *source = vm_sources; source->name; source++) {
        if (strncmp(source->name, FOLDER, sizeof FOLDER - 1) == 0 &&
            strcmp(source->name + sizeof FOLDER - 1, name) == 0) {
            lua_pushlstring(L, source->text, source->length);
            return 1;
        }
    }
    return 0;
}

static const luaL_Reg functions[] = {
    { "get", pages_get },
    { NULL, NULL },
};

int bind_pages_module(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
