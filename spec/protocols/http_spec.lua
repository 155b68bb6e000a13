require "spec.support.core"
local http = require "protocols.http"

local function headers(order, facts, defaults)
  order.provider = order.provider or {}
  return http.headers(order, facts or {}, defaults)
end

describe("an address", function()
  it("keeps the base's query behind the path, and the path's own behind that", function()
    assert.equal("https://h/v1/chat", http.address("https://h/v1/", "/chat"))
    assert.equal("https://h/d/chat?v=1", http.address("https://h/d?v=1", "/chat"))
    assert.equal("https://h/d/chat?alt=sse", http.address("https://h/d", "/chat?alt=sse"))
    assert.equal("https://h/d/chat?v=1&alt=sse", http.address("https://h/d?v=1", "/chat?alt=sse"))
  end)
end)

describe("the headers of a call", function()
  it("carry the key as a bearer token, if nobody says otherwise", function()
    assert.same({ ["content-type"] = "application/json", accept = "application/json", authorization = "Bearer k" },
      headers { key = "k" })
    assert.is_nil(headers({ key = "" }).authorization)
  end)

  it("are the protocol's, then the provider table's, then the operator's own", function()
    local defaults = { auth = { header = "x-api-key", prefix = "" }, headers = { version = "1", beta = "a" } }
    assert.same({ ["content-type"] = "application/json", accept = "application/json", ["x-api-key"] = "k",
      version = "3", beta = "b" },
      headers({ key = "k", provider = { headers = { Version = "3" } } }, { headers = { version = "2", beta = "b" } },
        defaults))
    assert.equal("k", headers({ key = "k" }, { auth = { header = "key", prefix = "" } }, defaults).key)
  end)

  it("accept what streams are made of", function()
    assert.equal("text/event-stream", headers({ stream = true }).accept)
    assert.equal("application/x-ndjson", headers({ stream = true }, {}, { stream = "application/x-ndjson" }).accept)
  end)
end)

describe("an error", function()
  -- envelope; message, type, code
  for title, case in pairs {
    ["in OpenAI's envelope"] = { { error = { message = "m", type = "t", code = "c" } }, { "m", "t", "c" } },
    ["as a bare text"] = { { error = "m" }, { "m" } },
    ["of Gemini"] = { { error = { message = "m", status = "S", code = 429 } }, { "m", "S", "429" } },
    ["of Anthropic"] = { { type = "error", error = { type = "t", message = "m" } }, { "m", "t" } },
    ["of Mistral"] = { { object = "error", message = { detail = { { msg = "a" }, { msg = "b" } } }, code = 3 },
      { "a; b", nil, "3" } },
    ["of MiniMax"] = { { base_resp = { status_code = 1002, status_msg = "m" } }, { "m", "base_resp", "1002" } },
  } do
    it("is found " .. title, function()
      local error = http.error_in(case[1], false)
      assert.same(case[2][1], error.message)
      assert.same(case[2][2], error.type)
      assert.same(case[2][3], error.code)
    end)
  end

  it("is a bare message only where the status says so", function()
    assert.is_nil(http.error_in({ message = "m" }, false))
    assert.equal("m", http.error_in({ message = "m" }, true).message)
    assert.is_nil(http.error_in({ choices = {} }, false))
  end)

  it("is the text of a page where one came instead of JSON", function()
    local document, reading = http.whole(502, "<html><b>Bad</b> gateway</html>")
    assert.is_nil(document)
    assert.equal("Bad gateway", reading.error.message)
    document, reading = http.whole(200, "hello")
    assert.is_nil(document)
    assert.equal("malformed", reading.error.type)
  end)

  it("is told in 500 bytes, and never in half a character", function()
    local message = http.error(string.rep("\195\164", 400)).message
    assert.is_true(#message <= 503)
    assert.matches("\195\164%.%.%.$", message)
  end)
end)

describe("an event", function()
  it("is decoded once, and keeps what it holds", function()
    local event = { data = '{"a":1}' }
    assert.same({ a = 1 }, (http.event(event)))
    assert.equal(event.document, (http.event(event)))
  end)

  it("is nothing, a heartbeat, or broken, where it holds no JSON", function()
    local kinds = {}
    for index, data in ipairs { " ", "ping", '{"a":' } do
      local _, reading = http.event { data = data }
      kinds[index] = reading.kind
    end
    assert.same({ "lifecycle", "other", "error" }, kinds)
  end)
end)
