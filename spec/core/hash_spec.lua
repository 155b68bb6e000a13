-- The hash table against a Lua table that is told the same.
local ffi = require "ffi"
local library = require "spec.support.library"

if not pcall(ffi.typeof, "struct hash") then
  ffi.cdef [[
  struct hash { void *slots; size_t count; size_t capacity; };
  void *hash_get(const struct hash *hash, const void *name, size_t length);
  void hash_put(struct hash *hash, const void *name, size_t length, void *value);
  void *hash_remove(struct hash *hash, const void *name, size_t length);
  void *hash_next(const struct hash *hash, size_t *at);
  void hash_free(struct hash *hash);
  ]]
end

local function number_of(value) return tonumber(ffi.cast("uintptr_t", value)) end

describe("hash", function()
  it("finds what was put and nothing that was removed, in any order of acts", function()
    local hash, model, names, seed = ffi.new("struct hash"), {}, {}, 11
    for i = 1, 500 do names[i] = ("name %d"):format(i) end
    for step = 1, 20000 do
      seed = (seed * 16807) % 2147483647
      local name = names[seed % 500 + 1]
      if seed % 3 == 0 then
        assert.equal(model[name] or 0, number_of(library.hash_remove(hash, name, #name)))
        model[name] = nil
      elseif not model[name] then
        library.hash_put(hash, name, #name, ffi.cast("void *", step))
        model[name] = step
      end
    end
    local count = 0
    for _, name in ipairs(names) do
      assert.equal(model[name] or 0, number_of(library.hash_get(hash, name, #name)))
      count = count + (model[name] and 1 or 0)
    end
    assert.equal(count, tonumber(hash.count))
    local at, seen = ffi.new("size_t[1]"), 0
    while library.hash_next(hash, at) ~= nil do seen = seen + 1 end
    assert.equal(count, seen)
    library.hash_free(hash)
  end)

  it("tells names apart by their length and by what follows a NUL", function()
    local hash, names = ffi.new("struct hash"), { "a", "a\0", "a\0b", "a\0c", "" }
    for i, name in ipairs(names) do library.hash_put(hash, name, #name, ffi.cast("void *", i)) end
    for i, name in ipairs(names) do assert.equal(i, number_of(library.hash_get(hash, name, #name))) end
    library.hash_free(hash)
  end)

  it("has nothing when it is empty", function()
    local hash = ffi.new("struct hash")
    assert.equal(0, number_of(library.hash_get(hash, "a", 1)))
    assert.equal(0, number_of(library.hash_remove(hash, "a", 1)))
    library.hash_free(hash)
  end)
end)
