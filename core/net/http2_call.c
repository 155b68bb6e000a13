/*
 * http2_call.c - see http2_call.h: the options of a handle, its callbacks, and
 * what its error codes mean. libcurl's traps are closed here and in http2.c,
 * and nowhere else.
 */
#include "net/http2_call.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/destination.h"
#include "net/request_fields.h"
#include "net/upstream.h"

enum { HEAD_BYTES = 256 * 1024, HEAD_FIELDS = 512, CONNECTION_AGE_S = 60, UPLOAD_BYTES = 16 * 1024 };
/* What is read of a reply at a time; the memory is held until its end. */
enum { REPLY_BYTES = 16 * 1024, STREAM_BYTES = 4 * 1024 };

static const char sent_before[] = "the reused connection was closed before any reply; the request was not sent again";

/* Before each sending. libcurl would send a POST again, unasked, when a reused connection dies. */
static int on_connected(void *arg, char *peer, char *own, int peer_port, int own_port)
{
    struct http2_call *call = arg;

    (void)peer;
    (void)own;
    (void)peer_port;
    (void)own_port;
    if (call->cancelled)
        return CURL_PREREQFUNC_ABORT;
    if (call->phase != CONNECTING) {
        long sent = 0;

        curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &sent);
        if (sent > 0) {
            http2_refuse(call, TRANSFER_CUT, sent_before);
            return CURL_PREREQFUNC_ABORT;
        }
    }
    call->phase = WAITING;
    http2_set_deadline(call, call->first_byte_s);
    return CURL_PREREQFUNC_OK;
}

static size_t on_body_wanted(char *into, size_t size, size_t count, void *arg)
{
    struct http2_call *call = arg;
    size_t length = call->body_length - call->body_sent;

    if (call->cancelled)
        return CURL_READFUNC_ABORT;
    if (length > size * count)
        length = size * count;
    memcpy(into, call->body + call->body_sent, length);
    call->body_sent += length;
    if (call->phase == WAITING) /* an upload that moves is not silence */
        http2_set_deadline(call, call->first_byte_s);
    return length;
}

/* The same, where it would only read the body again. */
static int on_rewind(void *arg, curl_off_t offset, int origin)
{
    (void)arg;
    (void)offset;
    (void)origin;
    return CURL_SEEKFUNC_FAIL;
}

static void add_field(struct http2_call *call, const char *line, size_t length)
{
    const char *colon = memchr(line, ':', length);
    const char *value, *stop = line + length;

    if (!colon || !headers_is_token(line, (size_t)(colon - line)))
        return;
    for (value = colon + 1; value < stop && (*value == ' ' || *value == '\t'); value++)
        continue;
    while (stop > value && (stop[-1] == ' ' || stop[-1] == '\t'))
        stop--;
    if (headers_is_clean(value, (size_t)(stop - value)))
        headers_add_bytes(&call->head, line, (size_t)(colon - line), value, (size_t)(stop - value));
}

/* A provider may answer before it has read all of the request. */
static bool has_sent(const struct http2_call *call)
{
    curl_off_t sent = 0;

    return curl_easy_getinfo(call->easy, CURLINFO_SIZE_UPLOAD_T, &sent) == CURLE_OK &&
           sent == (curl_off_t)call->body_length;
}

static void announce(struct http2_call *call)
{
    if (call->hooks.on_sent && has_sent(call))
        call->hooks.on_sent(call->arg);
    call->phase = STREAMING;
    http2_set_deadline(call, call->paused ? 0 : call->idle_s);
    call->hooks.on_head(call->arg, call->status, &call->head);
}

/* Every line of every head: interim ones are passed over, and trailers, which come when the head is long out. */
static size_t on_head_line(char *line, size_t size, size_t count, void *arg)
{
    struct http2_call *call = arg;
    size_t length = size * count, whole = length;
    const char *space;

    if (call->cancelled || call->refused)
        return 0;
    call->head_bytes += whole;
    if (call->head_bytes > HEAD_BYTES || call->head.count > HEAD_FIELDS) {
        http2_refuse(call, TRANSFER_MALFORMED, "the reply's head is larger than any should be");
        return 0;
    }
    if (call->phase == STREAMING)
        return whole;
    while (length && (line[length - 1] == '\n' || line[length - 1] == '\r'))
        length--;
    if (!call->status) {
        space = memchr(line, ' ', length);
        call->status = space ? atoi(space + 1) : 0;
    } else if (length) {
        add_field(call, line, length);
    } else if (call->status < 200) {
        headers_free(&call->head);
        call->status = 0;
    } else {
        announce(call);
    }
    return call->cancelled ? 0 : whole;
}

static size_t on_piece(char *data, size_t size, size_t count, void *arg)
{
    struct http2_call *call = arg;

    if (call->cancelled || call->refused || size * count == 0)
        return 0;
    if (call->phase != STREAMING) {
        http2_refuse(call, TRANSFER_MALFORMED, "a body came without a reply head");
        return 0;
    }
    if (call->paused) {
        call->stalled = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    http2_set_deadline(call, call->idle_s);
    call->hooks.on_data(call->arg, data, size * count);
    return call->cancelled ? 0 : size * count;
}

static void say_tls(struct http2_call *call)
{
    static const char problem[] = "SSL certificate problem: ";

    if (strncmp(call->error, problem, sizeof problem - 1) == 0)
        snprintf(call->message, sizeof call->message, "certificate verify failed: %s",
                 call->error + sizeof problem - 1);
    else
        snprintf(call->message, sizeof call->message, "TLS failed: %s", *call->error ? call->error : "no reason given");
}

static void say_unreachable(struct http2_call *call)
{
    const char *reason = NULL;
    long number = 0;

    curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &number);
    if (number)
        reason = strerrordesc_np((int)number);
    snprintf(call->message, sizeof call->message, "%s", reason ? reason : "could not connect");
    call->message[0] = (char)tolower((unsigned char)call->message[0]);
}

static enum transfer_end say_cut(struct http2_call *call, CURLcode code)
{
    const char *message = "the connection was closed before the reply's head";

    if (call->phase == STREAMING)
        message = "the reply broke off before its end";
    else if (code == CURLE_SEND_FAIL_REWIND)
        message = sent_before;
    snprintf(call->message, sizeof call->message, "%s", message);
    return TRANSFER_CUT;
}

enum transfer_end http2_call_judge(struct http2_call *call, CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        if (call->phase != STREAMING)
            return say_cut(call, code);
        snprintf(call->message, sizeof call->message, "the reply is complete");
        return TRANSFER_DONE;
    case CURLE_COULDNT_RESOLVE_HOST:
        snprintf(call->message, sizeof call->message, "the host's name does not resolve");
        return TRANSFER_UNRESOLVED;
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
        say_unreachable(call);
        return TRANSFER_UNREACHABLE;
    case CURLE_OPERATION_TIMEDOUT:
        snprintf(call->message, sizeof call->message, "no connection within %g s", call->connect_s);
        return TRANSFER_CONNECT_TIMEOUT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_USE_SSL_FAILED:
        say_tls(call);
        return TRANSFER_TLS;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_OUT_OF_MEMORY: /* also libcurl's word for a line past its bound */
        if (call->phase == CONNECTING)
            break;
        snprintf(call->message, sizeof call->message, "the reply is not valid HTTP");
        return TRANSFER_MALFORMED;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return say_cut(call, code);
    default:
        break;
    }
    snprintf(call->message, sizeof call->message, "it can't be sent: %s", curl_easy_strerror(code));
    return TRANSFER_IMPOSSIBLE;
}

static void add_line(struct curl_slist **next, char **text, const char *name, const char *value)
{
    struct curl_slist *node = *next;

    node->data = *text;
    node->next = node + 1;
    *next = node + 1;
    /* To libcurl "name:" means leave it out, and "name;" an empty one. */
    *text = stpcpy(*text, name);
    *text = stpcpy(*text, value == NULL ? ":" : *value ? ": " : ";");
    *text = stpcpy(*text, value ? value : "") + 1;
}

/* False: a header that must not reach a wire. */
static bool write_fields(struct http2_call *call, const struct headers *headers, bool has_body)
{
    size_t lines = headers->count + 2, bytes;
    struct curl_slist *next;
    char *text;

    if (!request_fields_are_clean(headers, &bytes))
        return false;
    bytes += headers->count * (sizeof ": " - 1 + 1) + sizeof "Content-Type:" + sizeof "Expect:";
    next = call->fields = mem_alloc(lines * sizeof *next + bytes);
    text = (char *)(next + lines);
    for (size_t i = 0; i < headers->count; i++) {
        const struct header *field = &headers->fields[i];

        if (!request_fields_is_framing(field->name))
            add_line(&next, &text, field->name, field->value + strspn(field->value, " \t"));
    }
    add_line(&next, &text, "Expect", NULL);
    if (has_body && !headers_get(headers, "content-type"))
        add_line(&next, &text, "Content-Type", NULL);
    next[-1].next = NULL;
    return true;
}

/* What every call wants alike. */
static void set_constant_options(CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* not even one from the environment */
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* should libcurl ever resolve, never wait for it */
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)CONNECTION_AGE_S);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BYTES); /* held while the reply streams */
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head_line);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_piece);
}

/* Of a call with a body, and of one without. */
static void set_method(CURL *easy, const struct upstream_request *request, struct http2_call *call, bool has_body)
{
    bool is_head = !has_body && strcmp(request->method, "HEAD") == 0;

    if (has_body) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_length);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_body_wanted);
        curl_easy_setopt(easy, CURLOPT_READDATA, call);
        curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_rewind);
    } else {
        curl_easy_setopt(easy, is_head ? CURLOPT_NOBODY : CURLOPT_HTTPGET, 1L);
    }
    /* Without a body there is nothing to rewind, and so nothing that keeps libcurl from sending it again. */
    if (request->body_length == 0 && !is_head && strcmp(request->method, "GET") != 0)
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    if (!is_head && strcmp(request->method, has_body ? "POST" : "GET") != 0)
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static void set_options(CURL *easy, const struct upstream_request *request, struct http2_call *call)
{
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error);
    curl_easy_setopt(easy, CURLOPT_CURLU, call->destination->parts);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->fields);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)(request->is_stream ? STREAM_BYTES : REPLY_BYTES));
    if (request->ca_file) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, request->ca_file);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* that authority, and no other */
    }
}

const char *http2_call_prepare(struct http2_call *call, const struct upstream_request *request,
                               struct destinations *destinations)
{
    bool has_body = request->body_length > 0 || strcmp(request->method, "POST") == 0;

    if (!headers_is_token(request->method, strlen(request->method)))
        return "the method is not a word";
    if (!write_fields(call, request->headers, has_body))
        return "a header's name or value holds a character that may not be sent";
    call->destination = destination_take(destinations, request->url);
    if (!call->destination)
        return "the URL is not one";
    set_constant_options(call->easy);
    set_options(call->easy, request, call);
    set_method(call->easy, request, call, has_body);
    return NULL;
}

void http2_call_set_addresses(struct http2_call *call, const char *addresses)
{
    if (strcmp(addresses, call->destination->host) == 0)
        return;
    /* The plus lets the entry age, and a newer one take its place. */
    call->resolved.data = mem_format("+%s:%s:%s", call->destination->host, call->destination->port, addresses);
    curl_easy_setopt(call->easy, CURLOPT_RESOLVE, &call->resolved);
}

void http2_call_free(struct http2_call *call)
{
    headers_free(&call->head);
    mem_free(call->fields);
    mem_free(call->resolved.data);
    destination_drop(call->destination);
    mem_free(call);
}
