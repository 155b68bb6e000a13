/* control.c - see control.h. Its Lua half is lua/moongate/control.lua. */
#include "bind/control.h"

#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "bind/bind.h"
#include "gate/settings.h"
#include "script/policyset.h"
#include "script/vm.h"

struct control {
    struct vm *vm;
};

/* Calls function `name` of a module; false leaves the error text. */
static bool call(struct control *control, const char *module, const char *name, int arguments, int results)
{
    lua_State *L = vm_state(control->vm);
    int base = lua_gettop(L) - arguments;

    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    if (lua_pcall(L, 1, 1, 0) != 0)
        return false;
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
    lua_insert(L, base + 1);
    return lua_pcall(L, arguments, results, 0) == 0;
}

struct control *control_new(void)
{
    struct control *control = mem_zero(sizeof *control);

    control->vm = vm_new(NULL);
    bind_open(control->vm);
    if (call(control, "moongate.control", "start", 0, 0))
        return control;
    fprintf(stderr, "moongate: its own script does not load: %s\n", lua_tostring(vm_state(control->vm), -1));
    control_free(control);
    return NULL;
}

void control_free(struct control *control)
{
    if (!control)
        return;
    vm_free(control->vm);
    mem_free(control);
}

struct settings *control_load(struct control *control, const char *path, const char *const *addresses, size_t count,
                              char **error)
{
    lua_State *L = vm_state(control->vm);
    struct settings *settings = NULL;
    bool called;

    *error = NULL;
    lua_pushstring(L, path);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(L, addresses[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    called = call(control, "moongate.control", "load", 2, 2);
    if (called && lua_isstring(L, -2))
        settings = settings_parse(lua_tostring(L, -2));
    if (!settings)
        *error = mem_text(lua_isstring(L, -1) ? lua_tostring(L, -1) : "the configuration could not be read");
    lua_settop(L, 0);
    if (settings && settings->target_count > TARGETS_MANY) {
        lua_gc(L, LUA_GCCOLLECT, 0);
        mem_trim();
    }
    return settings;
}

void control_install(struct control *control, struct policyset *policies)
{
    lua_State *L = vm_state(control->vm);

    bind_push_policies(L, policies);
    if (!call(control, "moongate.control", "install", 1, 0))
        fprintf(stderr, "moongate: %s\n", lua_tostring(L, -1));
    lua_settop(L, 0);
}

static char *list_of(struct control *control, const char *function)
{
    lua_State *L = vm_state(control->vm);
    char *problems;

    if (!call(control, "moongate.control", function, 0, 1))
        fprintf(stderr, "moongate: %s\n", lua_tostring(L, -1));
    problems = mem_text(lua_isstring(L, -1) ? lua_tostring(L, -1) : "[]");
    lua_settop(L, 0);
    return problems;
}

char *control_problems(struct control *control)
{
    return list_of(control, "problems");
}

char *control_mistakes(struct control *control)
{
    return list_of(control, "mistakes");
}

void control_note(struct control *control, const char *what, const char *error)
{
    lua_State *L = vm_state(control->vm);

    lua_pushstring(L, what);
    lua_pushstring(L, error);
    if (!call(control, "moongate.control", "note", 2, 0))
        fprintf(stderr, "moongate: %s\n", lua_tostring(L, -1));
    lua_settop(L, 0);
}

void control_attach(struct control *control, struct store *store)
{
    bind_set_store(vm_state(control->vm), store);
}

bool control_is_outdated(struct control *control)
{
    lua_State *L = vm_state(control->vm);
    bool is_outdated;

    if (!call(control, "moongate.control", "is_outdated", 0, 1)) {
        log_line(LOG_ERROR, "the control thread's script failed", "error", lua_tostring(L, -1), NULL);
        lua_pushboolean(L, 0);
    }
    is_outdated = lua_toboolean(L, -1);
    lua_settop(L, 0);
    return is_outdated;
}

/* The text that a call left, as a new one; NULL if it left nil. */
static char *answer_of(struct control *control, bool called)
{
    static const char failed[] = "{\"error\":\"the gateway's own script failed; see the log\"}";
    lua_State *L = vm_state(control->vm);
    char *answer;

    if (!called)
        log_line(LOG_ERROR, "the control thread's script failed", "error", lua_tostring(L, -1), NULL);
    answer = called ? mem_text(lua_tostring(L, -1)) : mem_text(failed);
    lua_settop(L, 0);
    return answer;
}

char *control_order(struct control *control, const char *name, const char *text, size_t length)
{
    lua_State *L = vm_state(control->vm);

    lua_pushstring(L, name);
    lua_pushlstring(L, text, length);
    return answer_of(control, call(control, "moongate.control", "order", 2, 1));
}

char *control_answer(struct control *control)
{
    return answer_of(control, call(control, "moongate.control", "answer", 0, 1));
}

int control_command(struct control *control, const char *name, int count, char **words)
{
    lua_State *L = vm_state(control->vm);
    char *module = mem_format("moongate.commands.%s", name);
    int code = 1;

    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        lua_pushstring(L, words[i]);
        lua_rawseti(L, -2, i + 1);
    }
    if (call(control, module, "run", 1, 1))
        code = (int)lua_tointeger(L, -1);
    else
        fprintf(stderr, "moongate %s: %s\n", name, lua_tostring(L, -1));
    lua_settop(L, 0);
    mem_free(module);
    return code;
}
