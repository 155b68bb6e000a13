-- moongate.core.gauge for fakes.lua: reads from the fakes of store and health, as core/bind/gauge.c reads from the real
-- ones. A reading is a plain table.
local fake_gauge = {}

local function core(name) return package.loaded["moongate.core." .. name] end

local need = {}

function need.wait(own)
  if own.wait then return end
  own.wait, own.why = core "store".exhausted(own.about.id)
  local all, why = core "store".exhausted(own.about.provider)
  if all > own.wait then own.wait, own.why = all, why end
end

function need.errors(own)
  if own.errors then return end
  own.open, own.ms, own.errors, own.open_s = core "health".state(own.about.id)
  own.ms, own.errors = own.ms and math.floor(own.ms * 100 + 0.5) / 100, math.floor(own.errors * 10000 + 0.5) / 10000
end

function need.used(own)
  if own.used then return end
  own.used = {}
  for i, limit in ipairs(own.about.limits) do own.used[i] = (core "store".used(limit)) end
end

-- Of each name the word that is trusted most, of all models and of this one; the lower of these two.
local function remains(about, meaning)
  local told, best = {}, { all = {}, model = {} }
  for _, word in ipairs(core "store".learnt(about.provider)) do
    local name, rank, lasts = meaning(word.metric, word.window, word.source or "")
    local holds = (word.age_s or 0) < lasts
    if word.reset_s then holds = word.reset_s > 0 end
    local is_ours = word.model == "" or word.model == about.model
    if name and holds and word.remaining and is_ours then
      local of = word.model == "" and best.all or best.model
      if not of[name] or rank < of[name].rank then of[name] = { rank = rank, remaining = word.remaining } end
      local one, other = best.all[name] or of[name], best.model[name] or of[name]
      told[name] = math.min(one.remaining, other.remaining)
    end
  end
  return told
end

-- The functions, with a memory of their own.
function fake_gauge.functions()
  local meaning

  function need.told(own) own.told = own.told or remains(own.about, meaning) end

  local function complete(own)
    for _, part in ipairs { "wait", "errors", "used", "told" } do need[part](own) end
    return own
  end

  return {
    meaning = function(fn) meaning = fn end,
    of = function(about) return about end,
    begin = function(about) return { about = about } end,
    read = function(about)
      local own = complete { about = about }
      return own, own.wait == 0 and not own.open
    end,
    complete = complete,
    exhausted = function(own)
      need.wait(own)
      return own.wait, own.why
    end,
    health = function(own)
      need.errors(own)
      return own.open, own.ms, own.errors, own.open_s
    end,
    counts = function(own)
      need.used(own)
      return own.used
    end,
    left = function(own)
      need.used(own)
      need.told(own)
      local target = { index = own.about.index, provider_limits = own.about.limits, limits = {} }
      return require("moongate.decision").left(target, own.used, own.told), own
    end,
    remains = function(about) return remains(about, meaning) end,
    balance = function(own) return own.balance ~= nil, own.balance or nil end,
    note_balance = function(own, balance) own.balance = balance or false end,
  }
end

-- As json.add_seen writes a reading.
function fake_gauge.add_seen(own, whole)
  local json = require "moongate.core.json"
  local is_unused, told = true, next(own.told or {}) and own.told or nil
  for _, used in ipairs(own.used or {}) do is_unused = is_unused and used == 0 end
  local function unless(is_usual, value)
    if not (whole and is_usual) then return value end
  end
  json.add(',"' .. own.about.index .. '":{', ',"wait":', unless(own.wait == 0, own.wait), ',"ms":', own.ms,
    ',"errors":', unless(own.errors == 0, own.errors), ',"open":', own.open or nil, ',"open_s":',
    own.open_s ~= 0 and own.open_s or nil, ',"told":', told, ',"balance":', unless(not own.balance, own.balance),
    ',"used":', unless(is_unused, own.used and json.array(own.used)), "}")
end

return fake_gauge
