-- Cuts the pieces of a stream into its events, as the gateway does: by core/net/sse itself.
local ffi = require "ffi"
local library = require "spec.support.library"

if not pcall(ffi.typeof, "struct sse_cutter_event") then
  ffi.cdef [[
    struct sse_cutter_event {
      const char *raw; size_t raw_length; const char *name; size_t name_length; const char *data; size_t data_length;
    };
    typedef bool (*sse_cutter_hook)(void *arg, const struct sse_cutter_event *event);
    void *sse_new(size_t max_bytes);
    void sse_free(void *sse);
    void sse_lines(void *sse);
    bool sse_cutter_push(void *sse, const char *data, size_t length, sse_cutter_hook on_event, void *arg)
      __asm__("sse_push");
    bool sse_cutter_finish(void *sse, sse_cutter_hook on_event, void *arg) __asm__("sse_finish");
  ]]
end

local MOST = 1e9

local events
local hook = ffi.cast("sse_cutter_hook", function(_, event)
  events[#events + 1] = {
    name = event.name_length > 0 and ffi.string(event.name, event.name_length) or nil,
    data = event.data ~= nil and ffi.string(event.data, event.data_length) or nil,
  }
  return true
end)

-- The events { name, data }; lines: each line is one.
---@param pieces string[]
---@param lines boolean|nil
---@return table[]
local function cut(pieces, lines)
  local sse = library.sse_new(MOST)
  if lines then library.sse_lines(sse) end
  events = {}
  for _, piece in ipairs(pieces) do assert(library.sse_cutter_push(sse, piece, #piece, hook, nil)) end
  assert(library.sse_cutter_finish(sse, hook, nil))
  library.sse_free(sse)
  return events
end

jit.off(cut) -- C calls back into Lua

return cut
