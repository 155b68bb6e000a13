-- The APIs that callers speak, as specs need them: how each is asked, how its answers and errors are read.
local json = require "dkjson"

local surfaces = {}

surfaces.names = { "openai", "responses", "anthropic", "gemini", "ollama" }
surfaces.protocols = { "openai", "responses", "anthropic", "gemini", "ollama" }

-- The values of a stream's data, decoded where they are JSON.
local function sse(text)
  local list = {}
  for data in (text:gsub("\r\n", "\n")):gmatch("data: ([^\n]*)\n") do
    list[#list + 1] = data ~= "[DONE]" and (json.decode(data) or "not JSON: " .. data) or data
  end
  return list
end

local function lines(text)
  local list = {}
  for line in text:gmatch("[^\n]+") do list[#list + 1] = json.decode(line) or "not JSON: " .. line end
  return list
end

local function user(text) return { { role = "user", content = text } } end

local function part_texts(parts)
  local texts = {}
  for _, part in ipairs(parts or {}) do if not part.thought then texts[#texts + 1] = part.text end end
  return table.concat(texts)
end

surfaces.openai = {
  path = function() return "/v1/chat/completions" end,
  body = function(text, model, stream) return { model = model, messages = user(text), stream = stream or nil } end,
  text = function(body) return body.choices[1].message.content end,
  events = sse,
  said = function(event)
    local choice = type(event) == "table" and event.choices and event.choices[1]
    return choice and choice.delta and choice.delta.content
  end,
  is_end = function(event) return event == "[DONE]" end,
  error = function(body)
    return body.error and { message = body.error.message, type = body.error.type, code = body.error.code }
  end,
}

surfaces.responses = {
  path = function() return "/v1/responses" end,
  body = function(text, model, stream) return { model = model, input = text, stream = stream or nil } end,
  text = function(body)
    local texts = {}
    for _, item in ipairs(body.output) do
      for _, part in ipairs(item.type == "message" and item.content or {}) do texts[#texts + 1] = part.text end
    end
    return table.concat(texts)
  end,
  events = sse,
  said = function(event) return event.type == "response.output_text.delta" and event.delta or nil end,
  is_end = function(event) return event.type == "response.completed" or event.type == "response.incomplete" end,
  error = function(body)
    if body.type == "error" then return { message = body.message, code = body.code } end
    if body.type == "response.failed" then return { message = body.response.error.message } end
    return type(body.error) == "table" and { message = body.error.message, type = body.error.type } or nil
  end,
}

surfaces.anthropic = {
  path = function() return "/v1/messages" end,
  body = function(text, model, stream)
    return { model = model, max_tokens = 100, messages = user(text), stream = stream or nil }
  end,
  text = function(body)
    local texts = {}
    for _, block in ipairs(body.content) do texts[#texts + 1] = block.text end
    return table.concat(texts)
  end,
  events = sse,
  said = function(event) return event.type == "content_block_delta" and event.delta.text or nil end,
  is_end = function(event) return event.type == "message_stop" end,
  error = function(body)
    return body.type == "error" and { message = body.error.message, type = body.error.type, id = body.request_id }
  end,
}

surfaces.gemini = {
  path = function(model, stream)
    return "/v1beta/models/" .. model .. (stream and ":streamGenerateContent?alt=sse" or ":generateContent")
  end,
  body = function(text) return { contents = { { role = "user", parts = { { text = text } } } } } end,
  text = function(body) return part_texts(body.candidates[1].content.parts) end,
  events = sse,
  said = function(event) return event.candidates and part_texts(event.candidates[1].content.parts) or nil end,
  is_end = function(event) return event.candidates and event.candidates[1].finishReason ~= nil or false end,
  error = function(body)
    return body.error and { message = body.error.message, type = body.error.status, code = body.error.code }
  end,
}

surfaces.ollama = {
  path = function() return "/api/chat" end,
  body = function(text, model, stream) return { model = model, messages = user(text), stream = stream == true } end,
  text = function(body) return body.message.content end,
  events = lines,
  said = function(event) return event.message and event.message.content end,
  is_end = function(event) return event.done == true end,
  error = function(body) return body.error and { message = body.error } end,
}

surfaces.router = {
  path = function() return "/v1/chat" end,
  body = function(text, model) return { model = model, messages = user(text) } end,
  text = function(body) return body.output end,
  error = function(body)
    return { message = body.error.message, code = body.error.code, id = body.request_id }
  end,
}

--- A request in that API; `more` goes over its fields.
function surfaces.request(name, text, model, stream, more)
  local surface = surfaces[name]
  local request = { path = surface.path(model, stream), json = surface.body(text, model, stream) }
  for field, value in pairs(more or {}) do request[field] = value end
  return request
end

--- What a stream's bytes say: text, whether it is complete, its error, and its events.
function surfaces.read(name, bytes)
  local surface, parts, complete, fault = surfaces[name], {}, false, nil
  local events = surface.events(bytes)
  for _, event in ipairs(events) do
    if type(event) == "string" and event:find("^not JSON") then error(event, 2) end
    parts[#parts + 1] = type(event) == "table" and surface.said(event) or nil
    complete = complete or (type(event) == "table" or name == "openai") and surface.is_end(event)
    fault = fault or (type(event) == "table" and surface.error(event)) or nil
  end
  return { text = table.concat(parts), complete = complete, error = fault, events = events }
end

--- A configuration whose models m-openai, m-anthropic, ... are at a simulated provider that speaks so.
function surfaces.config(upstream, change)
  local config = { providers = {}, models = {}, workers = 1 }
  for _, protocol in ipairs(surfaces.protocols) do
    local is_responses = protocol == "responses"
    config.providers["p-" .. protocol] = {
      protocol = is_responses and "openai" or protocol, base_url = upstream:base(protocol), api_key = "k", retries = 0,
      formats = is_responses and { "responses" } or nil, breaker = { failures = 1000, open = 1 },
      timeouts = { connect = 2, first_byte = 10, first_content = 10, idle = 10 },
    }
    config.models[#config.models + 1] = {
      id = "m-" .. protocol, provider = "p-" .. protocol, cost = { input = 1, output = 2 },
    }
  end
  if change then change(config) end
  return config
end

return surfaces
