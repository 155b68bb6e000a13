-- `moongate top` in a terminal of its own (script makes one) and without any: what it shows, that it goes on without
-- the gateway, and that the terminal is left as it was, however it ends.
local gateway = require "spec.support.gateway"
local process = require "spec.support.process"
local valgrind = require "spec.support.valgrind"
local wait = require "spec.support.wait"

local ENTER, LEAVE = "\27[?1049h", "\27[?1049l"

describe("moongate top", function()
  local moongate, keys
  after_each(function()
    if keys then keys:close() end
    keys = nil
    gateway.stop_all()
  end)

  before_each(function()
    moongate = gateway.start { config = {
      listen = gateway.free_address(), store = "memory:", workers = 2,
      providers = { demo = { protocol = "mock", limits = { rpm = 10 } } },
    } }
    for _ = 1, 3 do moongate:chat() end
  end)

  -- top in a terminal of 80 by 24; what is typed goes through `keys`, its own pid and exit code into files.
  local function start(env)
    local folder = moongate.folder
    assert(os.execute(("mkfifo '%s/keys'"):format(folder)) == 0)
    local script = "stty rows 24 cols 80; stty -a > before; trap : INT; sh -c 'echo $$ > pid; exec " .. gateway.binary
      .. " top'; echo $? > code; stty -a > after"
    local environment = { LANG = "C.UTF-8", TERM = "xterm", NO_COLOR = false }
    for name, value in pairs(env or {}) do environment[name] = value end
    local top = process.start({ "sh", "-c", 'exec script -qefc "$0" /dev/null < keys', script },
      { cwd = folder, env = environment })
    keys = assert(io.open(folder .. "/keys", "w"))
    return top
  end

  local function shows(top, words)
    wait.until_(function() return top:output():find(words, 1, true) end, words)
  end

  local function read(name)
    local file = io.open(moongate.folder .. "/" .. name)
    local text = file and file:read("*a")
    if file then file:close() end
    return text
  end

  -- The terminal is as it was before, on its first screen.
  local function has_restored(top)
    wait.until_(function() return top:has_ended() end, "the end of top")
    assert.equal(read "before", read "after")
    local output = top:output()
    local last_enter, last_leave = 0, 0
    for at in output:gmatch("()" .. ENTER:gsub("[%[%?]", "%%%0")) do last_enter = at end
    for at in output:gmatch("()" .. LEAVE:gsub("[%[%?]", "%%%0")) do last_leave = at end
    assert.is_true(last_enter > 0 and last_leave > last_enter)
    assert.truthy(output:find("\27[?25h", last_leave - 12, true))
  end

  -- Below valgrind the minute is over before it is seen.
  valgrind.native("shows the gateway at work, anew every second, until q is pressed", function()
    local top = start()
    shows(top, "3 in all, 0 failed")
    shows(top, "3/10 rpm")
    shows(top, "demo/mock")
    moongate:chat()
    shows(top, "4 in all, 0 failed")
    shows(top, "\27[32m")
    keys:write "q"
    keys:flush()
    has_restored(top)
    assert.equal("0\n", read "code")
  end)

  it("is without colours where NO_COLOR is set, and leaves at Ctrl-C", function()
    local top = start { NO_COLOR = "1" }
    shows(top, "3 in all, 0 failed")
    assert.is_nil(top:output():find("\27[32m", 1, true))
    keys:write "\3"
    keys:flush()
    has_restored(top)
  end)

  it("leaves the terminal as it was when it is killed", function()
    local top = start()
    shows(top, "3 in all, 0 failed")
    os.execute("kill -TERM " .. read "pid")
    has_restored(top)
    assert.equal("143\n", read "code")
  end)

  it("says that the gateway is away, and goes on when it is back", function()
    local top = start()
    shows(top, "3 in all, 0 failed")
    moongate:stop()
    shows(top, "no gateway answers at " .. moongate.address)
    moongate:open()
    shows(top, "0 in all, 0 failed")
    keys:write "q"
    keys:flush()
    has_restored(top)
  end)

  it("is shown once, and plainly, where there is no terminal", function()
    local status, output, errors = moongate:command "top"
    assert.same({ 0, "" }, { status, errors })
    assert.matches("3 in all, 0 failed", output, 1, true)
    assert.is_nil(output:find("\27", 1, true))
    moongate:stop()
    status, output, errors = moongate:command "top"
    assert.same({ 1, "" }, { status, output })
    assert.matches("moongate top: no gateway answers at", errors, 1, true)
  end)
end)
