/*
 * client.c - see client.h. What the gate may do with a caller: each of these
 * calls fills the output and changes the state, and leaves the rest to the
 * next step (client_step.c).
 */
#include "net/client.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/client_step.h"
#include "net/reply.h"
#include "net/request_reader.h"

struct client *client_open(struct loop *loop, int descriptor, struct tls *tls, const char *peer,
                           const struct client_limits *limits, const struct client_hooks *hooks, void *arg)
{
    size_t peer_length = strlen(peer);
    struct client *client = mem_zero(sizeof *client + peer_length + 1);

    client->loop = loop;
    client->wire.descriptor = descriptor;
    client->wire.tls = tls;
    client->limits = limits;
    client->hooks = hooks;
    client->arg = arg;
    memcpy(client->peer, peer, peer_length);
    client_step_start(client);
    return client;
}

void client_set_data(struct client *client, void *data)
{
    client->data = data;
}

void *client_data(const struct client *client)
{
    return client->data;
}

static const char *connection_of(struct client *client, bool old)
{
    if (client->retired || client->winding_down)
        client->keep_alive = false;
    if (!client->keep_alive)
        return "close";
    return old ? "keep-alive" : NULL;
}

static void reply(struct client *client, int status, const struct buf *ready, const struct headers *headers,
                  const void *body, size_t length)
{
    if (client->phase != PHASE_SERVING || client->begun)
        return;
    reply_add_head(&client->wire.output, status, ready, headers, REPLY_SIZED, length,
                   connection_of(client, request_reader_is_old(client->reader)));
    if (!client->bodiless && status != 204 && status != 304)
        buf_add(&client->wire.output, body, length);
    client->phase = PHASE_FINISHED;
    client_step_ask(client, EV_WRITE);
}

void client_reply(struct client *client, int status, const struct headers *headers, const void *body, size_t length)
{
    reply(client, status, NULL, headers, body, length);
}

void client_answer(struct client *client, int status, const struct buf *ready, const void *body, size_t length)
{
    reply(client, status, ready, NULL, body, length);
}

struct buf client_take_body(struct client *client)
{
    return client->phase == PHASE_SERVING ? request_reader_take_body(client->reader) : (struct buf){ 0 };
}

static void begin(struct client *client, int status, const struct buf *ready, const struct headers *headers)
{
    bool old;

    if (client->phase != PHASE_SERVING || client->begun)
        return;
    old = request_reader_is_old(client->reader);
    if (old && !client->bodiless)
        client->keep_alive = false;
    client->begun = true;
    client->chunked = !old;
    request_reader_drop_body(client->reader);
    client->bodiless = client->bodiless || status == 204 || status == 304;
    reply_add_head(&client->wire.output, status, ready, headers, old ? REPLY_UNTIL_CLOSE : REPLY_CHUNKED, 0,
                   connection_of(client, old));
    client_step_ask(client, EV_WRITE);
}

void client_begin(struct client *client, int status, const struct headers *headers)
{
    begin(client, status, NULL, headers);
}

void client_start(struct client *client, int status, const struct buf *ready)
{
    begin(client, status, ready, NULL);
}

bool client_write(struct client *client, const void *data, size_t length)
{
    if (client->phase != PHASE_SERVING || !client->begun)
        return true;
    if (length > 0 && !client->bodiless) {
        wire_make_room(&client->wire, length + REPLY_CHUNK_EXTRA);
        if (client->chunked)
            reply_add_chunk(&client->wire.output, data, length);
        else
            buf_add(&client->wire.output, data, length);
        client_step_ask(client, EV_WRITE);
    }
    if (wire_waiting(&client->wire) > client->limits->output_bytes)
        client->stopped = true;
    return !client->stopped;
}

void client_finish(struct client *client)
{
    if (client->phase != PHASE_SERVING || !client->begun)
        return;
    if (client->chunked && !client->bodiless)
        reply_add_last_chunk(&client->wire.output);
    client->phase = PHASE_FINISHED;
    client_step_ask(client, EV_WRITE);
}

void client_abort(struct client *client)
{
    bool begun = client->phase == PHASE_SERVING && client->begun;

    if (client->phase == PHASE_CUT)
        return;
    if (begun && client->chunked) {
        client->phase = PHASE_ABORTING;
        client->stopped = false;
        client_step_ask(client, EV_WRITE);
        return;
    }
    if (begun)
        wire_send(&client->wire);
    /* A reply that lasts until the close has no other sign that it is not whole than a reset. */
    client_step_cut(client, begun);
}

void client_wind_down(struct client *client)
{
    client->winding_down = true;
    /* The quiet that it may keep is counted from now. */
    if (client->phase == PHASE_READING && !client->reader)
        client->since = clock_monotonic_us();
    client_step_ask(client, EV_READ);
}

void client_retire(struct client *client)
{
    client->retired = true;
    /* One more look at the socket: a request that is already there is served. */
    client->wire.readable = true;
    client_step_ask(client, EV_READ);
}
