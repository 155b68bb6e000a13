-- LiteLLM's price map (model_prices_and_context_window.json): { ["gpt-4o"] = { litellm_provider, mode,
-- input_cost_per_token, ... }, ... }, prices being numbers, USD per single token. A model is one of its
-- `litellm_provider`; what LiteLLM writes before its name to say so is not part of what it is called by there. Pure.

local facts = require "moongate.importers.facts"

local litellm = { name = "litellm" }

local MODES = { chat = true, completion = true, responses = true, embedding = true }
local SAMPLE = "sample_spec" -- documentation in the shape of a model

---@param document table of json.scan
---@return boolean
function litellm.fits(document)
  if document:kind(0) ~= "object" then return false end
  for name, node in document:items(0) do
    if name ~= SAMPLE then
      return document:kind(node) == "object" and (document:find(node, "litellm_provider") ~= nil
        or document:find(node, "input_cost_per_token") ~= nil or document:find(node, "mode") ~= nil)
    end
  end
  return document:find(0, SAMPLE) ~= nil
end

-- Whether anything is charged for, be it by the image, the second, the search or a tier.
local function is_dear(model)
  for name, value in pairs(model) do
    if type(value) == "table" then
      if (name == "tiered_pricing" or string.find(name, "cost") or type(name) == "number") and is_dear(value) then
        return true
      end
    elseif type(name) == "string" and string.find(name, "cost") and type(value) == "number" and value ~= 0 then
      return true
    elseif type(name) == "string" and string.find(name, "^search_context_size_") and value ~= 0 then
      return true
    end
  end
  return false
end

local function cost_of(model, report)
  local unknown = false
  local function price(...)
    for _, name in ipairs { ... } do
      local found, wrong = facts.price(model[name])
      if wrong then report(name, wrong) end
      if model[name] ~= nil and found == nil and not wrong then report(name, "expected a number") end
      if found == false then unknown = true end
      if found ~= nil then return found or nil end
    end
    return nil
  end
  local cost = {
    input = price "input_cost_per_token", output = price "output_cost_per_token",
    cached_input = price("cache_read_input_token_cost", "input_cost_per_token_cache_hit"),
    cache_write = price "cache_creation_input_token_cost",
  }
  if unknown then return false end
  if model.mode == "embedding" and cost.input and not cost.output then cost.output = 0 end
  if cost.input == nil and cost.output == nil then return nil end
  if (cost.input or 0) == 0 and (cost.output or 0) == 0 and is_dear(model) then return false end
  return cost
end

-- What the provider calls it: without the provider's name before it.
local function called(id, provider)
  local before = provider .. "/"
  if #id > #before and string.sub(id, 1, #before) == before then return string.sub(id, #before + 1) end
  return nil
end

local function read_model(id, model, gathered)
  if model.mode ~= nil and not MODES[model.mode] then return gathered.skip "is for something else than text" end
  local wrong = facts.no_id(id) or facts.no_provider(model.litellm_provider)
  if wrong then return gathered.skip(wrong) end
  local where = facts.shown(id)
  local function report(name, message) gathered.wrong(where, name .. ": " .. message) end
  gathered.add {
    provider = model.litellm_provider, id = id, upstream_id = called(id, model.litellm_provider),
    cost = cost_of(model, report), embeddings = model.mode == "embedding" or nil,
    context_length = facts.tokens(model.max_input_tokens) or facts.tokens(model.max_tokens),
    max_output = facts.tokens(model.max_output_tokens), tools = facts.flag(model.supports_function_calling),
    vision = facts.flag(model.supports_vision), json_schema = facts.flag(model.supports_response_schema),
    deprecated = facts.day(model.deprecation_date),
  }
end

---@param document table of json.scan
---@return table gathered, see facts.gathering
function litellm.read(document)
  local gathered, count = facts.gathering(), 0
  if document:kind(0) ~= "object" then
    gathered.wrong("the list", "expected an object with a member for each model, found " .. document:kind(0))
    return gathered
  end
  for id, node in document:items(0) do
    count = count + 1
    if count > facts.most_models then
      gathered.wrong(facts.shown(id), string.format("expected at most %d models", facts.most_models))
      break
    end
    if id ~= SAMPLE then
      if document:kind(node) == "object" then
        read_model(id, document:value(node), gathered)
      else
        gathered.wrong(facts.shown(id), "expected an object with litellm_provider, mode, input_cost_per_token ..., "
          .. "found " .. document:kind(node))
      end
    end
  end
  return gathered
end

return litellm
