-- Listening sockets: addresses, ports that are taken, what the user is told, and accepting to the last.
local ffi = require "ffi"
local socket = require "socket"
local library = require "spec.support.library"

ffi.cdef [[
struct loop; struct listener;
int listener_bind(const char *address, bool first, char *error, size_t error_size);
int listener_port(int descriptor);
bool listener_is_loopback(const char *address);
struct listener *listener_start(struct loop *loop, int descriptor, void *certificate,
                                void (*on_accept)(void *, int, void *, const char *), void *arg);
bool listener_is_at(int descriptor, const char *address);
void listener_stop(struct listener *listener);
int close(int descriptor);
int dup(int descriptor);
struct listener_spec_rlimit { unsigned long soft, hard; };
int getrlimit(int resource, struct listener_spec_rlimit *limit);
int setrlimit(int resource, const struct listener_spec_rlimit *limit);
]]
ffi.cdef [[
struct loop *loop_new(void);
void loop_free(struct loop *loop);
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
struct loop_timer *loop_after(struct loop *loop, double seconds, void (*on_elapsed)(void *), void *arg);
]]

local OPEN_FILES = 7 -- RLIMIT_NOFILE

local function bind(address, first)
  local fault = ffi.new("char[256]")
  local descriptor = library.listener_bind(address, first, fault, 256)
  if descriptor < 0 then return nil, ffi.string(fault) end
  return descriptor, library.listener_port(descriptor)
end

describe("listening", function()
  it("takes the forms that an address is written in", function()
    for _, address in ipairs { "127.0.0.1:0", "localhost:0", "LOCALHOST:0", ":0", "0.0.0.0:0" } do
      local descriptor, port = bind(address, true)
      assert(descriptor, port)
      assert.is_true(port > 0)
      assert(socket.connect("127.0.0.1", port)):close()
      ffi.C.close(descriptor)
    end
  end)

  it("says how an address is written when it is not one", function()
    for _, address in ipairs { "", "8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "::1:80",
                               "[::1]", "[]:80", "127.0.0.1:-1", "a:80:90", "127.0.0.1: 80" } do
      local descriptor, fault = bind(address, true)
      assert.is_nil(descriptor)
      assert.equal('"' .. address .. '" is no ADDR:PORT: write it like 127.0.0.1:8080, [::1]:8080 or :8080', fault)
    end
  end)

  it("names the program's own way out when another one has the port", function()
    local other = assert(socket.bind("127.0.0.1", 0))
    local _, port = other:getsockname()
    local descriptor, fault = bind("127.0.0.1:" .. port, true)
    assert.is_nil(descriptor)
    assert.equal("127.0.0.1:" .. port .. " is in use by another program: stop it or choose another with "
      .. "--listen ADDR:PORT", fault)
    other:close()
  end)

  it("shares a port among its own workers, and finds out when a stranger shares it", function()
    local first, port = bind("127.0.0.1:0", true)
    local second = assert(bind("127.0.0.1:" .. port, false))
    local stranger, fault = bind("127.0.0.1:" .. port, true)
    assert.is_nil(stranger)
    assert.truthy(fault:find("in use by another program", 1, true))
    ffi.C.close(first)
    ffi.C.close(second)
  end)

  it("knows a socket that somebody else opened by its address, as it is written", function()
    for address, others in pairs { ["127.0.0.1"] = { "0.0.0.0", "" }, ["0.0.0.0"] = { "127.0.0.1" },
                                   ["localhost"] = { "0.0.0.0" } } do
      local descriptor, port = bind(address .. ":0", true)
      assert.is_true(library.listener_is_at(descriptor, address .. ":" .. port))
      assert.is_false(library.listener_is_at(descriptor, address .. ":" .. port - 1))
      for _, other in ipairs(others) do
        assert.is_false(library.listener_is_at(descriptor, other .. ":" .. port) and other ~= "", other)
      end
      ffi.C.close(descriptor)
    end
    local connected = assert(socket.tcp())
    assert(connected:bind("127.0.0.1", 0)) -- it does not listen
    local _, port = connected:getsockname()
    assert.is_false(library.listener_is_at(connected:getfd(), "127.0.0.1:" .. port))
    connected:close()
  end)

  it("takes a port back that has connections in TIME_WAIT", function()
    local descriptor, port = bind("127.0.0.1:0", true)
    local listening = assert(socket.connect("127.0.0.1", port))
    ffi.C.close(descriptor)
    listening:close()
    local again = assert(bind("127.0.0.1:" .. port, true))
    ffi.C.close(again)
  end)

  it("says when an address belongs to another machine", function()
    local descriptor, fault = bind("192.0.2.1:8080", true)
    assert.is_nil(descriptor)
    assert.equal("192.0.2.1 is not an address of this machine: choose one of its own, or :8080 for all of them", fault)
  end)

  it("says when a name has no address", function()
    local descriptor, fault = bind("no.such.host.invalid:8080", true)
    assert.is_nil(descriptor)
    assert.truthy(fault:find("the name no.such.host.invalid has no address", 1, true))
  end)

  it("knows what only this machine can reach", function()
    for address, loopback in pairs {
      ["127.0.0.1:1"] = true, ["127.8.9.10:1"] = true, ["localhost:1"] = true, ["[::1]:1"] = true,
      ["[::ffff:127.0.0.1]:1"] = true, [":1"] = false, ["0.0.0.0:1"] = false, ["[::]:1"] = false,
      ["192.0.2.1:1"] = false, ["example.org:1"] = false, ["[::ffff:192.0.2.1]:1"] = false, nonsense = false,
    } do
      assert.equal(loopback, library.listener_is_loopback(address), address)
    end
  end)
end)

describe("a listener", function()
  local loop, listener, callbacks, accepted, port

  local function hook(kind, act)
    local callback = ffi.cast(kind, act)
    callbacks[#callbacks + 1] = callback
    return callback
  end

  local function start(on_accept)
    local descriptor
    descriptor, port = bind("127.0.0.1:0", true)
    listener = library.listener_start(loop, descriptor, nil,
      hook("void (*)(void *, int, void *, const char *)", on_accept), nil)
  end

  local function run() library.loop_run(loop) end
  local function stop() library.listener_stop(listener); listener = nil end
  -- Compiled code must not be called back into.
  jit.off(run)
  jit.off(stop)

  before_each(function()
    loop, callbacks, accepted = library.loop_new(), {}, {}
  end)

  after_each(function()
    if listener then stop() end
    library.loop_free(loop)
    for _, callback in ipairs(callbacks) do callback:free() end
    for _, descriptor in ipairs(accepted) do ffi.C.close(descriptor) end
  end)

  it("hands over every connection with its peer's address", function()
    local peers = {}
    start(function(_, descriptor, _, peer)
      accepted[#accepted + 1] = descriptor
      peers[ffi.string(peer)] = true
      if #accepted == 100 then library.loop_stop(loop) end
    end)
    local connections = {}
    for i = 1, 100 do connections[i] = assert(socket.connect("127.0.0.1", port)) end
    run()
    for _, connection in ipairs(connections) do
      local address, own = connection:getsockname()
      assert.is_true(peers[address .. ":" .. own])
      connection:close()
    end
  end)

  it("accepts what is queued before it closes", function()
    start(function(_, descriptor) accepted[#accepted + 1] = descriptor end)
    local connections = {}
    for i = 1, 300 do connections[i] = assert(socket.connect("127.0.0.1", port)) end
    stop()
    assert.equal(300, #accepted)
    assert.is_nil(socket.connect("127.0.0.1", port))
    for _, connection in ipairs(connections) do connection:close() end
  end)

  it("turns connections away when out of descriptors, without spinning, and goes on afterwards", function()
    local limit = ffi.new("struct listener_spec_rlimit")
    local fillers, connections = {}, {}
    start(function(_, descriptor)
      accepted[#accepted + 1] = descriptor
      library.loop_stop(loop)
    end)
    ffi.C.getrlimit(OPEN_FILES, limit)
    local soft = limit.soft
    for i = 1, 5 do connections[i] = assert(socket.connect("127.0.0.1", port)) end
    limit.soft = 64
    ffi.C.setrlimit(OPEN_FILES, limit)
    repeat
      local filler = ffi.C.dup(0)
      fillers[#fillers + 1] = filler >= 0 and filler or nil
    until filler < 0
    local cpu = os.clock()
    library.loop_after(loop, 0.25, hook("void (*)(void *)", function() library.loop_stop(loop) end), nil)
    run()
    cpu = os.clock() - cpu
    for _, filler in ipairs(fillers) do ffi.C.close(filler) end
    limit.soft = soft
    ffi.C.setrlimit(OPEN_FILES, limit)
    assert.equal(0, #accepted)
    assert.is_true(cpu < 0.1)
    for _, connection in ipairs(connections) do
      connection:settimeout(10)
      assert.same({ nil, "closed" }, { (connection:receive(1)), (select(2, connection:receive(1))) })
      connection:close()
    end
    local connection = assert(socket.connect("127.0.0.1", port))
    run()
    assert.equal(1, #accepted)
    connection:close()
  end)
end)
