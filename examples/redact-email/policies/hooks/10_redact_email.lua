-- Addresses in messages become [address] before anything is decided. No request goes out unredacted: if this fails, the
-- request does too.
local ADDRESS = "[%w%.%+_-]+@[%w-]+%.[%w%.-]*%w"

local function redact(value)
  if type(value) ~= "string" then return value, 0 end
  return value:gsub(ADDRESS, "[address]")
end

return {
  on_fault = "refuse",

  request = function(req)
    local total = 0
    for _, message in ipairs(req.messages) do
      local count
      message.content, count = redact(message.content)
      total = total + count
      for _, part in ipairs(type(message.content) == "table" and message.content or {}) do
        part.text, count = redact(part.text)
        total = total + count
      end
    end
    if total > 0 then req:header("x-redacted", total) end
  end,
}
