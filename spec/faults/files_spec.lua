-- Files that are not as they should be: a clear word each, which says what, where and what to do; and nothing is
-- changed or lost by having tried.
local bench = require "spec.store.workbench"
local gateway = require "spec.support.gateway"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local wait = require "spec.support.wait"

-- Nobody's rights instead of root's, who may do everything.
local AS_NOBODY = { "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups" }

local function is_root()
  local pipe = assert(io.popen "id -u")
  local user = pipe:read "*l"
  pipe:close()
  return user == "0"
end

describe("a gateway", function()
  local moongate, database, upstream

  before_each(function()
    upstream = provider.open()
    moongate = gateway.prepare { config = { store = "sqlite:moongate.db",
      providers = { acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk", retries = 0 } },
      models = { { id = "small", provider = "acme", cost = { input = 1, output = 2 } } } } }
    database = moongate.folder .. "/moongate.db"
  end)

  after_each(function()
    os.execute("chmod -R u+rwX " .. moongate.folder)
    gateway.stop_all()
  end)

  -- A database with so many answers in it.
  local function fill(answers)
    moongate:open()
    local ids = {}
    for i = 1, answers do ids[i] = moongate:chat({ model = "small" }).headers["x-request-id"] end
    moongate:stop()
    return ids
  end

  local function run(command) assert(os.execute(command) == 0, command) end

  -- What a gateway that does not start says: one line, its folder called F.
  local function refusal(prefix)
    local command = {}
    for _, word in ipairs(prefix or {}) do command[#command + 1] = word end
    command[#command + 1] = gateway.binary
    command[#command + 1] = "serve"
    local status, _, errors = process.run(command, { cwd = moongate.folder })
    assert.equal(1, status, errors)
    assert.equal(1, select(2, errors:gsub("\n", "")), errors)
    return (errors:gsub(moongate.folder:gsub("%p", "%%%0"), "F"):gsub("\n", ""))
  end

  local function write(path, at, bytes)
    local file = assert(io.open(path, "r+b"))
    file:seek("set", at)
    file:write(bytes)
    file:close()
  end

  it("says that its database was cut off, and leaves it as it is", function()
    fill(20)
    local before = process.folder()
    for _, bytes in ipairs { 50, 4096, 9000 } do
      run(("cp %s %s/whole && truncate -s %d %s && cp %s %s/cut"):format(database, before, bytes, database, database,
        before))
      local told = refusal()
      assert.is_truthy(told:find "is damaged %(.*%): restore it from a backup, or move it away to begin anew$" or
        told:find "is not a SQLite database: name another file in `store`$", told)
      run(("cmp -s %s %s/cut && cp %s/whole %s"):format(database, before, before, database))
    end
    process.remove(before)
    moongate:open()
  end)

  it("says so when it finds a page that is damaged, and takes no request that it could not bill", function()
    fill(60)
    -- The root of the ledger's index of request ids: every new row has to go through it.
    local page = tonumber(bench.sql(database, "SELECT rootpage FROM sqlite_master WHERE name = 'ledger_request_id'")[1])
    local bytes = tonumber(bench.sql(database, "PRAGMA page_size")[1])
    write(database, (page - 1) * bytes, ("\255"):rep(bytes))
    moongate:open()
    local answer = wait.until_(function()
      local answered = moongate:chat { model = "small" }
      return answered.status ~= 200 and answered
    end, "the damage to be found")
    assert.equal(503, answer.status)
    local calls = #upstream:seen()
    assert.matches("the database moongate.db is damaged %(.*%): restore it from a backup",
      moongate:chat({ model = "small" }):json().error.message)
    assert.equal(calls, #upstream:seen())
    assert.equal("degraded", moongate:admin("/ready").status)
    assert.equal(200, moongate:request({ path = "/health" }).status)
    moongate:kill() -- it would say at its end that not all could be written
  end)

  it("says what it has no right to", function()
    local nobody = is_root() and AS_NOBODY or {}
    if is_root() then run("chown 65534:65534 " .. moongate.folder .. " && chmod 700 " .. moongate.folder) end
    local function own() if is_root() then run("chown -R 65534:65534 " .. moongate.folder) end end
    fill(1)
    own()
    run("chmod 000 " .. database)
    assert.equal("moongate: the database moongate.db cannot be written (Permission denied): give the gateway the " ..
      "right to it", refusal(nobody))
    run("chmod 400 " .. database)
    assert.matches("^moongate: the database moongate.db cannot be written %(Permission denied%)", refusal(nobody))
    run("chmod 600 " .. database .. " && chmod 000 " .. database .. "-open")
    assert.equal("moongate: the journal moongate.db-open cannot be written (Permission denied): give the gateway " ..
      "the right to it", refusal(nobody))
    run(("rm %s.lock && chmod 600 %s-open && chmod 500 %s"):format(database, database, moongate.folder))
    assert.equal("moongate: moongate.db.lock cannot be written (Permission denied): give the gateway the right to " ..
      "write in that folder", refusal(nobody))
  end)

  it("says what else is wrong with its journal, and touches nothing", function()
    local ids = fill(2)
    run("echo 'my songs' >" .. database .. "-open")
    assert.equal("moongate: moongate.db-open is not a journal of open rows: move it away, or give the gateway " ..
      "another `store`", refusal())
    os.remove(database .. "-open")
    moongate:open()
    assert.equal("ok", moongate:admin("/v1/requests/" .. ids[2]).outcome)
  end)

  it("does not start beside another on the same database, which goes on", function()
    moongate:open()
    assert.matches("^moongate: moongate.db is in use by another moongate %(pid %d+%): stop that one, or give this one",
      refusal())
    assert.equal(200, moongate:chat({ model = "small" }).status)
  end)
end)
