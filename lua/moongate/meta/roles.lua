---@meta
-- What each kind of policy file returns: for editors only, never run.

---@class moongate.model as access and billing see it
---@field id string "llama-3.3-70b"
---@field provider string
---@field is_local boolean
---@field free boolean
---@field cost moongate.cost|nil

---Tokens; the classes do not overlap.
---@class moongate.usage
---@field input integer fresh input
---@field cached integer
---@field cache_write integer
---@field output integer without reasoning
---@field reasoning integer
---@field total integer all of them

---policies/routing/<name>.lua: the ladder, and perhaps the policy to go on with or the reason if it is empty.
---@alias moongate.routing fun(request: moongate.request, candidates: moongate.candidates): moongate.candidates, string?

---policies/access.lua: true, or false and the reason.
---@alias moongate.access fun(caller: moongate.caller, model: moongate.model): boolean, string?

---policies/access.lua, its other form.
---@class moongate.access_policy
---@field validate moongate.access
---@field resolve (fun(caller: moongate.caller, requested: string|nil): string?)|nil the model that is meant
---@field checks table<string, fun()>|nil

---policies/billing.lua: tokens are billed times this, 0 or more.
---@alias moongate.billing fun(caller: moongate.caller, model: moongate.model, usage: moongate.usage): number

---policies/task.lua: the type of the task, for explanations and scores.
---@alias moongate.task fun(request: moongate.request): string

---routing, billing, task: the form with checks, which run before the file goes live.
---@class moongate.checked
---@field run moongate.routing|moongate.billing|moongate.task
---@field checks table<string, fun()>|nil
