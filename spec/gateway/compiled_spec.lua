-- LuaJIT compiles what the gateway runs often, where the configuration and the system allow it; policies are
-- interpreted in any case (spec/gateway/hostile_spec.lua stops them).
local gateway = require "spec.support.gateway"
local lfs = require "lfs"
local process = require "spec.support.process"
local provider = require "spec.support.provider"

local NO_CODE = { "luajit", "-joff", lfs.currentdir() .. "/spec/support/no_code.lua" }

-- Kilobytes of memory that is executed and comes from no file.
local function made_code(gate)
  local bytes = 0
  for line in io.lines("/proc/" .. gate.process.pid .. "/maps") do
    local from, to = line:match "^(%x+)%-(%x+) r%-xp 00000000 00:00 0%s*$"
    if from then bytes = bytes + tonumber(to, 16) - tonumber(from, 16) end
  end
  return bytes / 1024
end

describe("the gateway's own Lua", function()
  local upstream

  before_each(function() upstream = provider.open() end)
  after_each(function() gateway.stop_all() end)

  local function start(more, before)
    local config = { workers = 1, providers = { acme = { protocol = "openai", base_url = upstream.base_url,
      api_key = "sk", retries = 0 } }, models = { { id = "small", provider = "acme" } } }
    for name, value in pairs(more or {}) do config[name] = value end
    return gateway.start { config = config, before = before }
  end

  local function run_warm(gate)
    for _ = 1, 200 do
      local answer = gate:chat { model = "small" }
      assert.equal(200, answer.status, answer.body)
    end
  end

  it("is compiled once it has run warm, and interpreted from the reload on that says so", function()
    local gate = start { listen = gateway.free_address(), jit = true }
    assert.equal(0, made_code(gate))
    run_warm(gate)
    assert.is_true(made_code(gate) > 0)
    gate:write("moongate.lua", (gate:read("moongate.lua"):gsub('%["jit"%] = true', '["jit"] = false')))
    local status, _, errors = gate:command "reload"
    assert.equal(0, status, errors)
    assert.equal(0, made_code(gate))
    run_warm(gate)
    assert.equal(0, made_code(gate))
  end)

  it("is interpreted where the configuration does not say so", function()
    local gate = start()
    run_warm(gate)
    assert.equal(0, made_code(gate))
  end)

  it("is interpreted, and a line says so, where nothing may be executed that was written", function()
    local words = { unpack(NO_CODE) }
    words[#words + 1] = "true"
    if process.run(words) == 77 then return pending "a kernel before 6.3 cannot be asked for that" end
    local gate = start({ jit = true }, NO_CODE)
    run_warm(gate)
    assert.equal(0, made_code(gate))
    assert.is_truthy(gate:errors():find("Lua is interpreted", 1, true))
  end)
end)
