/*
 * exchange.c - moongate.core.exchange: the handle of one request. Its methods
 * read what the caller sent and write what it gets. A handle whose exchange has
 * ended raises; one whose caller left reads empty and writes nothing.
 */
#include "bind/bind.h"

#include <string.h>
#include <strings.h>

#include <lauxlib.h>

#include "base/clock.h"
#include "base/headers.h"
#include "bind/json.h"
#include "gate/exchange.h"
#include "net/client.h"
#include "net/reply.h"
#include "script/task.h"

static const char TYPE[] = "moongate.exchange", FORM[] = "moongate.form";

enum { FORM_MAX = 64, READY_BYTES = 1000 };

struct handle {
    const char *type;
    void *exchange; /* NULL: it has ended */
};

struct exchange *bind_exchange(lua_State *L, int index)
{
    const struct handle *handle = bind_handle(L, index, TYPE, sizeof *handle);

    if (!handle->exchange)
        luaL_error(L, "this request has ended");
    return handle->exchange;
}

static const struct client_request *request_of(lua_State *L, const struct exchange *exchange)
{
    if (!exchange->request)
        luaL_error(L, "this request has been answered: read what is needed of it before");
    return exchange->request;
}

static const struct client_request *request_at(lua_State *L, int index)
{
    return request_of(L, bind_exchange(L, index));
}

/* Of a caller that left: none. */
static const struct headers *headers_at(lua_State *L, int index)
{
    static const struct headers none;
    const struct exchange *exchange = bind_exchange(L, index);

    return exchange->gone ? &none : &request_of(L, exchange)->headers;
}

static int exchange_id(lua_State *L)
{
    lua_pushstring(L, bind_exchange(L, 1)->id);
    return 1;
}

static int exchange_method(lua_State *L)
{
    lua_pushstring(L, request_at(L, 1)->method);
    return 1;
}

static int exchange_path(lua_State *L)
{
    lua_pushstring(L, request_at(L, 1)->path);
    return 1;
}

static int exchange_query(lua_State *L)
{
    lua_pushstring(L, request_at(L, 1)->query);
    return 1;
}

static int exchange_peer(lua_State *L)
{
    lua_pushstring(L, request_at(L, 1)->peer);
    return 1;
}

/* body(): what the caller sent; "" once it has been taken, or a streamed answer is under way */
static int exchange_body(lua_State *L)
{
    const struct client_request *request = request_at(L, 1);

    lua_pushlstring(L, request->body.data, request->body.length);
    return 1;
}

/* take_body(): the same for json.scan, without a copy */
static int exchange_lua_take_body(lua_State *L)
{
    struct exchange *exchange = bind_exchange(L, 1);
    struct buf body;

    (void)request_of(L, exchange);
    body = exchange_take_body(exchange);
    json_push_bytes(L, &body);
    return 1;
}

/* header(name, joined): its first value, or all of them with ", " between; nil: there is none, or nobody any more */
static int exchange_header(lua_State *L)
{
    const struct headers *headers = headers_at(L, 1);
    const char *name = luaL_checkstring(L, 2), *value = headers_get(headers, name);

    if (!value)
        return 0;
    lua_pushstring(L, value);
    if (!lua_toboolean(L, 3))
        return 1;
    for (size_t i = 0; i < headers->count; i++) {
        const struct header *field = &headers->fields[i];

        if (field->value == value || strcasecmp(field->name, name) != 0)
            continue;
        lua_pushliteral(L, ", ");
        lua_pushstring(L, field->value);
        lua_concat(L, 3);
    }
    return 1;
}

/* has_header(start): whether there is one whose name begins so */
static int exchange_has_header(lua_State *L)
{
    const struct headers *headers = headers_at(L, 1);
    size_t length;
    const char *start = luaL_checklstring(L, 2, &length);
    bool found = false;

    for (size_t i = 0; i < headers->count && !found; i++)
        found = strncasecmp(headers->fields[i].name, start, length) == 0;
    lua_pushboolean(L, found);
    return 1;
}

static int exchange_headers(lua_State *L)
{
    bind_push_headers(L, headers_at(L, 1));
    return 1;
}

/* elapsed(): seconds since the request was whole */
static int exchange_elapsed(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)(clock_monotonic_us() - bind_exchange(L, 1)->started_us) / 1e6);
    return 1;
}

/* gone(): true if the caller left before its answer was whole */
static int exchange_gone(lua_State *L)
{
    lua_pushboolean(L, bind_exchange(L, 1)->gone);
    return 1;
}

/* begun(): true once a streamed answer is under way; then nothing else can be answered */
static int exchange_begun(lua_State *L)
{
    lua_pushboolean(L, bind_exchange(L, 1)->begun);
    return 1;
}

/* status(): the HTTP status that the caller saw, 0 before */
static int exchange_status(lua_State *L)
{
    lua_pushinteger(L, bind_exchange(L, 1)->status);
    return 1;
}

/* keep_private(): from now on only targets on this machine are called */
static int exchange_keep_private(lua_State *L)
{
    bind_exchange(L, 1)->private = true;
    return 0;
}

/* calm(): the script has seen that it was cancelled; it may wait again, to settle */
static int exchange_calm(lua_State *L)
{
    (void)bind_exchange(L, 1);
    task_calm(task_here(L));
    return 0;
}

/* always(headers): what goes with the answer, whatever it will be; again, in the place of those */
static int exchange_always(lua_State *L)
{
    struct exchange *exchange = bind_exchange(L, 1);

    headers_free(&exchange->always);
    bind_read_headers(L, 2, &exchange->always);
    return 0;
}

/* reply(status, headers, body): the whole answer */
static int exchange_lua_reply(lua_State *L)
{
    struct exchange *exchange = bind_exchange(L, 1);
    int status = (int)luaL_checkinteger(L, 2);
    struct headers headers = { 0 };
    size_t length = 0;
    const char *body = luaL_optlstring(L, 4, "", &length);

    bind_read_headers(L, 3, &headers);
    exchange_reply(exchange, status, &headers, body, length);
    headers_free(&headers);
    return 0;
}

/* The names of headers that come together again and again. */
struct form {
    const char *type;
    int count;
    struct {
        const char *text; /* Lua's: a list of them is the userdata's environment; NULL: it may not be sent */
        size_t length;
    } names[FORM_MAX];
};

/* form(names): for answer and start */
static int exchange_form(lua_State *L)
{
    struct form *form;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    form = lua_newuserdata(L, sizeof *form);
    *form = (struct form){ .type = FORM, .count = (int)lua_objlen(L, 1) };
    luaL_argcheck(L, form->count <= FORM_MAX, 1, "too many names");
    lua_createtable(L, form->count, 0);
    for (int i = 0; i < form->count; i++) {
        lua_rawgeti(L, 1, i + 1);
        form->names[i].text = luaL_checklstring(L, -1, &form->names[i].length);
        if (!reply_may_name(form->names[i].text, form->names[i].length))
            form->names[i].text = NULL;
        lua_rawseti(L, 3, i + 1);
    }
    lua_setfenv(L, 2);
    return 1;
}

/* The fields of the form, whose values begin at that index; nil: without it. */
static struct buf read_ready(lua_State *L, const struct form *form, int first)
{
    int given = lua_gettop(L) - first + 1;
    struct buf ready = { 0 };

    buf_reserve(&ready, READY_BYTES);
    for (int i = 0; i < form->count && i < given; i++) {
        size_t length;
        const char *value = lua_tolstring(L, first + i, &length);

        if (value && form->names[i].text)
            reply_add_field(&ready, form->names[i].text, form->names[i].length, value, length);
    }
    return ready;
}

/* answer(form, body, ...): the whole answer, with status 200 and a value for each name of the form; nil: without it */
static int exchange_lua_answer(lua_State *L)
{
    struct exchange *exchange = bind_exchange(L, 1);
    const struct form *form = bind_handle(L, 2, FORM, sizeof *form);
    size_t length;
    const char *body = luaL_checklstring(L, 3, &length);
    struct buf ready = read_ready(L, form, 4);

    exchange_answer(exchange, &ready, body, length);
    buf_free(&ready);
    return 0;
}

/* begin(status, headers): a streamed answer */
static int exchange_lua_begin(lua_State *L)
{
    struct exchange *exchange = bind_exchange(L, 1);
    int status = (int)luaL_checkinteger(L, 2);
    struct headers headers = { 0 };

    bind_read_headers(L, 3, &headers);
    exchange_begin(exchange, status, &headers);
    headers_free(&headers);
    return 0;
}

/* start(form, ...): the same with status 200 and a value for each name of the form; nil: without it */
static int exchange_lua_start(lua_State *L)
{
    struct exchange *exchange = bind_exchange(L, 1);
    const struct form *form = bind_handle(L, 2, FORM, sizeof *form);
    struct buf ready = read_ready(L, form, 3);

    exchange_start(exchange, &ready);
    buf_free(&ready);
    return 0;
}

static int push_true(lua_State *L, void *arg)
{
    (void)arg;
    lua_pushboolean(L, 1);
    return 1;
}

static void on_drained(void *arg)
{
    task_wake(arg, push_true, NULL);
}

static void on_cancel(void *arg)
{
    exchange_forget(arg);
}

/* write(text): true; waits while the caller reads slowly; nil and the reason if it left */
static int exchange_lua_write(lua_State *L)
{
    struct exchange *exchange = bind_exchange(L, 1);
    size_t length;
    const char *text = luaL_checklstring(L, 2, &length);

    if (exchange_write(exchange, text, length, on_drained, task_here(L))) {
        lua_pushboolean(L, 1);
        return 1;
    }
    return task_wait(L, on_cancel, exchange);
}

/* offer(text): true; false, and nothing is sent, while the caller has yet to read what it was offered before */
static int exchange_lua_offer(lua_State *L)
{
    struct exchange *exchange = bind_exchange(L, 1);
    size_t length;
    const char *text = luaL_checklstring(L, 2, &length);

    lua_pushboolean(L, exchange_offer(exchange, text, length));
    return 1;
}

static int exchange_lua_finish(lua_State *L)
{
    exchange_finish(bind_exchange(L, 1));
    return 0;
}

static const luaL_Reg methods[] = {
    { "always", exchange_always },
    { "answer", exchange_lua_answer },
    { "begin", exchange_lua_begin },
    { "begun", exchange_begun },
    { "body", exchange_body },
    { "calm", exchange_calm },
    { "elapsed", exchange_elapsed },
    { "finish", exchange_lua_finish },
    { "gone", exchange_gone },
    { "has_header", exchange_has_header },
    { "header", exchange_header },
    { "headers", exchange_headers },
    { "id", exchange_id },
    { "keep_private", exchange_keep_private },
    { "method", exchange_method },
    { "offer", exchange_lua_offer },
    { "path", exchange_path },
    { "peer", exchange_peer },
    { "query", exchange_query },
    { "reply", exchange_lua_reply },
    { "start", exchange_lua_start },
    { "status", exchange_status },
    { "take_body", exchange_lua_take_body },
    { "write", exchange_lua_write },
    { NULL, NULL },
};

/* The exchange must not reach back to a handle that is no more. */
static int exchange_collected(lua_State *L)
{
    struct exchange *exchange = ((struct handle *)lua_touserdata(L, 1))->exchange;

    if (exchange)
        exchange->handle = NULL;
    return 0;
}

static void push_type(lua_State *L)
{
    if (!luaL_newmetatable(L, TYPE))
        return;
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "exchange");
    lua_setfield(L, -2, "__metatable");
    lua_pushcfunction(L, exchange_collected);
    lua_setfield(L, -2, "__gc");
}

void bind_push_exchange(lua_State *L, struct exchange *exchange)
{
    struct handle *handle = lua_newuserdata(L, sizeof *handle);

    *handle = (struct handle){ TYPE, exchange };
    /* There is one at a time: an earlier one was that of a script which failed. */
    if (exchange->handle)
        *exchange->handle = NULL;
    exchange->handle = &handle->exchange;
    push_type(L);
    lua_setmetatable(L, -2);
}

int bind_exchange_module(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, exchange_form);
    lua_setfield(L, -2, "form");
    return 1;
}
