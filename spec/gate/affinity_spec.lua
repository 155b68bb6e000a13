local ffi = require "ffi"
local library = require "spec.support.library"

ffi.cdef [[
  void *affinity_new(void);
  void affinity_free(void *affinity);
  void affinity_remember(void *affinity, const void *conversation, const char *target, int64_t now);
  bool affinity_recall(void *affinity, const void *conversation, int64_t now, char *target);
]]

describe("affinity", function()
  local MINUTE = 60 * 1000
  local affinity

  before_each(function() affinity = ffi.gc(library.affinity_new(), library.affinity_free) end)

  local function recall(digest, now)
    local target = ffi.new "char[256]"
    return library.affinity_recall(affinity, digest, now, target) and ffi.string(target) or nil
  end

  it("knows who served a conversation last", function()
    assert.is_nil(recall("11111111", MINUTE))
    library.affinity_remember(affinity, "11111111", "acme/small", MINUTE)
    library.affinity_remember(affinity, "22222222", "acme/large", MINUTE)
    assert.same({ "acme/small", "acme/large" }, { recall("11111111", MINUTE), recall("22222222", MINUTE) })
    library.affinity_remember(affinity, "11111111", "other/one", 2 * MINUTE)
    assert.equal("other/one", recall("11111111", 2 * MINUTE))
  end)

  it("forgets after five minutes", function()
    library.affinity_remember(affinity, "11111111", "acme/small", MINUTE)
    assert.equal("acme/small", recall("11111111", 6 * MINUTE - 1))
    assert.is_nil(recall("11111111", 6 * MINUTE))
  end)

  it("never takes one conversation for another that has its place", function()
    -- The same place: the digests differ in their last bytes alone.
    library.affinity_remember(affinity, "11111111", "acme/small", MINUTE)
    assert.is_nil(recall("11111112", MINUTE))
    library.affinity_remember(affinity, "11111112", "acme/large", MINUTE)
    assert.is_nil(recall("11111111", MINUTE))
  end)

  it("does not keep a name that it would have to cut", function()
    library.affinity_remember(affinity, "11111111", ("x"):rep(128), MINUTE)
    assert.is_nil(recall("11111111", MINUTE))
    library.affinity_remember(affinity, "11111111", ("x"):rep(127), MINUTE)
    assert.equal(127, #recall("11111111", MINUTE))
  end)
end)
