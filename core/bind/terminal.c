/*
 * terminal.c - moongate.core.terminal: a terminal as a screen of one's own, for
 * commands that show something live. However the program ends (but by SIGKILL),
 * the terminal is as it was before.
 */
#include "bind/bind.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <lauxlib.h>

#include "base/clock.h"

/* Another screen, no cursor, no wrapping; and back. */
static const char enter[] = "\033[?1049h\033[?25l\033[?7l\033[H\033[2J", leave[] = "\033[?7h\033[?25h\033[?1049l";
static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
enum { ENDS = sizeof ends / sizeof ends[0] };

/* A process has one terminal; signal handlers can reach nothing else. */
static struct termios before;
static volatile sig_atomic_t is_open, is_resized;

/* Safe in a signal handler. */
static void say(const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, text, length);

        if (written < 0 && errno != EINTR && errno != EAGAIN)
            return;
        text += written > 0 ? written : 0;
        length -= written > 0 ? (size_t)written : 0;
    }
}

static void go_in(void)
{
    struct termios raw = before;

    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    say(enter, sizeof enter - 1);
    is_open = 1;
}

static void go_out(void)
{
    if (!is_open)
        return;
    is_open = 0;
    say(leave, sizeof leave - 1);
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

static void on_end(int number)
{
    go_out();
    raise(number); /* the default by now, for SA_RESETHAND */
}

static void on_resize(int number)
{
    (void)number;
    is_resized = 1;
}

/* Ctrl-Z: the shell gets its terminal as it was, and lends it again later. */
static void on_stop(int number)
{
    int kept = errno;

    (void)number;
    go_out();
    raise(SIGSTOP);
    go_in();
    is_resized = 1;
    errno = kept;
}

static void handle(int number, void (*handler)(int), int flags)
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

    sigfillset(&action.sa_mask);
    for (int i = 0; i < ENDS && (flags & (int)SA_RESETHAND); i++)
        if (ends[i] == number)
            sigdelset(&action.sa_mask, number);
    sigaction(number, &action, NULL);
}

/* open(): true; false where input or output is no terminal */
static int terminal_open(lua_State *L)
{
    bool is_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;

    if (is_terminal) {
        for (int i = 0; i < ENDS; i++)
            handle(ends[i], on_end, (int)(SA_RESETHAND | SA_NODEFER));
        handle(SIGWINCH, on_resize, 0);
        handle(SIGTSTP, on_stop, 0);
        go_in();
    }
    lua_pushboolean(L, is_terminal);
    return 1;
}

static int terminal_close(lua_State *L)
{
    (void)L;
    go_out();
    return 0;
}

/* size(): columns and rows; 80 and 24 where nobody knows */
static int terminal_size(lua_State *L)
{
    struct winsize size = { 0 };

    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    lua_pushinteger(L, size.ws_col > 0 ? size.ws_col : 80);
    lua_pushinteger(L, size.ws_row > 0 ? size.ws_row : 24);
    return 2;
}

static int terminal_write(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);

    say(text, length);
    return 0;
}

/* wait(seconds): the bytes of a key; "" when the terminal has another size; nil when the time is over; false when it is
 * gone */
static int terminal_wait(lua_State *L)
{
    int64_t until = clock_monotonic_us() + (int64_t)(luaL_checknumber(L, 1) * 1e6);
    char bytes[16];

    for (;;) {
        struct pollfd input = { STDIN_FILENO, POLLIN, 0 };
        int64_t left_us = until - clock_monotonic_us();
        int found;

        if (is_resized) {
            is_resized = 0;
            lua_pushliteral(L, "");
            return 1;
        }
        if (left_us <= 0)
            return 0;
        found = poll(&input, 1, (int)(left_us / 1000) + 1);
        if (found > 0) {
            ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);

            if (count > 0)
                lua_pushlstring(L, bytes, (size_t)count);
            else
                lua_pushboolean(L, 0);
            return 1;
        }
    }
}

static const luaL_Reg functions[] = {
    { "open", terminal_open },   { "close", terminal_close }, { "size", terminal_size },
    { "write", terminal_write }, { "wait", terminal_wait },   { NULL, NULL },
};

int bind_terminal_module(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
