/* request_head.c - see request_head.h. */
#include "net/request_head.h"

#include <string.h>
#include <strings.h>

#include "base/headers.h"
#include "base/mem.h"

static int refuse(const char **message, int status, const char *why)
{
    *message = why;
    return status;
}

int request_head_check(const char *line, size_t length, size_t target_bytes, const char **message)
{
    const char *end = line + length;
    const char *target = memchr(line, ' ', length);
    const char *version = target ? memchr(target + 1, ' ', (size_t)(end - target - 1)) : NULL;
    size_t target_length, method_length;

    if (!target || !version || target == line || version == target + 1)
        return refuse(message, 400, "the request line is not METHOD PATH HTTP/1.1");
    method_length = (size_t)(target - line);
    target_length = (size_t)(version - ++target);
    version++;
    if (!headers_is_token(line, method_length))
        return refuse(message, 400, "the method is not a word");
    if (end - version != 8 || memcmp(version, "HTTP/", 5) != 0 || version[6] != '.' || version[5] < '0' ||
        version[5] > '9' || version[7] < '0' || version[7] > '9')
        return refuse(message, 400, "the request line does not end in HTTP/1.1");
    if (version[5] != '1' || version[7] > '1')
        return refuse(message, 505, "this version of HTTP is not served: use HTTP/1.1");
    if (method_length == 7 && memcmp(line, "CONNECT", 7) == 0)
        return refuse(message, 501, "this is no proxy: CONNECT is not served");
    if (target_length > target_bytes)
        return refuse(message, 414, "the request line is too long");
    for (size_t i = 0; i < target_length; i++)
        if ((unsigned char)target[i] <= 0x20 || (unsigned char)target[i] >= 0x7f || target[i] == '#')
            return refuse(message, 400, "the target holds a character that must be percent-encoded");
    if (*target != '/' &&
        !(target_length == 1 && *target == '*' && method_length == 7 && memcmp(line, "OPTIONS", 7) == 0))
        return refuse(message, 400, "the target is not a path that begins with /");
    return 0;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

char *request_head_split(const char *text, size_t length, const char **path, const char **query)
{
    char *target = mem_alloc(2 * length + 2), *decoded = target + length + 1, *out = decoded;
    const char *mark;
    size_t path_length;

    memcpy(target, text, length);
    target[length] = '\0';
    mark = memchr(target, '?', length);
    path_length = mark ? (size_t)(mark - target) : length;
    for (size_t i = 0; i < path_length; i++) {
        int high, low;

        *out = target[i];
        if (target[i] == '%') {
            high = i + 2 < path_length ? digit_of(target[i + 1]) : -1;
            low = high >= 0 ? digit_of(target[i + 2]) : -1;
            if (low < 0 || high + low == 0) {
                mem_free(target);
                return NULL;
            }
            *out = (char)(high * 16 + low);
            i += 2;
        }
        out++;
    }
    *out = '\0';
    *path = decoded;
    *query = mark ? mark + 1 : target + length;
    return target;
}

bool request_head_is_host(const char *host)
{
    static const char marks[] = "-._~%!$&'()*+,;=";
    const char *at = host, *end;

    if (*at == '[') {
        end = strchr(at, ']');
        if (!end || end == at + 1 || strspn(at + 1, "0123456789abcdefABCDEF:.") != (size_t)(end - at - 1))
            return false;
        at = end + 1;
    } else {
        while ((*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
               (*at && strchr(marks, *at)))
            at++;
        if (at == host)
            return false;
    }
    if (*at == ':')
        at += 1 + strspn(at + 1, "0123456789");
    return *at == '\0';
}

int request_head_check_host(const struct headers *headers, bool old, const char **message)
{
    size_t hosts = headers_count(headers, "host");

    if (hosts > 1 || (hosts == 0 && !old))
        return refuse(message, 400, "there must be exactly one host field");
    if (hosts && !request_head_is_host(headers_get(headers, "host")))
        return refuse(message, 400, "the host field is not a host");
    return 0;
}

int request_head_check_framing(const struct headers *headers, bool old, bool is_chunked, bool is_sized,
                               const char **message)
{
    const char *length = headers_get(headers, "content-length");
    const char *coding = headers_get(headers, "transfer-encoding");

    if (coding && length)
        return refuse(message, 400, "content-length and transfer-encoding exclude each other");
    if (headers_count(headers, "content-length") > 1 || headers_count(headers, "transfer-encoding") > 1)
        return refuse(message, 400, "the length of the body is given more than once");
    if (coding && (old || strcasecmp(coding, "chunked") != 0))
        return refuse(message, old ? 400 : 501, "the only transfer-encoding served is chunked, in HTTP/1.1");
    if (length && (!*length || length[strspn(length, "0123456789")]))
        return refuse(message, 400, "content-length is not a number");
    if ((coding != NULL) != is_chunked || (length != NULL) != is_sized)
        return refuse(message, 400, "the length of the body is not clear");
    return 0;
}
