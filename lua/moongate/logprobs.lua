-- How likely each token was: the neutral chat has OpenAI's shape for it, Gemini its own. Pure.
local json = require "moongate.core.json"

local logprobs = {}

local function list(value) return type(value) == "table" and value or {} end

local function entry_of(candidate)
  if type(candidate) ~= "table" or type(candidate.token) ~= "string" then return nil end
  local value = type(candidate.logProbability) == "number" and candidate.logProbability or 0
  return { token = candidate.token, logprob = value, bytes = json.array { string.byte(candidate.token, 1, -1) } }
end

-- Gemini's logprobsResult in OpenAI's shape; nil where it tells of no token.
---@param result any
---@return table|nil
function logprobs.from_gemini(result)
  local content, tops = {}, list(list(result).topCandidates)
  for place, chosen in ipairs(list(list(result).chosenCandidates)) do
    local entry = entry_of(chosen)
    if entry then
      entry.top_logprobs = json.array {}
      for _, other in ipairs(list(list(tops[place]).candidates)) do
        table.insert(entry.top_logprobs, entry_of(other))
      end
      content[#content + 1] = entry
    end
  end
  return #content > 0 and { content = json.array(content) } or nil
end

local function candidate_of(entry) return { token = entry.token, logProbability = entry.logprob } end

-- The other way; nil where there is nothing to tell.
---@param told table|nil
---@return table|nil
function logprobs.to_gemini(told)
  local chosen, tops = {}, {}
  for place, entry in ipairs(list(list(told).content)) do
    if type(entry) ~= "table" then return nil end
    local others = {}
    for i, other in ipairs(list(entry.top_logprobs)) do others[i] = candidate_of(other) end
    chosen[place], tops[place] = candidate_of(entry), { candidates = json.array(others) }
  end
  if #chosen == 0 then return nil end
  return { chosenCandidates = json.array(chosen), topCandidates = json.array(tops) }
end

return logprobs
