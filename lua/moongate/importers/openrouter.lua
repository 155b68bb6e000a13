-- OpenRouter's list of models (GET https://openrouter.ai/api/v1/models): { data = { { id, pricing = ... }, ... } },
-- prices being texts, USD per single token, "-1" where they vary. Every model is one of the provider "openrouter".
-- Pure.

local facts = require "moongate.importers.facts"

local openrouter = { name = "openrouter" }

local PROVIDER = "openrouter"
local DIRECTIONS = { input = "prompt", output = "completion", cached_input = "input_cache_read",
  cache_write = "input_cache_write" }

---@param document table of json.scan
---@return boolean
function openrouter.fits(document)
  local data = document:find(0, "data")
  return data ~= nil and document:kind(data) == "array"
end

local function has(list, wanted)
  if type(list) ~= "table" then return nil end
  for _, each in ipairs(list) do
    if each == wanted then return true end
  end
  return false
end

-- Whether anything has a price above zero, or an unknown one: a model is free only if nothing has.
local function is_dear(pricing)
  for name, value in pairs(pricing) do
    if type(value) == "table" then
      if is_dear(value) then return true end
    elseif name ~= "discount" and not string.find(name, "^utc_") and name ~= "min_prompt_tokens" then
      local price = facts.price(value)
      if price == false or price and price > 0 then return true end
    end
  end
  return false
end

-- A discount of the whole price would make it zero, which a price is only where the list says so.
local function discounted(price, pricing)
  local discount = pricing.discount
  if not price or price == 0 or type(discount) ~= "number" or discount <= 0 then return price end
  if discount >= 1 then return false end
  return tonumber(string.format("%.12g", price * (1 - discount)))
end

-- USD per million tokens, false where one is unknown; nil where there are none.
local function cost_of(pricing, report)
  local cost, unknown = {}, false
  for field, name in pairs(DIRECTIONS) do
    local price, wrong = facts.price(pricing[name])
    if wrong then report("pricing." .. name, wrong) end
    price = discounted(price, pricing)
    if price == false then unknown = true end
    cost[field] = price or nil
  end
  if unknown then return false end
  if cost.input == nil or cost.output == nil then return nil end
  local is_zero = cost.input == 0 and cost.output == 0
  -- Something else is charged for: what a call costs cannot be told by its tokens.
  if is_zero and is_dear(pricing) then return false end
  return cost
end

local function smaller(a, b)
  if a and b then return math.min(a, b) end
  return a or b
end

local function read_model(model, where, gathered)
  local wrong = facts.no_id(model.id)
  if wrong and (type(model.id) ~= "string" or model.id == "") then return gathered.wrong(where, "expected an id") end
  if wrong then return gathered.skip(wrong) end
  where = string.format("%s (%s)", where, facts.shown(model.id))
  if type(model.pricing) ~= "table" then return gathered.wrong(where, "pricing: expected an object") end
  local shape = type(model.architecture) == "table" and model.architecture or {}
  local makes = has(shape.output_modalities, "text")
  local embeds = has(shape.output_modalities, "embeddings") or nil
  if makes == false and not embeds then return gathered.skip "makes neither text nor embeddings" end
  local top = type(model.top_provider) == "table" and model.top_provider or {}
  local cost = cost_of(model.pricing, function(path, message) gathered.wrong(where, path .. ": " .. message) end)
  local able = model.supported_parameters
  local row = {
    provider = PROVIDER, id = model.id, name = facts.title(model.name), cost = cost,
    context_length = smaller(facts.tokens(model.context_length), facts.tokens(top.context_length)),
    max_output = facts.tokens(top.max_completion_tokens), tools = has(able, "tools"),
    json_schema = has(able, "structured_outputs"), vision = has(shape.input_modalities, "image"), embeddings = embeds,
    deprecated = facts.day(model.expiration_date),
  }
  if not gathered.add(row) then gathered.wrong(where, "is there twice") end
end

---@param document table of json.scan
---@return table gathered, see facts.gathering
function openrouter.read(document)
  local gathered = facts.gathering()
  local data = document:find(0, "data")
  if not data or document:kind(data) ~= "array" then
    gathered.wrong("data", "expected a list of models, as GET /api/v1/models has it")
    return gathered
  end
  for i, node in document:items(data) do
    local where = string.format("data[%d]", i - 1)
    if i > facts.most_models then
      gathered.wrong(where, string.format("expected at most %d models", facts.most_models))
      break
    end
    if document:kind(node) == "object" then
      read_model(document:value(node), where, gathered)
    else
      gathered.wrong(where, "expected a model, found " .. document:kind(node))
    end
  end
  return gathered
end

return openrouter
