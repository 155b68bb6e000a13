-- A worker's parts for specs, through FFI: a loop, a Lua state whose requests wait until they are cancelled, callers on
-- socket pairs, and attempts that play scripted replies. Names that other specs may declare carry a prefix here.
local ffi = require "ffi"
local library = require "spec.support.library"
local wait = require "spec.support.wait"

jit.off() -- C calls back into Lua

if not pcall(ffi.typeof, "struct stage_worker") then
  ffi.cdef [[
    struct stage_worker {
      int index; void *gate, *loop, *vm, *upstream, *counters, *settings, **listeners; size_t listener_count;
      bool starved; void *sessions, *exchanges; size_t exchange_count, session_count; void *lingering;
      bool draining, running; int ticks_left; unsigned long thread;
    };
    struct stage_exchange {
      void *session; void (*on_drained)(void *); void *drained_arg; bool begun, answered, gone, private, full;
      int status; struct stage_worker *worker; struct stage_exchange *previous, *next; const void *request;
      void *task; void **handle; char id[127]; int64_t started_us;
    };
    struct stage_script {
      bool (*on_start)(struct stage_worker *); void (*on_settings)(struct stage_worker *, void *);
      void (*on_policies)(struct stage_worker *, void *); void (*on_request)(struct stage_exchange *);
      void (*on_refused)(struct stage_exchange *, int, const char *);
    };
    struct stage_headers { void *fields; size_t count, capacity; void *texts; };
    struct stage_buf { char *data; size_t length, capacity; };
    struct stage_piece { double delay_s; char *data; size_t length; };
    struct stage_reply {
      double delay_s; int status; struct stage_headers headers; struct stage_piece *pieces; size_t piece_count; int end;
    };
    struct stage_request {
      const char *method, *url; const struct stage_headers *headers; const char *body; size_t body_length;
      bool http2; double connect_s, first_byte_s, idle_s; const char *ca_file;
      bool is_stream;
    };
    struct stage_marks {
      char terminal[32], usage[32], error[32], finish[32], hollow[32], last[32], text[4][32], ends[4][32],
        failed[4][32], counts[4][32]; bool hide_usage, keep;
    };
    struct stage_bound { int64_t bytes, tokens; };
    struct stage_seen {
      bool terminal, finished, failed, spent, overfull; int64_t text_bytes, events;
      struct stage_buf usage, error, terminal_raw, held; int64_t held_bytes; struct stage_buf kept;
    };

    void *stage_mem_zero(size_t size) __asm__("mem_zero");
    char *stage_mem_copy(const void *data, size_t length) __asm__("mem_copy");
    void stage_mem_free(void *block) __asm__("mem_free");
    void *stage_loop_new(void) __asm__("loop_new");
    void stage_loop_run(void *loop) __asm__("loop_run");
    void stage_loop_stop(void *loop) __asm__("loop_stop");
    void *stage_loop_after(void *loop, double seconds, void (*on_elapsed)(void *), void *arg) __asm__("loop_after");
    void *stage_resolver_new(void) __asm__("resolver_new");
    void stage_resolver_free(void *resolver) __asm__("resolver_free");
    void stage_global_start(void) __asm__("upstream_global_start");
    void *stage_upstream_new(void *loop, void *resolver) __asm__("upstream_new");
    void *stage_settings_parse(const char *json) __asm__("settings_parse");
    void *stage_vm_new(void *owner) __asm__("vm_new");
    void *stage_vm_state(void *vm) __asm__("vm_state");
    void stage_vm_preload(void *vm, const char *module, int (*open)(void *)) __asm__("vm_preload");
    int stage_clock_module(void *L) __asm__("bind_clock_module");
    int stage_loadstring(void *L, const char *code) __asm__("luaL_loadstring");
    void stage_pushnil(void *L) __asm__("lua_pushnil");
    int stage_gc(void *L, int what, int data) __asm__("lua_gc");
    void stage_worker_free(struct stage_worker *worker) __asm__("worker_free");

    void stage_accept(struct stage_worker *worker, int descriptor, void *tls, const char *peer)
      __asm__("exchange_accept");
    void stage_begin(struct stage_exchange *, int status, struct stage_headers *) __asm__("exchange_begin");
    void stage_answer(struct stage_exchange *, int status, struct stage_headers *, const char *body, size_t length)
      __asm__("exchange_reply");
    void stage_finish(struct stage_exchange *) __asm__("exchange_finish");
    void stage_cut_all(struct stage_worker *worker) __asm__("exchange_cut_all");
    void stage_cancel_all(struct stage_worker *worker, const char *reason) __asm__("exchange_cancel_all");

    void stage_lines(void *attempt) __asm__("attempt_lines");
    void *stage_send(struct stage_worker *, const struct stage_request *, char *body, double deadline_s,
      double content_s)
      __asm__("attempt_send");
    void *stage_play(struct stage_worker *, struct stage_reply *, double deadline_s, double content_s)
      __asm__("attempt_play");
    void stage_close(void *attempt, bool nearly_over) __asm__("attempt_close");
    void stage_headers_add(struct stage_headers *, const char *name, const char *value) __asm__("headers_add");
    void stage_headers_free(struct stage_headers *) __asm__("headers_free");
    const char *stage_headers_get(const struct stage_headers *, const char *name) __asm__("headers_get");
    bool stage_await_head(void *attempt, void (*on_ready)(void *), void *) __asm__("attempt_await_head");
    bool stage_await_body(void *attempt, void (*on_ready)(void *), void *) __asm__("attempt_await_body");
    bool stage_await_event(void *attempt, void (*on_ready)(void *), void *) __asm__("attempt_await_event");
    bool stage_await_pipe(void *attempt, void (*on_ready)(void *), void *) __asm__("attempt_await_pipe");
    void stage_forget(void *attempt) __asm__("attempt_forget");
    void stage_content(void *attempt) __asm__("attempt_content");
    void *stage_signs_new(const struct stage_marks *) __asm__("signs_new");
    void stage_signs_drop(void *marks) __asm__("signs_drop");
    void stage_pipe(void *attempt, struct stage_exchange *, void *marks, const struct stage_bound *)
      __asm__("attempt_pipe");
    void stage_pipe_on(void *attempt, struct stage_exchange *, const struct stage_bound *) __asm__("attempt_pipe_on");
    void stage_unpipe(void *attempt) __asm__("attempt_unpipe");
    const char *stage_failure(const void *attempt) __asm__("attempt_failure");
    const char *stage_message(const void *attempt) __asm__("attempt_message");
    bool stage_is_over(const void *attempt) __asm__("attempt_is_over");
    int stage_status(const void *attempt) __asm__("attempt_status");
    const struct stage_headers *stage_headers(const void *attempt) __asm__("attempt_headers");
    const struct stage_buf *stage_body(const void *attempt) __asm__("attempt_body");
    bool stage_event(void *attempt, const char **name, size_t *name_length, const char **data, size_t *data_length,
                     const char **raw, size_t *raw_length) __asm__("attempt_event");
    const struct stage_seen *stage_piped(const void *attempt) __asm__("attempt_piped");

    int socketpair(int domain, int type, int protocol, int descriptors[2]);
    ssize_t stage_read(int descriptor, void *bytes, size_t count) __asm__("read");
    ssize_t stage_write(int descriptor, const void *bytes, size_t count) __asm__("write");
    int stage_close_descriptor(int descriptor) __asm__("close");
  ]]
end

local STREAM_NONBLOCK, TURN_S = 1 + 2048, 0.002

local stage = {}
stage.__index = stage

local attempt = {}
attempt.__index = attempt

local caller = {}
caller.__index = caller

function stage.text(buf) return buf.length > 0 and ffi.string(buf.data, buf.length) or "" end

local function string_or_nil(pointer) return pointer ~= nil and ffi.string(pointer) or nil end

--- An attempt's marks, as pipes share them: who has one may outlive what is answered here.
function stage.marks(options)
  local marks = ffi.new "struct stage_marks"
  for name, value in pairs(options) do
    if name == "terminal" and type(value) == "table" then name = "ends" end
    if type(value) == "table" then
      for i, text in ipairs(value) do marks[name][i - 1] = text end
    else
      marks[name] = value
    end
  end
  return ffi.gc(library.stage_signs_new(marks), library.stage_signs_drop)
end

stage.openai = {
  terminal = "[DONE]", usage = '"usage"', error = '"error"', finish = '"finish_reason"', hollow = '"choices"',
  text = { '"content"', '"arguments"' }, hide_usage = true,
}

--- What a pipe has seen, as a table.
function stage.seen(seen)
  return {
    terminal = seen.terminal, finished = seen.finished, failed = seen.failed, usage = stage.text(seen.usage),
    error = stage.text(seen.error), terminal_raw = stage.text(seen.terminal_raw),
    text_bytes = tonumber(seen.text_bytes), events = tonumber(seen.events), spent = seen.spent,
    held = stage.text(seen.held), held_bytes = tonumber(seen.held_bytes),
    kept = stage.text(seen.kept), overfull = seen.overfull,
  }
end

--- Begins a streamed answer.
function stage.begin(exchange)
  local headers = ffi.new "struct stage_headers"
  library.stage_begin(exchange, 200, headers)
  library.stage_headers_free(headers)
end

--- A worker with a loop and a Lua state.
function stage.open()
  local self = setmetatable({ callbacks = {}, attempts = {} }, stage)
  library.stage_global_start()
  self.worker = ffi.cast("struct stage_worker *", library.stage_mem_zero(ffi.sizeof "struct stage_worker"))
  self.worker.loop = library.stage_loop_new()
  self.worker.vm = library.stage_vm_new(self.worker)
  self.worker.settings = library.stage_settings_parse "{}"
  library.stage_vm_preload(self.worker.vm, "moongate.core.clock", library.stage_clock_module)
  self.script = ffi.new "struct stage_script"
  self.script.on_request = self:callback("void (*)(struct stage_exchange *)", function(exchange)
    local L = library.stage_vm_state(self.worker.vm)
    self.latest = exchange
    local fine, fault = true, nil
    if self.on_request then fine, fault = pcall(self.on_request, exchange) end
    ffi.C.stage_loadstring(L, "require('moongate.core.clock').sleep(math.huge)")
    ffi.C.stage_pushnil(L)
    if not fine then error(fault, 0) end
  end)
  self.script.on_refused = self:callback("void (*)(struct stage_exchange *, int, const char *)",
    function(exchange, status)
      local headers = ffi.new "struct stage_headers"
      library.stage_answer(exchange, status, headers, "", 0)
      library.stage_headers_free(headers)
    end)
  self.gate = ffi.new("const struct stage_script *[1]", { self.script })
  self.worker.gate = self.gate
  self.on_elapsed = self:callback("void (*)(void *)", function() library.stage_loop_stop(self.worker.loop) end)
  return self
end

-- An error must not pass through C: it is raised when the loop has stopped.
function stage:callback(kind, act)
  local callback = ffi.cast(kind, function(...)
    local ok, message = pcall(act, ...)
    if not ok then self.fault = self.fault or message end
  end)
  self.callbacks[#self.callbacks + 1] = callback
  return callback
end

--- Lets upstream calls go out too.
function stage:connect()
  self.resolver = library.stage_resolver_new()
  self.worker.upstream = library.stage_upstream_new(self.worker.loop, self.resolver)
end

--- Frees the worker, whatever it is doing.
function stage:close()
  library.stage_cut_all(self.worker)
  library.stage_worker_free(self.worker)
  if self.resolver then library.stage_resolver_free(self.resolver) end
  for _, callback in ipairs(self.callbacks) do callback:free() end
end

--- One short turn of the loop.
function stage:turn()
  library.stage_loop_after(self.worker.loop, TURN_S, self.on_elapsed, nil)
  library.stage_loop_run(self.worker.loop)
  local fault = self.fault
  self.fault = nil
  if fault then error(fault, 0) end
end

--- Lets the loop run until the condition holds.
function stage:run_until(condition, what)
  for _ = 1, 20000 * wait.slowness do
    if condition() then return end
    self:turn()
  end
  error("waited in vain for " .. (what or "a condition"))
end

function stage:collect()
  ffi.C.stage_gc(library.stage_vm_state(self.worker.vm), 2, 0)
end

--- A caller whose request is under way; its exchange lives until it is cancelled. `act(exchange)` runs on the request.
function stage:call(act)
  local pair = ffi.new "int[2]"
  assert(ffi.C.socketpair(1, STREAM_NONBLOCK, 0, pair) == 0)
  local one = setmetatable({ stage = self, descriptor = pair[1], received = {} }, caller)
  local request = "POST / HTTP/1.1\r\nhost: spec\r\ncontent-length: 0\r\n\r\n"
  self.on_request, self.latest = act, nil
  library.stage_accept(self.worker, pair[0], nil, "spec")
  ffi.C.stage_write(one.descriptor, request, #request)
  self:run_until(function() return self.latest end, "the request")
  one.exchange = self.latest
  return one
end

local bytes = ffi.new "char[65536]"

--- Reads what has come; false at the end of the connection.
function caller:read()
  while true do
    local count = tonumber(ffi.C.stage_read(self.descriptor, bytes, 65536))
    if count == 0 then return false end
    if count < 0 then return true end
    self.received[#self.received + 1] = ffi.string(bytes, count)
  end
end

--- Takes the chunks of a chunked body apart: its text, and whether the last chunk came.
function caller:body()
  local text = table.concat(self.received):match "\r\n\r\n(.*)$" or ""
  local parts, at = {}, 1
  while true do
    local size, behind = text:match("^(%x+)\r\n()", at)
    if not size then return table.concat(parts), false end
    if tonumber(size, 16) == 0 then return table.concat(parts), true end
    parts[#parts + 1] = text:sub(behind, behind + tonumber(size, 16) - 1)
    at = behind + tonumber(size, 16) + 2
  end
end

function caller:begin() stage.begin(self.exchange) end
function caller:finish() library.stage_finish(self.exchange) end

function caller:leave()
  if self.descriptor then ffi.C.stage_close_descriptor(self.descriptor) end
  self.descriptor = nil
end

local function remember(self)
  local one = setmetatable({ stage = self, calls = 0 }, attempt)
  one.on_ready = self:callback("void (*)(void *)", function()
    one.calls = one.calls + 1
    if one.act then one.act(one) end
  end)
  return one
end

--- Plays { status=, delay_s=, fields={{name, value}}, pieces={text or {delay_s, text}}, cut=, deadline_s=,
--- content_s=, lines= }.
function stage:play(options)
  local one = remember(self)
  local reply = ffi.cast("struct stage_reply *", library.stage_mem_zero(ffi.sizeof "struct stage_reply"))
  local pieces = options.pieces or {}
  reply.status, reply.delay_s, reply["end"] = options.status or 200, options.delay_s or 0, options.cut and 7 or 0
  for _, field in ipairs(options.fields or {}) do library.stage_headers_add(reply.headers, field[1], field[2]) end
  reply.pieces = library.stage_mem_zero(math.max(1, #pieces) * ffi.sizeof "struct stage_piece")
  reply.piece_count = #pieces
  for i, piece in ipairs(pieces) do
    if type(piece) == "string" then piece = { 0, piece } end
    reply.pieces[i - 1].delay_s, reply.pieces[i - 1].length = piece[1], #piece[2]
    reply.pieces[i - 1].data = library.stage_mem_copy(piece[2], #piece[2])
  end
  one.handle = library.stage_play(self.worker, reply, options.deadline_s or 60, options.content_s or 0)
  if options.lines then library.stage_lines(one.handle) end
  return one
end

--- Sends a POST; see `connect`.
function stage:send(url, body)
  local one = remember(self)
  local request = ffi.new("struct stage_request", {
    method = "POST", url = url, headers = ffi.new "struct stage_headers", body = body, body_length = #body,
    connect_s = 20, first_byte_s = 20, idle_s = 20,
  })
  one.handle = library.stage_send(self.worker, request, library.stage_mem_copy(body, #body), 60, 0)
  return one
end

-- Asks, and lets the loop run until what was asked for is there. Tells whether it was there at once.
local function await(self, name)
  local before = self.calls
  local at_once = library["stage_await_" .. name](self.handle, self.on_ready, nil)
  if not at_once then self.stage:run_until(function() return self.calls > before end, name) end
  return at_once
end

--- Asks without waiting: true if it is there. Else `calls` grows once it is, and `act` is called.
function attempt:ask(name) return library["stage_await_" .. name](self.handle, self.on_ready, nil) end

function attempt:head()
  await(self, "head")
  local status = library.stage_status(self.handle)
  return status ~= 0 and status or nil
end

function attempt:header(name)
  return string_or_nil(library.stage_headers_get(library.stage_headers(self.handle), name))
end

function attempt:body()
  await(self, "body")
  return stage.text(library.stage_body(self.handle))
end

local names = { ffi.new "const char *[1]", ffi.new "const char *[1]", ffi.new "const char *[1]" }
local sizes = { ffi.new "size_t[1]", ffi.new "size_t[1]", ffi.new "size_t[1]" }

--- The event that is there, or nil.
function attempt:taken()
  if not library.stage_event(self.handle, names[1], sizes[1], names[2], sizes[2], names[3], sizes[3]) then return end
  local texts = {}
  for i = 1, 3 do texts[i] = names[i][0] ~= nil and ffi.string(names[i][0], sizes[i][0]) or nil end
  return { name = texts[1] or "", data = texts[2], raw = texts[3] }
end

function attempt:event()
  await(self, "event")
  return self:taken()
end

--- The data of all events to come.
function attempt:events()
  local list = {}
  while true do
    local event = self:event()
    if not event then return list end
    list[#list + 1] = event.data
  end
end

--- What a stream may still say.
function stage.bound(text, tokens) return text and ffi.new("struct stage_bound", text, tokens or 1e9) or nil end

function attempt:pipe(one, options, text, tokens)
  library.stage_pipe(self.handle, one.exchange, stage.marks(options or stage.openai), stage.bound(text, tokens))
end

function attempt:pipe_on(one, text, tokens)
  library.stage_pipe_on(self.handle, one.exchange, stage.bound(text, tokens))
end

--- Waits for the pipe's end, and lets the exchange go.
function attempt:piped()
  await(self, "pipe")
  library.stage_unpipe(self.handle)
  return self:seen()
end

function attempt:seen() return stage.seen(library.stage_piped(self.handle)) end
function attempt:unpipe() library.stage_unpipe(self.handle) end
function attempt:content() library.stage_content(self.handle) end
function attempt:forget() library.stage_forget(self.handle) end
function attempt:failure() return string_or_nil(library.stage_failure(self.handle)) end
function attempt:message() return string_or_nil(library.stage_message(self.handle)) end
function attempt:is_over() return library.stage_is_over(self.handle) end

function attempt:close(nearly_over)
  library.stage_close(self.handle, nearly_over or false)
  self.handle = nil
end

return stage
