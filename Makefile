# moongate: make targets
#
#   make            build/moongate
#   make run        build, then serve examples/quickstart on 127.0.0.1:8080
#   make test       every spec; the last line is `N passed, N failed`
#   make lint       luacheck, clang-format, clang-tidy
#   make asan       build/asan/moongate (ASan and UBSan), and every spec with it
#   make install    PREFIX=/usr/local, DESTDIR=
#   make clean      remove build/
#   make help       this text
#
# `make run` and `make test` install the Debian packages they miss.

PREFIX ?= /usr/local
CC = gcc
OUT ?= build
SANITIZE ?=

VERSION := 0.1.0
CFLAGS ?= -O2 -g
LLHTTP := /usr/share/llhttp
PACKAGES := libevent libevent_pthreads libcurl hiredis libcjson luajit sqlite3 libcrypto

WARN := -Wall -Wextra -Werror
DEFS := -std=c11 -D_GNU_SOURCE -DMOONGATE_VERSION='"$(VERSION)"' -DLLHTTP_STRICT_MODE=1
INCLUDES := -Icore -I/usr/include/cjson -I/usr/share/include/llhttp $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
LIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lpthread -lm
COMPILE = $(CC) $(DEFS) $(CFLAGS) $(SANITIZE) $(WARN) $(INCLUDES) -fPIC -MMD -MP

SOURCES := $(sort $(wildcard core/*.c core/*/*.c))
LUA := $(sort $(shell find lua policies -name '*.lua' -not -path 'lua/moongate/meta/*' -not -path 'lua/moongate/testing.lua' 2>/dev/null))
PAGES := $(sort $(wildcard core/dashboard/*))
OBJECTS := $(SOURCES:%.c=$(OUT)/%.o) $(OUT)/embedded.o $(OUT)/llhttp/llhttp.o $(OUT)/llhttp/api.o $(OUT)/llhttp/http.o
LIBRARY_OBJECTS := $(filter-out $(OUT)/core/main.o $(OUT)/core/verbs/%.o,$(OBJECTS))

.PHONY: all run test lint asan install clean help deps deps-test test-library

all: $(OUT)/moongate

$(OUT)/moongate: $(OBJECTS)
	$(CC) $(CFLAGS) $(SANITIZE) -rdynamic -o $@ $(OBJECTS) $(LIBS)

# The same objects as a library: specs call C modules in it through FFI. LuaJIT comes from the program that loads it.
test-library: $(OUT)/libmoongate-test.so
$(OUT)/libmoongate-test.so: $(LIBRARY_OBJECTS)
	$(CC) $(CFLAGS) $(SANITIZE) -shared -o $@ $(LIBRARY_OBJECTS) $(filter-out -lluajit-5.1,$(LIBS))

$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ $<

# Not our code: its warnings are its own.
$(OUT)/llhttp/%.o: $(LLHTTP)/%.c
	@mkdir -p $(@D)
	$(COMPILE) -w -c -o $@ $<

$(OUT)/embedded.c: core/embed.lua $(LUA)
	@mkdir -p $(@D)
	luajit core/embed.lua $@ $(LUA)
$(OUT)/embedded.o: $(OUT)/embedded.c
	$(COMPILE) -c -o $@ $<

-include $(OBJECTS:.o=.d)

clean:
	rm -rf build

help:
	@sed -n '/^#/!q;s/^# \{0,1\}//p' Makefile
