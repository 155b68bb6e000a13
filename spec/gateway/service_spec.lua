-- As a service: what systemd is told, sockets that it opened, rights that the gateway does not need, what is installed,
-- and what is said where something is taken already.
local frozen = require "spec.support.frozen"
local gateway = require "spec.support.gateway"
local http = require "spec.support.http"
local process = require "spec.support.process"
local tree = require "spec.support.tree"
local unix = require "socket.unix"
local wait = require "spec.support.wait"

local MOCK = { providers = { mock = { protocol = "mock" } }, models = { { id = "small", provider = "mock" } } }

local function config(more)
  local all = {}
  for name, value in pairs(MOCK) do all[name] = value end
  for name, value in pairs(more or {}) do all[name] = value end
  return all
end

local function run(command, options)
  local status, output, errors = process.run(command, options)
  assert(status == 0, output .. errors)
  return output
end

-- Starts `moongate serve` through a few lines of Lua that prepare the process; `given` is their argument.
local function open_through(gate, lines, given)
  gate:write("through.lua", [[
    local ffi = require "ffi"
    ffi.cdef "int execvp(const char *, const char *const *); int prctl(int, long, long, long, long);"
    ffi.cdef "int dup2(int, int); int getpid(void); int setenv(const char *, const char *, int);"
    local given = arg[1]
  ]] .. lines .. [[
    ffi.C.execvp(arg[2], ffi.new("const char *[3]", arg[2], "serve", nil))
  ]])
  gate.options.before = { "luajit", gate.folder .. "/through.lua", given or "" }
  return gate:open()
end

describe("a gateway as a service", function()
  after_each(gateway.stop_all)

  it("tells systemd when it is ready, reloads, is replaced and stops", function()
    local gate = gateway.prepare { config = config { store = "sqlite:moongate.db" } }
    local manager = assert(unix.dgram())
    assert(manager:bind(gate.folder .. "/notify"))
    manager:settimeout(wait.seconds)
    gate.options.env = { NOTIFY_SOCKET = gate.folder .. "/notify" }
    gate:open()
    assert.equal("MAINPID=" .. gate.process.pid .. "\nREADY=1", manager:receive())
    gate.process:kill "HUP"
    assert.matches("^RELOADING=1\nMONOTONIC_USEC=%d+$", manager:receive())
    assert.equal("READY=1", manager:receive())
    local heir = assert(gate:upgrade())
    assert.equal("MAINPID=" .. heir.pid .. "\nREADY=1", manager:receive())
    wait.until_(function() return gate.process:has_ended() end, "the end of the old process")
    gate:stop()
    assert.equal("STOPPING=1", manager:receive())
    manager:settimeout(0)
    assert.is_nil((manager:receive()))
    manager:close()
  end)

  it("says that it is alive as long as its control thread is, where that is watched", function()
    local gate = gateway.prepare { config = config() }
    local manager = assert(unix.dgram())
    assert(manager:bind(gate.folder .. "/notify"))
    manager:settimeout(wait.seconds)
    gate.options.env = { NOTIFY_SOCKET = gate.folder .. "/notify", WATCHDOG_USEC = "5000000" }
    gate:open()
    wait.until_(function() return manager:receive() == "WATCHDOG=1" end, "a sign of life")
    wait.until_(function() return manager:receive() == "WATCHDOG=1" end, "another")
    manager:close()
  end)

  it("gives no sign of life while one of its workers hangs, and says which", function()
    local gate = gateway.prepare { config = config { workers = 2 } }
    local manager = assert(unix.dgram())
    assert(manager:bind(gate.folder .. "/notify"))
    manager:settimeout(0)
    gate.options.env = { NOTIFY_SOCKET = gate.folder .. "/notify", WATCHDOG_USEC = "8000000" }
    gate:open()
    local function heard()
      local count = 0
      repeat
        local word = manager:receive()
        if word == "WATCHDOG=1" then count = count + 1 end
      until not word
      return count
    end
    wait.until_(function() return heard() > 0 end, "a sign of life")
    local thread = frozen.thread_of(gate.process.pid, "worker 2")
    if not frozen.freeze(thread) then return pending "this user may not trace" end
    local hung = "worker 2 does nothing any more, for more than 2 s: it hangs in one call"
    wait.until_(function() return gate:logged(hung) end, "the log line")
    assert.equal("the service manager restarts the gateway", gate:logged(hung)["then"])
    heard()
    -- Connections are spread over both workers: one of them answers.
    local patience, looks = http.seconds, 0
    http.seconds = 0.3
    wait.until_(function()
      local fine, answer = pcall(http.request, gate.address, { path = "/ready" })
      if fine and answer.body:find(hung, 1, true) then looks = looks + 1 end
      return looks == 5
    end, "/ready")
    http.seconds = patience
    assert.equal(0, heard())
    frozen.thaw(thread)
    wait.until_(function() return gate:logged "every worker works again" end, "the other log line")
    wait.until_(function() return heard() > 0 end, "a sign of life")
    assert.equal(1, gate:times(hung))
    manager:close()
  end)

  it("takes over a socket that systemd has opened at an address of its configuration, also after an upgrade", function()
    local port = tonumber((gateway.free_address():match ":(%d+)$"))
    local gate = gateway.prepare { config = config { listen = "127.0.0.1:" .. port, workers = 3,
      store = "sqlite:moongate.db" } }
    open_through(gate, [[
      local socket = require "socket"
      local listening = assert(socket.bind("127.0.0.1", tonumber(given)))
      ffi.C.dup2(listening:getfd(), 3)
      ffi.C.setenv("LISTEN_FDS", "1", 1)
      ffi.C.setenv("LISTEN_PID", tostring(ffi.C.getpid()), 1)
    ]], tostring(port))
    -- It was opened without SO_REUSEPORT: the workers could not have bound sockets of their own.
    for _ = 1, 5 do assert.equal(200, gate:chat({ model = "small" }).status) end
    assert(gate:upgrade())
    for _ = 1, 5 do assert.equal(200, gate:chat({ model = "small" }).status) end
  end)

  it("never has memory that is both written and executed", function()
    local probe = run { "luajit", "-e", [[local ffi = require "ffi" ffi.cdef "int prctl(int, long, long, long, long);"
      io.write(ffi.C.prctl(65, 1, 0, 0, 0))]] }
    if probe ~= "0" then return pending "this kernel cannot forbid it (Linux 6.3 can)" end
    local gate = gateway.prepare { config = config() }
    open_through(gate, "assert(ffi.C.prctl(65, 1, 0, 0, 0) == 0)\n")
    assert.equal(200, gate:chat({ model = "small" }).status)
    assert.equal(200, gate:stream({ model = "small" }).status)
  end)

  it("says what to do when a port needs a privilege", function()
    local floor = assert(io.open "/proc/sys/net/ipv4/ip_unprivileged_port_start"):read "*n"
    if floor == 0 then return pending "on this machine every port is free for all" end
    local gate = gateway.prepare { config = config { listen = "127.0.0.1:" .. floor - 1 } }
    local command = { gateway.binary, "serve" }
    if run { "id", "-u" } == "0\n" then
      run { "chmod", "755", gate.folder }
      command = { "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", gateway.binary, "serve" }
      run { "chmod", "644", gate.folder .. "/moongate.lua" }
    end
    local status, _, errors = process.run(command, { cwd = gate.folder })
    assert.equal(1, status)
    assert.matches("moongate: port " .. floor - 1 .. " needs a privilege that this user has not: choose one above 1023",
      errors, 1, true)
  end)

  it("does not start a second time at the same port, nor with the same database", function()
    local gate = gateway.start { config = config { store = "sqlite:moongate.db" } }
    local second = gateway.prepare { config = config { listen = gate.address } }
    local status, _, errors = second:command "serve"
    assert.equal(1, status)
    assert.equal("moongate: " .. gate.address .. " is in use by another program: stop it or choose another with "
      .. "--listen ADDR:PORT\n", errors)
    status, _, errors = gate:command "serve"
    assert.equal(1, status)
    assert.matches("moongate.db is in use by another moongate (pid " .. gate.process.pid .. ")", errors, 1, true)
    assert.equal(200, gate:chat({ model = "small" }).status)
  end)

  it("opens its log anew at SIGHUP and SIGUSR1, for whoever moved the file away", function()
    local gate = gateway.prepare { config = config { log = { file = "moongate.log" } } }
    function gate.errors(self) return self.process and self:read "moongate.log" or "" end
    gate:write("moongate.log", "")
    gate:open()
    for index, name in ipairs { "HUP", "USR1" } do
      assert(os.rename(gate.folder .. "/moongate.log", gate.folder .. "/" .. name .. ".log"))
      gate.process:kill(name)
      wait.until_(function() return io.open(gate.folder .. "/moongate.log") end, "a new file")
      assert.equal(200, gate:chat({ model = "small" }).status)
      wait.until_(function() return gate:logged "request" end, "a line in it")
      assert.equal(index - 1, select(2, gate:read(name .. ".log"):gsub('"message":"request"', "")))
    end
    gate:stop()
    assert.matches('"message":"stopped"', gate:read "moongate.log", 1, true)
  end)

  it("says when its log cannot be written", function()
    local gate = gateway.prepare { config = config { log = { file = "none/moongate.log" } } }
    local status, _, errors = gate:command "serve"
    assert.equal(1, status)
    assert.equal("moongate: log.file: none/moongate.log cannot be written (No such file or directory): name a file "
      .. "that the gateway may write\n", errors)
  end)

  describe("installed", function()
    local folder, out = process.folder(), (gateway.binary:match "^(.*)/[^/]*$")

    setup(function()
      run({ "make", "-s", "install", "OUT=" .. out, "PREFIX=/usr", "DESTDIR=" .. folder }, { seconds = 120 })
    end)

    local function exists(path) return tree.exists(folder .. path) end

    it("has binary, policies, manual, unit and configuration where Debian has them", function()
      for _, path in ipairs { "/usr/bin/moongate", "/usr/share/moongate/policies/routing/auto-cheapest.lua",
        "/usr/share/man/man8/moongate.8", "/usr/lib/systemd/system/moongate.service",
        "/usr/lib/systemd/system/moongate.socket", "/usr/lib/sysusers.d/moongate.conf", "/etc/moongate/moongate.lua",
        "/etc/moongate/moongate.env" } do
        assert.is_true(exists(path), path)
      end
      local unit = assert(io.open(folder .. "/usr/lib/systemd/system/moongate.service")):read "*a"
      assert.matches("\nExecStart=/usr/bin/moongate serve -c /etc/moongate/moongate.lua\n", unit, 1, true)
      assert.is_nil(unit:find("@", 1, true) and unit:find "@%u+@")
    end)

    it("comes with a configuration that is fine, and leaves an operator's alone", function()
      run { folder .. "/usr/bin/moongate", "check", "-c", folder .. "/etc/moongate/moongate.lua" }
      local file = assert(io.open(folder .. "/etc/moongate/moongate.lua", "w"))
      file:write "return {}\n"
      file:close()
      run({ "make", "-s", "install", "OUT=" .. out, "PREFIX=/usr", "DESTDIR=" .. folder }, { seconds = 120 })
      assert.equal("return {}\n", assert(io.open(folder .. "/etc/moongate/moongate.lua")):read "*a")
    end)

    it("is taken away again, but for the configuration", function()
      local other = process.folder()
      run({ "make", "-s", "install", "OUT=" .. out, "PREFIX=/usr", "DESTDIR=" .. other }, { seconds = 120 })
      run({ "make", "-s", "uninstall", "PREFIX=/usr", "DESTDIR=" .. other })
      assert.equal("/etc/moongate/moongate.env\n/etc/moongate/moongate.lua\n",
        run { "sh", "-c", "cd " .. other .. " && find . -type f | sed 's/^.//' | sort" })
    end)

    it("has a unit that leaves little to attack", function()
      local there = process.run { "sh", "-c", "command -v systemd-analyze" }
      if there ~= 0 then return pending "systemd is not here" end
      local report = run { "systemd-analyze", "security", "--offline=true", "--no-pager",
        folder .. "/usr/lib/systemd/system/moongate.service" }
      local level = tonumber(report:match "Overall exposure level for moongate.service: ([%d.]+)")
      assert.is_true(level < 2, report)
    end)
  end)
end)
