/*
 * json_window.h - where strings end: a part of json_scan.c and json_skip.c. Of
 * 64 bytes at a time all is found at once, so that from the end of one short
 * string to that of the next nothing has to be loaded and waited for.
 */
#ifndef BASE_JSON_WINDOW_H
#define BASE_JSON_WINDOW_H

#include <stddef.h>
#include <stdint.h>
enum { JSON_WINDOW = 64 };

struct json_window {
    size_t number;  /* of the window, from the text's beginning */
    uint64_t stops; /* a bit for each byte that ends a string or is not to be in one, or a backslash */
};

/* Which stands nowhere yet. */
#define JSON_WINDOW_NONE ((struct json_window){ SIZE_MAX, 0 })

/* The stops of a window of the text. */
uint64_t json_window_stops(const char *text, size_t length, size_t number);

/* The first stop from `from` on, or a place before it, but not in the same window; length: it may be that there is
 * none. */
static inline __attribute__((always_inline)) size_t json_window_next(struct json_window *window, const char *text,
                                                                     size_t length, size_t from)
{
    size_t number = from / JSON_WINDOW;
    uint64_t left;

    if (number != window->number)
        *window = (struct json_window){ number, json_window_stops(text, length, number) };
    left = window->stops >> from % JSON_WINDOW;
    if (left)
        return from + (unsigned)__builtin_ctzll(left);
    from = ++number * JSON_WINDOW;
    if (from >= length)
        return length;
    *window = (struct json_window){ number, json_window_stops(text, length, number) };
    return from + (unsigned)(window->stops ? __builtin_ctzll(window->stops) : JSON_WINDOW - 1);
}

#endif
