-- Blocks that are kept and given out again: whatever malloc made of them, they hold what was asked for.
local ffi = require "ffi"
local library = require "spec.support.library"

if os.getenv "MOONGATE_PRELOAD" then return end -- with a sanitizer all memory is malloc's

ffi.cdef [[
void *mem_alloc(size_t size);
void mem_free(void *block);
size_t malloc_usable_size(void *block);
int mallopt(int parameter, int value);
]]
local MMAP_THRESHOLD = -3

describe("a block that was given back", function()
  local function alloc(size)
    local block = library.mem_alloc(size)
    assert.is_true(tonumber(ffi.C.malloc_usable_size(block)) >= size, "no room for " .. size)
    return block
  end

  it("goes to who asks next for one as large", function()
    local block = alloc(2000)
    library.mem_free(block)
    assert.equal(block, alloc(2000))
  end)

  it("is never too small", function()
    for step = -1, 1, 2 do
      for size = step > 0 and 0 or 5000, step > 0 and 5000 or 0, step do
        local blocks = {}
        for i = 1, 3 do blocks[i] = alloc(size) end
        for i = 1, 3 do library.mem_free(blocks[i]) end
      end
    end
  end)

  it("is never too small either where each has pages of its own", function()
    ffi.C.mallopt(MMAP_THRESHOLD, 512)
    local blocks = {}
    for _ = 1, 10 do alloc(4088) end -- none is kept from here on
    for i = 1, 2000 do blocks[i] = alloc(4072) end -- more than malloc has left otherwise
    for i = 2000, 1, -1 do library.mem_free(blocks[i]) end
    for size = 4096, 4060, -1 do blocks[size] = alloc(size) end
    for size = 4060, 4096 do library.mem_free(blocks[size]) end
  end)
end)
