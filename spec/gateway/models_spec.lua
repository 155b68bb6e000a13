-- Models and prices from foreign lists, end to end: imported by the command and at an interval, in force on every
-- worker at once, told with what changed; and what zero spend, broken lists and deprecated models make of it.
local gateway = require "spec.support.gateway"
local json = require "dkjson"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local wait = require "spec.support.wait"

local FREE, PAID = { prompt = "0", completion = "0" }, { prompt = "0.0000025", completion = "0.00001" }

-- OpenRouter's list of these: { id, pricing, more }.
local function openrouter(...)
  local data = {}
  for i, each in ipairs { ... } do
    data[i] = { id = each[1], pricing = each[2], context_length = 8192, name = each[1] }
    for name, value in pairs(each[3] or {}) do data[i][name] = value end
  end
  return json.encode { data = data }
end

describe("imported models", function()
  local upstream, moongate

  before_each(function() upstream = provider.open() end)
  after_each(gateway.stop_all)

  local function config(change)
    local whole = {
      listen = gateway.free_address(), store = "sqlite:moongate.db", workers = 2,
      providers = {
        openrouter = { base_url = upstream.base_url, api_key = "sk-1" },
        shop = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-2" },
      },
      models = { { id = "mine", provider = "shop", cost = { input = 9, output = 9 } } },
    }
    for name, value in pairs(change or {}) do whole[name] = value end
    return whole
  end

  local function prepare(change)
    moongate = gateway.prepare { config = config(change) }
    return moongate
  end

  local function start(change) return prepare(change):open() end

  local function import(text, ...)
    moongate:write("list.json", text)
    return moongate:command("models", "import", "list.json", ...)
  end

  -- Every worker has to answer so.
  local function answers(model)
    local statuses = {}
    for _ = 1, 8 do statuses[moongate:chat({ model = model }).status] = true end
    local list = {}
    for status in pairs(statuses) do list[#list + 1] = status end
    assert.equal(1, #list, "the workers do not agree on " .. model)
    return list[1]
  end

  local function listed(...)
    local status, output, errors = moongate:command("models", "list", "--json", ...)
    assert.same({ 0, "" }, { status, errors })
    local by_id = {}
    for _, entry in ipairs(json.decode(output)) do by_id[entry.id] = entry end
    return by_id
  end

  it("are in force on every worker at once, at their prices, and after a restart", function()
    start()
    assert.equal(404, answers "x/new")
    local status, output, errors = import(openrouter({ "x/new", PAID }, { "y/free:free", FREE }))
    assert.same({ 0, "" }, { status, errors })
    assert.matches("imported 2 models from list.json (openrouter): 2 new, 0 changed, 0 gone", output, 1, true)
    wait.until_(function() return moongate:chat({ model = "x/new" }).status == 200 end, "the model")
    assert.equal(200, answers "x/new")
    assert.equal("x/new", upstream:body().model)
    local answer = moongate:chat { model = "x/new" }
    local usage = answer:json().usage
    assert.near(usage.prompt_tokens * 2.5e-6 + usage.completion_tokens * 1e-5,
      tonumber(answer.headers["x-moongate-cost-usd"]), 1e-6)
    moongate:restart()
    assert.equal(200, answers "x/new")
  end)

  it("come from LiteLLM's map under the names that it has, and those that their providers have", function()
    start()
    local status = import(json.encode {
      sample_spec = { litellm_provider = "one of ...", mode = "chat" },
      ["shop/large"] = { litellm_provider = "shop", mode = "chat", input_cost_per_token = 2.5e-06,
        output_cost_per_token = 1e-05, max_input_tokens = 32000, supports_function_calling = true },
      ["gpt-elsewhere"] = { litellm_provider = "elsewhere", mode = "chat", input_cost_per_token = 0,
        output_cost_per_token = 0 },
    }, "--format", "litellm")
    assert.equal(0, status)
    wait.until_(function() return moongate:chat({ model = "large" }).status == 200 end, "the model")
    for _, name in ipairs { "large", "shop/large" } do
      assert.equal(200, answers(name))
      assert.equal("large", upstream:body().model)
    end
    assert.equal(404, answers "gpt-elsewhere") -- known, but nobody has it here
    local models = listed()
    assert.same({ { input = 2.5, output = 10 }, "shop/large", "litellm", 32000, true },
      { models["shop/large"].cost, models["shop/large"].target, models["shop/large"].source,
        models["shop/large"].context_length, models["shop/large"].tools })
    assert.is_nil(models["gpt-elsewhere"].target)
    assert.is_nil(listed("--usable")["gpt-elsewhere"])
    assert.is_nil(listed("--free")["shop/large"])
  end)

  it("never overwrite what the configuration says", function()
    start()
    import(json.encode { mine = { litellm_provider = "shop", mode = "chat", input_cost_per_token = 1e-6,
      output_cost_per_token = 1e-6, max_input_tokens = 777 } })
    wait.until_(function() return listed().mine.context_length == 777 end, "the import")
    assert.same({ input = 9, output = 9 }, listed().mine.cost)
    assert.equal("config", listed().mine.source)
  end)

  it("leave a trail, and an alarm where a price has jumped", function()
    start()
    import(openrouter({ "x/a", PAID }, { "x/b", FREE }, { "x/c", PAID }))
    local status, output = import(openrouter({ "x/a", { prompt = "0.00001", completion = "0.00001" } },
      { "x/b", { prompt = "0.000001", completion = "0" } }, { "x/d", FREE }))
    assert.equal(0, status)
    assert.matches("PRICE JUMP openrouter/x/a: cost.input 2.5 -> 10 (4 times as much)", output, 1, true)
    status, output = moongate:command("models", "changes", "--json")
    assert.equal(0, status)
    local found = {}
    for _, change in ipairs(json.decode(output)) do
      assert.equal("openrouter", change.source)
      assert.near(os.time(), change.time, 60)
      found[#found + 1] = table.concat({ change.model, change.field, tostring(change.old), tostring(change.new),
        tostring(change.alert) }, " ")
    end
    assert.same({ "x/a cost.input 2.5 10 true", "x/b cost.input 0 1 true", "x/d model nil added nil",
      "x/c model present removed nil", "x/a model nil added nil", "x/b model nil added nil",
      "x/c model nil added nil" }, found)
    output = select(2, moongate:command("models", "changes", "--alerts"))
    assert.equal(3, select(2, output:gsub("\n", "")))
    assert.matches("openrouter/x/b +cost.input +0 +1 +JUMP", output)
    local ready = moongate:request({ path = "/ready" }):json()
    assert.equal("degraded", ready.status)
    assert.same({ "prices" }, { ready.problems[1].what })
    assert.matches("2 imported prices have jumped: openrouter/x/a cost.input from 2.5 to 10", ready.problems[1].message,
      1, true)
    assert.truthy(moongate:logged "a price has jumped")
    assert.equal(0, (moongate:command("models", "changes", "--since", "2000-01-01")))
    assert.equal(7, #moongate:admin("/admin/models/changes?since=1h").changes)
    for _, since in ipairs { "x", "-1", "1e99", "99999999999999999" } do
      local answer, code = moongate:admin("/admin/models/changes?since=" .. since)
      assert.equal(400, code)
      assert.matches('since: "' .. since .. '" is no time: expected a day such as', answer.error.message, 1, true)
    end
    local function prices()
      local list = {}
      for i, each in ipairs(moongate:admin("/admin/models").changes) do
        list[i] = table.concat({ each.id, each.field, tostring(each.old), tostring(each.new), tostring(each.alert),
          tostring(each.source) }, " ")
      end
      table.sort(list)
      return list
    end
    local jumped = { "openrouter/x/a input 2.5 10 true openrouter", "openrouter/x/b input 0 1 true openrouter" }
    assert.same(jumped, prices())
    moongate:restart()
    assert.same(jumped, prices())
    -- It is nothing that keeps a configuration from being fine, or another process from taking over.
    assert.equal(0, (moongate:command("check")))
    assert(moongate:upgrade())
  end)

  it("on a dry run are told and not imported", function()
    start()
    local status, output = import(openrouter { "x/new", PAID }, "--dry-run")
    assert.equal(0, status)
    assert.matches("would import 1 model from list.json", output, 1, true)
    assert.matches("  openrouter/x/new: added", output, 1, true)
    assert.equal(404, answers "x/new")
    local _, changes = moongate:command("models", "changes", "--json")
    assert.equal("[]\n", changes)
  end)

  it("under zero_spend are called only where they are known to cost nothing, and not an instant longer", function()
    start { zero_spend = true }
    import(openrouter({ "x/free", FREE }, { "x/paid", PAID }, { "x/varies", { prompt = "-1", completion = "-1" } }))
    wait.until_(function() return moongate:chat({ model = "x/free" }).status == 200 end, "the free model")
    assert.same({ 403, 403, 200 }, { answers "x/paid", answers "x/varies", answers "x/free" })
    import(openrouter({ "x/free", PAID }, { "x/paid", FREE }))
    wait.until_(function() return moongate:chat({ model = "x/paid" }).status == 200 end, "the import")
    local before = #upstream:seen()
    assert.equal(403, answers "x/free")
    assert.equal(before, #upstream:seen())
    import(openrouter({ "x/paid", { prompt = "-1", completion = "-1" } }))
    wait.until_(function() return moongate:chat({ model = "x/paid" }).status == 403 end, "the unknown price")
  end)

  it("that are deprecated are replaced, and the answer says so", function()
    start { models = {
      { id = "old", provider = "shop", deprecated = "2026-01-31", replacement = "new" },
      { id = "new", provider = "shop" }, { id = "gone", provider = "shop", deprecated = "2026-01-31" },
    } }
    local answer = moongate:chat { model = "old" }
    assert.same({ 200, "new", "old is deprecated since 2026-01-31" },
      { answer.status, answer.headers["x-moongate-model"], answer.headers["x-moongate-deprecated"] })
    assert.is_nil(moongate:chat({ model = "new" }).headers["x-moongate-deprecated"])
    answer = moongate:chat { model = "gone" }
    assert.same({ 404, "model_deprecated" }, { answer.status, answer:json().error.code })
    assert.matches("since 2026-01-31 and nothing stands in its place", answer:json().error.message, 1, true)
    import(openrouter { "x/past", PAID, { expiration_date = "2020-01-01" } })
    wait.until_(function() return listed()["x/past"] ~= nil end, "the import")
    assert.matches("deprecated since 2020-01-01", moongate:chat({ model = "x/past" }):json().error.message, 1, true)
  end)

  it("are kept without a gateway, too, and are there when it starts", function()
    prepare()
    assert.equal(0, (import(openrouter { "x/new", PAID })))
    assert.equal("openrouter/x/new", listed()["x/new"].target)
    moongate:open()
    assert.equal(200, answers "x/new")
  end)

  it("in a store that is memory are those of the running gateway", function()
    start { store = "memory:" }
    assert.equal(0, (import(openrouter { "x/new", PAID })))
    assert.equal(200, answers "x/new")
    assert.equal("openrouter/x/new", listed()["x/new"].target)
    local _, changes = moongate:command("models", "changes", "--json")
    assert.equal("x/new", json.decode(changes)[1].model)
    moongate:stop()
    local status, _, errors = import(openrouter { "x/new", PAID })
    assert.equal(1, status)
    assert.matches("keeps no models without one: start it first", errors, 1, true)
  end)

  it("may come in more than one piece, as the gateway's limit on bodies asks", function()
    start { limits = { body_bytes = 4096 } }
    local many = {}
    for i = 1, 200 do many[i] = { "x/model-" .. i, PAID } end
    local status, output, errors = import(openrouter(unpack(many)))
    assert.same({ 0, "" }, { status, errors })
    assert.matches("imported 200 models", output, 1, true)
    assert.equal(200, answers "x/model-200")
  end)

  describe("from an address", function()
    local function list(...) upstream:usually { kind = "text", type = "application/json", body = openrouter(...) } end

    it("are fetched by the command, and its query is shown nowhere", function()
      start()
      list { "x/new", PAID }
      local status, output = moongate:command("models", "import", upstream.base_url .. "/models?key=secret-1")
      assert.equal(0, status)
      assert.matches("imported 1 model from " .. upstream.base_url .. "/models (openrouter)", output, 1, true)
      assert.is_nil(output:find("secret-1", 1, true))
      assert.is_nil(moongate:errors():find("secret-1", 1, true))
      upstream:usually { kind = "error", status = 503 }
      local errors
      local nothing
      status, nothing, errors = moongate:command("models", "import", upstream.base_url .. "/models")
      assert.equal("", nothing)
      assert.equal(1, status)
      assert.equal("moongate models import: " .. upstream.base_url .. "/models: answered 503\n", errors)
    end)

    it("are fetched at an interval, by the configuration; what fails is told, and changes nothing", function()
      list { "x/new", PAID }
      start { sync = { { url = upstream.base_url .. "/models", format = "openrouter", interval = 3600 } } }
      wait.until_(function() return listed()["x/new"] ~= nil end, "the sync")
      assert.equal(1, #upstream:seen())
      moongate:stop()
      upstream:usually { kind = "text", type = "application/json", body = '{"data": [' }
      -- Not again within its interval, though the gateway was started anew; another list is.
      moongate:write("moongate.lua", (moongate:read("moongate.lua"):gsub("3600", "7200")))
      moongate:open()
      assert.equal(1, #upstream:seen())
      local text = moongate:read("moongate.lua"):gsub('/models"', '/other"')
      moongate:write("moongate.lua", (text:gsub('%["format"%] = "openrouter",? ?', "")))
      assert.equal(0, (moongate:command "reload"))
      local ready
      wait.until_(function()
        ready = moongate:request({ path = "/ready" }):json()
        return ready.status == "degraded"
      end, "the failure to be told")
      assert.equal("sync", ready.problems[1].what)
      assert.matches("/other:1: not valid JSON", ready.problems[1].message, 1, true)
      assert.truthy(listed()["x/new"])
    end)
  end)

  describe("in a broken list", function()
    local function refused(words, text, ...)
      local status, output, errors = import(text, ...)
      assert.same({ 1, "" }, { status, output })
      assert.matches(words, errors, 1, true)
      assert.equal("moongate models import: list.json", errors:sub(1, 33))
      return errors
    end

    it("are not imported, with a gateway and without, and what is wrong is told with its place", function()
      start()
      import(openrouter { "x/good", PAID })
      for _ = 1, 2 do
        refused("list.json:1: not valid JSON:", '{"data": [{"id": "x"')
        refused("data[1] (x/bad): pricing.prompt: expected USD per token as a decimal, found \"free\"",
          openrouter({ "x/new", PAID }, { "x/bad", { prompt = "free", completion = "0" } }))
        refused("pricing.prompt: expected USD per single token from 0 to 1, or -1 for unknown, found -0.5",
          openrouter { "x/bad", { prompt = "-0.5", completion = "0" } })
        refused("has no model that could be used here", '{"data": []}')
        refused("neither OpenRouter's list of models", '{"models": 7}')
        refused("a: expected an object with litellm_provider", '{"a": 1}', "--format", "litellm")
        refused("list.json:2: cost: expected USD per million tokens", "model_id,provider_id,cost\nm,shop,x\n")
        refused("list.json:1: the header: lacks the column \"provider_id\"", "model_id\nm\n", "--format", "table")
        local errors = refused("pricing.prompt", openrouter({ "a", { prompt = "x", completion = "0" } },
          { "b", { prompt = "y", completion = "0" } }))
        assert.equal(2, select(2, errors:gsub("\n", "")))
        assert.is_nil(listed()["x/new"])
        assert.truthy(listed()["x/good"])
        moongate:stop()
      end
    end)

    it("that is not there is told, and so is a wrong token", function()
      start()
      local status, _, errors = moongate:command("models", "import", "nosuch.json")
      assert.same({ 1, "moongate models import: nosuch.json: No such file or directory\n" }, { status, errors })
      local text = moongate:read "moongate.lua"
      moongate:write("moongate.lua", (text:gsub(gateway.admin_token:gsub("%-", "%%-"), "another-token")))
      status, _, errors = import(openrouter { "x/new", PAID })
      assert.equal(1, status)
      assert.matches("does not take the admin_token of this configuration: it runs with another one", errors, 1, true)
    end)
  end)

  it("are asked for in words that make sense", function()
    prepare()
    local function complains(words, ...)
      local status, output, errors = moongate:command("models", ...)
      assert.same({ 2, "" }, { status, output })
      assert.matches(words, errors, 1, true)
    end
    complains("import, list or changes?")
    complains('"lsit" is not known (did you mean "list"?)', "lsit")
    complains("which list? name a file or an address", "import")
    complains('--format: "litelm" is not known (did you mean "litellm"?)', "import", "x", "--format", "litelm")
    complains("list has no --since", "list", "--since", "7d")
    complains('--since: "yesterday" is no time', "changes", "--since", "yesterday")
    complains('"b" is one word too many', "import", "a", "b")
    local status, output = moongate:command("models", "--help")
    assert.equal(0, status)
    assert.matches("moongate models import https://openrouter.ai/api/v1/models", output, 1, true)
  end)

  it("that are very many are imported in bounded time, and serve", function()
    start { workers = 1 }
    local file = assert(io.open(moongate.folder .. "/list.json", "wb"))
    local filler = ("x"):rep(300)
    file:write '{"data": ['
    for i = 1, 20000 do
      file:write(i > 1 and "," or "", ('{"id":"x/model-%d","name":"%s","context_length":8192,'
        .. '"pricing":{"prompt":"0.000001","completion":"0.000002"},"supported_parameters":["tools"]}')
        :format(i, filler))
    end
    file:write "]}"
    file:close()
    local status, output, errors = process.run({ gateway.binary, "models", "import", "list.json" },
      { cwd = moongate.folder, seconds = 120 })
    assert.same({ 0, "" }, { status, errors })
    assert.matches("imported 20000 models", output, 1, true)
    wait.until_(function() return moongate:chat({ model = "x/model-20000" }).status == 200 end, "the last model", 60)
    assert.equal(200, moongate:chat({ model = "openrouter/x/model-1" }).status)
  end)
end)
