-- The policies in force: compiles the files of the policies folder, checks their shape, lets them check themselves, and
-- keeps the last good version of one that fails. Every call of a policy goes through set:call, which bounds it.
local advice = require "moongate.advice"
local guard = require "moongate.core.guard"
local near = require "moongate.near"
local sandbox = require "moongate.sandbox"
local strikes = require "moongate.strikes"

local policies = {}

---@class moongate.policy
---@field name string "free-tier"
---@field label string "routing/free-tier": its name in metrics and logs
---@field version string
---@field run function|nil routing, billing, task
---@field validate function|nil access
---@field resolve function|nil access
---@field request function|nil hooks have phases
---@field event function|nil
---@field response function|nil
---@field finish function|nil
---@field check function|nil checkers
---@field on_fault "refuse"|"default"|nil hooks: what follows when this one fails, whatever the config says
---@field broken table|nil access and hooks: the fault of a file that never loaded; there are no functions then

---@class moongate.policies.set
---@field milliseconds number what one call may use; its owner may change it
---@field bytes number
local set = {}
set.__index = set

local PHASES = { "request", "event", "response", "finish" }
local FAULT_RULES = { refuse = true, default = true }

-- What a file in each place may return: the names of its functions, which of them a bare function is, how it begins.
local SHAPES = {
  routing = { bare = "run", needs = "run", names = { "run" }, head = "function(request, candidates)" },
  access = {
    bare = "validate", needs = "validate", names = { "validate", "resolve" }, head = "function(caller, model)",
  },
  billing = { bare = "run", needs = "run", names = { "run" }, head = "function(caller, model, usage)" },
  task = { bare = "run", needs = "run", names = { "run" }, head = "function(request)" },
  hooks = { names = PHASES, on_fault = true, head = "{ request = function(req)" },
  protocols = {
    names = { "build", "read_reply", "read_event", "reply", "reader", "vectors" }, data = { "stream_type" },
    needs_all = { "build", "read_reply", "read_event", "reply", "reader" }, head = "{ build = function(order)",
  },
  checkers = {
    bare = "check", needs = "check", names = { "check" }, data = { "base_url" }, head = "function(http, options)",
  },
}

-- Places whose files are named after what they are, and what that is called.
local KINDS = { routing = "routing policy", protocols = "protocol", checkers = "checker" }
local GUARDS = { access = true, hooks = true }
local FOLDER = "policies/"
local LIBRARY = FOLDER .. "lib/"
local MILLISECONDS, BYTES = 20, 64 * 1024 * 1024
-- The heap is full when what is alive in it is so many times what one call may use. To know that is dear: it is looked
-- at when the heap is as large, and then at so many times of what was alive.
local FULL, LOOK_AGAIN = 2, 1.5

-- The place and the name of a file; nil and why if it has none.
local function place_of(path)
  local folder, name = string.match(path, "^([^/]+)/(.+)%.lua$")
  if not folder then
    name = string.match(path, "^([^/]+)%.lua$")
    if name == "access" or name == "billing" or name == "task" then return name, name end
    return nil, "a policy has its place: access.lua, billing.lua, task.lua, or a file in routing/, hooks/ or lib/"
  end
  if folder == "lib" then return folder, name end
  if KINDS[folder] then
    if string.find(name, "^[%w_%-%.]+$") then return folder, name end
    return nil, string.format("the name of a %s is made of letters, digits, - and _, and its file is in %s/ itself",
      KINDS[folder], folder)
  end
  if folder == "hooks" then
    if string.find(name, "^%d+_[%w_%-]+$") then return folder, name end
    return nil, "a hook's file is named by its turn, like hooks/10_redact.lua"
  end
  local hint = near.hint(folder, { "routing", "hooks", "lib", "protocols", "checkers", "access.lua", "billing.lua",
    "task.lua" })
  if hint == "" then hint = "; there are routing/, hooks/, lib/, protocols/, checkers/" end
  return nil, string.format("no policies are looked for in %s/%s", folder, hint)
end

-- Splits "policies/routing/x.lua:3: text" for a problem, with advice; file is whose it is if the text does not say.
local function locate(message, file)
  local where, line, rest = string.match(message, "^([^:\n]+):(%d+): (.*)$")
  if not where then return file, nil, message end
  -- Long names are cut at the front.
  local tail = string.match(where, "^%.%.%.(.*)$")
  if tail and string.sub(file, -#tail) == tail then where = file end
  -- What it says of itself may be made up, to put the blame on another's file.
  if where ~= file and string.sub(where, 1, #LIBRARY) ~= LIBRARY then return file, nil, message end
  return where, tonumber(line), rest .. advice.on(rest)
end

local function problem(file, message, label)
  local where, line, rest = locate(message, file)
  return { what = "policy", file = where, line = line, message = rest, policy = label }
end

---@class moongate.policies.options
---@field milliseconds number|nil 20
---@field bytes number|nil 64 MiB
---@field log (fun(policy: string, text: string))|nil gets what policies log
---@field seed any what policies draw random numbers from where a call brings no seed
---@field switched (fun(label: string, fault: moongate.fault|nil))|nil gets what is switched off, and on again (nil)
---@field clock (fun(): number)|nil

---@param options moongate.policies.options|nil
---@return moongate.policies.set
function policies.new(options)
  options = options or {}
  local function told(origin, fault)
    if options.switched then options.switched(origin.label, fault) end
  end
  return setmetatable({
    milliseconds = options.milliseconds or MILLISECONDS,
    bytes = options.bytes or BYTES,
    log = options.log,
    host = sandbox.host(options.seed or math.random()),
    units = {},   -- by path: what is in force
    sources = {}, -- by path: all files as last installed
    -- By policy and by function: where it is from, also of versions that are no longer in force. Nothing here may hold
    -- its own key, or it would stay for ever.
    origins = setmetatable({}, { __mode = "k" }),
    hook_list = {}, by_name = {}, single = {}, -- what every request asks for, see set:list_units
    strikes = strikes.new(options.clock or os.time, told),
  }, set)
end

-- Hands on what was logged, after the call: a host's function must not be cut off half-way by the budget.
local function hand_on(self, label)
  local lines = self.host.lines
  self.host.lines = {}
  for _, line in ipairs(lines) do
    if self.log then self.log(label, line) end
  end
end

function set:finish(label, ...)
  if #self.host.lines > 0 then hand_on(self, label) end
  return ...
end

function set:guarded(label, fn, ...)
  self.host.nesting = 0
  return self:finish(label, guard.call(self.milliseconds, self.bytes, fn, ...))
end

-- Gives `require "lib.<name>"` for one policy: its own instance, in its own environment; remembers what it used.
function set:library_of(unit)
  local loaded, loading = {}, {}

  local function library(name)
    if loaded[name] ~= nil then return loaded[name] end
    local path = "lib/" .. string.gsub(name, "%.", "/") .. ".lua"
    local source = self.sources[path]
    unit.libraries[path] = source and source.version or "none"
    if not source then error("there is no " .. FOLDER .. path, 0) end
    if loading[name] then error(FOLDER .. path .. " requires itself", 0) end
    local chunk, message = sandbox.load(source.text, FOLDER .. path, sandbox.environment(self.host, library))
    if not chunk then error(message, 0) end
    loading[name] = true
    local result = chunk()
    loading[name] = nil
    if result == nil then result = true end
    loaded[name] = result
    return result
  end

  return library
end

local function article(value)
  local kind = type(value)
  return kind == "nil" and "nothing" or "a " .. kind
end

-- Takes the functions out of what a file returned; raw, for it may have a metatable. nil and a message: wrong shape.
local function read_shape(place, value)
  local shape = SHAPES[place]
  if shape.bare and type(value) == "function" then return { [shape.bare] = value }, {} end
  if type(value) ~= "table" then
    return nil, string.format("must return %sa table, and returned %s: begin with `return %s`",
      shape.bare and "a function or " or "", article(value), shape.head)
  end
  local functions, known = {}, { "checks", unpack(shape.names) }
  local on_fault
  if shape.on_fault then
    known[#known + 1], on_fault = "on_fault", rawget(value, "on_fault")
    if on_fault ~= nil and not FAULT_RULES[on_fault] then return nil, 'on_fault must be "refuse" or "default"' end
  end
  for _, name in ipairs(shape.names) do functions[name] = rawget(value, name) end
  local data = {}
  for _, name in ipairs(shape.data or {}) do
    known[#known + 1], data[name] = name, rawget(value, name)
    if data[name] ~= nil and type(data[name]) ~= "string" then return nil, name .. " must be a text" end
  end
  -- { run =, checks = } is what any file may return.
  if shape.bare and functions[shape.bare] == nil then functions[shape.bare] = rawget(value, "run") end
  for name in next, value do
    local fits = name == "run" and shape.bare
    for _, each in ipairs(known) do fits = fits or name == each end
    if not fits then
      name = type(name) == "string" and '"' .. string.sub(name, 1, 40) .. '"' or article(name)
      return nil, string.format("%s is no %s%s; there are %s", name, place == "hooks" and "phase" or "part of it",
        near.hint(string.gsub(name, '"', ""), known), table.concat(known, ", "))
    end
  end
  for name, fn in next, functions do
    if type(fn) ~= "function" then return nil, string.format("%s must be a function, not %s", name, article(fn)) end
  end
  for _, name in ipairs(shape.needs_all or {}) do
    if not functions[name] then return nil, "must return a table with the function " .. name end
  end
  if shape.needs and not functions[shape.needs] then
    return nil, string.format("must return a function, or a table with %s = function", shape.needs)
  end
  if next(functions) == nil then return nil, "must have one of the phases " .. table.concat(PHASES, ", ") end
  local checks = rawget(value, "checks")
  if checks ~= nil and type(checks) ~= "table" then return nil, "checks must be a table of functions" end
  return functions, checks or {}, on_fault, data
end

function set:run_checks(unit, checks)
  local names = {}
  for name, fn in next, checks do
    if type(fn) ~= "function" then return "checks must be a table of functions" end
    names[#names + 1] = { text = type(name) == "string" and name or tostring(name), fn = fn }
  end
  table.sort(names, function(a, b) return a.text < b.text end)
  for _, check in ipairs(names) do
    local fine, _, message = self:guarded(unit.label, check.fn)
    if not fine then
      local where, line, rest = locate(message, FOLDER .. unit.path)
      local place = line and string.format("%s:%d: ", where, line) or ""
      return string.format('%sthe check "%s" failed: %s', place, string.sub(check.text, 1, 100), rest)
    end
  end
  return nil
end

-- Compiles, runs and checks a file; nil and a message if it must not go live.
function set:load_unit(place, name, file)
  local label = string.gsub(file.path, "%.lua$", "")
  local unit = { place = place, path = file.path, label = label, version = file.version, libraries = {} }
  local env = sandbox.environment(self.host, self:library_of(unit))
  self.host.begin(file.version)
  local compiled, chunk, message = self:guarded(label, sandbox.load, file.text, FOLDER .. file.path, env)
  if not (compiled and chunk) then return nil, message end
  local fine, value, text = self:guarded(label, chunk)
  if not fine then return nil, text end
  local functions, checks, on_fault, data = read_shape(place, value)
  if not functions then return nil, checks end
  local failed = self:run_checks(unit, checks)
  if failed then return nil, failed end
  local policy = { name = name, label = label, version = file.version, on_fault = on_fault }
  for field, told in next, data or {} do policy[field] = told end
  local origin = { place = place, path = file.path, label = label, kept = 0 }
  for phase, fn in next, functions do
    policy[phase] = fn
    self.origins[fn] = origin
  end
  unit.policy, unit.file, self.origins[policy] = policy, file, origin
  return unit
end

-- One that is switched off is loaded anew though it is the same: to save it is to ask for that.
local function is_current(self, unit, file)
  if unit.version ~= file.version or self.strikes:fault(self.origins[unit.policy]) then return false end
  for path, version in next, unit.libraries do
    local source = self.sources[path]
    if (source and source.version or "none") ~= version then return false end
  end
  return true
end

local function in_order(files)
  local sorted = {}
  for i, file in ipairs(files) do sorted[i] = file end
  table.sort(sorted, function(a, b) return a.path < b.path end)
  return sorted
end

local function in_place(self, place)
  local found = {}
  for _, unit in next, self.units do
    if unit.place == place then found[#found + 1] = unit.policy end
  end
  table.sort(found, function(a, b) return a.label < b.label end)
  return found
end

-- Lists what is in force: hooks in their order, routing policies by name, and what there is one of.
function set:list_units()
  self.hook_list, self.by_name = in_place(self, "hooks"), {}
  self.single = { access = self:at("access.lua"), billing = self:at("billing.lua"), task = self:at("task.lua") }
  for _, policy in ipairs(in_place(self, "routing")) do self.by_name[policy.name] = policy end
end

-- What guards must not be missed without a word: a file that fails and has no good version stands for its own fault.
local function stand_in(place, name, file, fault)
  local label = string.gsub(file.path, "%.lua$", "")
  local policy = { name = name, label = label, version = file.version }
  policy.broken = { kind = "load", policy = label, file = fault.file, line = fault.line, message = fault.message }
  return { place = place, path = file.path, label = label, libraries = {}, policy = policy }
end

-- Puts the files of the whole folder in force. One that fails leaves its last good version there; one that is gone
-- takes its policy out. Requests that hold older policies keep them.
---@param files { path: string, text: string, version: string }[] paths below the folder
---@return { problems: table[], loaded: string[], removed: string[] }
function set:install(files)
  local report = { problems = {}, loaded = {}, removed = {} }
  local before, seen = self.units, {}
  self.sources, self.units = {}, {}
  self.host.now, self.host.request = nil, nil
  for _, file in ipairs(files) do self.sources[file.path] = file end

  local function add(each)
    local key = table.concat({ each.file, tostring(each.line), each.message }, "\n")
    if not seen[key] then report.problems[#report.problems + 1] = each end
    seen[key] = true
  end

  for _, file in ipairs(in_order(files)) do
    local place, name = place_of(file.path)
    if place == "lib" then
      -- Compiled here only to tell of a broken one that nobody uses yet.
      local fine, chunk, message = self:guarded(file.path, sandbox.load, file.text, FOLDER .. file.path, {})
      if not (fine and chunk) then add(problem(FOLDER .. file.path, message)) end
    elseif not place then
      add(problem(FOLDER .. file.path, name))
    else
      local unit = before[file.path]
      if not unit or not is_current(self, unit, file) then
        local message
        unit, message = self:load_unit(place, name, file)
        if unit then
          report.loaded[#report.loaded + 1] = file.path
        else
          local last = before[file.path]
          local fault = problem(FOLDER .. file.path, message, string.gsub(file.path, "%.lua$", ""))
          add(fault)
          local has_good = last and not last.policy.broken
          unit = has_good and last or GUARDS[place] and stand_in(place, name, file, fault) or nil
        end
      end
      self.units[file.path] = unit
    end
  end
  for path in next, before do
    if not self.sources[path] then report.removed[#report.removed + 1] = path end
  end
  table.sort(report.removed)
  self:list_units()
  return report
end

---@param path string
---@return moongate.policy|nil
function set:at(path)
  local unit = self.units[path]
  return unit and unit.policy
end

---@param name string
---@return moongate.policy|nil
function set:routing(name) return self.by_name[name] end

---@return moongate.policy|nil
function set:access() return self.single.access end

---@return moongate.policy|nil
function set:billing() return self.single.billing end

---@return moongate.policy|nil
function set:task() return self.single.task end

---@param name string
---@return moongate.policy|nil
function set:protocol(name) return self:at("protocols/" .. name .. ".lua") end

---@param name string
---@return moongate.policy|nil
function set:checker(name) return self:at("checkers/" .. name .. ".lua") end

-- In name order. The same list from one installation to the next: asking costs nothing.
---@return moongate.policy[]
function set:hooks() return self.hook_list end

---@return string[]
function set:routing_names()
  local names = {}
  for i, policy in ipairs(in_place(self, "routing")) do names[i] = policy.name end
  return names
end
set.names = set.routing_names

-- A copy of plain data, whose names stay guarded (see moongate.facts).
local function own(value)
  if type(value) ~= "table" then return value end
  local fresh = {}
  for name, item in next, value do fresh[name] = own(item) end
  return setmetatable(fresh, debug.getmetatable(value))
end

-- Given copies: what they could write to are the prices and the usage that the ledger goes by.
local COPIED = { access = true, billing = true }

-- A fault without a line of its own (of a call in tail position, or for want of memory) is the function's.
local function fault_of(origin, fn, kind, message)
  local file, line, rest = locate(message, FOLDER .. origin.path)
  local at = not line and debug.getinfo(fn, "S")
  if at and string.sub(at.source, 2, #FOLDER + 1) == FOLDER then
    file, line = string.sub(at.source, 2), at.linedefined
  end
  return { kind = kind, policy = origin.label, file = file, line = line, message = rest }
end

-- Loads a policy anew, without its past, where the heap is full; true if it was so.
function set:start_anew(origin)
  local unit = self.units[origin.path]
  collectgarbage()
  local live, most = collectgarbage "count" * 1024, FULL * self.bytes
  origin.kept, self.full_at = 0, math.max(most, LOOK_AGAIN * live)
  if live <= most or not unit or self.origins[unit.policy] ~= origin then return false end
  local fresh = self:load_unit(unit.place, unit.policy.name, unit.file)
  if not fresh then return false end
  self.units[origin.path], self.full_at = fresh, most
  self:list_units()
  return true
end

local kilobytes = gcinfo -- whole ones: as collectgarbage "count", at a fraction of its price

-- Weighs a call that has ended: each is bounded by itself, and here what a policy keeps from one to the next. Answers
-- the fault of one that keeps too much.
function set:weigh(origin, before)
  local now = kilobytes()
  origin.kept = origin.kept + (now - before) * 1024
  self.full_at = self.full_at or FULL * self.bytes
  if now * 1024 > self.full_at and origin.kept > self.bytes / 2 and self:start_anew(origin) then
    return {
      kind = "memory", policy = origin.label, file = FOLDER .. origin.path,
      message = "keeps too much from call to call; it was loaded anew",
    }
  end
  return nil
end

-- Calls within the budget; subject: whose call it is, of the functions of a policy. What is handed on has names, up to
-- six arguments and five results: LuaJIT compiles nothing that has dots.
local function bounded(self, origin, subject, fn, a, b, c, d, e, f)
  local fault = self.strikes:bars(origin)
  if fault then return false, fault end
  self.host.nesting = 0
  local before = kilobytes()
  local fine, first, second, third, fourth, fifth = guard.call(self.milliseconds, self.bytes, fn, a, b, c, d, e, f)
  if #self.host.lines > 0 then hand_on(self, origin.label) end
  if not fine then fault = fault_of(origin, fn, first, second) end
  fault = self:weigh(origin, before) or fault
  self.strikes:tally(origin, subject, fault)
  if fault then return false, fault end
  return true, first, second, third, fourth, fifth
end

-- What a call is about, its clock and its dice: those of its first argument. Access and billing throw the same dice
-- each time, and the answers of access, which are kept, must not hang on the hour either.
local function begin(host, origin, first)
  host.now, host.request = nil, nil
  if COPIED[origin.place] then
    if origin.place == "access" then host.now = false end
    return host.begin(origin.label)
  end
  if type(first) ~= "table" or origin.place == "hooks" then return host.begin(nil) end
  local now, seed
  if host.made[debug.getmetatable(first)] then
    now, seed = rawget(first, "now"), rawget(first, "seed") -- a metatable that a policy gave it would run unguarded
  else
    now, seed = first.now, first.seed
  end
  host.request, host.now = first, tonumber(now)
  host.begin(seed)
end

-- Calls a policy, or one of its functions, within the budget: true and its results, or false and the fault. The fields
-- `now` and `seed` of the first argument, if they are there, are the policy's clock and dice. Results may carry
-- metatables of the policy's: read them raw.
---@param policy moongate.policy|function
---@return boolean
---@return any
---@return any
function set:call(policy, first, second, third)
  local fn = type(policy) == "table" and policy.run or policy
  local origin = self.origins[fn]
  if not origin then error("set:call takes a policy or a function of one", 2) end
  begin(self.host, origin, first)
  if COPIED[origin.place] then first, second, third = own(first), own(second), own(third) end
  return bounded(self, origin, fn, fn, first, second, third)
end

-- Runs a function of the host's in a policy's name and budget: one that calls the policy, and has work on its results
-- that must be bounded with it. The first argument is whose call it is: a function of the policy, or the policy; there
-- may be five more.
---@param policy moongate.policy
---@param work function
---@return boolean
---@return any
---@return any
function set:within(policy, work, subject, b, c, d, e, f)
  local origin = self.origins[policy]
  begin(self.host, origin, nil)
  return bounded(self, origin, subject, work, subject, b, c, d, e, f)
end

-- The faults of what is switched off, of the versions in force, by name.
---@return moongate.fault[]
function set:switched_off()
  local found = {}
  for _, unit in next, self.units do
    found[#found + 1] = self.strikes:fault(self.origins[unit.policy])
  end
  table.sort(found, function(a, b) return a.policy < b.policy end)
  return found
end

-- Told of faults that are found outside of a call; whoever keeps count is the set's owner.
---@param fault moongate.fault
function set:count(fault) -- luacheck: no unused args
end

-- As set:call, for one result; one that problem_of finds a fault with is one.
---@param policy moongate.policy
---@param fn function
---@param problem_of fun(result: any): string|nil
---@return boolean
---@return any
function set:ask(policy, fn, problem_of, first, second, third)
  local fine, result = self:call(fn, first, second, third)
  local message = fine and problem_of(result)
  if not message then return fine, result end
  return false, {
    kind = "result", policy = policy.label, file = FOLDER .. policy.label .. ".lua", message = message,
  }
end

return policies
