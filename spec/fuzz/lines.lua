-- Which lines of a chunk hold code, in it and all functions in it: for the share that a fuzz target has run.
local util = require "jit.util"

local function add(proto, lines)
  local facts = util.funcinfo(proto)
  for pc = 1, facts.bytecodes - 1 do
    local line = util.funcinfo(proto, pc).currentline
    if line and line > 0 then lines[line] = true end
  end
  for index = -1, -facts.gcconsts, -1 do
    local constant = util.funck(proto, index)
    if type(constant) == "proto" then add(constant, lines) end
  end
  return lines
end

function _G.fuzz_lines(chunk) return add(chunk, {}) end
