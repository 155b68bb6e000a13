-- Who may include and require whom, read from the tree itself.
local tree = require "spec.support.tree"

-- A room of core/ -> the rooms whose headers it may include besides its own.
local rooms = {
  base = {},
  net = { base = true },
  store = { base = true },
  script = { base = true },
  gate = { base = true, net = true, store = true, script = true },
  bind = { base = true, net = true, store = true, script = true, gate = true },
  dashboard = { base = true },
  verbs = { base = true, net = true, store = true, script = true, gate = true, bind = true },
  main = { base = true, net = true, store = true, script = true, gate = true, bind = true, verbs = true },
}

-- The one way across: what a backend of the store reaches its server by, and the loop that this is on.
local function is_across(path, header)
  local is_met = header:match("^net/redis[%w_]*%.h$") or header == "net/loop.h"
  return path:match("^core/store/redis[%w_]*%.[ch]$") and is_met
end

-- A library's header -> the only rooms that may know it.
local libraries = {
  { "^lua%.h", { "script", "bind" } },
  { "^lauxlib%.h", { "script", "bind" } },
  { "^lualib%.h", { "script", "bind" } },
  { "^event2?[/.]", { "net" } },
  { "^llhttp", { "net" } },
  { "^curl/", { "net" } },
  { "^hiredis", { "net" } },
  { "^sqlite3", { "store" } },
  { "^openssl/", { "store", "script", "net" } },
}

-- The C modules that any LuaJIT can load.
local CORE_ALONE = { json = true, guard = true, words = true }

local REQUIRE = "require%s*%(?%s*[\"']([%w_.%-]+)[\"']"

local function room_of(path)
  return path:match("^core/([^/]+)/") or "main"
end

local function allows(list, room)
  for _, name in ipairs(list) do
    if name == room then return true end
  end
  return false
end

describe("core/", function()
  it("has only rooms that the house knows", function()
    for _, path in ipairs(tree.files("core", "[.][ch]$")) do
      assert.truthy(rooms[room_of(path)], path)
    end
  end)

  it("includes only what its layer may see", function()
    local wrong = {}
    for _, path in ipairs(tree.files("core", "[.][ch]$")) do
      local room = room_of(path)
      for header in tree.read(path):gmatch('\n%s*#%s*include%s*"([^"]+)"') do
        local other = header:match("^([^/]+)/")
        local allowed = other == room or rooms[room][other] or is_across(path, header)
        if not other or not allowed then
          wrong[#wrong + 1] = path .. " includes " .. header
        end
      end
    end
    assert.same({}, wrong)
  end)

  it("knows each library in its own room only", function()
    local wrong = {}
    for _, path in ipairs(tree.files("core", "[.][ch]$")) do
      for header in tree.read(path):gmatch("\n%s*#%s*include%s*<([^>]+)>") do
        for _, library in ipairs(libraries) do
          if header:match(library[1]) and not allows(library[2], room_of(path)) then
            wrong[#wrong + 1] = path .. " includes <" .. header .. ">"
          end
        end
      end
    end
    assert.same({}, wrong)
  end)
end)

-- What a folder of knowledge may require besides itself.
local knowledge = {
  providers = {},
  protocols = { "moongate.chat", "moongate.core.json", "moongate.dialect", "moongate.limits", "moongate.list",
    "moongate.logprobs", "moongate.openai_chat", "moongate.providers", "moongate.sample", "moongate.time",
    "moongate.usage", "moongate.vector" },
  checkers = { "moongate.core.json", "moongate.list", "moongate.time" },
}

describe("lua/", function()
  for folder, allowed in pairs(knowledge) do
    it("requires in " .. folder .. "/ nothing outside but plain tools", function()
      local wrong = {}
      for _, path in ipairs(tree.files("lua/" .. folder, "[.]lua$")) do
        for name in tree.code(path):gmatch(REQUIRE) do
          if not name:match("^" .. folder .. "%.") and not allows(allowed, name) then
            wrong[#wrong + 1] = path .. " requires " .. name
          end
        end
      end
      assert.same({}, wrong)
    end)
  end

  it("requires only modules that are there", function()
    local wrong = {}
    for _, path in ipairs(tree.files("lua", "[.]lua$")) do
      for name in tree.code(path):gmatch(REQUIRE) do
        local file = "lua/" .. name:gsub("%.", "/") .. ".lua"
        local is_core = name:match("^moongate%.core%.") or name == "bit" or name:match("^table%.")
        local is_prefix = name:match("%.$") -- a family of files, the member chosen at run time
        if not (is_core or is_prefix or tree.exists(file)) then wrong[#wrong + 1] = path .. " requires " .. name end
      end
    end
    assert.same({}, wrong)
  end)

  -- What needs a running gateway is proven there, in spec/gateway/.
  it("has a spec for every module that runs without a gateway, or for one that is made of it", function()
    local reached = {}
    local function reach(path)
      for name in tree.code(path):gmatch(REQUIRE) do
        local file = "lua/" .. name:gsub("%.", "/") .. ".lua"
        if not reached[name] and tree.exists(file) then
          reached[name] = true
          reach(file)
        end
      end
    end
    for _, path in ipairs(tree.files("spec", "_spec[.]lua$")) do reach(path) end
    local function needs_gateway(path)
      for name in tree.code(path):gmatch(REQUIRE) do
        local core, file = name:match("^moongate%.core%.(.*)"), "lua/" .. name:gsub("%.", "/") .. ".lua"
        if core and not CORE_ALONE[core] or tree.exists(file) and needs_gateway(file) then return true end
      end
      return false
    end
    local without = {}
    for _, path in ipairs(tree.files("lua", "[.]lua$")) do
      local name = path:match("^lua/(.*)%.lua$"):gsub("/", ".")
      -- Each checker is run by spec/lua/checkers_spec.lua, by the list of their names.
      local is_data = path:match("^lua/providers/") or path:match("^lua/moongate/meta/") or path:match("^lua/checkers/")
      if not is_data and not reached[name] and not needs_gateway(path) then without[#without + 1] = name end
    end
    assert.same({}, without)
  end)
end)
