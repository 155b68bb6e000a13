-- How far a stream may go on what was reserved for it, and what is reserved when it goes on.
local fakes = require "spec.support.fakes"

describe("an allowance", function()
  local core, allowance, target

  before_each(function()
    core = fakes.install()
    allowance = require "moongate.allowance"
    target = fakes.target("one/small", {
      cost = { input = 1, output = 2 },
      limits = { { name = "tpm", metric = "tokens", window = "minute", max = 6000 } },
    })
  end)
  after_each(function() core.restore() end)

  local function begin(caller, told, request)
    local claims = require "moongate.claims"
    request = request or { max_tokens = 100, estimated_tokens = 10 }
    local call = fakes.call({ target }, { caller = caller, request = request })
    local wanted = claims.call(target, call.caller, call.request, call.state)
    local answer = { target = target, wanted = wanted, reservation = "r0", usage = told }
    return allowance.of(call, answer), answer
  end

  local function used(output, input)
    input = input or 10
    return { input = input, cached = 0, cache_write = 0, output = output, reasoning = 0, total = input + output }
  end

  local budget = { budget = { usd = 1, billed_tokens = 1e6, window = "day" } }

  it("is needed only where the caller's own limits grow with the answer", function()
    for _, caller in ipairs { {}, { rpm = 5 } } do assert.is_nil((begin(caller))) end
    for _, caller in ipairs { budget, { tpm = 900 } } do assert.equal(100, begin(caller).tokens) end
  end)

  it("is what was reserved for the answer, less what the prompt took beyond its estimate", function()
    local one = begin(budget)
    assert.equal(400, one:bytes())
    assert.same({ true, false }, { one:covers(used(100)), one:covers(used(101)) })
    for bytes = 396, 404 do
      local estimated = require "moongate.usage".estimate(40, bytes)
      assert.equal(one:covers(estimated), one:covers_text(bytes), bytes)
    end
    assert.equal(70, begin(budget, used(0, 40)).tokens)
    assert.equal(0, begin(budget, used(0, 400)).tokens)
    assert.equal(100, begin(budget, used(0, 1)).tokens)
  end)

  it("is extended by the same claims of the caller's, for what is lacking alone", function()
    local one, answer = begin(budget)
    assert.is_true(one:extend(used(105)))
    local asked = core.of("store.reserve")[1]
    local drawn = asked[1]
    assert.is_nil(drawn.provider)
    assert.same({ "key:config:dev:billed_tokens", "key:config:dev:microusd" }, { drawn[1].key, drawn[2].key })
    assert.same({ 0, 0, 505, 505, 505 * 2 }, { unpack(asked, 2, asked.n) })
    assert.same({ 1e6, 1e6, nil }, { drawn[1].max, drawn[2].max, drawn[3] })
    assert.equal(605, one.tokens)
    assert.is_true(one:extend(used(606)))
    asked = core.of("store.reserve")[2]
    assert.same({ 501, 1002 }, { asked[5], asked[6] })
    assert.equal(2, #answer.further)
  end)

  it("is extended by less where there is no room for more, and not at all where there is none", function()
    local asked = {}
    core.set("store.reserve", function(_, _, _, _, billed)
      asked[#asked + 1] = billed
      if billed > 140 then return nil, "key:config:dev:billed_tokens day", 60 end
      return "r"
    end)
    local one = begin(budget)
    assert.is_true(one:extend(used(101)))
    assert.same({ 501, 126 }, asked)
    assert.equal(226, one.tokens)
    core.set("store.reserve", function() return nil, "key:config:dev:billed_tokens day", 60 end)
    assert.is_false(one:extend(used(227)))
    assert.equal(226, one.tokens)
    assert.equal("ended: nothing is left of key:config:dev:billed_tokens day", one:told())
  end)

  it("says so when nobody waits any more", function()
    core.set("store.reserve", function() return nil, "client_gone" end)
    assert.same({ false, "client_gone" }, { begin(budget):extend(used(101)) })
  end)

  it("needs nothing more where the prompt took less than was reserved for it", function()
    local one, answer = begin({ tpm = 900 }, nil, { max_tokens = 100, estimated_tokens = 800 })
    assert.is_true(one:extend(used(101, 10)))
    assert.same({}, core.of "store.reserve")
    assert.is_nil(answer.further)
  end)

  it("is settled as one: all that was used with the first reservation, the others given back", function()
    local one, answer = begin(budget)
    one:extend(used(105))
    one:extend(used(700))
    allowance.settle(answer, 1, 1, 710, 710, 1410)
    local settled = {}
    for i, call in ipairs(core.of "store.settle") do settled[i] = { call[1], #call[2], unpack(call, 3, call.n) } end
    assert.same({ { "r0", 3, 1, 1, 710, 710, 1410 }, { "reservation 1", 2 }, { "reservation 2", 2 } }, settled)
  end)
end)
