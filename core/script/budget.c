/*
 * budget.c - see budget.h. The worker says what it runs in its own slot; the
 * watchdog reads the slots and signals a thread that is late; the handler, on
 * that thread, sets a hook that raises on every instruction, so that no pcall
 * of the script can go on. The watchdog sleeps without a timer while nothing runs.
 */
#include "script/budget.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "base/thread.h"

enum {
    TICK_MS = 4,
    LINGER_TICKS = 25,
    STACK_BYTES = 256 * 1024,
    MESSAGE_BYTES = 1000,
    WHERE_BYTES = 100,
    HASTE = 1000,
    SHARES = 8
};

#define DEEP "too deep in callbacks or coroutines"

/* What one thread runs. The sequence is odd inside a guarded call; a signal meant for an earlier call does nothing. */
struct slot {
    struct slot *next;
    pthread_t thread;
    atomic_uint_fast64_t sequence;
    atomic_int_fast64_t allowed_us;
    atomic_uint_fast64_t late; /* the sequence that the watchdog found over its time */
    clockid_t clock;           /* of the thread's own processor time */
    uint_fast64_t seen;        /* the watchdog's: the sequence it saw last, */
    int64_t seen_us;           /* and the thread's time then */
    volatile sig_atomic_t over;
    lua_State *L;
    const char *stack;       /* where the C stack was when the call began */
    char where[WHERE_BYTES]; /* "file:line: " that ran when the time was up */
    lua_Alloc allocate;
    void *allocate_data;
    int64_t used, ceiling; /* bytes; below 0: more was freed than taken */
    int64_t share, collects_at;
    int pace; /* of the collector before it was hastened; 0: it was not */
    bool refused;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    struct slot *slots;
    pthread_key_t key;
    int starts;
    bool stop;
    atomic_bool asleep;
    atomic_uint_fast64_t calls;
} watch = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER };

static _Thread_local struct slot *mine;

/* Its address is what the hook raises: nothing a script can make. */
static const char token;

static const char describe_key;

static int signal_number(void)
{
    return SIGRTMIN + 7;
}

/* The watchdog. */

static int64_t time_of(const struct slot *slot)
{
    struct timespec used = { 0 };

    clock_gettime(slot->clock, &used);
    return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

/*
 * A script's time is what its thread has run since the watchdog first saw the call: on a machine that is busy elsewhere
 * nothing is killed for it, and a call that ends within a tick pays for no clock at all.
 */
static bool look(void)
{
    bool busy = false;

    for (struct slot *slot = watch.slots; slot; slot = slot->next) {
        uint_fast64_t sequence = atomic_load(&slot->sequence);

        if ((sequence & 1) == 0)
            continue;
        busy = true;
        if (slot->seen != sequence) {
            slot->seen = sequence;
            slot->seen_us = time_of(slot);
            continue;
        }
        if (time_of(slot) - slot->seen_us < atomic_load(&slot->allowed_us))
            continue;
        /* Again on every tick until it has ended: a hook can be lost to a change of hooks under way. */
        atomic_store(&slot->late, sequence);
        pthread_kill(slot->thread, signal_number());
    }
    return busy;
}

static void *keep_watch(void *unused)
{
    uint_fast64_t seen = 0;
    int quiet = 0;

    (void)unused;
    pthread_mutex_lock(&watch.lock);
    while (!watch.stop) {
        struct timespec tick = { .tv_nsec = TICK_MS * 1000000L };
        uint_fast64_t calls = atomic_load(&watch.calls);

        quiet = look() || calls != seen ? 0 : quiet + 1;
        seen = calls;
        if (quiet >= LINGER_TICKS) {
            /* A call that begins now either sees us asleep or is seen here. */
            atomic_store(&watch.asleep, true);
            if (atomic_load(&watch.calls) == seen && !watch.stop)
                pthread_cond_wait(&watch.wake, &watch.lock);
            atomic_store(&watch.asleep, false);
            quiet = 0;
            continue;
        }
        pthread_mutex_unlock(&watch.lock);
        nanosleep(&tick, NULL);
        pthread_mutex_lock(&watch.lock);
    }
    pthread_mutex_unlock(&watch.lock);
    return NULL;
}

/* The late thread. */

/* "file:line: " of the innermost line in a file of the script's: not of what it compiled itself, nor the library's. */
static void find_place(lua_State *L, char place[static WHERE_BYTES])
{
    static const char library[] = "@lua/";
    lua_Debug at;

    for (int level = 0; lua_getstack(L, level, &at) && lua_getinfo(L, "Sl", &at); level++) {
        if (at.currentline <= 0 || *at.source != '@' || strncmp(at.source, library, strlen(library)) == 0)
            continue;
        snprintf(place, WHERE_BYTES, "%s:%d: ", at.short_src, at.currentline);
        return;
    }
}

static void on_instruction(lua_State *L, lua_Debug *at)
{
    struct slot *slot = mine;

    (void)at;
    if (slot && !*slot->where)
        find_place(L, slot->where);
    lua_pushlightuserdata(L, (void *)&token);
    lua_error(L);
}

static void on_late(int number)
{
    struct slot *slot = mine;
    uint_fast64_t sequence;

    (void)number;
    if (!slot)
        return;
    sequence = atomic_load(&slot->sequence);
    if ((sequence & 1) == 0 || atomic_load(&slot->late) != sequence)
        return;
    slot->over = 1;
    lua_sethook(slot->L, on_instruction, LUA_MASKCOUNT, 1);
}

static void leave_thread(void *data)
{
    struct slot *slot = data, **link;

    pthread_mutex_lock(&watch.lock);
    for (link = &watch.slots; *link != slot; link = &(*link)->next)
        ;
    *link = slot->next;
    pthread_mutex_unlock(&watch.lock);
    mine = NULL;
    mem_free(slot);
}

static struct slot *slot_of_thread(void)
{
    sigset_t late;

    if (mine)
        return mine;
    mine = mem_zero(sizeof *mine);
    mine->thread = pthread_self();
    pthread_getcpuclockid(mine->thread, &mine->clock);
    sigemptyset(&late);
    sigaddset(&late, signal_number());
    pthread_sigmask(SIG_UNBLOCK, &late, NULL);
    pthread_mutex_lock(&watch.lock);
    mine->next = watch.slots;
    watch.slots = mine;
    pthread_mutex_unlock(&watch.lock);
    pthread_setspecific(watch.key, mine);
    return mine;
}

void budget_start(void)
{
    struct sigaction action = { .sa_handler = on_late, .sa_flags = SA_RESTART };

    pthread_mutex_lock(&watch.lock);
    if (watch.starts++ == 0) {
        watch.stop = false;
        sigemptyset(&action.sa_mask);
        sigaction(signal_number(), &action, NULL);
        if (pthread_key_create(&watch.key, leave_thread) || thread_start(&watch.thread, keep_watch, NULL)) {
            fputs("moongate: no thread for the watchdog\n", stderr);
            abort();
        }
    }
    pthread_mutex_unlock(&watch.lock);
}

void budget_stop(void)
{
    bool last;

    pthread_mutex_lock(&watch.lock);
    last = watch.starts > 0 && --watch.starts == 0;
    watch.stop = last;
    pthread_cond_signal(&watch.wake);
    pthread_mutex_unlock(&watch.lock);
    if (!last)
        return;
    pthread_join(watch.thread, NULL);
    if (mine)
        leave_thread(mine);
    pthread_key_delete(watch.key);
}

/* The guarded call. */

/*
 * What a script has dropped is not to count: with every share of its budget that it takes, a round of the collector
 * begins, and is quick. This sets its pace, and no more.
 */
static __attribute__((noinline)) void hasten_collector(struct slot *slot, int64_t used)
{
    int pace = lua_gc(slot->L, LUA_GCSETSTEPMUL, HASTE);

    lua_gc(slot->L, LUA_GCRESTART, 0);
    if (!slot->pace)
        slot->pace = pace;
    slot->collects_at = used + slot->share;
}

static void *allocate_below(void *data, void *block, size_t old_size, size_t size)
{
    struct slot *slot = data;
    size_t before = block ? old_size : 0;
    int64_t used = slot->used + (int64_t)size - (int64_t)before;
    void *fresh;

    if (size > before && used > slot->ceiling) {
        slot->refused = true;
        return NULL;
    }
    if (used > slot->collects_at)
        hasten_collector(slot, used);
    else if (used < slot->share)
        slot->collects_at = slot->share;
    fresh = slot->allocate(slot->allocate_data, block, old_size, size);
    if (fresh || size == 0)
        slot->used = used;
    return fresh;
}

static void enter(struct slot *slot, lua_State *L, double milliseconds, size_t bytes)
{
    slot->L = L;
    slot->stack = __builtin_frame_address(0);
    slot->where[0] = '\0';
    slot->refused = false;
    slot->used = 0;
    slot->pace = 0;
    slot->ceiling = bytes < INT64_MAX ? (int64_t)bytes : INT64_MAX;
    slot->share = slot->collects_at = slot->ceiling / SHARES;
    slot->allocate = lua_getallocf(L, &slot->allocate_data);
    lua_setallocf(L, allocate_below, slot);
    atomic_store(&slot->allowed_us, (int64_t)(milliseconds * 1000));
    atomic_fetch_add(&slot->sequence, 1);
    atomic_fetch_add(&watch.calls, 1);
    if (atomic_load(&watch.asleep)) {
        pthread_mutex_lock(&watch.lock);
        pthread_cond_signal(&watch.wake);
        pthread_mutex_unlock(&watch.lock);
    }
}

/* True if the time was up. */
static bool leave(struct slot *slot)
{
    bool over;

    atomic_fetch_add(&slot->sequence, 1);
    lua_setallocf(slot->L, slot->allocate, slot->allocate_data);
    if (slot->pace)
        lua_gc(slot->L, LUA_GCSETSTEPMUL, slot->pace);
    over = slot->over;
    slot->over = 0;
    if (over)
        lua_sethook(slot->L, NULL, 0, 0);
    slot->stack = NULL;
    return over;
}

/* Whether a message begins with "file:line: ", of another file than the library's. */
static bool says_where(const char *message)
{
    const char *colon = strchr(message, ':');
    size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;

    return strncmp(message, "lua/", 4) != 0 && digits > 0 && colon[1 + digits] == ':';
}

/* The message handler: what is no text becomes one; what says no line of the script's gets one. Runs no Lua. */
static int describe(lua_State *L)
{
    const char *message = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : NULL;
    char place[WHERE_BYTES] = "";

    if (mine && mine->over && !*mine->where)
        find_place(L, mine->where);
    if (lua_touserdata(L, 1) == (void *)&token || (message && says_where(message)))
        return 1;
    find_place(L, place);
    if (message)
        lua_pushfstring(L, "%s%s", place, message);
    else
        lua_pushfstring(L, "%sthe error is a %s value", place, luaL_typename(L, 1));
    return 1;
}

static enum budget_end judge(lua_State *L, int status, bool over, const struct slot *slot, double milliseconds,
                             size_t bytes)
{
    const char *message = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "the error is no text";
    /* A stack that overflows while an error is handled is told as an error of the handler. */
    bool deep = status == LUA_ERRERR || strstr(message, "stack overflow") || strstr(message, DEEP);

    if (over) {
        lua_pushfstring(L, "%sover its time of %d ms", slot->where, (int)milliseconds);
        return BUDGET_TIME;
    }
    if (status == LUA_ERRMEM || (slot->refused && strstr(message, "not enough memory"))) {
        lua_pushfstring(L, "over its memory of %d MB", (int)(bytes / (1024 * 1024)));
        return BUDGET_MEMORY;
    }
    lua_pushlstring(L, message, strnlen(message, MESSAGE_BYTES));
    return deep ? BUDGET_DEPTH : BUDGET_ERROR;
}

/* A function of C's is made once a state: it is an object, and there is a call for every request. */
static void push_describe(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&describe_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    if (!lua_isnil(L, -1))
        return;
    lua_pop(L, 1);
    lua_pushlightuserdata(L, (void *)&describe_key);
    lua_pushcfunction(L, describe);
    lua_rawset(L, LUA_REGISTRYINDEX);
    lua_pushcfunction(L, describe);
}

enum budget_end budget_call(lua_State *L, int arguments, int results, double milliseconds, size_t bytes)
{
    struct slot *slot = slot_of_thread();
    int base = lua_gettop(L) - arguments, status;
    enum budget_end end;
    bool over;

    if (slot->stack)
        luaL_error(L, "a guarded call inside another one");
    push_describe(L);
    lua_insert(L, base);
    enter(slot, L, milliseconds, bytes);
    status = lua_pcall(L, arguments, results, base);
    over = leave(slot);
    lua_remove(L, base);
    if (status == 0 && !over)
        return BUDGET_FINE;
    if (status == 0) {
        lua_settop(L, base - 1);
        lua_pushnil(L);
    }
    end = judge(L, status, over, slot, milliseconds, bytes);
    lua_remove(L, -2);
    return end;
}

const char *budget_end_name(enum budget_end end)
{
    static const char *const names[] = { "fine", "error", "time", "memory", "depth" };

    return names[end];
}

const volatile sig_atomic_t *budget_over(void)
{
    static const volatile sig_atomic_t never = 0;

    return mine ? &mine->over : &never;
}

void budget_check_depth(lua_State *L)
{
    if (mine && mine->stack && mine->stack - (const char *)__builtin_frame_address(0) > STACK_BYTES)
        luaL_error(L, DEEP);
}
