-- examples/monitoring: alert rules and a dashboard must read what a gateway really tells. Prometheus's own promtool
-- looks at both; the Makefile fetches it, and where it cannot be had what it would check is pending.
local gateway = require "spec.support.gateway"
local json = require "dkjson"
local process = require "spec.support.process"
local tree = require "spec.support.tree"

local FOLDER = "examples/monitoring/"

local PROMTOOL = os.getenv "MOONGATE_PROMTOOL" or "promtool"
local has_promtool = process.run { PROMTOOL, "--version" } == 0

local function promtool(words, input)
  if not has_promtool then
    return pending "promtool is not here, and Debian's package prometheus could not be fetched"
  end
  local status, output, errors = process.run({ PROMTOOL, unpack(words) }, { stdin = input })
  assert.equal(0, status, output .. errors)
  return output
end

-- The metrics that a text names; a histogram's three series go by its own name.
local function named(text, kinds)
  local names = {}
  for name in text:gmatch "moongate_[%a_]+" do
    local base = name:gsub("_bucket$", ""):gsub("_sum$", ""):gsub("_count$", "")
    names[kinds[base] == "histogram" and base or name] = true
  end
  return names
end

local function queries(board)
  local list = {}
  for _, panel in ipairs(board.panels) do
    for _, target in ipairs(panel.targets) do list[#list + 1] = target.expr end
  end
  return list
end

describe("the example monitoring", function()
  local kinds, board, moongate

  setup(function()
    moongate = gateway.start { config = {
      providers = { demo = { protocol = "mock" } }, models = { { id = "echo", provider = "demo" } } } }
    kinds = {}
    for name, kind in moongate:request({ path = "/metrics" }).body:gmatch "# TYPE (%S+) (%a+)" do kinds[name] = kind end
    board = assert(json.decode(tree.read(FOLDER .. "grafana.json")))
  end)
  teardown(gateway.stop_all)

  it("names only metrics that a gateway exposes", function()
    for _, file in ipairs { "alerts.yml", "grafana.json" } do
      local names = named(tree.read(FOLDER .. file), kinds)
      assert.is_truthy(next(names), file)
      for name in pairs(names) do assert.is_truthy(kinds[name], file .. " names " .. name) end
    end
  end)

  it("reads metrics in which promtool finds no fault", function()
    for _ = 1, 3 do assert.equal(200, moongate:chat({ model = "echo" }).status) end
    assert.equal(404, moongate:chat({ model = "none" }).status)
    local text = moongate:request({ path = "/metrics" }).body
    assert.matches('moongate_requests_total{[^}]*status="200"} 3\n', text)
    moongate:write("metrics", text)
    promtool({ "check", "metrics" }, moongate.folder .. "/metrics")
  end)

  it("has rules and a configuration that promtool accepts", function()
    promtool { "check", "rules", FOLDER .. "alerts.yml" }
    promtool { "check", "config", FOLDER .. "prometheus.yml" }
  end)

  it("wakes for each rule when it should, and not before", function()
    promtool { "test", "rules", "spec/gateway/alerts.yml" }
    local cases, speaks, silent = tree.read "spec/gateway/alerts.yml", {}, {}
    for name, rest in (cases:gsub("alertname:", "\0alertname:")):gmatch "%zalertname: (%w+)(%Z*)" do
      local set = rest:find("exp_alerts", 1, true) and speaks or silent
      set[name] = true
    end
    for name in tree.read(FOLDER .. "alerts.yml"):gmatch "alert: (%w+)" do
      assert.same({ true, true }, { speaks[name], silent[name] }, name)
    end
  end)

  it("shows each metric that a gateway exposes on the dashboard", function()
    local shown = named(table.concat(queries(board), "\n"), kinds)
    for name in pairs(kinds) do assert.is_true(shown[name], name) end
  end)

  it("has a dashboard whose panels have a query, a place of their own and a data source to choose", function()
    local places = {}
    for _, panel in ipairs(board.panels) do
      local place = panel.gridPos.x .. " " .. panel.gridPos.y
      assert.is_nil(places[place], panel.title)
      places[place] = true
      assert.is_truthy(panel.targets[1].expr, panel.title)
      assert.equal("${datasource}", panel.datasource.uid)
    end
    assert.same({ "datasource", "datasource" }, { board.templating.list[1].name, board.templating.list[1].type })
  end)
end)
