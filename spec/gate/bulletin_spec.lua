-- What workers tell those who look on: a ring of notices, and a note of each worker.
local ffi = require "ffi"
local library = require "spec.support.library"
local stage = require "spec.gate.stage"

jit.off() -- C calls back into Lua

ffi.cdef [[
  void *bulletin_new(size_t workers);
  void bulletin_free(void *bulletin);
  bool bulletin_watch(void *bulletin);
  void bulletin_leave(void *bulletin);
  size_t bulletin_watchers(const void *bulletin);
  void bulletin_post(void *bulletin, char *notice);
  int64_t bulletin_since(void *bulletin, int64_t number, void (*each)(void *arg, const char *notice), void *arg);
  void bulletin_keep(void *bulletin, size_t worker, char *note);
  char *bulletin_kept(void *bulletin, size_t worker);
  char *bulletin_spec_text(const char *text) __asm__("mem_text");
  void bulletin_spec_free(void *text) __asm__("mem_free");
  bool bulletin_spec_offer(struct stage_exchange *, const char *data, size_t length) __asm__("exchange_offer");
]]

describe("the bulletin", function()
  local board, each, got

  before_each(function()
    board, got = library.bulletin_new(2), {}
    each = ffi.cast("void (*)(void *, const char *)", function(_, notice) got[#got + 1] = ffi.string(notice) end)
  end)
  after_each(function()
    library.bulletin_free(board)
    each:free()
  end)

  local function post(text) library.bulletin_post(board, library.bulletin_spec_text(text)) end
  local function since(number)
    got = {}
    return tonumber(library.bulletin_since(board, number, each, nil))
  end

  it("tells each reader what is new to it, in order", function()
    assert.equal(0, since(0))
    post "a"
    post "b"
    assert.same({ 2, { "a", "b" } }, { since(0), got })
    post "c"
    assert.same({ 3, { "c" } }, { since(2), got })
    assert.same({ 3, {} }, { since(3), got })
  end)

  it("keeps the newest 256: who reads more slowly misses the rest", function()
    for i = 1, 300 do post(tostring(i)) end
    assert.equal(300, since(0))
    assert.same({ 256, "45", "300" }, { #got, got[1], got[256] })
  end)

  it("takes no reader's number amiss", function()
    post "a"
    for _, number in ipairs { -5, 99 } do assert.equal(1, since(number)) end
    assert.same({}, got)
  end)

  it("bounds how many look on, and counts them", function()
    for _ = 1, 32 do assert.is_true(library.bulletin_watch(board)) end
    assert.is_false(library.bulletin_watch(board))
    library.bulletin_leave(board)
    assert.equal(31, tonumber(library.bulletin_watchers(board)))
    assert.is_true(library.bulletin_watch(board))
  end)

  it("keeps one note of each worker", function()
    library.bulletin_keep(board, 1, library.bulletin_spec_text '["x"]')
    local notes = {}
    for worker = 0, 1 do
      local note = library.bulletin_kept(board, worker)
      notes[worker + 1] = ffi.string(note)
      library.bulletin_spec_free(note)
    end
    assert.same({ "[]", '["x"]' }, notes)
  end)
end)

describe("what is offered to a caller", function()
  local on

  before_each(function() on = stage.open() end)
  after_each(function() on:close() end)

  it("is refused while it does not read, and taken again once it has", function()
    local one = on:call()
    one:begin()
    local piece, taken = ("x"):rep(20000), 0
    local function offer() return library.bulletin_spec_offer(one.exchange, piece, #piece) end
    while offer() do
      taken = taken + 1
      assert.is_true(taken < 1000)
    end
    assert.is_true(taken >= 3)
    on:run_until(function()
      one:read()
      return #(one:body()) == taken * #piece
    end, "what was taken")
    assert.is_true(offer())
    one:leave()
  end)
end)
