-- Whom to believe where several tell of one limit, the most trusted first: the configuration, the headers of answers,
-- an API for quotas (a checker), the body of an error, a probe, and last the tables that ship with the gateway. What a
-- word is worth is decided here; whether it still holds, by whoever asks. Pure.

local trust = {}

trust.order = { "config", "header", "checker", "error", "probe", "documentation" }

local ranks = { discovered = 2 } -- as headers were called before
for rank, source in ipairs(trust.order) do ranks[source] = rank end

-- What the outside is told: found out by calls, asked for, or given beforehand.
local SHOWN = {
  config = "config", documentation = "config", checker = "checker", header = "discovered", error = "discovered",
  probe = "discovered",
}

-- 1 is trusted most. What is not known is trusted least.
---@param source string|nil
---@return integer
function trust.rank(source)
  return ranks[source] or #trust.order + 1
end

-- "config", "checker" or "discovered".
---@param source string|nil
---@return string
function trust.shown(source)
  return SHOWN[source] or "discovered"
end

-- One word on each limit, in the order in which the limits are first met: of those that hold the most trusted, of those
-- that do not the same.
---@generic T: { source: string, model: string|nil, metric: string, window: string }
---@param words T[]
---@param stands fun(word: T): boolean
---@return T[]
function trust.best(words, stands)
  local list, places = {}, {}
  for _, word in ipairs(words) do
    local limit = (word.model or "") .. "\n" .. word.metric .. "\n" .. word.window
    local place = places[limit]
    local worth = trust.rank(word.source) + (stands(word) and 0 or 100)
    if not place then
      place = { at = #list + 1, worth = math.huge }
      places[limit] = place
    end
    if worth < place.worth then
      place.worth, list[place.at] = worth, word
    end
  end
  return list
end

return trust
