-- The memory of a Lua state: what is put into a block stays there, however blocks come, grow, shrink and go.
local ffi = require "ffi"
local library = require "spec.support.library"

ffi.cdef [[
struct heap_slab { struct heap_slab *next; };
struct heap { char *next, *end; struct heap_slab *slabs, *slab; size_t chunk, bytes; };
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

  describe("of small blocks", function()
    if os.getenv "MOONGATE_PRELOAD" then return end -- with a sanitizer all memory is malloc's

    local SIZE, COUNT = 48, 100000

    local function slabs()
      local count, slab = 0, heap.slabs
      while slab ~= nil do count, slab = count + 1, slab.next end
      return count
    end

    it("lays those that are made one after the other one behind the other", function()
      local first = resize(nil, 0, 40)
      assert.equal(first + 48, resize(nil, 0, 16))
      assert.equal(first + 64, resize(nil, 0, 1))
    end)

    it("uses what came back before it grows", function()
      local blocks = {}
      for i = 1, COUNT do blocks[i] = resize(nil, 0, SIZE) end
      local before = slabs()
      for _ = 1, 5 do
        for i = COUNT, 1, -1 do resize(blocks[i], SIZE, 0) end
        for i = 1, COUNT do blocks[i] = resize(nil, 0, SIZE) end
      end
      assert.equal(before, slabs())
      assert.equal(COUNT * SIZE, tonumber(heap.bytes))
    end)

    it("fills the gaps between those that stay, and writes over none of them", function()
      local staying, others = {}, {}
      for i = 1, COUNT do
        local block = resize(nil, 0, SIZE)
        ffi.fill(block, SIZE, i % 251)
        if i % 20 == 0 then staying[i] = block else others[#others + 1] = block end
      end
      local before = slabs()
      for _, block in ipairs(others) do resize(block, SIZE, 0) end
      for _ = 1, #others * 0.9 do ffi.fill(resize(nil, 0, SIZE), SIZE, 252) end
      assert.equal(before, slabs())
      for i, block in pairs(staying) do
        for at = 0, SIZE - 1 do assert(block[at] == i % 251) end
      end
    end)
  end)

  it("aligns every block for whatever it holds", function()
    for size = 1, 1200 do
      local block = resize(nil, 0, size)
      assert.equal(0, tonumber(ffi.cast("uintptr_t", block) % 16))
      if size > 1024 then resize(block, size, 0) end
    end
  end)
end)
