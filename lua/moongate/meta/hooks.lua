---@meta
-- policies/hooks/<nn>_<name>.lua: for editors only, never run.

---What a hook's file returns: at least one phase.
---@class moongate.hook
---@field request (fun(req: moongate.hook.request))|nil before anything is decided: may change the body
---@field event (fun(req: moongate.hook.request, event: moongate.hook.event))|nil each event of a stream
---@field response (fun(req: moongate.hook.request, response: moongate.hook.response))|nil a whole answer
---@field finish (fun(req: moongate.hook.request))|nil all is over: for log(...)
---@field on_fault "refuse"|"default"|nil what follows when it fails; else as the config says
---@field checks table<string, fun()>|nil

---The same table in all phases of one request. A name that is not here is an error.
---@class moongate.hook.request
---@field id string its x-request-id
---@field state table yours, from phase to phase
---@field body table the decoded body, in OpenAI's shape whatever the caller speaks; the request phase can change it
---@field messages moongate.message[] the body's
---@field asked string|nil the model that was asked for
---@field model string|nil the one that serves, once that is known
---@field provider string|nil the one that serves
---@field caller moongate.caller
---@field headers table<string, string>
---@field task string|nil
---@field surface string
---@field operation "chat"|"embeddings"|"count"
---@field stream boolean
---@field text_length integer
---@field estimated_tokens integer
---@field tools boolean
---@field images boolean
---@field json_schema boolean
---@field max_tokens integer|nil
---@field privacy boolean
---@field priority string|nil
---@field latency_pref string|nil
---@field max_cost number|nil
---@field now number
---@field outcome "ok"|"error"|"cancelled"|nil in finish, like all that follow
---@field status integer|nil
---@field usage moongate.usage|nil
---@field cost_microusd integer|nil
---@field billed_tokens integer|nil
---@field attempts integer|nil
---@field latency_ms integer|nil
local request = {}

---Refuses the request; in a stream that runs, ends it with an error.
---@param status integer 400 to 599
---@param why string
function request:refuse(status, why) end

---Answers in the provider's place.
---@param text string
function request:answer(text) end

---Adds a header to the answer, before that is on its way.
---@param name string
---@param value string|number
function request:header(name, value) end

---@class moongate.hook.event
---@field kind string "content", "finish", "usage", "lifecycle", "end", "other"
---@field text string|nil what it says: can be changed
---@field reasoning string|nil can be changed
---@field index integer|nil which choice
---@field last boolean whether it is the choice's last
---@field finish string|nil the reason of the end
---@field data string|nil the raw event

---@class moongate.hook.response
---@field text string|nil what it says: can be changed
---@field reasoning string|nil can be changed
---@field index integer which choice
---@field body table|nil the decoded body: can be changed; nil for a stream
---@field status integer
---@field stream boolean
---@field usage moongate.usage|nil
