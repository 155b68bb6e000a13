-- Transfers for specs: a loop, a resolver and upstream calls through FFI, with hooks that are Lua functions.
-- Names that other specs may declare in their own way carry a prefix here.
local ffi = require "ffi"
local library = require "spec.support.library"
local wait = require "spec.support.wait"

jit.off() -- C calls back into Lua

if not pcall(ffi.typeof, "struct calls_hooks") then
  ffi.cdef [[
    struct calls_field { const char *name; const char *value; };
    struct calls_headers { struct calls_field *fields; size_t count, capacity; void *texts; };
    struct calls_hooks {
      void (*on_sent)(void *arg);
      void (*on_head)(void *arg, int status, const struct calls_headers *headers);
      void (*on_data)(void *arg, const char *data, size_t length);
      void (*on_end)(void *arg, int end, const char *message);
    };
    struct calls_request {
      const char *method; const char *url; const struct calls_headers *headers; const char *body; size_t body_length;
      bool http2; double connect_s; double first_byte_s; double idle_s; const char *ca_file;
      bool is_stream;
    };
    struct calls_piece { double delay_s; char *data; size_t length; };
    struct calls_reply {
      double delay_s; int status; struct calls_headers headers; struct calls_piece *pieces; size_t piece_count; int end;
    };
    void *calls_loop_new(void) __asm__("loop_new");
    void calls_loop_free(void *loop) __asm__("loop_free");
    void calls_loop_run(void *loop) __asm__("loop_run");
    void calls_loop_stop(void *loop) __asm__("loop_stop");
    void *calls_loop_after(void *loop, double seconds, void (*on_elapsed)(void *), void *arg) __asm__("loop_after");
    void calls_loop_forget(void *timer) __asm__("loop_forget");
    void *calls_resolver_new(void) __asm__("resolver_new");
    void calls_resolver_free(void *resolver) __asm__("resolver_free");
    void calls_headers_add(struct calls_headers *headers, const char *name, size_t name_length, const char *value,
                           size_t value_length) __asm__("headers_add_bytes");
    void calls_headers_free(struct calls_headers *headers) __asm__("headers_free");
    void calls_pause(void *transfer) __asm__("transfer_pause");
    void calls_resume(void *transfer) __asm__("transfer_resume");
    void calls_cancel(void *transfer) __asm__("transfer_cancel");
    const char *calls_end_name(int end) __asm__("transfer_end_name");
    void calls_global_start(void) __asm__("upstream_global_start");
    void *calls_upstream_new(void *loop, void *resolver) __asm__("upstream_new");
    void calls_upstream_free(void *upstream) __asm__("upstream_free");
    void *calls_send(void *upstream, const struct calls_request *request, const struct calls_hooks *hooks,
                     void *arg) __asm__("upstream_send");
    void *calls_play(void *loop, struct calls_reply *reply, const struct calls_hooks *hooks,
                     void *arg) __asm__("canned_play");
    void *calls_alloc(size_t size) __asm__("mem_zero");
    char *calls_copy(const void *data, size_t length) __asm__("mem_copy");
  ]]
end

local BOUND_S = 20 * wait.slowness

local calls = {}
calls.__index = calls

local transfer = {}
transfer.__index = transfer

function transfer:pause() library.calls_pause(self.handle) end
function transfer:resume() library.calls_resume(self.handle) end
function transfer:cancel() library.calls_cancel(self.handle) end

local known = {}

-- An error must not pass through C: it is kept, and raised when the loop has stopped.
local function guarded(name, act)
  return function(arg, ...)
    local self = known[tonumber(ffi.cast("intptr_t", arg))]
    local ok, message = pcall(function(...)
      act(self, ...)
      if self[name] then self[name](self, ...) end
    end, ...)
    if ok then return end
    self.calls.fault = message
    library.calls_loop_stop(self.calls.loop)
  end
end

local hooks = ffi.new("struct calls_hooks", {
  on_sent = guarded("on_sent", function(self)
    assert(not self.status and not self.is_sent, "a body is sent once, and told before the head")
    self.is_sent = true
  end),
  on_head = guarded("on_head", function(self, status, headers)
    assert(not self.status, "a second head")
    self.status, self.headers = status, {}
    for i = 0, tonumber(headers.count) - 1 do
      self.headers[ffi.string(headers.fields[i].name):lower()] = ffi.string(headers.fields[i].value)
    end
  end),
  on_data = guarded("on_data", function(self, data, length)
    assert(self.status, "data before the head")
    self.length = self.length + tonumber(length)
    self.count = self.count + 1
    if self.keep ~= false then self.pieces[#self.pieces + 1] = ffi.string(data, length) end
  end),
  on_end = guarded("on_end", function(self, code, message)
    assert(not self.ended, "a second end")
    self.ended, self.message = ffi.string(library.calls_end_name(code)), ffi.string(message)
    self.body = table.concat(self.pieces)
    library.calls_loop_stop(self.calls.loop)
  end),
})

local function remember(self, options)
  local one = setmetatable(options, transfer)
  one.calls, one.pieces, one.length, one.count = self, {}, 0, 0
  known[#known + 1] = one
  return one, ffi.cast("void *", ffi.cast("intptr_t", #known))
end

--- A loop with upstream calls on it.
function calls.open()
  library.calls_global_start()
  local self = setmetatable({}, calls)
  self.loop = library.calls_loop_new()
  self.resolver = library.calls_resolver_new()
  self.upstream = library.calls_upstream_new(self.loop, self.resolver)
  self.on_elapsed = ffi.cast("void (*)(void *)", function() library.calls_loop_stop(self.loop) end)
  return self
end

function calls:close()
  library.calls_upstream_free(self.upstream)
  library.calls_resolver_free(self.resolver)
  library.calls_loop_free(self.loop)
  self.on_elapsed:free()
end

local function fill(headers, fields)
  for _, field in ipairs(fields or {}) do
    library.calls_headers_add(headers, field[1], #field[1], field[2], #field[2])
  end
end

--- Sends { url=, method=, headers={{name, value}}, body=, connect_s=, ..., on_head=, on_data=, on_end= }.
function calls:send(options)
  local one, arg = remember(self, options)
  local headers = ffi.new("struct calls_headers")
  fill(headers, options.fields)
  local request = ffi.new("struct calls_request", {
    method = options.method or (options.sent and "POST" or "GET"), url = options.url, headers = headers,
    body = options.sent, body_length = options.sent and #options.sent or 0, http2 = options.http2 or false,
    connect_s = options.connect_s or BOUND_S, first_byte_s = options.first_byte_s or BOUND_S,
    idle_s = options.idle_s or BOUND_S,
    ca_file = options.ca_file, is_stream = options.is_stream or false,
  })
  one.handle = library.calls_send(self.upstream, request, hooks, arg)
  library.calls_headers_free(headers)
  assert(not one.status and not one.ended, "a hook was called at once")
  return one
end

--- Plays { delay_s=, status=, fields=, script={{delay_s, text}}, finish= }.
function calls:play(options)
  local one, arg = remember(self, options)
  local reply = ffi.cast("struct calls_reply *", library.calls_alloc(ffi.sizeof("struct calls_reply")))
  local script = options.script or {}
  reply.delay_s, reply.status, reply["end"] = options.delay_s or 0, options.code or 200, options.finish or 0
  fill(reply.headers, options.fields)
  reply.pieces = library.calls_alloc(math.max(1, #script) * ffi.sizeof("struct calls_piece"))
  reply.piece_count = #script
  for i, piece in ipairs(script) do
    reply.pieces[i - 1].delay_s = piece[1]
    reply.pieces[i - 1].data = library.calls_copy(piece[2], #piece[2])
    reply.pieces[i - 1].length = #piece[2]
  end
  one.handle = library.calls_play(self.loop, reply, hooks, arg)
  assert(not one.status and not one.ended, "a hook was called at once")
  return one
end

--- Lets the loop run until the condition holds; it is asked whenever something ends, and every two milliseconds.
function calls:run_until(condition, what)
  local rounds = 0
  while not condition() do
    rounds = rounds + 1
    assert(rounds < 20000 * wait.slowness, "waited in vain for " .. (what or "a condition"))
    library.calls_loop_after(self.loop, 0.002, self.on_elapsed, nil)
    library.calls_loop_run(self.loop)
    if self.fault then
      local fault = self.fault
      self.fault = nil
      error(fault, 0)
    end
  end
end

--- Sends, and waits for the end.
function calls:fetch(options)
  local one = self:send(options)
  self:run_until(function() return one.ended end, "the end of a transfer")
  return one
end

return calls
