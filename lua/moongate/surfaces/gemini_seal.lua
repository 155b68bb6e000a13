-- Signatures as callers of Gemini's API hold them (`thoughtSignature`): always base64, so that those of others travel
-- in a wrapping that is. A call that nobody signed bears what Google takes in the place of a signature.
local base64 = require "moongate.base64"
local chat = require "moongate.chat"

local seal = {}

local SPEAKS = "gemini"
local REDACTED = "_redacted"

seal.UNSIGNED = "skip_thought_signature_validator"

-- A signature for the caller; nil where there is none.
---@param signature string|nil
---@param origin string|nil
---@return string|nil
function seal.signature(signature, origin)
  if not signature or signature == "" then return nil end
  local sealed = chat.seal(signature, origin or SPEAKS, SPEAKS)
  return sealed == signature and signature or base64.encode(sealed)
end

-- Thoughts that only their maker can read, in the same place.
---@param data string
---@param origin string
---@return string
function seal.redacted(data, origin)
  return base64.encode(chat.seal(data, origin .. REDACTED, SPEAKS))
end

-- What the caller sent back: a signature and its origin, or data that was redacted. Nothing, where nobody had signed.
---@param sent any
---@return string|nil signature
---@return string|nil origin
---@return boolean is_redacted
function seal.open(sent)
  if type(sent) ~= "string" or sent == "" or sent == seal.UNSIGNED then return nil, nil, false end
  local wrapped = string.find(sent, "^bW9vbmdhdGUu") and base64.decode(sent) or sent
  local signature, origin = chat.unseal(wrapped, SPEAKS)
  local bare = string.match(origin, "^(.*)" .. REDACTED .. "$")
  return signature, bare or origin, bare ~= nil
end

return seal
