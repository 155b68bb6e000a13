/*
 * attempt.c - moongate.core.attempt: one call of a provider. What waits here
 * returns nil and a reason when it cannot go on: the transfer's own
 * ("unreachable", "cut", ...) or why the task was cancelled ("client_gone").
 */
#include "bind/bind.h"

#include <string.h>

#include <lauxlib.h>

#include "base/clock.h"
#include "base/headers.h"
#include "base/mem.h"
#include "bind/json.h"
#include "bind/limit_headers.h"
#include "bind/marks.h"
#include "gate/attempt.h"
#include "gate/exchange.h"
#include "gate/firewall.h"
#include "gate/gate.h"
#include "gate/limit_headers.h"
#include "gate/worker.h"
#include "net/canned.h"
#include "net/upstream.h"
#include "script/spent.h"
#include "script/task.h"
#include "store/store.h"

static const char TYPE[] = "moongate.attempt", ROUTE[] = "moongate.route";

enum { PIECES_MAX = 100000 };

struct handle {
    const char *type;
    struct attempt *attempt; /* NULL: closed */
    struct task *task;       /* who waits */
    bool piping;
};

/* What calls have in common: the same headers to the same address, in the same way. */
struct route {
    const char *type;
    char *method, *url, *ca_file;
    struct headers headers;
    bool http2, lines;
    double connect_s, first_byte_s, idle_s;
};

static struct handle *handle_of(lua_State *L)
{
    struct handle *handle = bind_handle(L, 1, TYPE, sizeof *handle);

    if (!handle->attempt)
        luaL_error(L, "this attempt is closed");
    return handle;
}

static struct handle *push_handle(lua_State *L)
{
    struct handle *handle = lua_newuserdata(L, sizeof *handle);

    *handle = (struct handle){ .type = TYPE };
    luaL_getmetatable(L, TYPE);
    lua_setmetatable(L, -2);
    return handle;
}

static int refused(lua_State *L, const char *reason)
{
    lua_pushnil(L);
    lua_pushliteral(L, "firewall");
    lua_pushstring(L, reason);
    return 3;
}

static struct route *route_at(lua_State *L, int index)
{
    return bind_handle(L, index, ROUTE, sizeof(struct route));
}

static char *copy_member(lua_State *L, const char *name)
{
    char *text = mem_text(bind_text(L, 1, name));

    lua_pop(L, 1);
    return text;
}

/*
 * route({ method, url, headers, http2, ca_file, connect, first_byte, idle, lines }): what calls have in common, for
 * send. Times are seconds; lines: a stream is one of lines.
 */
static int attempt_lua_route(lua_State *L)
{
    struct route *route;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    route = lua_newuserdata(L, sizeof *route);
    *route = (struct route){ .type = ROUTE };
    luaL_getmetatable(L, ROUTE);
    lua_setmetatable(L, 2);
    lua_getfield(L, 1, "headers");
    bind_read_headers(L, 3, &route->headers);
    route->method = copy_member(L, "method");
    route->url = copy_member(L, "url");
    route->ca_file = copy_member(L, "ca_file");
    luaL_argcheck(L, route->method && route->url, 1, "method and url are needed");
    route->http2 = bind_flag(L, 1, "http2");
    route->lines = bind_flag(L, 1, "lines");
    route->connect_s = bind_number(L, 1, "connect", 5);
    route->first_byte_s = bind_number(L, 1, "first_byte", 60);
    route->idle_s = bind_number(L, 1, "idle", 60);
    lua_settop(L, 2);
    return 1;
}

static int route_collected(lua_State *L)
{
    struct route *route = route_at(L, 1);

    headers_free(&route->headers);
    mem_free(route->method);
    mem_free(route->url);
    mem_free(route->ca_file);
    *route = (struct route){ .type = ROUTE };
    return 0;
}

/*
 * send(exchange, route, target, body, deadline, first_content): an attempt, or nil, "firewall" and the reason. The body
 * is a string, or what doc:outgoing made, which is used up. Times are seconds; without first_content there is no such
 * bound.
 */
static int attempt_lua_send(lua_State *L)
{
    struct exchange *exchange = bind_exchange(L, 1);
    const struct route *route = route_at(L, 2);
    struct upstream_request request = {
        .method = route->method,
        .url = route->url,
        .headers = &route->headers,
        .http2 = route->http2,
        .connect_s = route->connect_s,
        .first_byte_s = route->first_byte_s,
        .idle_s = route->idle_s,
        .ca_file = route->ca_file,
    };
    const char *target = luaL_checkstring(L, 3), *reason;
    double deadline = luaL_optnumber(L, 5, 600), first_content = luaL_optnumber(L, 6, 0);
    char *body = json_take_body(L, 4, &request.body_length);
    struct handle *handle;

    request.body = body;
    reason = firewall_refuses(exchange, target, request.url, request.body, request.body_length);
    if (!reason)
        reason = firewall_refuses_headers(exchange, &route->headers);
    if (reason) {
        mem_free(body);
        return refused(L, reason);
    }
    handle = push_handle(L);
    handle->attempt = attempt_send(exchange->worker, &request, body, deadline, first_content);
    if (route->lines)
        attempt_lines(handle->attempt);
    return 1;
}

static void read_pieces(lua_State *L, int index, struct canned_reply *reply)
{
    size_t count = lua_objlen(L, index);

    reply->piece_count = count < PIECES_MAX ? count : PIECES_MAX;
    reply->pieces = mem_zero(reply->piece_count * sizeof *reply->pieces);
    for (size_t i = 0; i < reply->piece_count; i++) {
        size_t length = 0;
        const char *text;

        lua_rawgeti(L, index, (int)i + 1);
        text = lua_istable(L, -1) ? bind_text(L, lua_gettop(L), "text") : NULL;
        if (text) {
            text = lua_tolstring(L, -1, &length);
            lua_pop(L, 1);
            reply->pieces[i].data = mem_copy(text, length);
            reply->pieces[i].length = length;
            reply->pieces[i].delay_s = bind_number(L, lua_gettop(L), "delay_s", 0);
        } else if (lua_istable(L, -1)) {
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
}

/* play(exchange, target, { status, headers, delay_s, pieces, finish, lines }, { first_content, deadline }): the same
 * without a network */
static int attempt_lua_play(lua_State *L)
{
    struct exchange *exchange = bind_exchange(L, 1);
    struct canned_reply *reply;
    struct headers headers = { 0 };
    struct handle *handle;
    const char *reason, *finish;

    luaL_checktype(L, 3, LUA_TTABLE);
    luaL_checktype(L, 4, LUA_TTABLE);
    lua_settop(L, 4);
    reason = firewall_refuses(exchange, luaL_checkstring(L, 2), NULL, NULL, 0);
    if (reason)
        return refused(L, reason);
    lua_getfield(L, 3, "headers");
    bind_read_headers(L, 5, &headers);
    lua_getfield(L, 3, "pieces");
    if (!lua_istable(L, 6)) {
        lua_pop(L, 1);
        lua_newtable(L);
    }
    finish = bind_text(L, 3, "finish");
    reply = mem_zero(sizeof *reply);
    reply->status = (int)bind_integer(L, 3, "status", 200);
    reply->delay_s = bind_number(L, 3, "delay_s", 0);
    reply->headers = headers;
    reply->end = finish && strcmp(finish, "cut") == 0 ? TRANSFER_CUT : TRANSFER_DONE;
    read_pieces(L, 6, reply);
    handle = push_handle(L);
    handle->attempt = attempt_play(exchange->worker, reply, bind_number(L, 4, "deadline", 600),
                                   bind_number(L, 4, "first_content", 0));
    if (bind_flag(L, 3, "lines"))
        attempt_lines(handle->attempt);
    return 1;
}

static int push_failure(lua_State *L, const struct attempt *attempt, const char *otherwise)
{
    const char *failure = attempt_failure(attempt);

    lua_pushnil(L);
    lua_pushstring(L, failure ? failure : otherwise);
    lua_pushstring(L, attempt_message(attempt));
    return 3;
}

static int push_head(lua_State *L, void *arg)
{
    const struct attempt *attempt = ((struct handle *)arg)->attempt;

    if (attempt_status(attempt) == 0)
        return push_failure(L, attempt, "cut");
    lua_pushinteger(L, attempt_status(attempt));
    return 1;
}

static int push_body(lua_State *L, void *arg)
{
    const struct attempt *attempt = ((struct handle *)arg)->attempt;

    if (attempt_failure(attempt))
        return push_failure(L, attempt, "cut");
    lua_pushlstring(L, attempt_body(attempt)->data, attempt_body(attempt)->length);
    return 1;
}

static int push_event(lua_State *L, void *arg)
{
    const struct attempt *attempt = ((struct handle *)arg)->attempt;
    const char *name, *data, *raw;
    size_t name_length, data_length, raw_length;

    if (!attempt_event(((struct handle *)arg)->attempt, &name, &name_length, &data, &data_length, &raw, &raw_length))
        return push_failure(L, attempt, "end");
    lua_pushlstring(L, raw, raw_length);
    if (data)
        lua_pushlstring(L, data, data_length);
    else
        lua_pushnil(L);
    lua_pushlstring(L, name, name_length);
    return 3;
}

static void set_buf(lua_State *L, const char *name, const struct buf *buf)
{
    if (!buf->length)
        return;
    lua_pushlstring(L, buf->data, buf->length);
    lua_setfield(L, -2, name);
}

/* Of the event that is beyond the bound, and of what went out before it. */
static void set_spent(lua_State *L, const struct attempt_piped *seen)
{
    set_buf(L, "held", &seen->held);
    lua_pushnumber(L, (lua_Number)seen->held_bytes);
    lua_setfield(L, -2, "held_bytes");
    set_buf(L, "kept", &seen->kept);
    lua_pushboolean(L, seen->overfull);
    lua_setfield(L, -2, "overfull");
}

/* { ended = "terminal" | "finished" | "error" | "spent" | "cut", finished, failure, message, usage, error,
 * terminal_raw, text_bytes }; of a spent one held, held_bytes, kept and overfull besides */
static int push_seen(lua_State *L, const struct attempt *attempt)
{
    const struct attempt_piped *seen = attempt_piped(attempt);
    const char *ended = seen->failed                                                              ? "error"
                        : seen->terminal                                                          ? "terminal"
                        : seen->spent                                                             ? "spent"
                        : seen->finished && !attempt_failure(attempt) && attempt_is_over(attempt) ? "finished"
                                                                                                  : "cut";

    lua_createtable(L, 0, 8);
    lua_pushstring(L, ended);
    lua_setfield(L, -2, "ended");
    lua_pushboolean(L, seen->finished);
    lua_setfield(L, -2, "finished");
    if (attempt_failure(attempt)) {
        lua_pushstring(L, attempt_failure(attempt));
        lua_setfield(L, -2, "failure");
        lua_pushstring(L, attempt_message(attempt));
        lua_setfield(L, -2, "message");
    }
    set_buf(L, "usage", &seen->usage);
    set_buf(L, "error", &seen->error);
    set_buf(L, "terminal_raw", &seen->terminal_raw);
    lua_pushnumber(L, (lua_Number)seen->text_bytes);
    lua_setfield(L, -2, "text_bytes");
    if (seen->spent)
        set_spent(L, seen);
    return 1;
}

static int push_piped(lua_State *L, void *arg)
{
    struct handle *handle = arg;

    attempt_unpipe(handle->attempt);
    return push_seen(L, handle->attempt);
}

static void on_head_ready(void *arg)
{
    task_wake(((struct handle *)arg)->task, push_head, arg);
}

static void on_body_ready(void *arg)
{
    task_wake(((struct handle *)arg)->task, push_body, arg);
}

static void on_event_ready(void *arg)
{
    task_wake(((struct handle *)arg)->task, push_event, arg);
}

static void on_pipe_ready(void *arg)
{
    task_wake(((struct handle *)arg)->task, push_piped, arg);
}

static void on_cancel(void *arg)
{
    struct handle *handle = arg;

    attempt_forget(handle->attempt);
    if (handle->piping)
        attempt_unpipe(handle->attempt);
}

/* head(): the status, or nil, reason, message */
static int attempt_lua_head(lua_State *L)
{
    struct handle *handle = handle_of(L);

    handle->task = task_here(L);
    if (attempt_await_head(handle->attempt, on_head_ready, handle))
        return push_head(L, handle);
    return task_wait(L, on_cancel, handle);
}

/* header(name): the first of that name, or nil */
static int attempt_lua_header(lua_State *L)
{
    lua_pushstring(L, headers_get(attempt_headers(handle_of(L)->attempt), luaL_checkstring(L, 2)));
    return 1;
}

/* headers(): all of them, see bind_push_headers */
static int attempt_lua_headers(lua_State *L)
{
    bind_push_headers(L, attempt_headers(handle_of(L)->attempt));
    return 1;
}

/* As much as there is room for, into a field of noughts. */
static void put_text(char *to, size_t size, const char *text)
{
    memcpy(to, text, strnlen(text, size - 1));
}

/*
 * learn(grammar, provider, model): what the headers tell of limits goes into the store. Answers false, and does
 * nothing, where they have to be read in Lua.
 */
static int attempt_lua_learn(lua_State *L)
{
    const struct headers *headers = attempt_headers(handle_of(L)->attempt);
    const struct limit_grammar *grammar = bind_limit_grammar(L, 2);
    const char *provider = luaL_checkstring(L, 3), *model = luaL_checkstring(L, 4);
    int64_t now = clock_recent_wall_ms();
    struct limit_told told[LIMIT_HEADERS_MAX];
    int count = limit_headers_read(grammar, headers, (double)now / 1000, told);

    for (int i = 0; i < count; i++) {
        const double *values = told[i].values;
        double reset = values[LIMIT_FIELD_RESET];
        bool is_told = values[LIMIT_FIELD_LIMIT] >= 0 || values[LIMIT_FIELD_REMAINING] >= 0 || reset >= 0;
        struct store_learnt learnt = {
            .limit = (int64_t)values[LIMIT_FIELD_LIMIT],
            .remaining = (int64_t)values[LIMIT_FIELD_REMAINING],
            .reset_at = reset < 0 ? 0 : now + (int64_t)(reset * 1000),
            .seen_at = now,
            .source = "header",
        };

        put_text(learnt.provider, sizeof learnt.provider, provider);
        put_text(learnt.model, sizeof learnt.model, model);
        put_text(learnt.metric, sizeof learnt.metric, told[i].metric);
        put_text(learnt.window, sizeof learnt.window, told[i].window);
        if (is_told)
            store_learn(bind_worker(L)->gate->store, &learnt);
    }
    lua_pushboolean(L, count >= 0);
    return 1;
}

/* body(): all of it, or nil, reason, message */
static int attempt_lua_body(lua_State *L)
{
    struct handle *handle = handle_of(L);

    handle->task = task_here(L);
    if (attempt_await_body(handle->attempt, on_body_ready, handle))
        return push_body(L, handle);
    return task_wait(L, on_cancel, handle);
}

/* event(): the next of a stream: its bytes, its data (nil: it has none), its name; nil, "end" behind the last; nil,
 * reason, message */
static int attempt_lua_event(lua_State *L)
{
    struct handle *handle = handle_of(L);

    handle->task = task_here(L);
    if (attempt_await_event(handle->attempt, on_event_ready, handle))
        return push_event(L, handle);
    return task_wait(L, on_cancel, handle);
}

/* content(): the first content is there; from now on only idle and the deadline count */
static int attempt_lua_content(lua_State *L)
{
    attempt_content(handle_of(L)->attempt);
    return 0;
}

/* What a stream may still say: at index and behind it. */
static struct attempt_bound read_bound(lua_State *L, int index)
{
    return (struct attempt_bound){ (int64_t)luaL_checknumber(L, index), (int64_t)luaL_checknumber(L, index + 1) };
}

static int await_pipe(lua_State *L, struct handle *handle)
{
    if (attempt_await_pipe(handle->attempt, on_pipe_ready, handle))
        return push_piped(L, handle);
    return task_wait(L, on_cancel, handle);
}

/* pipe(exchange, marks, bytes, tokens): the rest of the stream goes to the caller; waits to its end, or until more than
 * that has come (nil: no bound); see push_seen, or nil and the reason. Marks as in marks.h */
static int attempt_lua_pipe(lua_State *L)
{
    struct handle *handle = handle_of(L);
    struct exchange *exchange = bind_exchange(L, 2);
    struct signs_marks *marks = bind_marks(L, 3);
    struct attempt_bound bound;
    bool bounded;

    lua_settop(L, 5);
    bounded = !lua_isnil(L, 4);
    if (bounded)
        bound = read_bound(L, 4);
    luaL_argcheck(L, !handle->piping, 1, "it is piped already");
    handle->task = task_here(L);
    handle->piping = true;
    attempt_pipe(handle->attempt, exchange, marks, bounded ? &bound : NULL);
    return await_pipe(L, handle);
}

/* pipe_on(exchange, bytes, tokens): after "spent", on to a wider bound: counted, as before, from the pipe's beginning
 */
static int attempt_lua_pipe_on(lua_State *L)
{
    struct handle *handle = handle_of(L);
    struct exchange *exchange = bind_exchange(L, 2);
    struct attempt_bound bound = read_bound(L, 3);

    luaL_argcheck(L, handle->piping, 1, "it is not piped");
    handle->task = task_here(L);
    attempt_pipe_on(handle->attempt, exchange, &bound);
    return await_pipe(L, handle);
}

/* piped(): what the pipe has seen so far, also after the caller left; nil if it was never begun */
static int attempt_lua_piped(lua_State *L)
{
    const struct attempt *attempt = handle_of(L)->attempt;

    return attempt_piped(attempt) ? push_seen(L, attempt) : 0;
}

/* close(nearly_over): see attempt.h; a closed one may be closed again */
static int attempt_lua_close(lua_State *L)
{
    struct handle *handle = bind_handle(L, 1, TYPE, sizeof *handle);

    if (handle->attempt)
        attempt_close(handle->attempt, lua_toboolean(L, 2));
    handle->attempt = NULL;
    spent_mark(L, 1);
    return 0;
}

static int attempt_collected(lua_State *L)
{
    lua_settop(L, 1);
    return attempt_lua_close(L);
}

static const luaL_Reg methods[] = {
    { "body", attempt_lua_body },   { "close", attempt_lua_close },     { "content", attempt_lua_content },
    { "event", attempt_lua_event }, { "head", attempt_lua_head },       { "header", attempt_lua_header },
    { "learn", attempt_lua_learn }, { "headers", attempt_lua_headers }, { "pipe", attempt_lua_pipe },
    { "piped", attempt_lua_piped }, { "pipe_on", attempt_lua_pipe_on }, { NULL, NULL },
};

static const luaL_Reg functions[] = {
    { "play", attempt_lua_play },
    { "route", attempt_lua_route },
    { "send", attempt_lua_send },
    { NULL, NULL },
};

int bind_attempt_module(lua_State *L)
{
    luaL_newmetatable(L, TYPE);
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, attempt_collected);
    lua_setfield(L, -2, "__gc");
    spent_prepare(L);
    luaL_newmetatable(L, ROUTE);
    lua_pushcfunction(L, route_collected);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 2);
    bind_marks_open(L);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
