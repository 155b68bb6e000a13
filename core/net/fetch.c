/* fetch.c - see fetch.h. */
#include "net/fetch.h"

#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#include "base/buf.h"
#include "base/headers.h"
#include "base/mem.h"

enum { REPLY_MAX = 64 * 1024 * 1024 };

static size_t on_data(char *data, size_t size, size_t count, void *arg)
{
    struct buf *reply = arg;
    size_t length = size * count;

    if (reply->length + length > REPLY_MAX)
        return 0;
    buf_add(reply, data, length);
    return length;
}

static struct curl_slist *header_list(const struct headers *headers)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");

    for (size_t i = 0; i < headers->count; i++) {
        const struct header *field = &headers->fields[i];
        char *line;

        if (!headers_is_token(field->name, strlen(field->name)) ||
            !headers_is_clean(field->value, strlen(field->value)))
            continue;
        line = mem_format("%s: %s", field->name, field->value);
        list = curl_slist_append(list, line);
        mem_free(line);
    }
    return list;
}

/*
 * Nothing else is trusted then, not even what a trusted one has signed: libcurl stops at the first certificate of the
 * chain that it knows. So the name in it need not be that of the address.
 */
static void trust_alone(CURL *easy, const char *certificate)
{
    struct curl_blob blob = { .data = (void *)certificate, .len = strlen(certificate), .flags = CURL_BLOB_NOCOPY };

    curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
}

int fetch(const struct fetch *call, struct buf *reply, char *error, size_t error_size)
{
    struct curl_slist *list = header_list(call->headers);
    CURL *easy = curl_easy_init();
    long status = 0;
    CURLcode code;

    curl_easy_setopt(easy, CURLOPT_URL, call->url);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(call->seconds * 1000));
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, reply);
    if (call->certificate)
        trust_alone(easy, call->certificate);
    if (call->body) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->length);
    }
    code = curl_easy_perform(easy);
    if (code == CURLE_OK)
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    else if (code == CURLE_WRITE_ERROR)
        snprintf(error, error_size, "the answer is larger than %d MiB", REPLY_MAX >> 20);
    else
        snprintf(error, error_size, "%s", curl_easy_strerror(code));
    curl_slist_free_all(list);
    curl_easy_cleanup(easy);
    return (int)status;
}
