-- How busted reports to spec/run.lua: what failed, in words, on standard output; the counts into MOONGATE_TALLY.
return function()
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()

  local function describe(failure)
    local trace = failure.element.trace or failure.trace or {}
    local message = type(failure.message) == "string" and failure.message or require("pl.pretty").write(failure.message)
    return ("  %s:%s: %s\n    %s\n"):format(trace.short_src or "?", trace.currentline or "?", failure.name or "?",
      tostring(message):gsub("\n", "\n    "))
  end

  function handler.suiteEnd()
    for _, failure in ipairs(handler.failures) do io.write(describe(failure)) end
    for _, failure in ipairs(handler.errors) do io.write(describe(failure)) end
    for _, skipped in ipairs(handler.pendings) do
      io.write(("  skipped: %s%s\n"):format(skipped.name, skipped.message and ": " .. tostring(skipped.message) or ""))
    end
    io.flush()
    local file = assert(io.open(os.getenv("MOONGATE_TALLY"), "w"))
    file:write(("%d %d %d\n"):format(handler.successesCount, handler.failuresCount + handler.errorsCount,
      handler.pendingsCount))
    file:close()
    return nil, true
  end

  busted.subscribe({ "suite", "end" }, handler.suiteEnd)
  return handler
end
