-- Where a Redis server is: what an address may look like, and what is said of one that is wrong.
local ffi = require "ffi"
local links = require "spec.net.redis_links"

local function fields(place)
  local address, fault = links.parse(place)
  if not address then return fault end
  return { ffi.string(address.host), address.port, address.database, ffi.string(address.user),
    ffi.string(address.password) }
end

local function name(place)
  local buffer = ffi.new("char[320]")
  links.library.redis_name(assert(links.parse(place)), buffer)
  return ffi.string(buffer)
end

describe("a Redis address", function()
  it("may say how long a command may take", function()
    for place, expected in pairs {
      ["//redis/2"] = 0, ["//redis/2?deadline_ms=250"] = 250, ["//redis?db=2&deadline_ms=10000"] = 10000,
    } do
      local address = assert(links.parse(place))
      assert.same({ expected, place:match "2" and 2 }, { address.deadline_ms, address.database }, place)
    end
  end)

  it("is read in all its shapes", function()
    local long = ("p"):rep(255)
    for place, expected in pairs {
      ["//127.0.0.1"] = { "127.0.0.1", 6379, 0, "", "" },
      ["//127.0.0.1/"] = { "127.0.0.1", 6379, 0, "", "" },
      ["//redis.example:7000/2"] = { "redis.example", 7000, 2, "", "" },
      ["//redis?db=3"] = { "redis", 6379, 3, "", "" },
      ["//:secret@redis/15"] = { "redis", 6379, 15, "", "secret" },
      ["//moon:secret@redis:1"] = { "redis", 1, 0, "moon", "secret" },
      ["//@redis"] = "the Redis address: the user has no password: write user:password@host, or :password@host",
      ["//:@redis"] = { "redis", 6379, 0, "", "" },
      ["//:a%40b%2Fc%3A%25@redis:65535"] = { "redis", 65535, 0, "", "a@b/c:%" },
      ["//:p@ss:word@redis"] = { "redis", 6379, 0, "", "p@ss:word" },
      ["//:" .. long .. "@redis"] = { "redis", 6379, 0, "", long },
      ["//[::1]:7000/1"] = { "::1", 7000, 1, "", "" },
      ["//[fe80::1]"] = { "fe80::1", 6379, 0, "", "" },
      ["///run/redis.sock"] = { "/run/redis.sock", 0, 0, "", "" },
      ["///run/my%20redis,sock?db=4"] = { "/run/my redis,sock", 0, 4, "", "" },
      ["//moon:secret@/run/redis@1.sock"] = { "/run/redis@1.sock", 0, 0, "moon", "secret" },
    } do
      assert.same(expected, fields(place), place)
    end
  end)

  it("is refused where it is wrong, with what to do and without what may be a password", function()
    for place, pattern in pairs {
      [""] = "does not begin with //",
      ["127.0.0.1:canary"] = "does not begin with //",
      ["//"] = "host is missing",
      ["///"] = "host is missing",
      ["//:7000"] = "host is missing",
      ["//:canary@"] = "host is missing",
      ["//:canary@:7000"] = "host is missing",
      ["//redis:0"] = "port is not a number from 1 to 65535",
      ["//redis:65536"] = "port is not a number",
      ["//redis:canary"] = "port is not a number",
      ["//redis:"] = "port is not a number",
      ["//redis:70x"] = "port is not a number",
      ["//redis:-1"] = "port is not a number",
      ["//redis:99999999999999999999"] = "port is not a number",
      ["//redis/canary"] = "database is not a number",
      ["//redis/-1"] = "database is not a number",
      ["//redis/1/2"] = "database is not a number",
      ["//redis?db="] = "database is not a number",
      ["//redis?canary=1"] = "option is not known",
      ["//redis?db=1&canary=1"] = "option is not known",
      ["//redis?deadline_ms=0"] = "deadline_ms is not a number from 1",
      ["//redis?deadline_ms=1s"] = "deadline_ms is not a number from 1",
      ["///run/redis.sock?db=x"] = "database is not a number",
      ["//canary@redis"] = "user has no password",
      ["//moon:@redis"] = "user has no password",
      ["//:canary/canary@redis"] = "password has a / or %?.*%%2F",
      ["//:7canary?canary@redis"] = "password has a / or %?",
      ["//:canary%@redis"] = "password has a %% that is not followed",
      ["//:canary%4@redis"] = "password has a %% that is not followed",
      ["//:canary%zz@redis"] = "password has a %% that is not followed",
      ["//:canary%00@redis"] = "password has a control character",
      ["//:canary%0d%0a@redis"] = "password has a control character",
      ["//:" .. ("p"):rep(256) .. "@redis"] = "password is too long",
      ["//" .. ("u"):rep(64) .. ":p@redis"] = "user is too long",
      ["//" .. ("h"):rep(256)] = "host is too long",
      ["//re dis"] = "host is not a name",
      ["//[::1"] = "host is an IPv6 address",
      ["//[::1]7000"] = "host is an IPv6 address",
      ["//[]:1"] = "host is missing",
      ["///" .. ("p"):rep(107)] = "path of the Unix socket is too long",
    } do
      local address, fault = links.parse(place)
      assert.is_nil(address, place)
      assert.matches(pattern, fault, nil, nil, place)
      assert.falsy(fault:find("canary"), place)
    end
  end)

  it("is cut to size, never written over its end, whatever it is", function()
    math.randomseed(7)
    local pieces = { "/", ":", "@", "?", "%", "[", "]", "db=", "0", "41", "a", "\1", ("x"):rep(60) }
    for _ = 1, 5000 do
      local place = { "//" }
      for _ = 1, math.random(0, 12) do place[#place + 1] = pieces[math.random(#pieces)] end
      local address, fault = links.parse(table.concat(place))
      assert.is_true(address ~= nil or #fault > 20)
    end
  end)

  it("has a name for messages, without user and password", function()
    assert.equal("127.0.0.1:6379", name "//moon:canary@127.0.0.1")
    assert.equal("redis:7000/2", name "//:canary@redis:7000/2")
    assert.equal("[::1]:6379", name "//[::1]")
    assert.equal("/run/redis.sock", name "//:canary@/run/redis.sock")
    assert.equal("/run/redis.sock?db=3", name "///run/redis.sock?db=3")
  end)
end)
