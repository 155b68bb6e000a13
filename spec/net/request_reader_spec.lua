-- What the edge takes for a request and what it refuses, in raw bytes: a table of attacks, and one of oddities that
-- are allowed. Each is sent whole and byte by byte, and must fare the same.
local Edge = require "spec.net.edge"

local HOST = "Host: x\r\n"
local NEXT = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

local function get(fields, line)
  return (line or "GET / HTTP/1.1") .. "\r\n" .. (fields or HOST) .. "\r\n"
end

local function post(fields, body)
  return "POST / HTTP/1.1\r\n" .. HOST .. fields .. "\r\n" .. (body or "")
end

local function chunked(body)
  return post("Transfer-Encoding: chunked\r\n", body)
end

local attacks = {
  { "no host", get(""), 400 },
  { "two hosts", get("Host: a\r\nHost: b\r\n"), 400 },
  { "the same host twice", get("Host: a\r\nHost: a\r\n"), 400 },
  { "an empty host", get("Host:\r\n"), 400 },
  { "a host with a space", get("Host: a b\r\n"), 400 },
  { "a host with a slash", get("Host: a/b\r\n"), 400 },
  { "a host with user information", get("Host: me@a\r\n"), 400 },
  { "a host with two ports", get("Host: a:1:2\r\n"), 400 },
  { "a host with a port that is a word", get("Host: a:http\r\n"), 400 },
  { "a list of hosts", get("Host: a, b\r\n"), 400 },
  { "an unfinished IPv6 host", get("Host: [::1\r\n"), 400 },
  { "two hosts in HTTP/1.0", get("Host: a\r\nHost: b\r\n", "GET / HTTP/1.0"), 400 },
  { "a folded header", get(HOST .. "X: a\r\n b\r\n"), 400 },
  { "a header folded with a tab", get(HOST .. "X: a\r\n\tb\r\n"), 400 },
  { "a first header that begins with a space", get(" X: a\r\n" .. HOST), 400 },
  { "a header without a name", get(HOST .. ": a\r\n"), 400 },
  { "a header without a colon", get(HOST .. "nonsense\r\n"), 400 },
  { "a space before the colon", get(HOST .. "X : a\r\n"), 400 },
  { "a tab before the colon", get(HOST .. "X\t: a\r\n"), 400 },
  { "a space in a header's name", get(HOST .. "X Y: a\r\n"), 400 },
  { "a header name in parentheses", get(HOST .. "(X): a\r\n"), 400 },
  { "a header name beyond ASCII", get(HOST .. "X\195\164: a\r\n"), 400 },
  { "a NUL in a header's value", get(HOST .. "X: a\0b\r\n"), 400 },
  { "a NUL in a header's name", get(HOST .. "X\0: a\r\n"), 400 },
  { "a control in a header's value", get(HOST .. "X: a\1b\r\n"), 400 },
  { "a DEL in a header's value", get(HOST .. "X: a\127b\r\n"), 400 },
  { "a bare carriage return in a value", get(HOST .. "X: a\rb\r\n"), 400 },
  { "a bare carriage return that ends a header", "GET / HTTP/1.1\r\nHost: x\rX: y\r\n\r\n", 400 },
  { "a bare line feed after the request line", "GET / HTTP/1.1\nHost: x\r\n\r\n", 400 },
  { "a bare line feed after a header", "GET / HTTP/1.1\r\nHost: x\n\r\n", 400 },
  { "bare line feeds only", "GET / HTTP/1.1\nHost: x\n\n", 400 },
  { "a bare line feed at the end of the head", "GET / HTTP/1.1\r\nHost: x\r\n\n", 400 },
  { "a bare line feed before the request", "\n" .. get(), 400 },
  { "two spaces before the target", get(HOST, "GET  / HTTP/1.1"), 400 },
  { "two spaces before the version", get(HOST, "GET /  HTTP/1.1"), 400 },
  { "a space behind the version", get(HOST, "GET / HTTP/1.1 "), 400 },
  { "a space before the method", get(HOST, " GET / HTTP/1.1"), 400 },
  { "tabs in the request line", get(HOST, "GET\t/\tHTTP/1.1"), 400 },
  { "a space in the target", get(HOST, "GET /a b HTTP/1.1"), 400 },
  { "a fragment in the target", get(HOST, "GET /a#b HTTP/1.1"), 400 },
  { "a byte beyond ASCII in the target", get(HOST, "GET /\195\164 HTTP/1.1"), 400 },
  { "an absolute target", get(HOST, "GET http://x/ HTTP/1.1"), 400 },
  { "an absolute target of another host", get(HOST, "GET http://other/ HTTP/1.1"), 400 },
  { "a target without a slash", get(HOST, "GET index HTTP/1.1"), 400 },
  { "a star as a target of GET", get(HOST, "GET * HTTP/1.1"), 400 },
  { "a percent sign without digits", get(HOST, "GET /%zz HTTP/1.1"), 400 },
  { "a percent sign at the end", get(HOST, "GET /%4 HTTP/1.1"), 400 },
  { "an encoded NUL in the path", get(HOST, "GET /a%00b HTTP/1.1"), 400 },
  { "no version", "GET /\r\n\r\n", 400 },
  { "no target", get(HOST, "GET HTTP/1.1"), 400 },
  { "HTTP/0.9 spelt out", get(HOST, "GET / HTTP/0.9"), 505 },
  { "HTTP/1.2", get(HOST, "GET / HTTP/1.2"), 505 },
  { "HTTP/2.0", get(HOST, "GET / HTTP/2.0"), 505 },
  { "HTTP/3", get(HOST, "GET / HTTP/3"), 400 },
  { "HTTP/1.10", get(HOST, "GET / HTTP/1.10"), 400 },
  { "HTTP/01.1", get(HOST, "GET / HTTP/01.1"), 400 },
  { "a version in lower case", get(HOST, "GET / http/1.1"), 400 },
  { "another protocol", get(HOST, "GET / ICE/1.1"), 400 },
  { "the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505 },
  { "a method in lower case", get(HOST, "get / HTTP/1.1"), 501 },
  { "an unknown method", get(HOST, "BREW / HTTP/1.1"), 501 },
  { "a method with a colon", get(HOST, "GE:T / HTTP/1.1"), 400 },
  { "CONNECT", get(HOST, "CONNECT x:443 HTTP/1.1"), 501 },
  { "an upgrade", get(HOST .. "Connection: upgrade\r\nUpgrade: websocket\r\n"), 400 },
  { "the first bytes of TLS", "\22\3\1\2\0\1\0\1\252\3\3", 400 },
  { "length and coding", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400 },
  { "coding and length", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), 400 },
  { "two lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), 400 },
  { "the same length twice", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), 400 },
  { "a list of lengths", post("Content-Length: 5, 5\r\n", "hello"), 400 },
  { "a signed length", post("Content-Length: +5\r\n", "hello"), 400 },
  { "a negative length", post("Content-Length: -5\r\n", "hello"), 400 },
  { "a length in hexadecimal", post("Content-Length: 0x5\r\n", "hello"), 400 },
  { "a length with a space in it", post("Content-Length: 1 0\r\n", "hello"), 400 },
  { "an empty length", post("Content-Length:\r\n", "hello"), 400 },
  { "a length that overflows", post("Content-Length: 18446744073709551621\r\n", "hello"), 400 },
  { "a length with a unit", post("Content-Length: 5b\r\n", "hello"), 400 },
  { "a length with a space before the colon", post("Content-Length : 5\r\n", "hello"), 400 },
  { "two codings", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501 },
  { "two coding fields", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400 },
  { "chunked and identity", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"), 400 },
  { "identity", post("Transfer-Encoding: identity\r\n", "0\r\n\r\n"), 501 },
  { "an unknown coding", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 501 },
  { "a quoted coding", post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), 501 },
  { "a coding with a parameter", post("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n"), 501 },
  { "an empty coding", post("Transfer-Encoding:\r\n", "0\r\n\r\n"), 501 },
  { "a coding behind a vertical tab", post("Transfer-Encoding: \11chunked\r\n", "0\r\n\r\n"), 400 },
  { "a coding with a space before the colon", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400 },
  { "chunks in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
  { "a signed chunk size", chunked("+5\r\nhello\r\n0\r\n\r\n"), 400 },
  { "a chunk size with 0x", chunked("0x5\r\nhello\r\n0\r\n\r\n"), 400 },
  { "a space before the chunk size", chunked(" 5\r\nhello\r\n0\r\n\r\n"), 400 },
  { "a space behind the chunk size", chunked("5 \r\nhello\r\n0\r\n\r\n"), 400 },
  { "an empty chunk size", chunked("\r\nhello\r\n0\r\n\r\n"), 400 },
  { "a chunk size that is no number", chunked("five\r\nhello\r\n0\r\n\r\n"), 400 },
  { "a chunk size that overflows", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"), 400 },
  { "a bare line feed behind the chunk size", chunked("5\nhello\r\n0\r\n\r\n"), 400 },
  { "a bare line feed behind a chunk", chunked("5\r\nhello\n0\r\n\r\n"), 400 },
  { "a bare carriage return behind the chunk size", chunked("5\rhello\r\n0\r\n\r\n"), 400 },
  { "junk behind a chunk", chunked("5\r\nhelloxx0\r\n\r\n"), 400 },
  { "a bare line feed in a chunk extension", chunked("5;a\nb\r\nhello\r\n0\r\n\r\n"), 400 },
  { "a bare carriage return in a chunk extension", chunked("5;a\rb\r\nhello\r\n0\r\n\r\n"), 400 },
  { "endless chunk extensions", chunked("5;" .. ("a"):rep(5000) .. "\r\nhello\r\n0\r\n\r\n"), 400 },
  { "a bare line feed in the trailers", chunked("0\r\nX: a\n\r\n"), 400 },
  { "a folded trailer", chunked("0\r\nX: a\r\n b\r\n\r\n"), 400 },
  { "endless trailers", chunked("0\r\n" .. ("X: a\r\n"):rep(200) .. "\r\n"), 431 },
  { "a thousand header fields", get(HOST .. ("X: a\r\n"):rep(1000)), 431 },
  { "a header field of 40 KB", get(HOST .. "X: " .. ("a"):rep(40000) .. "\r\n"), 431 },
  { "a header that never ends", "GET / HTTP/1.1\r\nHost: x\r\nX: " .. ("a"):rep(40000), 431 },
  { "a target of 9 KB", get(HOST, "GET /" .. ("a"):rep(9000) .. " HTTP/1.1"), 414 },
  { "a request line that never ends", "GET /" .. ("a"):rep(9000), 414 },
  { "a method that never ends", ("G"):rep(9000), 414 },
  { "empty lines that never end", ("\r\n"):rep(20000), 414 },
  { "a length above the limit", post("Content-Length: 1048577\r\n"), 413 },
  { "a chunk above the limit", chunked("100001\r\n"), 413 },
  { "an unknown expectation", post("Expect: a miracle\r\nContent-Length: 5\r\n", "hello"), 417 },
}

local allowed = {
  { "a plain GET", get(), "GET / query= fields=1 body=0:" },
  { "empty lines before a request", "\r\n\r\n" .. get(), "GET / query= fields=1 body=0:" },
  { "an empty value", get(HOST .. "X:\r\n"), "GET / query= fields=2 body=0:" },
  { "white space round a value", get("Host: \t x \t\r\n"), "GET / query= fields=1 body=0:" },
  { "bytes beyond ASCII in a value", get(HOST .. "X: \195\164\r\n"), "GET / query= fields=2 body=0:" },
  { "a host with a port", get("Host: a.example:8080\r\n"), "GET / query= fields=1 body=0:" },
  { "an IPv6 host", get("Host: [::1]:80\r\n"), "GET / query= fields=1 body=0:" },
  { "a query", get(HOST, "GET /a?b=c%20d?e HTTP/1.1"), "GET /a query=b=c%20d?e fields=1 body=0:" },
  { "an encoded path", get(HOST, "GET /a%20b%2Fc HTTP/1.1"), "GET /a b/c query= fields=1 body=0:" },
  { "OPTIONS for the whole server", get(HOST, "OPTIONS * HTTP/1.1"), "OPTIONS * query= fields=1 body=0:" },
  { "HTTP/1.0 without a host", get("", "GET / HTTP/1.0"), "GET / query= fields=0 body=0:" },
  { "a body with a length", post("Content-Length: 5\r\n", "hello"), "POST / query= fields=2 body=5:hello" },
  { "a body of length zero", post("Content-Length: 0\r\n"), "POST / query= fields=2 body=0:" },
  { "zeros before a length", post("Content-Length: 005\r\n", "hello"), "POST / query= fields=2 body=5:hello" },
  { "a POST without a body", post(""), "POST / query= fields=1 body=0:" },
  { "a body in chunks", chunked("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
    "POST / query= fields=2 body=11:hello world" },
  { "a chunk size in capitals", chunked("A\r\n0123456789\r\n0\r\n\r\n"), "POST / query= fields=2 body=10:0123456789" },
  { "a chunk extension", chunked("5;a=b\r\nhello\r\n0\r\n\r\n"), "POST / query= fields=2 body=5:hello" },
  { "trailers, which are ignored", chunked("5\r\nhello\r\n0\r\nHost: y\r\nContent-Length: 9\r\n\r\n"),
    "POST / query= fields=2 body=5:hello" },
  { "CHUNKED in capitals", post("Transfer-Encoding: CHUNKED\r\n", "0\r\n\r\n"), "POST / query= fields=2 body=0:" },
  { "an upgrade that is only offered", get(HOST .. "Upgrade: h2c\r\n"), "GET / query= fields=2 body=0:" },
}

local function byte_by_byte(bytes)
  local pieces = {}
  for i = 1, #bytes do pieces[i] = bytes:sub(i, i) end
  return pieces
end

describe("the edge reading requests", function()
  local edge

  setup(function() edge = Edge.start() end)
  teardown(function() assert(edge:stop(), "the server did not end") end)

  for _, case in ipairs(attacks) do
    local title, bytes, status = case[1], case[2], case[3]

    it("refuses " .. title .. " with " .. status .. " and closes", function()
      local reply = edge:talk(bytes .. NEXT)
      assert.equal("HTTP/1.1 " .. status, reply:sub(1, 12))
      assert.truthy(reply:find("\r\nconnection: close\r\n", 1, true))
      local _, replies = reply:gsub("HTTP/1%.1 %d", "")
      assert.equal(1, replies)
      assert.is_nil(reply:find("smuggled", 1, true))
      if #bytes < 2000 then assert.equal(status, tonumber(edge:talk(byte_by_byte(bytes .. NEXT)):sub(10, 12))) end
    end)
  end

  for _, case in ipairs(allowed) do
    local title, bytes, body = case[1], case[2], case[3]

    it("serves " .. title .. ", and the request behind it", function()
      for _, sent in ipairs { { bytes }, byte_by_byte(bytes) } do
        local connection = edge:connect()
        for _, piece in ipairs(sent) do assert(connection:send(piece)) end
        connection:send("GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        local status, text = Edge.read_reply(connection)
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
