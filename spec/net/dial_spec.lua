-- Connecting to a host by whichever of its addresses answers first. All of 127.0.0.0/8 is this machine.
local ffi = require "ffi"
local socket = require "socket"
local calls = require "spec.net.calls"
local library = require "spec.support.library"

jit.off() -- C calls back into Lua

if not pcall(ffi.typeof, "struct dial_marker") then
  ffi.cdef [[
    struct dial_marker { int unused; };
    void *dial_base(void *loop) __asm__("loop_base");
    void *dial_begin(void *base, const char *addresses, uint16_t port, uint32_t scope,
                     void (*on_done)(void *arg, int descriptor, int error), void *arg) __asm__("dial_start");
    void dial_give_up(void *dial) __asm__("dial_cancel");
    int dial_close(int descriptor) __asm__("close");
    char *dial_reason(int error) __asm__("strerror");
  ]]
end

local net, done, held

local on_done = ffi.cast("void (*)(void *, int, int)", function(_, descriptor, error)
  assert(not done, "it was told twice")
  done = { connected = descriptor >= 0, reason = error ~= 0 and ffi.string(library.dial_reason(error)) or nil }
  if descriptor >= 0 then library.dial_close(descriptor) end
end)

local function begin(addresses, port)
  done = nil
  local dial = library.dial_begin(library.dial_base(net.loop), addresses, port, 0, on_done, nil)
  assert.is_nil(done)
  return dial
end

local function dialled(addresses, port)
  begin(addresses, port)
  net:run_until(function() return done end, "a connection")
  return done
end

local function listen(address, port)
  local listener = assert(socket.tcp())
  listener:setoption("reuseaddr", true)
  assert(listener:bind(address, port or 0))
  assert(listener:listen(1))
  listener:settimeout(0)
  held[#held + 1] = listener
  local _, own = listener:getsockname()
  return listener, tonumber(own)
end

-- Lets nobody in any more: who connects hears nothing.
local function fill(address, port)
  for _ = 1, 8 do
    local caller = socket.tcp()
    caller:settimeout(0)
    caller:connect(address, port)
    held[#held + 1] = caller
  end
end

describe("dialling", function()
  before_each(function() net, held = calls.open(), {} end)
  after_each(function()
    net:close()
    for _, one in ipairs(held) do one:close() end
  end)

  it("connects to the first address that takes it", function()
    local one, port = listen("127.0.0.1")
    local other = listen("127.0.0.2", port)
    assert.is_true(dialled("127.0.0.1,127.0.0.2", port).connected)
    assert.is_truthy(one:accept())
    assert.is_nil((other:accept()))
  end)

  it("goes on to the next one when one refuses", function()
    local last, port = listen("127.0.0.4")
    assert.is_true(dialled("127.0.0.1,::1,127.0.0.2,127.0.0.4", port).connected)
    assert.is_truthy(last:accept())
  end)

  it("tries the next one beside one that does not answer", function()
    local other, port = listen("127.0.0.2")
    listen("127.0.0.1", port)
    fill("127.0.0.1", port)
    assert.is_true(dialled("127.0.0.1,127.0.0.2", port).connected)
    assert.is_truthy(other:accept())
  end)

  it("tells that all refuse, and the most telling reason", function()
    local listener, port = listen("127.0.0.1")
    listener:close()
    assert.same({ connected = false, reason = "Connection refused" }, dialled("127.0.0.1,127.0.0.2", port))
    assert.same({ connected = false, reason = "Connection refused" }, dialled("::1,127.0.0.1,::1", port))
  end)

  it("tells that there is no address", function()
    for _, addresses in ipairs { "", "nonsense", ("1"):rep(100), "[]" } do
      assert.same({ connected = false, reason = "Cannot assign requested address" }, dialled(addresses, 1))
    end
  end)

  it("may be given up", function()
    local _, port = listen("127.0.0.1")
    for _, addresses in ipairs { "127.0.0.1", "127.0.0.1,127.0.0.2", "" } do
      library.dial_give_up(begin(addresses, port))
      net:fetch { url = ("http://127.0.0.3:%d/"):format(port) }
      assert.is_nil(done)
    end
  end)
end)
