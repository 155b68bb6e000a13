-- Turns: one of several gateways has it, tells the others what came of it, and another takes it over when it is gone.
local ffi = require "ffi"
local bench = require "spec.store.workbench"
local wait = require "spec.support.wait"
local library = bench.library

describe("a turn", function()
  local server, address

  before_each(function()
    server, address = bench.redis()
    library.log_open(4, true)
  end)
  after_each(function()
    if server.frozen then server:thaw() end
    bench.clean()
    library.log_open(1, true)
  end)

  local function open(where)
    return bench.lend(where or address)
  end

  -- Whether it is ours, what was told, and for how many milliseconds it is another's.
  local function take(store, milliseconds, name)
    local found
    local on_turn = ffi.cast("void (*)(void *, const struct store_turn *)", function(_, turn)
      found = { turn.is_ours, ffi.string(turn.told), tonumber(turn.wait_ms) }
    end)
    library.store_take_turn(store, name or "poll:acme", milliseconds, on_turn, nil)
    wait.until_(function()
      if not found then bench.turn(0.002) end
      return found
    end, "the answer")
    on_turn:free()
    return unpack(found)
  end

  it("is one gateway's, which keeps it as long as it asks, and tells what came of it", function()
    local first, second = open(), open()
    assert.is_true((take(first, 60000)))
    local ours, told, wait_ms = take(second, 60000)
    assert.same({ false, "" }, { ours, told })
    assert.is_true(wait_ms > 50000 and wait_ms <= 60000)
    assert.is_true((take(second, 60000, "poll:other")))
    library.store_tell_turn(first, "poll:acme", 30000, '{"left":"\\"5"}')
    wait.until_(function()
      ours, told, wait_ms = take(second, 60000)
      return told ~= ""
    end, "what came of it")
    assert.same({ false, '{"left":"\\"5"}' }, { ours, told })
    assert.is_true(wait_ms > 20000 and wait_ms <= 30000)
    assert.is_true((take(first, 60000)))
    assert.equal('{"left":"\\"5"}', select(2, take(second, 60000)))
  end)

  it("is another's once it is over, and what the first tells then counts for nothing", function()
    local first, second = open(), open()
    assert.is_true((take(first, 100)))
    wait.until_(function() return (take(second, 60000)) end, "the turn to be over")
    library.store_tell_turn(first, "poll:acme", 60000, "late")
    assert.same({ false, "" }, { (take(first, 60000)), (select(2, take(first, 60000))) })
  end)

  it("is everybody's while Redis is away, and where there is one gateway alone", function()
    local first, second = open(), open()
    assert.is_true((take(first, 60000)))
    assert.is_false((take(second, 60000)))
    server:freeze()
    assert.is_true((take(second, 60000)))
    library.store_tell_turn(second, "poll:acme", 60000, "nobody hears it")
    server:thaw()
    for _, other in ipairs { "memory:", "sqlite:" .. bench.folder() .. "/moongate.db" } do
      local store = open(other)
      library.store_tell_turn(store, "poll:acme", 60000, "told")
      assert.same({ true, "", 0 }, { take(store, 60000) })
    end
  end)

  for _, key in ipairs { "moongate:turn:poll:acme", "moongate:turn:poll:acme:told" } do
    it("is not hindered by what else is in " .. key, function()
      server:command("RPUSH", key, "mine")
      local store = open()
      assert.is_boolean((take(store, 60000)))
      library.store_tell_turn(store, "poll:acme", 60000, "told")
      assert.is_boolean((take(open(), 60000)))
    end)
  end
end)
