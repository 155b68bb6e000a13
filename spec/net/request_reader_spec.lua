-- What the edge takes for a request and what it refuses: the cases of http_cases.lua, each sent whole and byte by byte,
-- which must fare the same.
local Edge = require "spec.net.edge"
local cases = require "spec.net.http_cases"

local function byte_by_byte(bytes)
  local pieces = {}
  for i = 1, #bytes do pieces[i] = bytes:sub(i, i) end
  return pieces
end

describe("the edge reading requests", function()
  local edge

  setup(function() edge = Edge.start(cases.limits) end)
  teardown(function() assert(edge:stop(), "the server did not end") end)

  for _, group in ipairs(cases.attacks) do
    for _, case in ipairs(group) do
      local title, bytes, status = case[1], case[2], case[3]

      it("refuses " .. title .. " with " .. status .. " and closes: " .. group.why, function()
        local reply = edge:talk(bytes .. cases.smuggled)
        assert.equal("HTTP/1.1 " .. status, reply:sub(1, 12))
        assert.truthy(reply:find("\r\nconnection: close\r\n", 1, true))
        local _, replies = reply:gsub("HTTP/1%.1 %d", "")
        assert.equal(1, replies)
        assert.is_nil(reply:find("smuggled", 1, true))
        if #bytes < 2000 then
          assert.equal(status, tonumber(edge:talk(byte_by_byte(bytes .. cases.smuggled)):sub(10, 12)))
        end
      end)
    end
  end

  for _, case in ipairs(cases.allowed) do
    local title, bytes, body = case[1], case[2], case[3]

    it("serves " .. title .. ", and the request behind it", function()
      for _, sent in ipairs { { bytes }, byte_by_byte(bytes) } do
        local connection = edge:connect()
        for _, piece in ipairs(sent) do assert(connection:send(piece)) end
        connection:send("GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        local status, text = Edge.read_reply(connection, bytes:sub(1, 4) == "HEAD")
        assert.equal(200, status)
        assert.equal(body, text)
        local rest = Edge.read_all(connection)
        if not bytes:find("HTTP/1.0", 1, true) then assert.truthy(rest:find("GET /next query=", 1, true)) end
      end
    end)
  end

  it("never lets a refused request's successor through", function()
    assert.is_nil(edge:log(""):find("smuggled", 1, true))
  end)
end)
