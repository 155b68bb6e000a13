-- examples/monitoring: alert rules and a dashboard must read what a gateway really tells.
local gateway = require "spec.support.gateway"
local json = require "dkjson"
local tree = require "spec.support.tree"

local FOLDER = "examples/monitoring/"

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
  local kinds, board

  setup(function()
    local moongate = gateway.start { config = {
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
