-- A gateway whose N-th allocation fails, its own or a library's, for N over all of a request. Callers get a whole
-- answer, an honest error, or a connection that breaks; the gateway goes on, or ends with a line that says why; started
-- again, it has every answer that was seen whole. MOONGATE_ROUNDS says how many Ns are tried, spread evenly.
local gateway = require "spec.support.gateway"
local hunger = require "spec.support.hunger"
local provider = require "spec.support.provider"
local redis = require "spec.support.redis"
local socket = require "socket"
local valgrind = require "spec.support.valgrind"
local wait = require "spec.support.wait"

local ROUNDS = tonumber(os.getenv "MOONGATE_ROUNDS") or 16
local TEXT = "Hello from the provider."
local PATIENCE = 3 -- seconds that a request may take then; far below what ends a request that hangs
local ABORTED = 6
-- A sanitizer has an allocator of its own, below which none fails.
local sanitized = os.getenv "MOONGATE_PRELOAD" or valgrind.is_on

describe("a gateway that runs out of memory", function()
  local upstream, moongate, hungry, server, database

  local function prepare(store)
    upstream = provider.open():usually { drop = true } -- so that each call connects anew
    moongate = gateway.prepare { config = { store = store, workers = 1,
      providers = { acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk", retries = 1,
        breaker = { failures = 1000, open = 0.1 } } },
      models = { { id = "small", provider = "acme", cost = { input = 1, output = 1 } } } } }
    hungry = hunger.new(moongate)
    database = store
  end

  after_each(function()
    gateway.stop_all()
    if server then server:free() end
    server = nil
  end)

  -- A whole answer's words and its id, or nil where the caller saw that there is none.
  local function ask(streamed)
    if not streamed then
      local answer = moongate:chat { model = "small" }
      if answer.status ~= 200 or not answer.complete then return nil, answer.status end
      return answer:json().choices[1].message.content, answer.headers["x-request-id"]
    end
    local answer = moongate:stream { model = "small" }
    if answer.status ~= 200 then return nil, answer.status end
    local text, last = gateway.text_of(answer:events())
    answer:close()
    if last ~= "[DONE]" then return nil, 200 end
    return text, answer.headers["x-request-id"]
  end

  -- Whether it has ended, which it does at once or not at all; it must have said why.
  local function has_ended()
    local function is_there() return pcall(moongate.request, moongate, { path = "/health" }) end
    if not moongate.process:has_ended() and is_there() and is_there() then return false end
    assert.is_nil((moongate.process:wait()))
    assert.equal(ABORTED, moongate.process.signal, moongate:errors())
    assert.matches("\nmoongate: out of memory\n", "\n" .. moongate:errors(), 1, true)
    return true
  end

  local function how_many(streamed, libraries)
    hungry:set(0, { libraries = libraries })
    ask(streamed)
    local count = hungry:asked()
    assert.truthy(count > 0)
    return count
  end

  local function warm()
    for _ = 1, 2 do
      assert.equal(TEXT, (ask(false)))
      assert.equal(TEXT, (ask(true)))
    end
  end

  local function assert_books(seen)
    local rows = {}
    local status, text, errors = moongate:command("usage", "--by", "request", "--format", "jsonl")
    assert.equal(0, status, errors)
    for id, outcome in text:gmatch '"request_id":"([^"]+)".-"outcome":"(%l+)"' do
      assert.is_nil(rows[id], id)
      rows[id] = outcome
    end
    for id in pairs(seen) do assert.equal("ok", rows[id], database .. " " .. id) end
    assert.truthy(next(rows))
  end

  for _, row in ipairs { { "in what it asks for itself", "sqlite:moongate.db", false },
    { "in its libraries", "sqlite:moongate.db", true }, { "in its libraries, on Redis,", "redis", true } } do
    it(row[1] .. " never answers wrong, hangs, or loses an answer that was seen", function()
      if sanitized then return pending "a sanitizer's allocator never fails" end
      local store, libraries = row[2], row[3]
      if store == "redis" then
        server = redis.start()
        store = ("redis://127.0.0.1:%d/0"):format(server.port)
      end
      prepare(store)
      moongate:open()
      warm()
      local seen, failed, ended = {}, 0, 0
      for _, streamed in ipairs { false, true } do
        local count = how_many(streamed, libraries)
        local step = math.max(1, 2 * count / ROUNDS)
        for at = 1, count, step do
          hungry:set(math.floor(at), { libraries = libraries })
          local began = socket.gettime()
          local fine, text, id = pcall(ask, streamed)
          local took = socket.gettime() - began
          failed = failed + hungry:failed()
          hungry:set(0)
          assert.truthy(took < PATIENCE, ("allocation %d: %.1f s"):format(at, took))
          if fine and text then
            assert.equal(TEXT, text)
            seen[id] = true
          elseif fine then
            assert.truthy(id == 200 or id >= 500, id)
          end
          if has_ended() then
            ended = ended + 1
            moongate:open()
            warm()
          end
          local after, last = ask(false)
          assert.equal(TEXT, after)
          seen[last] = true
        end
      end
      assert.truthy(failed > 0, "no allocation has failed")
      if not libraries then assert.truthy(ended > 0, "it never ended") end
      moongate:restart()
      wait.until_(function() return moongate:request({ path = "/ready" }):json().status == "ready" end, "/ready")
      assert_books(seen)
    end)
  end

  it("as it starts ends with a line that says so, or serves", function()
    if sanitized then return pending "a sanitizer's allocator never fails" end
    prepare "sqlite:moongate.db"
    moongate:open()
    local count = hungry:asked()
    moongate:stop()
    local started = 0
    for at = 1, count, math.max(1, count / ROUNDS) do
      hungry:set(math.floor(at))
      local fine, message = pcall(moongate.open, moongate)
      hungry:set(0)
      if fine then
        started = started + 1
        if not has_ended() then assert.equal(TEXT, (ask(false))) end
        moongate:kill()
      else
        assert.matches("moongate: %l", message)
        assert.truthy(moongate.process.status == 1 or moongate.process.signal == ABORTED, message)
      end
    end
    assert.truthy(started < ROUNDS, "it always started")
    moongate:open()
    assert.equal(TEXT, (ask(false)))
  end)
end)
