-- Several words on one limit of a provider: a call is held against that of the most trusted source that still holds.
local ffi = require "ffi"
local bench = require "spec.store.workbench"
local library = bench.library

local NOON = 1772366400000
local SOURCES = { "header", "checker", "error", "probe" }

describe("a store that is told of one limit by several", function()
  local store, folder

  before_each(function() store = assert(bench.open "memory:") end)
  after_each(function()
    library.store_close(store)
    bench.clean()
    folder = nil
  end)

  local function learn(word)
    word.provider, word.metric, word.window, word.limit = "groq", "requests", "minute", 10
    word.seen_at, word.reset_at = word.seen_at or NOON, word.reset_at or NOON + 5000
    library.store_learn(store, ffi.new("struct store_learnt", word))
  end

  local function reserve(now)
    return bench.reserve(store, { claims = {}, provider = "groq", model = "m", tokens = 1 }, now or NOON)
  end

  local function learnt()
    local all = {}
    local each = ffi.cast("void (*)(void *, const struct store_learnt *)", function(_, word)
      all[ffi.string(word.source)] = tonumber(word.remaining)
    end)
    library.store_each_learnt(store, "groq", each, nil)
    each:free()
    return all
  end

  for better = 1, #SOURCES - 1 do
    for worse = better + 1, #SOURCES do
      for _, order in ipairs { { better, worse }, { worse, better } } do
        local title = ("goes by a %s, not a %s, as long as it holds (a word of the %s came first)"):format(
          SOURCES[better], SOURCES[worse], SOURCES[order[1]])
        it(title, function()
          for _, at in ipairs(order) do
            learn { remaining = at == better and 2 or 0, reset_at = NOON + (at == better and 1000 or 5000),
              source = SOURCES[at] }
          end
          assert.truthy(reserve())
          assert.truthy(reserve())
          assert.is_nil((reserve()))
          assert.same({ [SOURCES[better]] = 0, [SOURCES[worse]] = 0 }, learnt())
          local _, _, wait = reserve(NOON + 1000)
          assert.equal(4000, wait)
          assert.truthy(reserve(NOON + 5000))
        end)
      end
    end
  end

  it("goes by the less trusted where the other does not say what remains", function()
    learn { remaining = -1, source = "header" }
    learn { remaining = 0, source = "probe" }
    assert.is_nil((reserve()))
  end)

  it("draws from all of them, so that none is behind when its turn comes", function()
    learn { remaining = 9, reset_at = NOON + 1000, source = "header" }
    learn { remaining = 4, source = "probe" }
    assert.truthy(reserve())
    assert.same({ header = 8, probe = 3 }, learnt())
  end)

  it("takes a name of before for a header's", function()
    learn { remaining = 9, source = "discovered" }
    learn { remaining = 8, source = "header", seen_at = NOON + 1 }
    assert.same({ header = 8 }, learnt())
  end)

  it("keeps the one heard last over a restart", function()
    library.store_close(store)
    folder = bench.folder()
    store = assert(bench.open("sqlite:" .. folder .. "/x.db"))
    learn { remaining = 5, source = "header", seen_at = NOON + 10 }
    learn { remaining = 6, source = "probe", seen_at = NOON }
    reserve()
    library.store_close(store)
    store = assert(bench.open("sqlite:" .. folder .. "/x.db"))
    assert.same({ header = 4 }, learnt())
  end)
end)
