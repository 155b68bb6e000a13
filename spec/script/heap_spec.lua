-- The memory of a Lua state: what is put into a block stays there, however blocks come, grow, shrink and go.
local ffi = require "ffi"
local library = require "spec.support.library"

ffi.cdef [[
struct heap { void *free[65]; void *chunks; char *next, *end; size_t bytes; };
void *heap_resize(void *heap, void *block, size_t old_size, size_t size);
void heap_free(struct heap *heap);
]]

describe("a heap", function()
  local heap

  before_each(function() heap = ffi.new "struct heap" end)
  after_each(function() library.heap_free(heap) end)

  local function resize(block, old_size, size)
    return ffi.cast("unsigned char *", library.heap_resize(heap, block, old_size, size))
  end

  it("keeps apart what its blocks hold, through all changes of size", function()
    math.randomseed(7)
    local blocks = {}
    for step = 1, 20000 do
      local i = math.random(300)
      local held = blocks[i] or { size = 0 }
      for at = 0, held.size - 1 do
        if held.at[at] ~= held.mark then error("step " .. step .. ": a block was written over") end
      end
      local size = math.random(4) == 1 and 0 or math.random(math.random(4) == 1 and 2000 or 200)
      local at = resize(held.at, held.size, size)
      if size == 0 then
        blocks[i] = nil
      else
        for kept = 0, math.min(size, held.size) - 1 do assert(at[kept] == held.mark) end
        ffi.fill(at, size, step % 251)
        blocks[i] = { at = at, size = size, mark = step % 251 }
      end
    end
    local bytes = 0
    for _, held in pairs(blocks) do bytes = bytes + held.size end
    assert.equal(bytes, tonumber(heap.bytes))
    for _, held in pairs(blocks) do resize(held.at, held.size, 0) end
    assert.equal(0, tonumber(heap.bytes))
  end)

  it("gives a cell that came back to whoever asks next for one as large", function()
    if os.getenv "MOONGATE_PRELOAD" then return pending "with a sanitizer all memory is malloc's" end
    local first = resize(nil, 0, 40)
    resize(first, 40, 0)
    assert.equal(first, resize(nil, 0, 48))
  end)

  it("aligns every block for whatever it holds", function()
    for size = 1, 1200 do
      local block = resize(nil, 0, size)
      assert.equal(0, tonumber(ffi.cast("uintptr_t", block) % 16))
      if size > 1024 then resize(block, size, 0) end
    end
  end)
end)
