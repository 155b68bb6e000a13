-- Every client surface against every provider protocol, each through its official SDK and a real gateway: what comes
-- through, what is left out, what is refused. The tables in lua/protocols/README.md are what is seen here:
--
--   make test SPECS=spec/sdk/matrix_spec.lua MATRIX=write     writes them
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"
local sdk = require "spec.sdk.sdk"

local KEY = "a-key-of-the-config"
local README = "lua/protocols/README.md"
local PROTOCOLS = { "openai", "responses", "anthropic", "gemini", "ollama" }
-- What a model is called decides what it takes: these think, and sign.
local UPSTREAM = { anthropic = "claude-sonnet-4-5", gemini = "gemini-3-flash" }
local BOTH_CITIES = { { name = "weather", city = "Bern" }, { name = "weather", city = "Geneva" } }

-- ---- what a scenario's result means for its cell ----

-- A refusal that says what cannot be carried; any other status is an error of ours.
local function refused(result)
  return result.status == 400 and result.class and "400"
end

local function wrong(result, what)
  return ("WRONG %s: %s %s"):format(what, tostring(result.status or ""), tostring(result.message or ""))
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for name, value in pairs(a) do if not same(value, b[name]) then return false end end
  for name in pairs(b) do if a[name] == nil then return false end end
  return true
end

local function cities(calls)
  local list = {}
  for index, call in ipairs(calls or {}) do list[index] = { name = call.name, city = call.arguments.city } end
  return list
end

local function has_ids(calls)
  local seen = {}
  for _, call in ipairs(calls) do
    if not call.id or seen[call.id] then return false end
    seen[call.id] = true
  end
  return true
end

local judges = {}

local function text(result, streamed)
  if result.text ~= "Hello from the provider." then return wrong(result, "text") end
  if result.finish ~= "stop" then return wrong(result, "finish " .. tostring(result.finish)) end
  if result.usage.input ~= 9 or result.usage.output ~= 12 then return wrong(result, "usage") end
  if streamed and result.pieces ~= 5 then return wrong(result, tostring(result.pieces) .. " pieces") end
  return "yes"
end

function judges.whole(result) return text(result, false) end

function judges.stream(result)
  if result.same == false or result.numbered == false then return wrong(result, "order of events") end
  return text(result, true)
end

function judges.tools(result)
  if not same(cities(result.calls), BOTH_CITIES) then return wrong(result, "calls") end
  if not has_ids(result.calls) then return wrong(result, "ids") end
  return result.finish == "tool_calls" and "yes" or wrong(result, "finish " .. tostring(result.finish))
end
judges.tools_stream = judges.tools

function judges.loop(result)
  if not same(cities(result.calls), BOTH_CITIES) then return wrong(result, "calls") end
  return result.text:find("^Warm in both") and result.turns == 2 and "yes" or wrong(result, "end")
end
judges.loop_stream = judges.loop

-- What the provider said before its calls comes back to it with their results, signed as it was.
function judges.signed(result)
  local word = judges.loop(result)
  return word == "yes" and result.text:find("after 0", 1, true) and "without them" or word
end
judges.signed_stream = judges.signed

function judges.thinking(result)
  if result.text ~= "42" or result.finish ~= "stop" then return wrong(result, "text") end
  if result.thinking == "Six times seven." then return "yes" end
  return (result.thinking or "") == "" and "dropped" or wrong(result, "thoughts")
end
judges.thinking_stream = judges.thinking

-- What the provider was asked, as it tells it.
local function told(judge)
  return function(result, surface)
    if result.class then return refused(result) or wrong(result, "error") end
    return judge(result, surface)
  end
end

local function list_of(name, value)
  return told(function(asked)
    if #asked[name] == 0 then return "dropped" end
    return asked[name][1] == value and "yes" or wrong(asked, asked[name][1])
  end)
end

judges.image = list_of("images", "image/png")
judges.document = list_of("documents", "application/pdf")

judges.audio = told(function(asked)
  return #asked.audio == 0 and "dropped" or asked.audio[1]:match("wav$") and "yes" or wrong(asked, asked.audio[1])
end)

judges.schema = told(function(asked)
  local schema = type(asked.format) == "table" and asked.format.schema
  if not schema then return asked.system and asked.system:find("degrees", 1, true) and "in words" or "dropped" end
  local properties = schema.properties or {}
  return properties.city and properties.city.type == "string" and properties.degrees.type == "integer" and "yes"
    or wrong(asked, "schema")
end)

judges.system = told(function(asked)
  return asked.system == "Be brief." and "yes" or wrong(asked, "system " .. tostring(asked.system))
end)

-- What the surface's SDK asked for; those that the provider did not hear are named.
local SAMPLING = {
  openai = { "temperature", "max_tokens", "seed", "presence_penalty" },
  responses = { "temperature", "max_tokens" },
  anthropic = { "temperature", "max_tokens", "top_k" },
  gemini = { "temperature", "max_tokens", "top_k", "seed", "presence_penalty" },
  ollama = { "temperature", "max_tokens", "top_k", "seed", "presence_penalty" },
}
local VALUES = { temperature = 0.5, max_tokens = 64, seed = 7, presence_penalty = 0.25, top_k = 5 }

judges.sampling = told(function(asked, surface)
  local missing = {}
  for _, name in ipairs(SAMPLING[surface]) do
    if asked[name] == nil then
      missing[#missing + 1] = name
    elseif asked[name] ~= VALUES[name] then
      return wrong(asked, name .. " " .. tostring(asked[name]))
    end
  end
  return #missing == 0 and "yes" or "without " .. table.concat(missing, ", ")
end)

local function choice(value)
  return told(function(asked)
    local tool = asked.tools[1]
    if not tool or tool.parameters.properties.city.type ~= "string" then return wrong(asked, "tools") end
    if asked.tool_choice == nil then return "dropped" end
    return asked.tool_choice == value and "yes" or wrong(asked, "choice " .. tostring(asked.tool_choice))
  end)
end
judges.choice, judges.named = choice("any"), choice("weather")

judges.one_call = told(function(asked) return asked.parallel == false and "yes" or "dropped" end)

function judges.stop(result)
  if result.class then return refused(result) or wrong(result, "error") end
  if result.text == "one two END three" then return "dropped" end
  return result.text == "one two " and "yes" or wrong(result, "text " .. tostring(result.text))
end

function judges.length(result) return result.finish == "length" and "yes" or wrong(result, "finish") end

-- Ollama has no word for it.
function judges.filtered(result)
  if result.finish == "stop" then return "as a stop" end
  return result.finish == "content_filter" and "yes" or wrong(result, "finish " .. tostring(result.finish))
end

function judges.cached(result)
  local usage = result.usage or {}
  if usage.input ~= 100 or usage.output ~= 20 then return wrong(result, "usage " .. tostring(usage.input)) end
  if usage.cached == 0 then return "dropped" end
  return usage.cached == 60 and (usage.written == 30 or usage.written == 0) and "yes" or wrong(result, "cached")
end
judges.cached_stream = judges.cached

function judges.count(result)
  if type(result.tokens) ~= "number" or result.tokens <= 0 then return wrong(result, "tokens") end
  return result.tokens == 9 and "yes" or "estimated"
end

function judges.embeddings(result)
  if result.class then return refused(result) or wrong(result, "error") end
  return same(result.vectors, { { 0, 0.5, -0.25 }, { 1, 0.5, -0.25 } }) and "yes" or wrong(result, "vectors")
end

-- Errors: the status that the SDK makes its own class of.
local function status(least, most, pattern)
  return function(result)
    local said = result.status
    if not result.class or type(said) ~= "number" or said < least or said > most then return wrong(result, "status") end
    return (result.message or ""):find(pattern or "") and "yes" or wrong(result, "message")
  end
end

judges.unknown_key, judges.unknown_model = status(401, 401), status(404, 404)
judges.bad_request = status(400, 400)
-- A provider's 429 is no limit of the caller's: nobody is left who could answer.
judges.limited, judges.failing, judges.failing_stream = status(502, 503), status(502, 503), status(502, 503)
judges.refused = status(400, 400, "takes no such thing")

function judges.fails_stream(result)
  if not result.class or result.class == "none" then return wrong(result, "no error") end
  return result.content == "Hello from" and "yes" or wrong(result, "content " .. tostring(result.content))
end

function judges.abort(result) return (result.chunks or 0) >= 3 and "yes" or wrong(result, "chunks") end

function judges.models(result)
  return type(result.ids) == "table" and result.one and "yes" or wrong(result, "models")
end

function judges.generate(result)
  return result.text == "Hello from the provider." and result.streamed == result.text and "yes" or wrong(result, "text")
end

-- What only a provider that stores conversations itself could know.
function judges.stored(result) return result.class and refused(result) or "yes" end

-- ---- the table ----

-- A line's title and the scenarios that make its cell; what they have in common is said once.
local LINES = {
  { "text", "whole", "stream" }, { "generate", "generate" },
  { "parallel tool calls", "tools", "tools_stream" }, { "tool loop", "loop", "loop_stream" },
  { "thoughts", "thinking", "thinking_stream" }, { "tool loop with thoughts", "signed", "signed_stream" },
  { "any tool", "choice" }, { "a named tool", "named" }, { "one call at a time", "one_call" },
  { "system", "system" }, { "images", "image" }, { "documents", "document" }, { "audio", "audio" },
  { "JSON Schema", "schema" }, { "sampling", "sampling" }, { "stop strings", "stop" },
  { "ended by length", "length" }, { "ended by a filter", "filtered" }, { "cached tokens", "cached", "cached_stream" },
  { "token count", "count" }, { "embeddings", "embeddings" }, { "models", "models" },
  { "a stored conversation", "stored" },
  { "errors of the gateway", "unknown_key", "unknown_model", "bad_request" },
  { "errors of the provider", "limited", "refused", "failing", "failing_stream" },
  { "error in a stream", "fails_stream" }, { "abort", "abort" },
}

-- Each SDK's file, and the scenarios that it has none of.
local SURFACES = {
  { name = "openai", title = "Chat completions (OpenAI's SDK)", lacks = { "count", "generate", "stored" } },
  { name = "responses", title = "Responses (OpenAI's SDK)",
    lacks = { "audio", "stop", "count", "embeddings", "generate", "models" } },
  { name = "anthropic", title = "Messages (Anthropic's SDK)", lacks = { "audio", "embeddings", "generate", "stored" } },
  { name = "gemini", title = "Gemini (Google's SDK)", lacks = { "one_call", "generate", "stored" } },
  { name = "ollama", title = "Ollama (its SDK)", lacks = { "document", "audio", "choice", "named", "one_call", "count",
    "stored" } },
}

local function lines_of(surface)
  local lacks, lines, scenarios = {}, {}, {}
  for _, name in ipairs(surface.lacks) do lacks[name] = true end
  for _, line in ipairs(LINES) do
    local own = { line[1] }
    for index = 2, #line do
      if not lacks[line[index]] then
        own[#own + 1] = line[index]
        scenarios[#scenarios + 1] = line[index]
      end
    end
    if #own > 1 then lines[#lines + 1] = own end
  end
  return lines, scenarios
end

local function cell(line, results, surface)
  local said, different = nil, {}
  for index = 2, #line do
    local result = results[line[index]] or {}
    local well, word = pcall(judges[line[index]], result, surface)
    if not well then word = wrong(result, word) end
    if said and said ~= word then different[#different + 1] = line[index] .. " " .. word end
    said = said or word
  end
  return #different == 0 and said or said .. "; " .. table.concat(different, "; ")
end

local function table_of(surface, results)
  local lines, problems = lines_of(surface), {}
  local written = { "| | " .. table.concat(PROTOCOLS, " | ") .. " |", "|---" .. ("|---"):rep(#PROTOCOLS) .. "|" }
  for _, line in ipairs(lines) do
    local cells = { line[1] }
    for _, protocol in ipairs(PROTOCOLS) do
      local word = cell(line, results[protocol] or {}, surface.name)
      if word:find("WRONG", 1, true) then
        problems[#problems + 1] = ("%s -> %s, %s: %s"):format(surface.name, protocol, line[1], word)
      end
      cells[#cells + 1] = word
    end
    written[#written + 1] = "| " .. table.concat(cells, " | ") .. " |"
  end
  return table.concat(written, "\n"), problems
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local content = file:read("*a")
  file:close()
  return content
end

-- The part of the README below a surface's title, to the next title: where it begins, the table, where it ends.
local function part(content, title)
  local _, start = content:find("\n## " .. title .. "\n\n", 1, true)
  assert(start, README .. " has no part: " .. title)
  local stop = content:find("\n\n", start, true) or #content
  return start, content:sub(start + 1, stop - 1), stop
end

local function check_table(title, seen)
  local content = read(README)
  local start, written, stop = part(content, title)
  if os.getenv("MATRIX") ~= "write" then return assert.equal(seen, written) end
  local file = assert(io.open(README, "wb"))
  file:write(content:sub(1, start), seen, content:sub(stop))
  file:close()
end

describe("what a client of", function()
  local upstream, moongate

  setup(function()
    upstream = provider.open { strict = true }
    upstream:usually(sdk.answers)
    local providers, models = {}, {}
    for _, protocol in ipairs(PROTOCOLS) do
      for _, suffix in ipairs { "", "-429", "-400", "-500" } do
        local name = protocol .. suffix
        providers[name] = {
          protocol = protocol == "responses" and "openai" or protocol, base_url = upstream:base(protocol), retries = 0,
          formats = protocol == "responses" and { "responses" } or nil, api_key = "sk", breaker = { failures = 1000 },
          like = protocol ~= "responses" and protocol or "openai",
        }
        models[#models + 1] = { id = name, provider = name, upstream_id = UPSTREAM[protocol] or name, tools = true,
          strengths = { "chat", "reasoning" }, vision = true, context_length = 100000 }
      end
    end
    moongate = gateway.start { config = { auth = "keys", keys = { { name = "app", key = KEY } },
      providers = providers, models = models } }
  end)
  teardown(gateway.stop_all)

  for _, surface in ipairs(SURFACES) do
    it(surface.title .. " gets from each protocol is what the README says", function()
      local _, scenarios = lines_of(surface)
      local results = sdk.run(surface.name, "http://" .. moongate.address, KEY, PROTOCOLS, scenarios)
      local seen, problems = table_of(surface, results)
      assert.same({}, problems)
      check_table(surface.title, seen)
    end)
  end

  it("any surface never makes a provider refuse what the gateway wrote", function()
    local refusals, seen = {}, {}
    for _, record in ipairs(upstream:seen()) do
      local line = record.refused and ("%s: %s"):format(record.protocol, record.refused)
      if line and not seen[line] then
        seen[line] = true
        refusals[#refusals + 1] = line .. "\n" .. record.body:sub(1, 600)
      end
    end
    assert.same({}, refusals)
  end)
end)
