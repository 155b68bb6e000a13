-- /dashboard: the page that shows the gateway at work, from the binary itself. It holds no data and needs no token;
-- what it shows it asks of /admin/ and /v1/, with the token that is typed in there.
local exchange = require "moongate.exchange"
local json = require "moongate.core.json"
local keys = require "moongate.core.keys"
local pages = require "moongate.core.pages"

local dashboard = {}

local TYPES = {
  html = "text/html; charset=utf-8", css = "text/css; charset=utf-8", js = "text/javascript; charset=utf-8",
  svg = "image/svg+xml",
}
-- Nothing but what comes from here, and nobody may put it into a frame.
local POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
  .. "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

local tags = {} -- by name

local function tag_of(name, text)
  if not tags[name] then
    local hex = string.gsub(string.sub(keys.hash(text), 1, 8), ".", function(byte)
      return string.format("%02x", string.byte(byte))
    end)
    tags[name] = '"' .. hex .. '"'
  end
  return tags[name]
end

local function send(handle, name)
  local kind = TYPES[string.match(name, "%.(%l+)$")]
  local text = kind and pages.get(name)
  if not text then
    return exchange.refuse(handle, {
      status = 404, code = "not_found", message = "there is no such part of the dashboard: it begins at /dashboard",
    })
  end
  local tag = tag_of(name, text)
  -- Asked for again each time, and sent only when another version of the program runs.
  local headers = {
    etag = tag, ["cache-control"] = "no-cache", ["content-security-policy"] = POLICY,
    ["referrer-policy"] = "no-referrer", ["x-content-type-options"] = "nosniff", ["x-frame-options"] = "DENY",
    ["cross-origin-opener-policy"] = "same-origin", ["cross-origin-resource-policy"] = "same-origin",
  }
  if string.find(handle:header "if-none-match" or "", tag, 1, true) then return handle:reply(304, headers, "") end
  headers["content-type"] = kind
  handle:reply(200, headers, text)
end

function dashboard.page(handle) send(handle, "index.html") end

-- A part of the page, by its name.
function dashboard.part(handle, _, name) send(handle, name) end

-- Whether there is anything to type in.
function dashboard.door(handle, state)
  handle:reply(200, { ["content-type"] = "application/json", ["cache-control"] = "no-store" },
    json.encode { admin_token_is_set = state.config.admin_token ~= nil })
end

-- The page's own links are relative to /dashboard.
function dashboard.away(handle) handle:reply(302, { location = "../dashboard" }, "see /dashboard\n") end

return dashboard
