# moongate: make targets
#
#   make            build/moongate
#   make run        build, then serve examples/quickstart on 127.0.0.1:8080
#   make test       every spec (SPECS=spec/store: those below); the last line is `N passed, N failed`
#   make lint       luacheck, clang-format, clang-tidy
#   make asan       build/asan/moongate (ASan and UBSan), and every spec with it
#   make fuzz       libFuzzer on all that reads bytes from outside; FUZZ_SECONDS=60 a target, FUZZ_TARGETS="request sse"
#   make valgrind   a few specs, or those of SPECS (SPECS=spec: all, for an hour or two), with gateway and C modules under memcheck
#   make soak       load, failures, reloads, a kill, 10,000 streams; then memory, descriptors, books (SOAK_SECONDS=30)
#   make bench      moongate against nginx, HAProxy and nginx with Lua: see spec/bench/README.md
#                   (BENCH_QUICK=1: a smoke run; BENCH_ONLY=1k,tls: those scenarios)
#   make profile    where a request's instructions go, below valgrind (PROFILE_BODY=32k, PROFILE_LINES=80)
#   make bench-growth   what grows with models, keys, streams, rows and bodies (BENCH_ROWS=10000000: more rows)
#   make install    PREFIX=/usr/local, DESTDIR=: binary, policies, examples, man page, a service of systemd
#   make uninstall  takes it away again, with the same PREFIX and DESTDIR; configuration and state stay
#   make deb        build/moongate_VERSION_ARCH.deb, with the same (DEBFULLNAME, DEBEMAIL: its maintainer)
#   make clean      remove build/
#   make help       this text
#
# `make run` and `make test` install the Debian packages they miss.

PREFIX ?= /usr/local
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
CC = gcc
OUT ?= build
SANITIZE ?=

VERSION := 0.1.0
CFLAGS ?= -O2 -g
LLHTTP := /usr/share/llhttp
PACKAGES := libevent libevent_pthreads libcurl hiredis libcjson luajit sqlite3 libssl libcrypto

WARN := -Wall -Wextra -Werror
DEFS := -std=c11 -D_GNU_SOURCE -DMOONGATE_VERSION='"$(VERSION)"' -DLLHTTP_STRICT_MODE=1
INCLUDES := -Icore -I/usr/include/cjson -I/usr/share/include/llhttp $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
LIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lpthread -lm
# One short line a file; `make V=1` shows the commands.
QUIET = $(if $(V),,@echo "  $@";)
# For the library's sake, but nobody takes the place of a function of ours.
POSITION := -fPIC -fno-semantic-interposition -fno-plt
COMPILE = $(CC) $(DEFS) $(CFLAGS) $(SANITIZE) $(WARN) $(INCLUDES) $(POSITION) -MMD -MP
# The program is optimised as a whole; what else is made of its objects takes each as it is by itself.
WHOLE := $(if $(SANITIZE)$(findstring clang,$(CC)),,-flto=auto)
COMPILE_PART = $(COMPILE) $(WHOLE:%=% -ffat-lto-objects)

SOURCES := $(sort $(wildcard core/*.c core/*/*.c))
LUA := $(sort $(shell find lua policies -name '*.lua' -not -path 'lua/moongate/meta/*' -not -path 'lua/moongate/testing*' 2>/dev/null))
SCRIPTS := $(sort $(wildcard core/store/redis_scripts/*.lua))
PAGES := $(sort $(wildcard core/dashboard/*))
OBJECTS := $(SOURCES:%.c=$(OUT)/%.o) $(OUT)/embedded.o $(OUT)/redis_scripts.o $(OUT)/llhttp/llhttp.o $(OUT)/llhttp/api.o $(OUT)/llhttp/http.o
LIBRARY_OBJECTS := $(filter-out $(OUT)/core/main.o $(OUT)/core/verbs/%.o,$(OBJECTS))

.PHONY: all run test specs lint asan fuzz fuzz-targets soak valgrind install uninstall deb clean help deps deps-test deps-lint deps-fuzz \
	deps-valgrind test-library \
	lint-lua lint-format lint-c

all: $(OUT)/moongate

$(OUT)/moongate: $(OBJECTS)
	$(QUIET)$(CC) $(CFLAGS) $(SANITIZE) $(WHOLE) -o $@ $(OBJECTS) $(LIBS)

# The same objects as a library: specs call C modules in it through FFI. LuaJIT comes from the program that loads it.
test-library: $(OUT)/libmoongate-test.so
$(OUT)/libmoongate-test.so: $(LIBRARY_OBJECTS)
	$(QUIET)$(CC) $(CFLAGS) $(SANITIZE) -fno-lto -shared -Wl,-z,nodelete -o $@ $(LIBRARY_OBJECTS) $(filter-out -lluajit-5.1,$(LIBS))

$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(QUIET)$(COMPILE_PART) -c -o $@ $<

# Not our code: its warnings are its own.
$(OUT)/llhttp/%.o: $(LLHTTP)/%.c
	@mkdir -p $(@D)
	$(QUIET)$(COMPILE_PART) -w -c -o $@ $<

$(OUT)/embedded.c: core/embed.lua $(LUA) $(PAGES)
	@mkdir -p $(@D)
	$(QUIET)luajit core/embed.lua $@ $(LUA) $(PAGES)
$(OUT)/redis_scripts.c: core/embed.lua $(SCRIPTS)
	@mkdir -p $(@D)
	$(QUIET)luajit core/embed.lua redis $@ $(SCRIPTS)
$(OUT)/embedded.o $(OUT)/redis_scripts.o: %.o: %.c
	$(QUIET)$(COMPILE_PART) -c -o $@ $<

-include $(OBJECTS:.o=.d) $(wildcard $(OUT)/spec/fuzz/*.d)

# ---- what builds and specs need from Debian ----

BUILD_NEEDS := gcc libc6-dev pkg-config libevent-dev libcurl4-openssl-dev libhiredis-dev libcjson-dev libluajit-5.1-dev \
	luajit libsqlite3-dev libssl-dev node-llhttp tzdata ca-certificates curl
TEST_NEEDS := $(BUILD_NEEDS) lua-busted lua-check lua-dkjson lua-filesystem lua-socket openssl procps redis-server \
	chromium fonts-dejavu-core
LINT_NEEDS := $(BUILD_NEEDS) lua-check clang-format clang-tidy
FUZZ_NEEDS := $(BUILD_NEEDS) clang libclang-rt-dev lua-socket

# Installs those of $(1) that are missing, as root or through sudo; else says what to type.
define install_missing
	@command -v dpkg-query >/dev/null || { echo "Not a Debian system: have these ready yourself: $(strip $(1))"; exit 0; }; \
	have=$$(dpkg-query -W -f='$${db:Status-Status} $${Package}\n' $(1) 2>/dev/null | sed -n 's/^installed //p'); \
	missing=$$(for package in $(1); do echo "$$have" | grep -qxF "$$package" || echo "$$package"; done | xargs); \
	[ -n "$$missing" ] || exit 0; \
	install="env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing"; \
	if [ "$$(id -u)" = 0 ]; then as=; elif command -v sudo >/dev/null; then as=sudo; else \
		echo "These Debian packages are missing. As root, type:"; \
		echo "  apt-get install --no-install-recommends $$missing"; exit 1; fi; \
	echo "Installing $$missing"; \
	$$as $$install >/dev/null 2>&1 || { $$as apt-get update -qq && $$as $$install >/dev/null; }
endef

deps:
	$(call install_missing,$(BUILD_NEEDS))

# A node and an npm of one's own are as good as Debian's.
deps-test:
	$(call install_missing,$(TEST_NEEDS) $$(command -v node >/dev/null || echo nodejs) $$(command -v npm >/dev/null || echo npm))

deps-lint:
	$(call install_missing,$(LINT_NEEDS))

deps-valgrind:
	$(call install_missing,$(TEST_NEEDS) valgrind)

deps-fuzz:
	$(call install_missing,$(FUZZ_NEEDS))

# The SDKs that spec/sdk drives, and what spec/browser drives a browser with, as their lock files pin them.
NODE_NEEDS := spec/sdk/node_modules/.package-lock.json spec/browser/node_modules/.package-lock.json
$(NODE_NEEDS): %/node_modules/.package-lock.json: %/package-lock.json
	@cd $* && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && touch node_modules/.package-lock.json

# promtool alone, out of Debian's package, which is not installed: that would start a server. Where it cannot be had,
# what it checks is pending.
PROMTOOL := $(or $(shell command -v promtool),build/promtool/promtool)
build/promtool/promtool:
	@mkdir -p $(@D); cd $(@D) && fetch="timeout 60 apt-get download -qq prometheus"; \
	{ $$fetch || { timeout 60 apt-get update -qq && $$fetch; }; } >/dev/null 2>&1 \
	&& dpkg-deb --fsys-tarfile prometheus_*.deb | tar -xO ./usr/bin/promtool >new && chmod +x new && mv new promtool; \
	rm -f new prometheus_*.deb

# ---- run, test, lint, asan, install ----

# Below, make is called anew: what pkg-config says is only known once the packages are there.
BUILD = +@$(MAKE) -s -j$$(nproc)

run: deps
	$(BUILD) all
	@exec $(OUT)/moongate serve -c examples/quickstart/moongate.lua

test: deps-test
	$(BUILD) specs

# The specs' LuaJIT is not built with the sanitizers, so their library is loaded into it first; LuaJIT's own memory
# would count as leaks. The gateway's leaks do count: spec/support/gateway.lua asks for them. (gcc warns of null formats
# that only the sanitizer's own checks make thinkable.)
asan: deps-test
	$(BUILD) OUT=build/asan CFLAGS='-O1 -g' \
		SANITIZE='-fsanitize=address,undefined -fno-omit-frame-pointer -Wno-format-truncation' \
		MOONGATE_PRELOAD=$$($(CC) -print-file-name=libasan.so):$$($(CC) -print-file-name=libubsan.so) \
		ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 specs

specs: export MOONGATE_BINARY = $(OUT)/moongate
specs: export MOONGATE_TEST_LIBRARY = $(OUT)/libmoongate-test.so
specs: export MOONGATE_TEST_ECHO = $(OUT)/spec/echo
specs: export MOONGATE_TEST_CLOCK = $(OUT)/spec/clock.so
specs: export MOONGATE_TEST_COSTS = $(OUT)/spec/costs.so
specs: export MOONGATE_BENCH = $(OUT)/bench
specs: export MOONGATE_PROMTOOL = $(PROMTOOL)
specs: all test-library $(NODE_NEEDS) $(PROMTOOL)
	@luajit spec/run.lua $(SPECS)

# What specs drive besides the gateway: a server that is nothing but the edge; a clock that can be shifted, a count of
# what a request costs, and faults in system calls and allocations, to be preloaded; the two ends of the benchmark.
test-library: $(OUT)/spec/echo $(OUT)/spec/clock.so $(OUT)/spec/costs.so $(OUT)/spec/faults.so $(OUT)/spec/hunger.so $(OUT)/bench/mock $(OUT)/bench/load
$(OUT)/spec/echo: spec/net/echo.c $(OUT)/libmoongate-test.so
	@mkdir -p $(@D)
	$(COMPILE) -o $@ $^ -lluajit-5.1 -lpthread -Wl,-rpath,'$$ORIGIN/..'
$(OUT)/spec/%.so: spec/support/%.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(CFLAGS) $(WARN) -fPIC -shared -o $@ $<

# ---- fuzz ----

# Targets in C have a file of their own; those in Lua are lua.c with a script and a word for it.
FUZZED := request reply head sse json_scan limits config policies imports openai openai_responses anthropic gemini ollama
FUZZ_OBJECTS := $(FUZZED:%=$(OUT)/spec/fuzz/%.o)
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= $(FUZZED)

$(OUT)/spec/fuzz/%.o: spec/fuzz/%.c
	@mkdir -p $(@D)
	$(QUIET)$(COMPILE) -c -o $@ $<
$(OUT)/spec/fuzz/limits.o $(OUT)/spec/fuzz/config.o $(OUT)/spec/fuzz/policies.o $(OUT)/spec/fuzz/imports.o: \
$(OUT)/spec/fuzz/%.o: spec/fuzz/lua.c
	@mkdir -p $(@D)
	$(QUIET)$(COMPILE) -DFUZZ_SCRIPT='"spec/fuzz/$*.lua"' -DFUZZ_WORD='""' -c -o $@ $<
$(OUT)/spec/fuzz/openai.o $(OUT)/spec/fuzz/openai_responses.o $(OUT)/spec/fuzz/anthropic.o $(OUT)/spec/fuzz/gemini.o \
$(OUT)/spec/fuzz/ollama.o: $(OUT)/spec/fuzz/%.o: spec/fuzz/lua.c
	@mkdir -p $(@D)
	$(QUIET)$(COMPILE) -DFUZZ_SCRIPT='"spec/fuzz/protocol.lua"' -DFUZZ_WORD='"$*"' -c -o $@ $<

# For `make test`: no clang, a plain main, the kept inputs once each.
test-library: $(FUZZED:%=$(OUT)/spec/fuzz/%)
$(FUZZED:%=$(OUT)/spec/fuzz/%): $(OUT)/spec/fuzz/%: $(OUT)/spec/fuzz/%.o $(OUT)/spec/fuzz/replay.o $(OUT)/libmoongate-test.so
	$(QUIET)$(CC) $(CFLAGS) $(SANITIZE) -rdynamic -o $@ $^ $(LIBS) -Wl,-rpath,'$$ORIGIN/../..'

# For `make fuzz`: of the library only what a target needs, so that the coverage told is that of what it tries.
fuzz-targets: $(FUZZ_TARGETS:%=$(OUT)/fuzz-%)
$(OUT)/library.a: $(LIBRARY_OBJECTS)
	$(QUIET)rm -f $@ && ar rcs $@ $(LIBRARY_OBJECTS)
$(OUT)/fuzz-%: $(OUT)/spec/fuzz/%.o $(OUT)/library.a
	$(QUIET)$(CC) $(CFLAGS) $(SANITIZE) -fsanitize=fuzzer -rdynamic -o $@ $^ $(LIBS)
.SECONDARY: $(FUZZ_OBJECTS)

fuzz: deps-fuzz
	$(BUILD) OUT=build/fuzz CC=clang CFLAGS='-O1 -g' WARN=-w DEFS='$(DEFS) -DFUZZ_COVERAGE' \
		SANITIZE='-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined -fno-omit-frame-pointer' \
		FUZZ_TARGETS='$(FUZZ_TARGETS)' fuzz-targets
	@luajit spec/fuzz/run.lua $(FUZZ_SECONDS) $(FUZZ_TARGETS)

# ---- valgrind ----

# The gateway and its commands run under memcheck, or the spec itself where it calls C modules; specs that cannot hold
# there are left out (spec/support/valgrind.lua). LuaJIT reads strings word by word, on purpose past their ends: that
# alone is suppressed.
VALGRIND := valgrind --quiet --vgdb=no --error-exitcode=98 --leak-check=full --errors-for-leak-kinds=definite --num-callers=24 \
	--suppressions=$(CURDIR)/spec/support/valgrind.supp
VALGRIND_SPECS := chat input stream attacks cors
valgrind: deps-valgrind
	$(BUILD) MOONGATE_UNDER='$(VALGRIND)' SPECS='$(or $(SPECS),$(VALGRIND_SPECS:%=spec/gateway/%_spec.lua))' specs

# ---- soak ----

soak: deps-test
	$(BUILD) all
	@luajit spec/bench/soak.lua
# ---- benchmarks ----

BASE_OBJECTS := $(filter $(OUT)/core/base/%,$(OBJECTS))
$(OUT)/bench/mock: spec/bench/mock.c $(BASE_OBJECTS)
$(OUT)/bench/load: spec/bench/load.c spec/bench/answer.c spec/bench/samples.c $(BASE_OBJECTS)
$(OUT)/bench/mock $(OUT)/bench/load: $(wildcard spec/bench/*.h)
	@mkdir -p $(@D)
	$(COMPILE) -Ispec/bench -o $@ $(filter-out %.h,$^)

BENCH_NEEDS := $(BUILD_NEEDS) lua-dkjson lua-filesystem lua-socket openssl sqlite3
BENCH_PROGRAMS := $(OUT)/moongate $(OUT)/bench/mock $(OUT)/bench/load
.PHONY: bench bench-growth bench-programs deps-bench
deps-bench:
	$(call install_missing,$(BENCH_NEEDS))
bench-programs: $(BENCH_PROGRAMS)

# The peers are Debian's, unpacked below build/bench and never installed: no service is started, and nginx's Lua, which
# would put libluajit-5.1-dev out, stands beside it.
bench bench-growth: deps-bench
	$(BUILD) bench-programs
	@MOONGATE_BINARY=$(OUT)/moongate MOONGATE_BENCH=$(OUT)/bench luajit -joff \
		spec/bench/$(if $(filter bench,$@),run,growth).lua

.PHONY: profile deps-profile
deps-profile:
	$(call install_missing,$(BENCH_NEEDS) valgrind)
profile: deps-profile
	$(BUILD) bench-programs
	@MOONGATE_BINARY=$(OUT)/moongate MOONGATE_BENCH=$(OUT)/bench luajit -joff spec/bench/profile.lua

lint: deps-lint
	$(BUILD) -k lint-lua lint-format lint-c

lint-lua:
	@luacheck --quiet --codes lua policies examples spec

lint-format:
	@clang-format --dry-run -Werror $$(find core spec -name node_modules -prune -o -name '*.[ch]' -print)

TIDIED := $(patsubst %,tidy/%,$(SOURCES) $(wildcard spec/*/*.c))
.PHONY: $(TIDIED)
lint-c: $(TIDIED)
$(TIDIED): tidy/%:
	@clang-tidy --quiet $* -- $(DEFS) $(INCLUDES) 2>/dev/null

# An operator's configuration is never written over. The binary is replaced by renaming: one that runs stays as it is.
install: all
	install -D -m 755 $(OUT)/moongate $(DESTDIR)$(PREFIX)/bin/moongate.new
	mv -f $(DESTDIR)$(PREFIX)/bin/moongate.new $(DESTDIR)$(PREFIX)/bin/moongate
	for file in $$(find lua policies examples -type f -not -path 'examples/debian/*'); do \
		install -D -m 644 $$file $(DESTDIR)$(PREFIX)/share/moongate/$$file || exit 1; done
	install -D -m 644 examples/systemd/moongate.8 $(DESTDIR)$(PREFIX)/share/man/man8/moongate.8
	install -D -m 644 examples/systemd/moongate.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/moongate.conf
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	for unit in moongate.service moongate.socket; do \
		sed 's|@BINDIR@|$(PREFIX)/bin|; s|@SYSCONFDIR@|$(SYSCONFDIR)|' examples/systemd/$$unit \
			>$(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit || exit 1; done
	install -d -m 755 $(DESTDIR)$(SYSCONFDIR)/moongate
	[ -e $(DESTDIR)$(SYSCONFDIR)/moongate/moongate.lua ] || \
		sed 's|/etc/moongate|$(SYSCONFDIR)/moongate|g' examples/systemd/moongate.conf.lua \
			>$(DESTDIR)$(SYSCONFDIR)/moongate/moongate.lua
	[ -e $(DESTDIR)$(SYSCONFDIR)/moongate/moongate.env ] || \
		install -m 600 examples/systemd/moongate.env $(DESTDIR)$(SYSCONFDIR)/moongate/moongate.env

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/moongate $(DESTDIR)$(PREFIX)/share/man/man8/moongate.8 \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d/moongate.conf $(DESTDIR)$(PREFIX)/lib/systemd/system/moongate.service \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/moongate.socket
	rm -rf $(DESTDIR)$(PREFIX)/share/moongate

# Made anew each time, in a folder of its own. Who answers for it is asked of the environment, as Debian's own tools do.
DEB := $(OUT)/deb
DEBFULLNAME ?= moongate
DEBEMAIL ?= $(shell id -un)@$(shell hostname -f 2>/dev/null || echo localhost)
deb: all
	rm -rf $(DEB)
	$(MAKE) -s install PREFIX=/usr SYSCONFDIR=/etc DESTDIR=$(DEB)
	strip --strip-unneeded $(DEB)/usr/bin/moongate
	gzip -9n $(DEB)/usr/share/man/man8/moongate.8
	install -d $(DEB)/DEBIAN $(DEB)/usr/share/doc/moongate
	printf 'moongate (%s) stable; urgency=low\n\n  * As its README tells.\n\n -- %s <%s>  %s\n' $(VERSION) \
		'$(DEBFULLNAME)' '$(DEBEMAIL)' "$$(date -R -d @$${SOURCE_DATE_EPOCH:-0})" | gzip -9n >$(DEB)/usr/share/doc/moongate/changelog.gz
	install -m 644 examples/debian/copyright $(DEB)/usr/share/doc/moongate/copyright
	install -m 755 examples/debian/postinst examples/debian/prerm examples/debian/postrm $(DEB)/DEBIAN
	install -m 644 examples/debian/conffiles $(DEB)/DEBIAN
	sed -e "s|@VERSION@|$(VERSION)|; s|@ARCH@|$$(dpkg --print-architecture)|" \
		-e 's|@MAINTAINER@|$(DEBFULLNAME) <$(DEBEMAIL)>|' examples/debian/control >$(DEB)/DEBIAN/control
	dpkg-deb --root-owner-group --build $(DEB) $(OUT)/moongate_$(VERSION)_$$(dpkg --print-architecture).deb

clean:
	rm -rf build

help:
	@sed -n '/^#/!q;s/^# \{0,1\}//p' Makefile
