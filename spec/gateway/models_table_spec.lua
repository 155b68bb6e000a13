-- The operator's own model table, end to end: only its models are known, what it says of price and free tier holds
-- against everything else, and a broken one is told in one line and changes nothing.
local bench = require "spec.store.workbench"
local gateway = require "spec.support.gateway"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local wait = require "spec.support.wait"

local HEADER = "model_id,provider_id,is_free_tier,cost"

local function rows(...) return table.concat({ HEADER, ... }, "\n") .. "\n" end

describe("a model table", function()
  local upstream, moongate

  before_each(function() upstream = provider.open() end)
  after_each(gateway.stop_all)

  local function config(change)
    local whole = {
      workers = 1, models_table = { csv = "my_free_models.csv" },
      providers = {
        shop = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-1" },
        groq = { base_url = upstream.base_url, api_key = "sk-2" },
        here = { protocol = "openai", base_url = upstream.base_url, is_local = true },
        demo = { protocol = "mock" },
      },
    }
    for name, value in pairs(change or {}) do whole[name] = value end
    return whole
  end

  local function start(text, change)
    moongate = gateway.prepare { config = config(change) }
    if text then moongate:write("my_free_models.csv", text) end
    return moongate:open()
  end

  local function listed()
    local names = {}
    for _, model in ipairs(moongate:request({ path = "/v1/models" }):json().data) do names[#names + 1] = model.id end
    table.sort(names)
    return names
  end

  local function reload(text)
    moongate:write("my_free_models.csv", text)
    moongate.process:kill("HUP")
  end

  it("in CSV is all that the gateway knows", function()
    start(rows("tiny,shop,1,0", "big,shop,no,2.5"), {
      models = { { id = "unlisted", provider = "shop" }, { id = "tiny", provider = "shop", upstream_id = "tiny-v2" } },
    })
    assert.same({ "auto", "big", "tiny" }, listed())
    assert.equal(200, moongate:chat({ model = "tiny" }).status)
    assert.equal("tiny-v2", upstream:body().model)
    for _, name in ipairs { "unlisted", "mock", "demo/mock", "shop/unlisted", "llama-3.3-70b-versatile" } do
      assert.equal(404, moongate:chat({ model = name }).status, name)
    end
  end)

  it("charges its price in both directions, over what the configuration says", function()
    start(rows("big,shop,no,2.5"), {
      models = { { id = "big", provider = "shop", cost = { input = 100, output = 100 } } },
    })
    local answer = moongate:chat { model = "big" }
    local usage = answer:json().usage
    local tokens = usage.prompt_tokens + usage.completion_tokens
    assert.near(tokens * 2.5e-6, tonumber(answer.headers["x-moongate-cost-usd"]), 1e-6)
  end)

  it("in SQLite is the same, and stays as it was", function()
    moongate = gateway.prepare { config = config { models_table = { sqlite = "free.db", table = "my free models" } } }
    local path = moongate.folder .. "/free.db"
    bench.sql(path, 'CREATE TABLE "my free models" (model_id TEXT, provider_id TEXT, is_free_tier BOOLEAN, cost REAL,'
      .. " context_length INTEGER, priority INTEGER)")
    bench.sql(path, [[INSERT INTO "my free models" VALUES ('tiny', 'shop', 1, 0, 8192, 90), ('b', 'demo', 0, NULL,
      NULL, NULL)]])
    local before = moongate:read "free.db"
    moongate:open()
    assert.same({ "auto", "b", "tiny" }, listed())
    assert.equal(200, moongate:chat({ model = "tiny" }).status)
    assert.equal(before, moongate:read "free.db")
  end)

  it("is read again at SIGHUP; a broken one changes nothing, and /ready says where", function()
    start(rows("tiny,shop,1,0"))
    reload(rows("tiny,shop,1,0", "second,shop,1,0"))
    wait.until_(function() return #listed() == 3 end, "the second model")
    reload(rows("tiny,shop,1,0", "second,shpo,1,0"))
    local ready
    wait.until_(function()
      ready = moongate:request({ path = "/ready" }):json()
      return ready.status == "degraded"
    end, "the problem")
    local problem = ready.problems[1]
    assert.same({ "configuration", 3 }, { problem.what, problem.line })
    assert.matches("my_free_models.csv", problem.file, 1, true)
    assert.matches('did you mean "shop"', problem.message, 1, true)
    assert.equal(200, moongate:chat({ model = "second" }).status)
    reload(rows("third,shop,1,0"))
    wait.until_(function() return moongate:request({ path = "/ready" }):json().status == "ready" end, "it to be fine")
    assert.same({ "auto", "third" }, listed())
  end)

  it("has its priorities as weights among equals", function()
    start("model_id,provider_id,is_free_tier,cost,priority\nm,shop,1,0,90\nm,here,1,0,10\n")
    local count = { shop = 0, here = 0 }
    for _ = 1, 200 do
      local name = moongate:chat({ model = "m" }).headers["x-moongate-provider"]
      count[name] = count[name] + 1
    end
    assert.near(180, count.shop, 16)
  end)

  it("under zero_spend never has a row called that is not free, or has a price, or an unknown one", function()
    local all = rows("paid,shop,1,0.01", "unfree,shop,0,0", "unknown,shop,1,", "minus,shop,1,-1", "words,shop,1,free",
      "small,shop,1,1e-999", "unfree,here,0,0", "unknown,here,yes,", "paid,here,yes,3", "unfree,demo,no,0",
      "llama-3.3-70b-versatile,groq,1,", "bait,shop,0,", "good,here,1,0")
    start(all, {
      zero_spend = true, policy = "balanced",
      aliases = { ["gpt-4"] = { { model = "paid", weight = 99 }, { model = "good" } }, dear = "unfree" },
      models = { { id = "bait", provider = "shop", free = true, cost = { input = 0, output = 0 } } },
    })
    for _, name in ipairs { "paid", "unfree", "unknown", "minus", "words", "small", "here/unfree", "here/unknown",
      "here/paid", "demo/unfree", "llama-3.3-70b-versatile", "bait", "dear" } do
      local answer = moongate:chat { model = name }
      assert.same({ 403, "zero_spend" }, { answer.status, answer:json().error.code }, name)
    end
    assert.matches("here/unfree is not declared free",
      moongate:chat({ model = "here/unfree" }):json().error.message, 1, true)
    assert.same({}, upstream:seen())
    for _, name in ipairs { "auto", "gpt-4", "good" } do
      assert.equal("good", moongate:chat({ model = name }).headers["x-moongate-model"])
    end
    for _, request in ipairs(upstream:seen()) do assert.matches('"good"', request.body, 1, true) end
  end)

  -- What `check` and `serve` say: one line, exit 1.
  local function refused(words, text, change, prepare)
    for _, verb in ipairs { "check", "serve" } do
      local folder = gateway.prepare { config = config(change) }
      if text then folder:write("my_free_models.csv", text) end
      if prepare then prepare(folder.folder .. "/free.db", folder.folder) end
      local status, _, errors = folder:command(verb)
      process.remove(folder.folder)
      assert.equal(1, status, errors)
      for _, word in ipairs(words) do assert.matches(word, errors, 1, true) end
      assert.equal(1, select(2, errors:gsub("[^\n]+", "")), errors)
    end
  end

  for title, case in pairs {
    ["that is not there"] = { nil, { "moongate.lua", "my_free_models.csv: No such file" } },
    ["that is empty"] = { "", { "my_free_models.csv: is empty" } },
    ["that lacks a column"] = { "model_id,provider_id,is_free_tier\nm,shop,1\n",
      { 'my_free_models.csv:1: lacks the column "cost"; it has: model_id, provider_id, is_free_tier' } },
    ["that has no rows"] = { HEADER, { "csv:1: has no rows" } },
    ["with semicolons"] = { "model_id;provider_id;is_free_tier;cost\n", { "csv:1:", "separated by semicolons" } },
    ["in UTF-16"] = { "\255\254m\0o\0", { "csv:1: is UTF-16" } },
    ["in Latin-1"] = { rows("caf\233,shop,1,0"), { "csv:2: is not UTF-8" } },
    ["with a NUL"] = { rows("a\0b,shop,1,0"), { "csv:2: has a NUL byte" } },
    ["with a quote that never ends"] = { rows('"m,shop,1,0'), { "csv:2: a quote is opened here" } },
    ["with a quote in the middle"] = { rows('m"m,shop,1,0'), { "csv:2: a quote stands inside" } },
    ["with a value too many"] = { rows("m,shop,1,0,5"), { "csv:2: has 5 values where the header has 4" } },
    ["with a provider of another name"] = { rows("m,shpo,1,0"),
      { "csv:2: provider_id: expected one of the configuration's providers", 'did you mean "shop"', 'found "shpo"' } },
    ["with a strange free tier"] = { rows("m,shop,oui,0"), { "csv:2: is_free_tier: expected 1, 0,", 'found "oui"' } },
    ["with a price past reason"] = { rows("m,shop,1,1e9"), { "csv:2: cost: expected USD per million tokens" } },
    ["with a model twice"] = { rows("m,shop,1,0", "", "m,shop,1,0"), { 'csv:4: model_id: "m" is there twice' } },
    ["without a model's name"] = { rows(",shop,1,0"), { "csv:2: model_id: expected", "found nothing" } },
  } do
    it(title .. " is refused in one line", function() refused(case[2], case[1]) end)
  end

  it("that is a folder or a pipe is refused, and waited for by nobody", function()
    refused({ "it is a folder" }, nil, nil, function(_, folder)
      os.execute("mkdir " .. folder .. "/my_free_models.csv")
    end)
    refused({ "it is not a file" }, nil, nil, function(_, folder)
      os.execute("mkfifo " .. folder .. "/my_free_models.csv")
    end)
  end)

  it("without one of the models that an alias leads to is told with the alias", function()
    refused({ "moongate.lua:", "aliases.fast", 'there is no model "tinny" (did you mean "tiny"?)' },
      rows("tiny,shop,1,0"), { aliases = { fast = "tinny" } })
  end)

  describe("in SQLite", function()
    local IN_SQLITE = { models_table = { sqlite = "free.db", table = "models" } }

    for title, case in pairs {
      ["without the file"] = { function() end, { "moongate.lua", "free.db: No such file" } },
      ["with a table of another name"] = { function(path) bench.sql(path, "CREATE TABLE modells (x)") end,
        { 'free.db: there is no table "models"; there are: modells' } },
      ["without a column"] = {
        function(path) bench.sql(path, "CREATE TABLE models (model_id, provider_id, cost)") end,
        { 'free.db: models: lacks the column "is_free_tier"; it has: model_id, provider_id, cost' } },
      ["with a wrong row"] = { function(path)
        bench.sql(path, "CREATE TABLE models (model_id, provider_id, is_free_tier, cost)")
        bench.sql(path, "INSERT INTO models VALUES ('m', 'shop', 1, 0), ('n', 'shop', NULL, 0)")
      end, { "free.db: models, row 2: is_free_tier: expected 1, 0,", "found nothing" } },
      ["that is no database"] = { function(path)
        local file = io.open(path, "w")
        file:write(("no database\n"):rep(100))
        file:close()
      end, { "free.db: is not a SQLite database" } },
    } do
      it(title .. " is refused in one line", function() refused(case[2], nil, IN_SQLITE, case[1]) end)
    end

    it("needs the table's name", function()
      refused({ "models_table", 'needs table = "NAME"' }, nil, { models_table = { sqlite = "free.db" } })
    end)
  end)
end)
