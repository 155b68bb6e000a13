-- A gateway whose system calls fail now and then, on sockets and on disk, its own and its libraries'. Callers get a
-- whole answer, an honest error, or a connection that breaks; the books are right; when the faults stop all is as it
-- was.
local faults = require "spec.support.faults"
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"
local wait = require "spec.support.wait"

local REQUESTS = tonumber(os.getenv "MOONGATE_ROUNDS") or 30
local TEXT = "Hello from the provider."

local rows = {
  { "accepting", { accept = 300 } }, { "receiving", { receive = 60 } }, { "sending", { send = 60 } },
  { "connecting", { connect = 300 } }, { "opening sockets", { socket = 300 } },
  { "writing to disk", { write = 40 } }, { "syncing the disk", { sync = 200 } },
  { "writing to disk, with sync=second,", { write = 400 }, store = "sqlite:moongate.db?sync=second" },
  { "everything", { accept = 40, receive = 20, send = 20, connect = 100, socket = 100, write = 10, sync = 30 } },
}

describe("a gateway with faults in", function()
  after_each(gateway.stop_all)

  for _, row in ipairs(rows) do
    it(row[1] .. " never shows half an answer as whole, keeps its books and recovers", function()
      local upstream = provider.open():usually { drop = true } -- so that each call connects anew
      local function acme()
        return { protocol = "openai", base_url = upstream.base_url, api_key = "sk", retries = 1,
          breaker = { failures = 1000, open = 0.1 } }
      end
      local store = row.store or "sqlite:moongate.db"
      local moongate = gateway.prepare { config = { store = store, providers = { acme = acme() },
        models = { { id = "small", provider = "acme", cost = { input = 1, output = 1 } } } } }
      local injected = faults.new(moongate)
      moongate:open()

      -- A whole answer's words, or nil where the caller saw that there is none.
      local function ask(streamed)
        if not streamed then
          local answer = moongate:chat { model = "small" }
          if answer.status ~= 200 or not answer.complete then return nil, answer.status end
          return answer:json().choices[1].message.content
        end
        local answer = moongate:stream { model = "small" }
        if answer.status ~= 200 then return nil, answer.status end
        local text, last = gateway.text_of(answer:events())
        answer:close()
        return last == "[DONE]" and text or nil, 200
      end

      injected:set(row[2])
      local whole = 0
      for number = 1, REQUESTS do
        local fine, text, status = pcall(ask, number % 2 == 0)
        if fine and text then
          assert.equal(TEXT, text)
          whole = whole + 1
        elseif fine then
          assert.truthy(status == 200 or status >= 500, status)
        end
        assert.is_false(moongate.process:has_ended(), moongate:errors())
      end
      injected:set {}
      assert.truthy(injected:count() > 0, "no call has failed")

      wait.until_(function()
        local fine, answer = pcall(moongate.chat, moongate, { model = "small" })
        return fine and answer.status == 200 and answer
      end, "an answer without faults")
      wait.until_(function() return moongate:request({ path = "/ready" }):json().status == "ready" end, "/ready")
      local ok, cost = 0, 0
      local answered = 0
      for _, record in ipairs(upstream:seen()) do
        if record.state == "answered" then answered = answered + 1 end
      end
      local _, text = moongate:command("usage", "--by", "request", "--format", "jsonl")
      for outcome, micros in text:gmatch '"outcome":"(%l+)".-"cost_microusd":(%d+)' do
        if outcome == "ok" then ok, cost = ok + 1, cost + tonumber(micros) end
      end
      -- What callers saw whole is in the books, and nothing that the provider has not given.
      assert.truthy(ok >= whole + 1, ("%d rows, %d whole answers"):format(ok, whole + 1))
      assert.truthy(ok <= answered, ("%d rows, %d answers of the provider"):format(ok, answered))
      assert.equal(21 * ok, cost)
      moongate:stop()
    end)
  end
end)
