-- The bench that store specs work at: the C declarations, temporary folders, and short ways to call a store.
local ffi = require "ffi"
local lfs = require "lfs"
local wait = require "spec.support.wait"

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("*a")
  file:close()
  return text
end

-- The headers themselves are what FFI is told, so that they cannot drift apart.
local function declare(path)
  local text = read(path):gsub("/%*.-%*/", ""):gsub("#[^\n]*", ""):gsub("%[static [^%]]+%]", "[]")
  ffi.cdef(text)
end

-- LuaJIT must not compile code that C calls back from; and busted loads a module again for each file.
require("jit").off()
if not pcall(ffi.typeof, "struct store_verdict") then
  if not pcall(ffi.typeof, "enum window") then declare("core/base/zone.h") end
  declare("core/store/store.h")
  declare("core/store/journal.h")
  declare("core/store/limits.h")
  declare("core/store/daybook.h")
  declare("core/store/usage.h")
  ffi.cdef [[
struct inbox;
struct inbox *inbox_new(struct loop *our_loop);
void inbox_free(struct inbox *inbox);
const struct store_home *inbox_home(const struct inbox *inbox);
bool inbox_run(struct inbox *inbox, int seconds);
void inbox_note(void *arg, bool kept);
void inbox_told(void *arg);
struct loop *loop_new(void);
void loop_free(struct loop *loop);
void inbox_reserve(struct store *store, struct loop *loop, const struct store_call *call, int64_t now,
                   struct store_verdict *verdict);
void inbox_turn(struct loop *loop, double seconds);
long crowd_run(struct store *store, const struct store_call *call, int threads, int rounds, int64_t now,
               const int64_t *actual);
void crowd_journal(struct journal *journal, int threads, int rounds, void *add, void *remove);
void *redis_link_here(void *redis); /* the second member of its store */
bool paged_read(struct usage *usage, struct store *store, void *read);
struct storm;
struct storm *storm_begin(struct store **stores, int count, const struct store_limit *limit, int64_t amount_most,
                          bool keeps, int64_t now, uint64_t seed);
void storm_look(const struct storm *storm, int64_t figures[6]);
void storm_end(struct storm *storm);
void storm_free(struct storm *storm);
void digest_sha256(const void *data, size_t length, unsigned char out[32]);
void digest_hex(const unsigned char digest[32], char out[65]);
bool digest_from_hex(const char *text, unsigned char out[32]);
void mem_free(void *block);
void log_open(int least, bool json);
typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;
int sqlite3_open(const char *path, sqlite3 **connection);
int sqlite3_close(sqlite3 *connection);
int sqlite3_prepare_v2(sqlite3 *connection, const char *sql, int size, sqlite3_stmt **statement, const char **rest);
int sqlite3_step(sqlite3_stmt *statement);
int sqlite3_finalize(sqlite3_stmt *statement);
const char *sqlite3_column_text(sqlite3_stmt *statement, int column);
const char *sqlite3_errmsg(sqlite3 *connection);
]]
end

local bench = {}
bench.library = require "spec.support.library"

local folders, stores = {}, {}

-- A new empty folder; bench.clean removes it.
function bench.folder()
  local pipe = assert(io.popen("mktemp -d"))
  local path = pipe:read("*l")
  pipe:close()
  folders[#folders + 1] = path
  return path
end

-- Closes what was lent, and removes what was made.
function bench.clean()
  while #stores > 0 do bench.close(stores[#stores]) end
  for _, path in ipairs(folders) do os.execute("rm -rf '" .. path .. "'") end
  folders = {}
end

-- The C half, built once a process.
local built = os.tmpname()
local own = os.getenv("MOONGATE_TEST_LIBRARY") or "build/libmoongate-test.so"
assert(os.execute("cc -std=c11 -D_GNU_SOURCE -O1 -g -fPIC -shared -Icore -o " .. built ..
  " spec/store/inbox.c spec/store/crowd.c " .. own .. " -lpthread") == 0)
bench.inbox = ffi.load(built)
os.remove(built)

-- The loop that this thread reserves with, whatever the store.
local loop = ffi.gc(bench.library.loop_new(), bench.library.loop_free)
bench.loop = loop

local server

-- An empty Redis server, one a process, and the address of a store on it whose spool is in that folder.
-- bench.patient is the same for specs that do not care how soon it answers on a machine that is busy.
function bench.redis(folder)
  if not server then
    server = require("spec.support.redis").start()
  else
    server:command("FLUSHALL")
  end
  return server, ("redis://127.0.0.1:%d/0?spool=%s"):format(server.port, folder or bench.folder())
end

function bench.patient(folder)
  local one, address = bench.redis(folder)
  return one, address .. "&deadline_ms=5000"
end

-- A store that this thread has not joined.
---@return ffi.cdata*? store, string? error
function bench.open_apart(address)
  -- Ledger rows of a store on Redis do not wait in the folder of the sources.
  if address:match "^redis:" and not address:find("spool=", 1, true) then
    address = address .. (address:find("?", 1, true) and "&" or "?") .. "spool=" .. bench.folder()
  end
  local message = ffi.new("char[512]")
  local store = bench.library.store_open(address, message, 512)
  if store == nil then return nil, ffi.string(message) end
  return store
end

---@return ffi.cdata*? store, string? error
function bench.open(address)
  local store, message = bench.open_apart(address)
  if not store then return nil, message end
  bench.library.store_join(store, loop)
  if address:match "^redis:" and bench.library.store_problem(store) == nil then
    wait.until_(function()
      bench.turn(0.001)
      return bench.library.redis_link_here(ffi.cast("void **", store)[1]) ~= nil
    end, "the link to Redis")
  end
  return store
end

-- A store that need not be closed: bench.clean does.
function bench.lend(address)
  stores[#stores + 1] = assert(bench.open(address))
  return stores[#stores]
end

-- Lets the loop run for so long.
function bench.turn(seconds) bench.inbox.inbox_turn(loop, seconds) end

function bench.close(store)
  for i, each in ipairs(stores) do
    if each == store then table.remove(stores, i) break end
  end
  bench.library.store_leave(store)
  bench.library.store_close(store)
end

local windows = { second = 0, ["10s"] = 1, minute = 2, hour = 3, ["5h"] = 4, day = 5, week = 6, month = 7, none = 8 }

-- { key=, window=, max=, sliding=, zone= } as C has it. What the result points to is in `kept`.
function bench.limit(limit, into, kept)
  kept[#kept + 1] = limit.key
  into.key = limit.key
  into.window = windows[limit.window or "minute"]
  into.sliding = limit.sliding or false
  into.zone = limit.zone and bench.library.zone_find(limit.zone) or nil
  into.max = limit.max or 0x7fffffffffffffffLL
  into.strict = limit.strict or false
end

-- call = { claims = { { key=, window=, max=, amount= } ... }, provider=, model=, tokens= }
function bench.call(call)
  local kept = { call }
  local claims = ffi.new("struct store_claim[?]", #call.claims)
  for i, claim in ipairs(call.claims) do
    bench.limit(claim, claims[i - 1].limit, kept)
    claims[i - 1].amount = claim.amount or 1
  end
  local made = ffi.new("struct store_call", { claims, #call.claims, call.provider, call.model, call.tokens or 0 })
  kept[#kept + 1] = claims
  return made, kept
end

local function blocked(verdict)
  return nil, ffi.string(verdict.blocked), tonumber(verdict.wait_ms), verdict.away
end

-- The reservation, or nil, what blocks, for how many milliseconds, and whether Redis was away.
function bench.reserve(store, call, now)
  local made, kept = bench.call(call)
  local verdict = ffi.new("struct store_verdict")
  bench.inbox.inbox_reserve(store, loop, made, now, verdict)
  assert(kept)
  if verdict.granted then return verdict.reservation end
  return blocked(verdict)
end

-- Whether it could be reserved; or nil, what blocks, and for how many milliseconds.
function bench.fits(store, call, now)
  local made, kept = bench.call(call)
  local verdict = ffi.new("struct store_verdict")
  bench.library.store_fits(store, made, now, verdict)
  assert(kept)
  if verdict.granted then return true end
  return blocked(verdict)
end

function bench.settle(store, reservation, amounts, now)
  bench.library.store_settle(store, reservation, ffi.new("int64_t[?]", #amounts, amounts), #amounts, now)
end

-- What is used, and when the window ends.
function bench.used(store, limit, now)
  local made, kept, ends = ffi.new("struct store_limit"), {}, ffi.new("int64_t[1]")
  bench.limit(limit, made, kept)
  return tonumber(bench.library.store_used(store, made, now, ends)), tonumber(ends[0])
end

local texts = { "request_id", "org", "key", "label", "tier", "surface", "task", "policy", "provider", "model",
  "outcome", "detail" }
local numbers = { "time", "status", "attempts", "input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens",
  "reasoning_tokens", "billed_tokens", "cost_microusd", "savings_microusd", "latency_ms" }

-- A Lua table as a row; keep the table while C needs the row.
function bench.row(fields)
  local row = ffi.new("struct ledger_row")
  for name, value in pairs(fields) do row[name] = value end
  return row
end

local function read_row(row)
  if row == nil then return nil end
  local fields = { estimated = row.estimated }
  for _, name in ipairs(texts) do fields[name] = row[name] ~= nil and ffi.string(row[name]) or nil end
  for _, name in ipairs(numbers) do fields[name] = tonumber(row[name]) end
  return fields
end

-- Opens a row; its id is what the row that closes it names in row_id.
---@return string row_id
function bench.open_row(store, fields)
  local row_id = ffi.new("char[64]")
  bench.library.store_row_open(store, bench.row(fields), row_id)
  return ffi.string(row_id)
end

-- A home, and what waits there.
local desk = {}
desk.__index = desk

function bench.desk()
  return setmetatable({ inbox = bench.inbox.inbox_new(loop) }, desk)
end

function desk:home() return bench.inbox.inbox_home(self.inbox) end

-- Runs what was posted until `is_done`; an error after ten seconds without post.
function desk:wait(is_done)
  while not is_done() do assert(bench.inbox.inbox_run(self.inbox, 10), "no answer came") end
end

-- An answer to come: answer() is nil, true or false; give answer.place as arg and bench.inbox.inbox_note as callback.
function bench.answer()
  local place = ffi.new("int[1]", -1)
  return setmetatable({ place = place }, { __call = function() return ({ [0] = false, true })[place[0]] end })
end

function desk:close_row(store, fields)
  local answer, row = bench.answer(), bench.row(fields)
  bench.library.store_row_close(store, row, self:home(), bench.inbox.inbox_note, answer.place)
  self:wait(function() return answer() ~= nil end)
  return answer()
end

function desk:find_row(store, request_id)
  local found, is_done
  local on_row = ffi.cast("void (*)(void *, const struct ledger_row *)", function(_, row)
    found, is_done = read_row(row), true
  end)
  bench.library.store_row_find(store, request_id, self:home(), on_row, nil)
  self:wait(function() return is_done end)
  on_row:free()
  return found
end

local dimensions = { model = 0, provider = 1, task = 2, key = 3, label = 4, org = 5, tier = 6, day = 7, request = 8 }
local sums = { "requests", "input_tokens", "output_tokens", "billed_tokens", "cost_microusd", "savings_microusd" }

local function read_sums(given, name)
  local fields = { name = name }
  for _, sum in ipairs(sums) do fields[sum] = tonumber(given[sum]) end
  return fields
end

-- { by=, from=, to=, org=, key=, most=, after= }, from and to being milliseconds.
function bench.usage_query(asked)
  local query = ffi.new("struct store_usage_query")
  query.by = dimensions[asked.by]
  query.from, query.to, query.most = asked.from or 0, asked.to or 0x7fffffffffffffffLL, asked.most or 1000
  query.org, query.key = asked.org, asked.key
  if asked.after then query.after = asked.after end
  return query
end

-- What C answered: { totals, groups = { { name =, the sums } ... }, rows, is_over, place }; nil: it cannot be read.
function bench.read_usage(usage)
  if usage == nil then return nil end
  local library, found = bench.library, { groups = {}, rows = {} }
  found.totals, found.is_over = read_sums(library.usage_totals(usage)), library.usage_is_over(usage)
  found.place = library.usage_place(usage)
  local is_rows = library.usage_query(usage).by == 8
  for i = 1, tonumber(library.usage_count(usage)) do
    if is_rows then
      found.rows[i] = read_row(library.usage_row(usage, i - 1))
    else
      local name = ffi.new("const char *[1]")
      local group = library.usage_group(usage, i - 1, name)
      found.groups[i] = read_sums(group, ffi.string(name[0]))
    end
  end
  return found
end

function bench.usage_now(store, asked)
  local usage = bench.library.store_usage_now(store, bench.usage_query(asked))
  local found = bench.read_usage(usage)
  bench.library.usage_free(usage)
  return found
end

-- The same by the way that every backend has: row by row.
function bench.usage_by_pages(store, asked)
  local usage = bench.library.usage_new(bench.usage_query(asked))
  local way = ffi.cast("void *", bench.library.usage_read)
  local found = bench.inbox.paged_read(usage, store, way) and bench.read_usage(usage) or nil
  bench.library.usage_free(usage)
  return found
end

function desk:usage(store, asked)
  local found, is_done
  local on_usage = ffi.cast("void (*)(void *, const struct usage *)", function(_, usage)
    found, is_done = bench.read_usage(usage), true
  end)
  bench.library.store_usage(store, bench.usage_query(asked), self:home(), on_usage, nil)
  self:wait(function() return is_done end)
  on_usage:free()
  return found
end

function desk:free() bench.inbox.inbox_free(self.inbox) end

local sqlite = ffi.load("sqlite3")

-- Runs SQL on a database file that no store has open, statement by statement; the first column of each row, as texts.
function bench.sql(path, sql)
  local connection, statement, values = ffi.new("sqlite3 *[1]"), ffi.new("sqlite3_stmt *[1]"), {}
  local rest = ffi.new("const char *[1]", { sql })
  assert(sqlite.sqlite3_open(path, connection) == 0)
  while rest[0][0] ~= 0 do
    local prepared = sqlite.sqlite3_prepare_v2(connection[0], rest[0], -1, statement, rest)
    assert(prepared == 0, ffi.string(sqlite.sqlite3_errmsg(connection[0])))
    while sqlite.sqlite3_step(statement[0]) == 100 do
      local text = sqlite.sqlite3_column_text(statement[0], 0)
      values[#values + 1] = text ~= nil and ffi.string(text) or ""
    end
    sqlite.sqlite3_finalize(statement[0])
  end
  sqlite.sqlite3_close(connection[0])
  return values
end

local journal = {}
journal.__index = journal

-- A journal of open rows; its methods are the functions of journal.h.
---@return table|nil journal, string? error
function bench.journal(path)
  local message = ffi.new("char[512]")
  local opened = bench.library.journal_open(path, message, 512)
  if opened == nil then return nil, ffi.string(message) end
  return setmetatable({ handle = opened }, journal)
end

function journal:close() bench.library.journal_close(self.handle) end
function journal:add(fields) return bench.library.journal_add(self.handle, bench.row(fields)) end
function journal:remove(slot) bench.library.journal_remove(self.handle, slot) end

-- The rows that are left, by slot.
function journal:left()
  local rows = {}
  local each = ffi.cast("bool (*)(void *, uint32_t, const struct ledger_row *)", function(_, slot, row)
    rows[slot] = read_row(row)
    rows[slot].row_id = ffi.string(row.row_id)
    return true
  end)
  assert(bench.library.journal_each_left(self.handle, each, nil))
  each:free()
  return rows
end

function journal:problem()
  local text = ffi.new("char[512]")
  return bench.library.journal_problem(self.handle, text, 512) and ffi.string(text) or nil
end

local daybook = {}
daybook.__index = daybook

-- A daybook; its methods are the functions of daybook.h.
---@return table|nil daybook, string? error
function bench.daybook(path)
  local message = ffi.new("char[512]")
  local opened = bench.library.daybook_open(path, message, 512)
  if opened == nil then return nil, ffi.string(message) end
  return setmetatable({ handle = opened, path = path }, daybook)
end

function daybook:close() bench.library.daybook_close(self.handle) end
function daybook:row(fields) return bench.library.daybook_enter_row(self.handle, bench.row(fields)) end
function daybook:turn() bench.library.daybook_turn(self.handle) end
function daybook:wipe() bench.library.daybook_wipe(self.handle) end

-- A counter of a minute as it stands at its first millisecond.
function daybook:counter(key, at, settled)
  local state = ffi.new("struct counter_state", { key = ffi.cast("char *", key), window = windows.minute, at = at,
    ends = at + 60000, settled = settled })
  return bench.library.daybook_enter_counter(self.handle, state)
end

-- What a daybook holds: rows as tables, counters as "key settled", in the order in which they were entered.
---@return table[]|nil entries, string? error
function bench.entries(path)
  local entries, message = {}, ffi.new("char[512]")
  local on_row = ffi.cast("void (*)(void *, const struct ledger_row *)", function(_, row)
    entries[#entries + 1] = read_row(row)
    entries[#entries].row_id = ffi.string(row.row_id)
  end)
  local on_counter = ffi.cast("void (*)(void *, const struct counter_state *)", function(_, state)
    entries[#entries + 1] = ffi.string(state.key) .. " " .. tonumber(state.settled)
  end)
  local reader = ffi.new("struct daybook_reader", { on_row, on_counter })
  local is_read = bench.library.daybook_read(path, reader, message, 512)
  on_row:free()
  on_counter:free()
  if is_read then return entries end
  return nil, ffi.string(message)
end

-- How many rows the journal of a database holds that no store has open.
function bench.open_rows(path)
  local opened, count = assert(bench.journal(path .. "-open")), 0
  for _ in pairs(opened:left()) do count = count + 1 end
  opened:close()
  return count
end

-- Writes over a file at a place, as a bad disk or a power cut would.
function bench.scribble(path, at, bytes)
  local file = assert(io.open(path, "r+b"))
  file:seek("set", at)
  file:write(bytes)
  file:close()
end

function bench.exists(path) return lfs.attributes(path) ~= nil end

return bench
