-- The best model by day, the cheapest by night.
local function is_night(now)
  local hour = tonumber(os.date("!%H", now))
  return hour >= 20 or hour < 6
end

return {
  run = function(request, candidates)
    if is_night(request.now) then
      return candidates:sort("estimated cost", function(c) return c.estimated_cost end)
    end
    return candidates:sort("quality", function(c) return -c.quality end)
  end,

  checks = {
    ["midnight is night, noon is not"] = function()
      assert(is_night(0) and not is_night(12 * 3600))
    end,
  },
}
