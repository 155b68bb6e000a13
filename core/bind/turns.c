/* turns.c - moongate.core.turns: what one of several gateways does for all of them. Runs in a task. */
#include "bind/bind.h"

#include <stdint.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "gate/gate.h"
#include "gate/worker.h"
#include "script/task.h"
#include "store/store.h"

/* It may outlive its task; told is its own. */
struct asking {
    struct task *task; /* NULL: nobody waits */
    struct store_turn turn;
    bool is_asking; /* store_take_turn has not returned */
    bool is_told;
};

static int push_turn(lua_State *L, void *arg)
{
    const struct store_turn *turn = &((struct asking *)arg)->turn;

    lua_pushboolean(L, turn->is_ours);
    lua_pushstring(L, turn->told);
    lua_pushnumber(L, (lua_Number)turn->wait_ms / 1000);
    return 3;
}

static void free_asking(struct asking *asking)
{
    mem_free((char *)asking->turn.told);
    mem_free(asking);
}

static void on_turn(void *arg, const struct store_turn *turn)
{
    struct asking *asking = arg;

    asking->turn = *turn;
    asking->turn.told = mem_text(turn->told);
    asking->is_told = true;
    if (asking->is_asking)
        return;
    if (asking->task)
        task_wake(asking->task, push_turn, asking);
    free_asking(asking);
}

static void on_cancel(void *arg)
{
    ((struct asking *)arg)->task = NULL;
}

/*
 * take(name, seconds): whether it is this gateway's turn, for so long; if not, what was told last ("": nothing), and
 * seconds until it may be. May wait.
 */
static int turns_take(lua_State *L)
{
    struct store *store = bind_worker(L)->gate->store;
    const char *name = luaL_checkstring(L, 1);
    double seconds = luaL_checknumber(L, 2);
    struct asking *asking = mem_zero(sizeof *asking);
    int count;

    asking->is_asking = true;
    store_take_turn(store, name, (int64_t)(seconds * 1000), on_turn, asking);
    asking->is_asking = false;
    if (asking->is_told) {
        count = push_turn(L, asking);
        free_asking(asking);
        return count;
    }
    asking->task = task_here(L);
    return task_wait(L, on_cancel, asking);
}

/* tell(name, seconds, text): what came of the turn; it stays this gateway's for so long */
static int turns_tell(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1), *told = luaL_checkstring(L, 3);

    store_tell_turn(bind_worker(L)->gate->store, name, (int64_t)(luaL_checknumber(L, 2) * 1000), told);
    return 0;
}

static const luaL_Reg functions[] = {
    { "take", turns_take },
    { "tell", turns_tell },
    { NULL, NULL },
};

int bind_turns_module(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
