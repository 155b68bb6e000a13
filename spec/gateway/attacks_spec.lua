-- The cases of spec/net/http_cases.lua against the gateway itself, over raw sockets: what each gets is printed at the
-- end. Whatever comes, one connection pays for it, and nothing behind an attack is served.
local cases = require "spec.net.http_cases"
local gateway = require "spec.support.gateway"
local http = require "spec.support.http"
local provider = require "spec.support.provider"
local socket = require "socket"

local HEALTH = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

describe("the gateway under attack", function()
  local moongate, told

  setup(function()
    moongate = gateway.start { config = { limits = cases.limits, providers = { demo = { protocol = "mock" } },
      models = { { id = "echo", provider = "demo" } } } }
    told = {}
  end)

  teardown(function()
    print("\n" .. table.concat(told, "\n"))
    gateway.stop_all()
  end)

  -- All that comes back until the gateway closes.
  local function talk(bytes)
    local host, port = moongate.address:match("^(.*):(%d+)$")
    local connection = assert(socket.connect(host, tonumber(port)))
    connection:settimeout(http.seconds)
    connection:send(bytes) -- it may have answered and closed before all is sent
    local text, problem, part = connection:receive("*a")
    assert(text or problem == "closed", "the gateway does not close: " .. tostring(problem))
    connection:close()
    return text or part
  end

  local function count(text, pattern) return select(2, text:gsub(pattern, "")) end

  for _, group in ipairs(cases.attacks) do
    for _, case in ipairs(group) do
      local title, bytes, status = case[1], case[2], case[3]

      it("answers " .. title .. " with " .. status .. " and closes", function()
        local reply = talk(bytes .. cases.smuggled)
        local got = tonumber(reply:match("^HTTP/1%.1 (%d+)"))
        told[#told + 1] = ("  %-52s %s, closed"):format(title, got or "nothing")
        assert.equal(status, got)
        assert.equal(1, count(reply, "HTTP/1%.1 %d"))
        assert.truthy(reply:find("\r\nconnection: close\r\n", 1, true))
        local head, body = reply:match("^(.-\r\n)\r\n(.*)$")
        assert.equal(#body, tonumber(head:match("\r\ncontent%-length: (%d+)")))
        assert.truthy(head:find("\r\nx-request-id: ", 1, true))
        assert.truthy(body:find('"message":"', 1, true) or bytes:find("^HEAD"), body)
        assert.is_nil(reply:find("smuggled", 1, true))
        assert.equal(200, moongate:request({ path = "/health" }).status)
      end)
    end
  end

  for _, case in ipairs(cases.allowed) do
    local title, bytes = case[1], case[2]

    it("takes " .. title .. " for one request, and serves the one behind it", function()
      local reply = talk(bytes .. HEALTH)
      told[#told + 1] = ("  %-52s %s, then the next request"):format(title, reply:match("^HTTP/1%.1 (%d+)"))
      assert.truthy(reply:find("^HTTP/1.1 4%d%d ")) -- there is nothing at these paths
      if not bytes:find("HTTP/1.0", 1, true) then
        assert.equal(2, count(reply, "HTTP/1%.1 %d"))
        assert.equal(1, count(reply, "HTTP/1%.1 200 OK"))
      end
      assert.is_nil(reply:find("smuggled", 1, true))
    end)
  end

  it("reads bytes behind a body as the next request, and refuses them as that", function()
    local reply = talk("GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\nhello\r\n\r\n")
    assert.equal(2, count(reply, "HTTP/1%.1 %d"))
    assert.truthy(reply:find("^HTTP/1.1 200 "))
    assert.truthy(reply:find("HTTP/1.1 400 ", 1, true))
  end)

  it("knows no TRACE, and no method but those of a path", function()
    for _, method in ipairs { "TRACE", "PUT", "PATCH", "DELETE", "PROPFIND" } do
      local reply = talk(method .. " /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Crumb: abc\r\n"
        .. "Connection: close\r\n\r\n")
      assert.truthy(reply:find("^HTTP/1.1 405 "), reply)
      assert.truthy(reply:find("\r\nallow: POST\r\n", 1, true))
      assert.is_nil(reply:find("abc", 1, true))
    end
  end)
end)

describe("what a caller sends beside its request", function()
  after_each(gateway.stop_all)

  -- What a header list of a provider may hold, whatever the caller sent.
  local UPSTREAM = { host = true, accept = true, ["content-type"] = true, ["content-length"] = true,
    authorization = true, ["transfer-encoding"] = true, ["user-agent"] = true }

  it("never reaches the provider: no header of its own, no credential, no cookie, no query", function()
    local upstream = provider.open()
    local moongate = gateway.start { config = {
      auth = "keys", keys = { { name = "dev", key = "caller-secret" } },
      providers = { acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-own" } },
      models = { { id = "small", provider = "acme" } } } }
    local headers = {
      cookie = "crumb=caller-secret", ["x-api-key"] = "caller-secret", ["api-key"] = "caller-secret",
      ["x-goog-api-key"] = "caller-secret", ["proxy-authorization"] = "Basic caller-secret",
      forwarded = "for=10.9.8.7", ["x-forwarded-for"] = "10.9.8.7", ["x-forwarded-host"] = "evil.example",
      ["x-real-ip"] = "10.9.8.7", ["openai-organization"] = "org-of-the-caller", ["openai-beta"] = "assistants=v2",
      ["anthropic-beta"] = "dear", ["x-stainless-lang"] = "js", ["http-referer"] = "https://evil.example",
      origin = "https://evil.example", te = "trailers", connection = "x-drop", ["x-drop"] = "caller",
      ["accept-encoding"] = "gzip, br", range = "bytes=0-1", ["if-none-match"] = "x", traceparent = "00-caller",
      ["x-http-method-override"] = "DELETE", ["x-moongate-task"] = "chat", ["user-agent"] = "caller/1",
    }
    for _, stream in ipairs { false, true } do
      upstream:forget()
      local request = { path = "/v1/chat/completions?key=caller-secret", key = "caller-secret", headers = headers,
        json = { model = "small", stream = stream, messages = { { role = "user", content = "Hi." } } } }
      assert.equal(200, http.request(moongate.address, request).status)
      local seen = upstream:seen()[1]
      assert.equal("/v1/chat/completions", seen.path)
      assert.equal("Bearer sk-own", seen.headers.authorization)
      for name, value in pairs(seen.headers) do
        assert.truthy(UPSTREAM[name], "the provider is sent " .. name)
        assert.is_nil(value:find("caller", 1, true) or value:find("evil", 1, true), name .. ": " .. value)
      end
      assert.is_nil(seen.body:find("caller-secret", 1, true))
    end
  end)
end)
