-- The fuzz targets over the inputs that are kept: the seeds, and whatever once was a finding. `make fuzz` looks for
-- more.
local process = require "spec.support.process"

local TARGETS = {
  "request", "reply", "head", "sse", "json_scan", "limits", "config", "policies", "imports", "openai",
  "openai_responses", "anthropic", "gemini", "ollama",
}
local built = (os.getenv("MOONGATE_TEST_ECHO") or "build/spec/echo"):gsub("echo$", "fuzz/")

local function files(pattern)
  local list = {}
  local pipe = assert(io.popen("ls " .. pattern .. " 2>/dev/null"))
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

describe("the fuzz target", function()
  for _, target in ipairs(TARGETS) do
    it(target .. " finds nothing in its seeds, nor in what it once found", function()
      local command = { built .. target }
      for _, name in ipairs(files("spec/fuzz/corpus/" .. target .. "/*")) do command[#command + 1] = name end
      assert.truthy(#command > 1, "it has no seeds")
      -- A name is target-kind-hash: openai's are not those of openai_responses.
      for _, kind in ipairs { "crash", "leak", "timeout", "oom", "slow-unit" } do
        for _, name in ipairs(files(("spec/fuzz/crashes/%s-%s-*"):format(target, kind))) do
          command[#command + 1] = name
        end
      end
      local status, _, errors = process.run(command)
      assert.equal(0, status, errors)
    end)
  end

  it("is never forgotten: each has seeds, and no seed is without a target", function()
    local known = {}
    for _, target in ipairs(TARGETS) do known[target] = true end
    for _, folder in ipairs(files "-d spec/fuzz/corpus/*") do
      assert.truthy(known[folder:match("([^/]+)$")], folder)
    end
  end)
end)
