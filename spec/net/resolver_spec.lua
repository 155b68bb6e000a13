-- Names to addresses. resolver_driver.c stands in for the system's getaddrinfo and clock, and plays the scenarios.
local process = require "spec.support.process"

local library = os.getenv("MOONGATE_TEST_LIBRARY") or "build/libmoongate-test.so"
local folder, driver

-- What the scenario printed, line by line.
local function play(scenario)
  local status, output, errors = process.run({ driver, scenario }, { env = { LD_PRELOAD = false } })
  assert.equal(0, status, errors)
  local lines = {}
  for line in (output .. errors):gmatch("[^\n]+") do lines[#lines + 1] = line end
  return lines
end

local both = "10.0.0.1,::9"

describe("the resolver", function()
  setup(function()
    folder = process.folder()
    driver = folder .. "/resolver_driver"
    if not library:find("^/") then library = "./" .. library end
    -- A library with sanitizers in it needs a program that has them too.
    local script = [[if nm -D "$1" | grep -q __asan_; then flags=-fsanitize=address,undefined; fi
      exec ${CC:-cc} $flags -std=c11 -D_GNU_SOURCE -Icore -o "$0" spec/net/resolver_driver.c "$1" \
        -lluajit-5.1 -lpthread -Wl,-rpath,"$(dirname "$(realpath "$1")")"]]
    local status, _, errors = process.run { "sh", "-c", script, driver, library }
    assert(status == 0, errors)
  end)

  teardown(function() process.remove(folder) end)

  it("knows literals and localhost at once", function()
    assert.same({
      "127.0.0.1 127.0.0.1", "::1 ::1", "localhost 127.0.0.1,::1", "LocalHost 127.0.0.1,::1", " not a host name",
      "asked 0",
    }, play "at_once")
  end)

  it("keeps an answer for a minute, whatever the name's case", function()
    assert.same({
      "quick.test " .. both, "QUICK.test " .. both, "at once", "quick.test " .. both, "at once", "later",
      "quick.test " .. both, "asked 2",
    }, play "cached")
  end)

  it("tells why a name has no address, and asks again after five seconds", function()
    local wrong = "wrong.test Name or service not known"
    assert.same({ wrong, wrong, "at once", "later", wrong, "asked 2" }, play "failing")
  end)

  it("asks once for all who want the same name", function()
    local slow = "slow.test " .. both
    assert.same({ slow, slow, slow, "asked 1" }, play "together")
  end)

  it("answers beside slow questions, with four threads at the most", function()
    assert.same({ "quick.test " .. both, "held 4" }, play "beside")
  end)

  it("does not answer one who gave up", function()
    assert.same({ "slow.test " .. both }, play "forgotten")
  end)

  it("lets one give up while the answer is on its way", function()
    assert.same({ "quick.test " .. both }, play "late")
  end)

  it("keeps a thousand names", function()
    assert.same({ "asked 1500", "last at once" }, play "bounded")
  end)

  it("ends while questions are open, and answers them", function()
    local lines = play "closing"
    table.sort(lines)
    local expected = {}
    for i = 1, 6 do expected[i] = ("slow%d.test the resolver is closing"):format(i) end
    assert.same(expected, lines)
  end)
end)
