local trust = require "moongate.trust"

local function word(source, more)
  local made = { source = source, metric = "requests", window = "minute" }
  for name, value in pairs(more or {}) do made[name] = value end
  return made
end

local function always() return true end

describe("trust", function()
  for better = 1, #trust.order - 1 do
    for worse = better + 1, #trust.order do
      local first, second = word(trust.order[better]), word(trust.order[worse])
      it("goes to " .. first.source .. " before " .. second.source, function()
        assert.is_true(trust.rank(first.source) < trust.rank(second.source))
        for _, both in ipairs { { first, second }, { second, first } } do
          assert.same({ first }, trust.best(both, always))
          assert.same({ second }, trust.best(both, function(each) return each == second end))
          assert.same({ first }, trust.best(both, function() return false end))
        end
      end)
    end
  end

  it("is given limit by limit, in their order", function()
    local list = {
      word "probe", word("probe", { window = "day" }), word("header", { model = "m" }), word("error"),
      word("header", { metric = "tokens" }), word("probe", { model = "m" }), word("probe", { model = "" }),
    }
    assert.same({ list[4], list[2], list[3], list[5] }, trust.best(list, always))
  end)

  it("tells the outside three names", function()
    local shown = {}
    for i, source in ipairs(trust.order) do shown[i] = trust.shown(source) end
    assert.same({ "config", "discovered", "checker", "discovered", "discovered", "config" }, shown)
    assert.same({ "discovered", trust.rank "header" }, { trust.shown "discovered", trust.rank "discovered" })
  end)
end)
