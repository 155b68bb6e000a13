/*
 * task.c - see task.h. A task is a coroutine of the state, anchored in the
 * registry. Which one runs is known by the state itself, so a binding finds its
 * task without a search.
 */
#include "script/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "script/vm.h"

enum { POOL_MOST = 256, ERROR_BYTES = 4096 };

enum state { RUNNING, WAITING };

struct task {
    lua_State *L;
    int anchor;
    enum state state;
    struct tasks *tasks;
    struct task *next, **link; /* the list of live ones, or the pool */
    void (*on_end)(void *arg, const char *error);
    void *arg;
    void (*on_cancel)(void *arg);
    void *cancel_arg;
    const char *cancelled;
    bool calm;
};

/* One for each state. */
struct tasks {
    lua_State *main;
    struct task *running;
    struct task *live;
    struct task *pool;
    int pooled;
};

static const char tasks_key;

/* Those of the state that this thread asked for last: a worker has but one. */
static _Thread_local struct {
    const void *registry;
    struct tasks *tasks;
} last;

static void free_list(struct task *task)
{
    while (task) {
        struct task *next = task->next;

        mem_free(task);
        task = next;
    }
}

/* The state is being closed: tasks that still wait end silently with it. */
static int free_tasks(lua_State *L)
{
    struct tasks *tasks = lua_touserdata(L, 1);

    free_list(tasks->live);
    free_list(tasks->pool);
    tasks->live = tasks->pool = NULL;
    last.registry = NULL;
    return 0;
}

/* NULL: there have been none yet. */
static struct tasks *find_tasks(lua_State *L)
{
    const void *registry = lua_topointer(L, LUA_REGISTRYINDEX);

    if (last.registry == registry && last.tasks)
        return last.tasks;
    lua_pushlightuserdata(L, (void *)&tasks_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    last.tasks = lua_touserdata(L, -1);
    last.registry = registry;
    lua_pop(L, 1);
    return last.tasks;
}

static struct tasks *make_tasks(lua_State *main)
{
    struct tasks *tasks;

    lua_pushlightuserdata(main, (void *)&tasks_key);
    tasks = lua_newuserdata(main, sizeof *tasks);
    *tasks = (struct tasks){ .main = main };
    lua_createtable(main, 0, 1);
    lua_pushcfunction(main, free_tasks);
    lua_setfield(main, -2, "__gc");
    lua_setmetatable(main, -2);
    lua_rawset(main, LUA_REGISTRYINDEX);
    return tasks;
}

static void push_on(struct task **list, struct task *task)
{
    task->next = *list;
    task->link = list;
    if (task->next)
        task->next->link = &task->next;
    *list = task;
}

static void take_off(struct task *task)
{
    *task->link = task->next;
    if (task->next)
        task->next->link = task->link;
}

static struct task *take_task(struct tasks *tasks)
{
    struct task *task = tasks->pool;
    struct task clean = { .tasks = tasks };

    if (task) {
        take_off(task);
        tasks->pooled--;
        clean.L = task->L;
        clean.anchor = task->anchor;
    } else {
        task = mem_alloc(sizeof *task);
        clean.L = lua_newthread(tasks->main);
        clean.anchor = luaL_ref(tasks->main, LUA_REGISTRYINDEX);
    }
    *task = clean;
    push_on(&tasks->live, task);
    return task;
}

/* What the task died of, with the way there; in memory of its own, for the coroutine goes now. */
static char *describe(struct task *task)
{
    lua_State *main = task->tasks->main;
    const char *message, *whole;
    size_t length;
    char *error;

    lua_checkstack(main, 4);
    if (lua_type(task->L, -1) == LUA_TSTRING) {
        message = lua_tolstring(task->L, -1, &length);
        /* A message may be as long as a script likes. */
        lua_pushlstring(main, message, length < ERROR_BYTES / 2 ? length : ERROR_BYTES / 2);
    } else {
        lua_pushfstring(main, "the error is a %s value", luaL_typename(task->L, -1));
    }
    luaL_traceback(main, task->L, lua_tostring(main, -1), 0);
    whole = lua_tolstring(main, -1, &length);
    error = mem_copy(whole, length < ERROR_BYTES ? length : ERROR_BYTES);
    lua_pop(main, 2);
    return error;
}

static void end_task(struct task *task, int status)
{
    struct tasks *tasks = task->tasks;
    void (*on_end)(void *arg, const char *error) = task->on_end;
    void *arg = task->arg;
    char *error = NULL;

    take_off(task);
    if (status == 0 && tasks->pooled < POOL_MOST) {
        lua_settop(task->L, 0);
        push_on(&tasks->pool, task);
        tasks->pooled++;
    } else {
        if (status != 0)
            error = describe(task);
        luaL_unref(tasks->main, LUA_REGISTRYINDEX, task->anchor);
        mem_free(task);
    }
    if (on_end)
        on_end(arg, error);
    mem_free(error);
}

/* False: the task has ended, and is gone. */
static bool run(struct task *task, int arguments)
{
    struct tasks *tasks = task->tasks;
    struct task *before = tasks->running;
    int status;

    task->state = RUNNING;
    tasks->running = task;
    status = lua_resume(task->L, arguments);
    tasks->running = before;
    if (status == LUA_YIELD && task->state == WAITING)
        return true;
    if (status == LUA_YIELD) {
        lua_settop(task->L, 0);
        lua_pushliteral(task->L, "a task may wait, but not call coroutine.yield itself");
    }
    end_task(task, status);
    return false;
}

struct task *task_start(struct vm *vm, int arguments, void (*on_end)(void *arg, const char *error), void *arg)
{
    lua_State *main = vm_state(vm);
    struct tasks *tasks = find_tasks(main);
    struct task *task = take_task(tasks ? tasks : make_tasks(main));

    task->on_end = on_end;
    task->arg = arg;
    lua_checkstack(task->L, arguments + 1);
    lua_xmove(main, task->L, arguments + 1);
    return run(task, arguments) ? task : NULL;
}

struct task *task_here(lua_State *L)
{
    struct tasks *tasks = find_tasks(L);
    struct task *running = tasks ? tasks->running : NULL;

    if (running && running->L == L)
        return running;
    luaL_error(L, "only inside a request can one wait (and not in a coroutine of one's own)");
    return NULL;
}

static int push_reason(lua_State *L, const struct task *task)
{
    lua_pushnil(L);
    lua_pushstring(L, task->cancelled);
    return 2;
}

int task_wait(lua_State *L, void (*on_cancel)(void *arg), void *arg)
{
    struct task *task = task_here(L);
    bool cancelled = task->cancelled && !task->calm, yieldable = lua_isyieldable(L);

    if (cancelled || !yieldable) {
        if (on_cancel)
            on_cancel(arg);
        return cancelled ? push_reason(L, task) : luaL_error(L, "one cannot wait inside a C function's callback");
    }
    task->state = WAITING;
    task->on_cancel = on_cancel;
    task->cancel_arg = arg;
    return lua_yield(L, 0);
}

void task_wake(struct task *task, int (*push)(lua_State *L, void *arg), void *arg)
{
    if (task->state != WAITING) {
        fputs("moongate: a task was woken that does not wait\n", stderr);
        abort();
    }
    lua_checkstack(task->L, LUA_MINSTACK);
    run(task, push ? push(task->L, arg) : 0);
}

void task_cancel(struct task *task, const char *reason)
{
    void (*on_cancel)(void *arg) = task->on_cancel;

    if (!task->cancelled || task->calm)
        task->cancelled = reason;
    task->calm = false;
    if (task->state != WAITING)
        return;
    task->state = RUNNING;
    if (on_cancel)
        on_cancel(task->cancel_arg);
    lua_checkstack(task->L, LUA_MINSTACK);
    run(task, push_reason(task->L, task));
}

const char *task_cancelled(const struct task *task)
{
    return task->cancelled;
}

void task_calm(struct task *task)
{
    task->calm = true;
}
