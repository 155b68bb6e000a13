-- Keys, exhaustion marks and learnt limits on Redis: known to every gateway, and kept when Redis loses them.
local ffi = require "ffi"
local json = require "dkjson"
local wait = require "spec.support.wait"
local bench = require "spec.store.workbench"
local library = bench.library

local MINUTE, HOUR = 60000, 3600000

describe("news on Redis", function()
  local server, address, desk, now

  local function open()
    return bench.lend(address)
  end

  before_each(function()
    server, address = bench.redis()
    desk = bench.desk()
    now = os.time() * 1000
    library.log_open(4, true)
  end)
  after_each(function()
    if server.frozen then server:thaw() end
    bench.clean()
    desk:free()
    library.log_open(1, true)
  end)

  local function until_(condition, what)
    return wait.until_(function()
      bench.inbox.inbox_turn(bench.loop, 0.002)
      return condition()
    end, what)
  end
  local function is_well(store) return library.store_problem(store) == nil end

  local function hash_of(text)
    local hash = ffi.new("unsigned char[32]")
    library.digest_sha256(text, #text, hash)
    return hash
  end
  local function hex_of(text)
    local hex = ffi.new("char[65]")
    library.digest_hex(hash_of(text), hex)
    return ffi.string(hex)
  end
  local function add(store, text, prefix, settings)
    local key, answer = ffi.new("struct store_key"), bench.answer()
    ffi.copy(key.hash, hash_of(text), 32)
    key.prefix, key.settings, key.created = prefix, settings or '{"name":"dev","models":[]}', now
    if not library.store_key_add(store, key, desk:home(), bench.inbox.inbox_note, answer.place) then return nil end
    desk:wait(function() return answer() ~= nil end)
    return answer()
  end
  local function revoke(store, prefix)
    local answer = bench.answer()
    local count = tonumber(library.store_key_revoke(store, prefix, now, desk:home(), bench.inbox.inbox_note,
      answer.place))
    if count == 1 then desk:wait(function() return answer() ~= nil end) end
    return count, answer()
  end
  local function find(store, text)
    local settings = library.store_key_find(store, hash_of(text))
    if settings == nil then return nil end
    local found = ffi.string(settings)
    library.mem_free(settings)
    return found
  end

  describe("about keys", function()
    it("makes a key work at every gateway, and a revoked one at none", function()
      local first, second = open(), open()
      assert.is_true(add(first, "secret", "mg-1"))
      until_(function() return find(second, "secret") end, "the key at the other gateway")
      assert.equal('{"name":"dev","models":[]}', find(second, "secret"))
      assert.same({ 1, true }, { revoke(second, "mg-1") })
      assert.is_nil(find(second, "secret"))
      until_(function() return not find(first, "secret") end, "the key to be revoked")
      assert.is_nil(find(open(), "secret")) -- a gateway that starts later
    end)

    it("keeps no more of a key than its hash", function()
      local store = open()
      assert.is_true(add(store, "secret", "mg-1"))
      local kept = server:command("HGET", "moongate:keys", hex_of("secret"))
      assert.same({ hash = hex_of("secret"), prefix = "mg-1", created = now, revoked = 0,
        settings = { name = "dev", models = {} } }, json.decode(kept))
    end)

    it("takes no prefix twice, at whichever gateways", function()
      local first, second = open(), open()
      server:command("HSET", "moongate:keys:prefixes", "mg-1", hex_of("another"))
      assert.is_false(add(first, "secret", "mg-1"))
      assert.is_nil(find(first, "secret"))
      assert.is_true(add(first, "secret", "mg-2"))
      until_(function() return find(second, "secret") end, "the key at the other gateway")
      assert.is_nil(add(second, "other", "mg-2"))
    end)

    it("knows keys while Redis is away, makes none, and revokes at once here and everywhere once it is back", function()
      local first, second = open(), open()
      add(first, "one", "mg-1")
      add(first, "two", "mg-2")
      until_(function() return find(second, "two") end, "the keys at the other gateway")
      server:kill()
      until_(function() return not is_well(first) and not is_well(second) end, "both to know")
      assert.is_truthy(find(first, "one"))
      assert.is_false(add(first, "three", "mg-3"))
      assert.is_nil(find(first, "three"))
      assert.same({ 1, false }, { revoke(first, "mg-1") })
      assert.is_nil(find(first, "one"))
      assert.is_truthy(find(second, "one"))
      server:restart() -- empty: both put back what they know
      until_(function() return is_well(first) and is_well(second) and not find(second, "one") end, "the revocation")
      assert.is_truthy(find(second, "two"))
      until_(function() return server:command("HLEN", "moongate:keys") == 2 end, "the keys in Redis")
      local third = open()
      assert.is_nil(find(third, "one"))
      assert.is_truthy(find(third, "two"))
    end)

    it("are put back into a Redis that was emptied", function()
      local store = open()
      add(store, "secret", "mg-1")
      server:command("FLUSHALL")
      until_(function() return server:command("HLEN", "moongate:keys") == 1 end, "the key in Redis")
      until_(function() return is_well(store) end, "the store to be well")
      assert.same({ 1, true }, { revoke(store, "mg-1") })
    end)

    it("loads many, in pages", function()
      local words = {}
      for index = 1, 2000 do
        words[#words + 1] = hex_of("key" .. index)
        words[#words + 1] = ('{"hash":"%s","prefix":"mg-%d","created":1,"settings":{"name":"n%d"},"revoked":0}')
          :format(hex_of("key" .. index), index, index)
      end
      server:command("HSET", "moongate:keys", unpack(words))
      local store = open()
      for _, index in ipairs { 1, 1000, 2000 } do
        assert.equal(('{"name":"n%d"}'):format(index), find(store, "key" .. index))
      end
    end)

    it("serve a command that opens nothing else", function()
      local store, message = open(), ffi.new("char[512]")
      local answer = bench.answer()
      local offline = library.store_open_keys(address, message, 512)
      assert.is_true(offline ~= nil, ffi.string(message))
      local key = ffi.new("struct store_key")
      ffi.copy(key.hash, hash_of("secret"), 32)
      key.prefix, key.settings, key.created = "mg-1", '{"name":"dev"}', now
      assert.is_true(library.store_key_add(offline, key, nil, bench.inbox.inbox_note, answer.place))
      assert.is_true(answer())
      until_(function() return find(store, "secret") end, "the key at the gateway")
      library.store_close(offline)
      assert.equal(1, server:command("ZCARD", "moongate:gateways"))
    end)

    for _, key in ipairs { "moongate:keys", "moongate:keys:prefixes", "moongate:marks", "moongate:learnt" } do
      it("move aside what else is in " .. key, function()
        server:command("RPUSH", key, "mine")
        local store = open()
        assert.is_true(is_well(store))
        assert.equal(1, server:command("LLEN", key .. ":broken"))
        assert.is_true(add(store, "secret", "mg-1"))
      end)
    end

    it("pass over what is no key", function()
      server:command("HSET", "moongate:keys", "a", "{}", "b", "no JSON", hex_of("c"), '{"hash":"00"}')
      local store = open()
      assert.is_true(is_well(store))
      server:command("PUBLISH", "moongate:news", "key {")
      server:command("PUBLISH", "moongate:news", "mark []")
      server:command("PUBLISH", "moongate:news", "learnt {\"provider\":1}")
      server:command("PUBLISH", "moongate:news", "what is this")
      assert.is_true(add(store, "secret", "mg-1"))
    end)
  end)

  describe("about exhausted targets", function()
    local function exhausted(store, target)
      local reason = ffi.new("char[64]")
      local ends = tonumber(library.store_exhausted(store, target, now, reason, 64))
      return ends, ffi.string(reason)
    end

    it("tells every gateway, whose expiries are only ever raised", function()
      local first, second = open(), open()
      library.store_exhaust(second, "groq/m", now + 90000, "told \"late\"", now)
      library.store_exhaust(first, "groq/m", now + 41000, "told early", now)
      library.store_exhaust(first, "groq/n", now + 5000, "429", now)
      until_(function() return exhausted(second, "groq/n") == now + 5000 end, "the mark at the other gateway")
      until_(function() return exhausted(first, "groq/m") == now + 90000 end, "the later expiry")
      assert.equal('told "late"', select(2, exhausted(first, "groq/m")))
      assert.equal(now + 90000, (exhausted(second, "groq/m")))
      local third = open()
      assert.same({ now + 90000, 'told "late"' }, { exhausted(third, "groq/m") })
    end)

    it("tells that a target answers again", function()
      local first, second = open(), open()
      library.store_exhaust(first, "groq", 0, "429", now)
      until_(function() return exhausted(second, "groq") == now + MINUTE end, "the mark")
      assert.equal(now + 3 * MINUTE, tonumber(library.store_exhaust(second, "groq", 0, "429", now + MINUTE)))
      until_(function() return exhausted(first, "groq") == now + 3 * MINUTE end, "the longer wait")
      library.store_recovered(first, "groq")
      until_(function()
        return server:command("HGET", "moongate:marks", "groq"):find('"step":0', 1, true)
      end, "the recovery")
      -- The doubling has started over, wherever the target says no next.
      until_(function()
        local third = open()
        local again = tonumber(library.store_exhaust(third, "groq", 0, "429", now + HOUR))
        bench.close(third)
        return again == now + HOUR + MINUTE
      end, "the first wait again")
    end)

    it("tells every gateway of a pardon, which holds against what was known before it", function()
      local first, second = open(), open()
      library.store_exhaust(first, "groq/m", now + HOUR, "charged", now)
      until_(function() return exhausted(second, "groq/m") == now + HOUR end, "the mark at the other gateway")
      assert.is_true(library.store_pardon(second, "groq/m", now))
      assert.same({ 0, "" }, { exhausted(second, "groq/m") })
      until_(function() return exhausted(first, "groq/m") == 0 end, "the pardon at the other gateway")
      assert.equal(0, (exhausted(open(), "groq/m"))) -- one that starts later
      library.store_exhaust(first, "groq/m", now + MINUTE, "429", now)
      until_(function() return exhausted(second, "groq/m") == now + MINUTE end, "the next mark")
      assert.equal("429", select(2, exhausted(second, "groq/m")))
    end)

    for when, is_away in pairs { ["while Redis was away"] = true, ["before Redis lost it"] = false } do
      it("tells of a pardon that was given " .. when, function()
        local first, second = open(), open()
        library.store_exhaust(first, "groq/m", now + HOUR, "charged", now)
        until_(function() return exhausted(second, "groq/m") == now + HOUR end, "the mark at the other gateway")
        if is_away then
          server:kill()
          until_(function() return not is_well(first) and not is_well(second) end, "both to know")
          library.store_pardon(second, "groq/m", now)
          server:restart() -- what Redis has again is what the others tell it
        else
          library.store_pardon(second, "groq/m", now)
          until_(function() return exhausted(first, "groq/m") == 0 end, "the pardon")
          server:command("DEL", "moongate:marks")
          server:command("HSET", "moongate:marks", "groq/m",
            ('{"target":"groq/m","until":%d,"step":0,"reason":"charged"}'):format(now + HOUR))
          server:command("CLIENT", "KILL", "TYPE", "normal")
        end
        until_(function() return is_well(first) and is_well(second) and exhausted(first, "groq/m") == 0 end,
          "the pardon everywhere")
        assert.equal(0, (exhausted(second, "groq/m")))
        until_(function()
          return (server:command("HGET", "moongate:marks", "groq/m") or ""):find('"until":0', 1, true)
        end, "the pardon in Redis")
      end)
    end

    it("forgets marks that have been over for long", function()
      local mark = '{"target":"%s","until":%d,"step":60,"reason":"429"}'
      server:command("HSET", "moongate:marks", "old", mark:format("old", now - 3 * HOUR),
        "new", mark:format("new", now + HOUR))
      local store = open()
      assert.equal(now + HOUR, (exhausted(store, "new")))
      assert.same({ "new" }, server:command("HKEYS", "moongate:marks"))
    end)

    it("tells what it learnt while Redis was away", function()
      local first, second = open(), open()
      server:freeze()
      library.store_exhaust(first, "groq", now + HOUR, "away", now)
      server:thaw()
      until_(function() return exhausted(second, "groq") == now + HOUR end, "the mark at the other gateway")
    end)
  end)

  describe("about providers' limits", function()
    local function learn(store, word)
      word.provider, word.window, word.model = word.provider or "groq", word.window or "minute", word.model or ""
      word.seen_at, word.source = word.seen_at or now, "discovered"
      library.store_learn(store, ffi.new("struct store_learnt", word))
    end
    local function remaining(store, metric, model)
      local found
      local each = ffi.cast("void (*)(void *, const struct store_learnt *)", function(_, word)
        if ffi.string(word.metric) == metric and ffi.string(word.model) == (model or "") then
          found = tonumber(word.remaining)
        end
      end)
      library.store_each_learnt(store, "groq", each, nil)
      each:free()
      return found
    end
    local NAMES = { "limit:groq:rpm:max", "limit:groq:rpm:current", "limit:groq:tpm:max", "limit:groq:tpm:current",
      "balance:groq" }
    local function plain()
      local values = server:command("MGET", unpack(NAMES))
      for index = 1, 5 do values[index] = values[index] or false end
      return values
    end

    it("tells every gateway, the newest word", function()
      local first, second = open(), open()
      learn(first, { metric = "requests", limit = 100, remaining = 40, reset_at = now + 30000 })
      until_(function() return remaining(second, "requests") == 40 end, "the word at the other gateway")
      learn(second, { metric = "requests", limit = 100, remaining = 39, seen_at = now + 5 })
      learn(first, { metric = "requests", limit = 100, remaining = 77, seen_at = now + 3 })
      until_(function() return remaining(first, "requests") == 39 end, "the newer word")
      assert.equal(39, remaining(open(), "requests"))
    end)

    it("has been told when a row that closes later is in the ledger: with one MGET, as plain strings", function()
      local store = open()
      learn(store, { metric = "requests", limit = 200, remaining = 155, reset_at = now + 300000 })
      learn(store, { metric = "tokens", limit = 100000, remaining = 85000, reset_at = now + 50000 })
      learn(store, { metric = "microusd", window = "none", limit = -1, remaining = 9800000 })
      assert.is_true(desk:close_row(store, { request_id = "r1", time = now, outcome = "ok" }))
      assert.same({ "200", "45", "100000", "15000", "9.80" }, plain())
      local lasting = {}
      for index, name in ipairs(NAMES) do lasting[index] = math.ceil(server:command("PTTL", name) / 60000) end
      assert.same({ 5, 5, 1, 1, 60 }, lasting)
    end)

    it("says in plain strings only what is known, of the model with the least left where each has its own", function()
      local store = open()
      learn(store, { model = "a", metric = "requests", limit = 30, remaining = 29, reset_at = now + MINUTE })
      learn(store, { model = "b", metric = "requests", limit = 100, remaining = 1, reset_at = now + MINUTE })
      learn(store, { model = "c", metric = "requests", limit = 9, remaining = 0, reset_at = now - 1 }) -- over
      learn(store, { model = "a", metric = "tokens", limit = 5000, remaining = -1, reset_at = now + MINUTE })
      learn(store, { model = "a", metric = "requests", window = "day", limit = 7, remaining = 0 })
      assert.is_true(desk:close_row(store, { request_id = "r1", time = now, outcome = "ok" }))
      assert.same({ "100", "99", "5000", false, false }, plain())
      learn(store, { metric = "requests", limit = 60, remaining = 60, reset_at = now + MINUTE, seen_at = now + 1 })
      learn(store, { metric = "microusd", window = "none", limit = -1, remaining = 42, seen_at = now + 1 })
      assert.is_true(desk:close_row(store, { request_id = "r2", time = now, outcome = "ok" }))
      assert.same({ "60", "0", "5000", false, "0.000042" }, plain())
    end)

    it("publishes words, and not what calls draw of them", function()
      local store = open()
      learn(store, { metric = "requests", limit = 100, remaining = 50, reset_at = now + MINUTE })
      bench.reserve(store, { claims = {}, provider = "groq", model = "m", tokens = 5 }, now)
      assert.equal(49, remaining(store, "requests"))
      assert.is_true(desk:close_row(store, { request_id = "r1", time = now, outcome = "ok" }))
      assert.matches('"remaining":50', server:command("HGET", "moongate:learnt:groq", "requests minute "), 1, true)
    end)

    it("is put back into a Redis that was emptied", function()
      local store = open()
      learn(store, { metric = "requests", limit = 100, remaining = 50, reset_at = now + MINUTE })
      server:command("FLUSHALL")
      until_(function() return server:command("EXISTS", "moongate:learnt:groq") == 1 end, "the word in Redis")
      assert.equal(50, remaining(store, "requests"))
    end)
  end)
end)
