---@meta moongate.list
-- Lists of candidates: for editors only, never run.

---A list of candidates, best first. Every method gives a new list and leaves this one as it is; the names of the steps
---are what `moongate explain` shows.
---@class moongate.candidates
---@field [integer] moongate.candidate
local candidates = {}

---Keeps those that pass the test.
---@param why string the step's name: "has a free tier"
---@param test fun(c: moongate.candidate): any
---@return moongate.candidates
function candidates:keep(why, test) end

---Leaves out those that pass the test.
---@param why string the step's name: "exhausted"
---@param test fun(c: moongate.candidate): any
---@return moongate.candidates
function candidates:drop(why, test) end

---Sorts by a key, lowest first; stable, and those without a key come last.
---@param by string the step's name: "estimated cost"
---@param key fun(c: moongate.candidate): number|string|nil
---@return moongate.candidates
function candidates:sort(by, key) end

---Puts those that pass the test before the others.
---@param why string the step's name
---@param test fun(c: moongate.candidate): any
---@return moongate.candidates
function candidates:prefer(why, test) end

---Draws an order by chance; who has more weight is drawn sooner. The same request draws the same.
---@param by string|nil the step's name
---@param weight nil|fun(c: moongate.candidate): number c.weight, where it is nil
---@return moongate.candidates
function candidates:shuffle(by, weight) end

---The first of them.
---@param count integer
---@return moongate.candidates
function candidates:take(count) end

---These, and behind them those of the other list that are not here.
---@param other moongate.candidates|moongate.candidate[]
---@return moongate.candidates
function candidates:concat(other) end

---Sorts by a weighed score from 0 to 1, highest first.
---@param weights { cost: number?, latency: number?, task: number?, quality: number? }
---@return moongate.candidates
function candidates:score(weights) end

---@class moongate.list
local list = {}

---A list with these methods from a table of your own.
---@param items moongate.candidate[]
---@return moongate.candidates
function list.new(items) end

return list
