-- Redis links and lines for specs, through FFI: a loop that is run until a condition holds, replies as Lua values.
local ffi = require "ffi"
local library = require "spec.support.library"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

jit.off() -- C calls back into Lua

local function declare(path)
  local file = assert(io.open(path))
  ffi.cdef((file:read("*a"):gsub("/%*.-%*/", ""):gsub("#[^\n]*", ""):gsub("%[static [^%]]+%]", "[]")))
  file:close()
end

-- The headers themselves are what FFI is told, so that they cannot drift apart.
if not pcall(ffi.typeof, "struct redis_address") then
  for _, name in ipairs { "loop", "redis", "redis_link", "redis_line" } do declare("core/net/" .. name .. ".h") end
  ffi.cdef [[
    enum redis_links_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_NOTHING };
    void redis_links_log_open(enum redis_links_level least, bool json) __asm__("log_open");
    int redis_links_dup(int descriptor) __asm__("dup");
    int redis_links_close(int descriptor) __asm__("close");
  ]]
end

local links = {}
links.__index = links

links.library = library
links.NULL = setmetatable({}, { __tostring = function() return "no answer" end })

local function be_silent() library.redis_links_log_open(ffi.C.LOG_NOTHING, true) end
be_silent()

--- What is written to standard error while act runs.
function links.logged(act)
  local folder = process.folder()
  io.stderr:flush()
  local kept, file = ffi.C.redis_links_dup(2), ffi.C.open(folder .. "/log", 1 + 64, 420)
  ffi.C.dup2(file, 2)
  library.redis_links_log_open(ffi.C.LOG_DEBUG, true)
  local ok, fault = pcall(act)
  be_silent()
  ffi.C.dup2(kept, 2)
  ffi.C.redis_links_close(kept)
  ffi.C.redis_links_close(file)
  assert(ok, fault)
  local text = assert(io.open(folder .. "/log")):read("*a")
  process.remove(folder)
  return text
end

--- A reply as Lua has it: nil, number, text, a list { n=, ... }, { ok = text } or { err = text }; links.NULL for none.
function links.value(reply)
  if reply == nil then return links.NULL end
  local kind = library.redis_kind(reply)
  local length = ffi.new("size_t[1]")
  local pointer = library.redis_text(reply, length)
  local text = ffi.string(pointer, length[0])
  if kind == ffi.C.REDIS_INTEGER then return tonumber(library.redis_integer(reply)) end
  if kind == ffi.C.REDIS_TEXT then return text end
  if kind == ffi.C.REDIS_STATUS then return { ok = text } end
  if kind == ffi.C.REDIS_ERROR then return { err = text } end
  if kind ~= ffi.C.REDIS_ARRAY then return nil end
  local list = { n = tonumber(library.redis_count(reply)) }
  for index = 1, list.n do list[index] = links.value(library.redis_item(reply, index - 1)) end
  return list
end

--- { host=, port=, database=, user=, password= } as C has it.
function links.address(fields)
  return ffi.new("struct redis_address", {
    host = fields.host or "127.0.0.1", port = fields.port or 0, database = fields.database or 0,
    user = fields.user or "", password = fields.password or "",
  })
end

--- "//..." -> the address, or nil and what is wrong.
function links.parse(place)
  local address, fault = ffi.new("struct redis_address"), ffi.new("char[256]")
  if library.redis_parse(place, address, fault, 256) then return address end
  return nil, ffi.string(fault)
end

--- A script; keep it while it is used.
function links.script(source, name)
  return { source = source, name = name or "spec",
    c = ffi.new("struct redis_script", { name or "spec", source }) }
end

-- Words as C has them; the second result keeps their texts.
function links.words(...)
  local kept = { ... }
  local words = ffi.new("struct redis_word[?]", math.max(1, #kept))
  for index, word in ipairs(kept) do
    kept[index] = tostring(word)
    words[index - 1].text, words[index - 1].length = kept[index], #kept[index]
  end
  return words, kept
end

--- A loop for links.
function links.open()
  local self = setmetatable({ loop = library.loop_new(), answers = {}, asked = 0, states = {}, links = {} }, links)
  -- An error must not pass through C: it is kept, and raised when the loop has stopped.
  local function guarded(act)
    return function(...)
      local ok, fault = pcall(act, ...)
      if not ok then
        self.fault = fault
        library.loop_stop(self.loop)
      end
    end
  end
  self.on_elapsed = ffi.cast("void (*)(void *)", function() library.loop_stop(self.loop) end)
  self.on_reply = ffi.cast("void (*)(void *, const struct redis_reply *)", guarded(function(arg, reply)
    local number = tonumber(ffi.cast("intptr_t", arg))
    assert(not self.answers[number], "a second answer")
    local answer = { links.value(reply), unavailable = library.redis_is_unavailable(reply) }
    self.answers[number] = answer
    self.order[#self.order + 1] = number
    if self.on_answer then self.on_answer(number, answer[1]) end
  end))
  self.on_state = ffi.cast("void (*)(void *, bool)", guarded(function(_, is_up)
    self.states[#self.states + 1] = is_up
    if self.on_change then self.on_change(is_up) end
  end))
  self.order = {}
  return self
end

function links:close()
  for link in pairs(self.links) do library.redis_link_close(link) end
  library.loop_free(self.loop)
  self.on_elapsed:free()
  self.on_reply:free()
  self.on_state:free()
end

--- A link to the address; not up yet.
function links:link(address, deadline)
  local link = library.redis_link_new(self.loop, address, deadline or 10, self.on_state, nil)
  self.links[link] = true
  return link
end

--- The same, once it is up.
function links:link_up(address, deadline)
  local link = self:link(address, deadline)
  self:run_until(function() return library.redis_link_is_up(link) end, "a link that is up")
  return link
end

function links:close_link(link)
  self.links[link] = nil
  library.redis_link_close(link)
end

local function next_number(self)
  self.asked = self.asked + 1
  return self.asked, ffi.cast("void *", ffi.cast("intptr_t", self.asked))
end

--- Sends a command: the number under which its answer will be in self.answers.
function links:send(link, ...)
  local number, arg = next_number(self)
  local words, kept = links.words(...)
  library.redis_link_send(link, words, #kept, self.on_reply, arg)
  assert(not self.answers[number], "answered before it returned")
  return number
end

--- Sends a script: keys is a list, further arguments follow.
function links:run(link, script, keys, ...)
  local number, arg = next_number(self)
  local all = { unpack(keys) }
  for _, word in ipairs { ... } do all[#all + 1] = word end
  local words, kept = links.words(unpack(all))
  library.redis_link_run(link, script.c, #keys, words, #kept, self.on_reply, arg)
  assert(not self.answers[number], "answered before it returned")
  return number
end

--- Lets the loop run for two milliseconds.
function links:turn()
  library.loop_after(self.loop, 0.002, self.on_elapsed, nil)
  library.loop_run(self.loop)
  if self.fault then error(self.fault, 0) end
end

--- Lets the loop run until the condition holds; it is asked every few milliseconds.
function links:run_until(condition, what)
  local rounds = 0
  while not condition() do
    rounds = rounds + 1
    assert(rounds < 7500 * wait.slowness, "waited in vain for " .. (what or "a condition"))
    self:turn()
  end
end

--- Waits for the answers of the numbers given: the first one's value.
function links:await(...)
  local numbers = { ... }
  self:run_until(function()
    for _, number in ipairs(numbers) do
      if not self.answers[number] then return false end
    end
    return true
  end, "an answer")
  return self.answers[numbers[1]][1]
end

function links:ask(link, ...) return self:await(self:send(link, ...)) end

return links
