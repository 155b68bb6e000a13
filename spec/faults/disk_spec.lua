-- A gateway whose disk is full: nothing is begun that could not be billed, no answer ends as complete whose row is not
-- on the disk, and when there is room again nothing is missing.
local gateway = require "spec.support.gateway"
local disk = require "spec.support.disk"
local http = require "spec.support.http"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local wait = require "spec.support.wait"

-- Two ways in which a disk refuses: a file system that is full, where this user may mount one, else a limit on the size
-- of the gateway's files. Each has folder(), fill(gateway), free(gateway), close().
local ways = {}

function ways.limited()
  local function limit(moongate, bytes)
    assert(process.run { "prlimit", "--pid", tostring(moongate.process.pid), "--fsize=" .. bytes .. ":" } == 0)
  end
  return {
    folder = function(moongate) return moongate.folder end,
    fill = function(moongate) limit(moongate, 0) end,
    free = function(moongate)
      if not moongate.process:has_ended() then limit(moongate, "unlimited") end
    end,
    close = function() end,
  }
end

do
  local probe = process.folder()
  local tried = disk.new(probe, 64)
  tried:close()
  process.remove(probe)
  if tried.is_mounted then
    ways.limited = nil
    function ways.full()
      local small
      return {
        folder = function(moongate)
          small = small or disk.new(moongate.folder, 2000)
          return small.path
        end,
        fill = function() small:fill() end,
        free = function() small:free() end,
        close = function() if small then small:close() end end,
      }
    end
  end
end

for name, way in pairs(ways) do
  describe("a disk that is " .. name, function()
    local upstream, moongate, place

    before_each(function()
      upstream = provider.open()
      place = way()
      moongate = gateway.prepare { args = { "-c", "moongate.lua" } }
      moongate:write("moongate.lua", ([[return {
        listen = "127.0.0.1:0", auth = "none", workers = 2, admin_token = %q, store = "sqlite:%s/moongate.db",
        providers = { acme = { protocol = "openai", base_url = %q, api_key = "sk", retries = 0 } },
        models = { { id = "small", provider = "acme", cost = { input = 1, output = 2 } } },
      }]]):format(gateway.admin_token, place.folder(moongate), upstream.base_url))
      moongate:open()
    end)

    after_each(function()
      place.free(moongate)
      gateway.stop_all()
      place.close()
    end)

    local function ready() return (moongate:admin "/ready") end
    local function is_ready() return ready().status == "ready" end
    local function outcome(id) return (moongate:admin("/v1/requests/" .. id)).outcome end

    -- Asks until the disk has refused a row: those that were answered, and the answer that was not.
    local function exhaust()
      place.fill(moongate)
      local ids = {}
      for _ = 1, 1000 do
        local answer = moongate:chat { model = "small" }
        if answer.status ~= 200 then return ids, answer end
        ids[#ids + 1] = answer.headers["x-request-id"]
      end
      error "the disk takes everything"
    end

    it("lets no request begin that it could not bill, and says so everywhere", function()
      local answered, refused = exhaust()
      assert.equal(503, refused.status)
      local calls = #upstream:seen()
      for _, path in ipairs { "/v1/chat/completions", "/v1/messages" } do
        local answer = moongate:request { path = path, json = { model = "small", max_tokens = 5,
          messages = { { role = "user", content = "hello" } } } }
        assert.same({ 503, "5" }, { answer.status, answer.headers["retry-after"] })
        assert.matches("the ledger cannot be written, so nothing can be billed: the database .*/moongate.db cannot be",
          answer:json().error.message)
      end
      assert.equal(calls, #upstream:seen())
      local told = ready()
      assert.same({ "degraded", "store" }, { told.status, told.problems[1].what })
      assert.matches("what is to be written waits in memory", told.problems[1].message)
      assert.matches("\nmoongate_store_up 0\n", moongate:request { path = "/metrics" }.body)
      place.free(moongate)
      wait.until_(is_ready, "the store to write again")
      assert.equal(200, moongate:chat({ model = "small" }).status)
      -- The call of the one that was refused was made, and is paid for.
      answered[#answered + 1] = refused.headers["x-request-id"]
      for _, id in ipairs(answered) do assert.equal("ok", outcome(id)) end
    end)

    it("ends what was under way as an error, whole and streamed, not as complete", function()
      upstream:usually { hold = { after = 2, name = "middle" } }
      local whole, streams = moongate:begin_chat { model = "small" }, {}
      upstream:wait_held(1, "middle")
      for _, path in ipairs { "/v1/chat/completions", "/v1/messages" } do
        streams[#streams + 1] = http.begin(moongate.address, { path = path, json = { model = "small", max_tokens = 50,
          stream = true, messages = { { role = "user", content = "hello" } } } })
      end
      upstream:wait_held(3, "middle")
      place.fill(moongate)
      upstream:go("middle", "all")
      local answer = http.answered(whole):rest()
      assert.same({ 503, "5" }, { answer.status, answer.headers["retry-after"] })
      local lines = {}
      for i, connection in ipairs(streams) do lines[i] = http.answered(connection):rest() end
      assert.matches("the ledger cannot be written", lines[1].body)
      assert.not_matches("[DONE]", lines[1].body, 1, true)
      assert.matches("\nevent: error\n", lines[2].body, 1, true)
      assert.not_matches("message_stop", lines[2].body, 1, true)
    end)

    it("that has room again within three seconds was never noticed", function()
      upstream:usually { hold = { after = 2, name = "middle" } }
      local stream = moongate:stream { model = "small" }
      upstream:wait_held(1, "middle")
      place.fill(moongate)
      upstream:go("middle", "all")
      wait.until_(function() return not is_ready() end, "the disk to refuse the row")
      place.free(moongate)
      assert.equal("[DONE]", select(2, gateway.text_of(stream:events())))
      stream:close()
      assert.equal("ok", outcome(stream.headers["x-request-id"]))
    end)

    it("and a gateway that is killed: what it could not write is found as lost", function()
      local answered, refused = exhaust()
      answered[#answered + 1] = nil
      moongate:kill()
      place.free(moongate)
      moongate:open()
      for _, id in ipairs(answered) do assert.equal("ok", outcome(id)) end
      assert.equal("lost", outcome(refused.headers["x-request-id"]))
    end)

    it("from the start is told in a sentence, with and without a database", function()
      local function refusal()
        local command = { gateway.binary, "serve" }
        if name == "limited" then command = { "prlimit", "--fsize=4096", gateway.binary, "serve" } end
        local status, _, errors = process.run(command, { cwd = moongate.folder })
        assert.equal(1, status)
        return errors
      end
      moongate:stop()
      if name == "full" then place.fill() end
      local reason = name == "full" and "the disk is full\n$" or "a limit of the system on its size\n$"
      assert.matches("^moongate: the database .*/moongate.db cannot be written: " .. reason, refusal())
      if name == "limited" then return end -- so is what it could say of a new one
      os.execute("rm " .. place.folder(moongate) .. "/moongate.db*")
      place.fill()
      assert.matches("^moongate: .*/moongate.db.lock cannot be written: No space left on device\n$", refusal())
    end)
  end)
end
