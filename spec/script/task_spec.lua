-- Tasks: Lua coroutines that wait for the loop, started, woken and cancelled from C.
local ffi = require "ffi"
local library = require "spec.support.library"
local vm = require "spec.support.vm"

ffi.cdef [[
struct task;
struct task *task_start(struct vm *vm, int arguments, void (*on_end)(void *arg, const char *error), void *arg);
struct task *task_here(lua_State *L);
int task_wait(lua_State *L, void (*on_cancel)(void *arg), void *arg);
void task_wake(struct task *task, int (*push)(lua_State *L, void *arg), void *arg);
void task_cancel(struct task *task, const char *reason);
const char *task_cancelled(const struct task *task);
void task_calm(struct task *task);
void lua_pushstring(lua_State *L, const char *s);
]]

describe("a task", function()
  local state, ended, cancels, callbacks, on_end, on_cancel, push, reasons

  local function callback(type_name, fn)
    local made = ffi.cast(type_name, fn)
    callbacks[#callbacks + 1] = made
    return made
  end

  before_each(function()
    state, ended, cancels, callbacks = vm.new(), {}, 0, {}
    reasons = { client_gone = ffi.new("char[12]", "client_gone"), shutdown = ffi.new("char[9]", "shutdown") }
    on_end = callback("void (*)(void *, const char *)", function(_, message)
      ended[#ended + 1] = message == nil and "fine" or ffi.string(message)
    end)
    on_cancel = callback("void (*)(void *)", function() cancels = cancels + 1 end)
    push = callback("int (*)(lua_State *, void *)", function(L)
      ffi.C.lua_pushstring(L, "one")
      ffi.C.lua_pushstring(L, "two")
      return 2
    end)
    state:define("wait", callback("lua_CFunction", function(L) return library.task_wait(L, on_cancel, nil) end))
    state:define("here", callback("lua_CFunction", function(L)
      state.here = library.task_here(L)
      return 0
    end))
    state:define("cancel_me", callback("lua_CFunction", function(L)
      library.task_cancel(library.task_here(L), reasons.client_gone)
      return 0
    end))
    state:define("calm", callback("lua_CFunction", function(L)
      library.task_calm(library.task_here(L))
      return 0
    end))
    state:run [[
      seen = {}
      function see(...)
        for i = 1, select("#", ...) do seen[#seen + 1] = tostring((select(i, ...))) end
      end]]
  end)

  after_each(function()
    state:free()
    for _, each in ipairs(callbacks) do each:free() end
  end)

  local function start(source)
    state:push(source)
    return library.task_start(state.vm, 0, on_end, nil)
  end

  local function seen() return (state:run "return table.concat(seen, ' ')") end

  it("runs to its end at once if it never waits", function()
    assert.is_true(start "see('ran')" == nil)
    assert.same({ { "fine" }, "ran" }, { ended, seen() })
  end)

  it("waits, and its wait returns what the wake pushed", function()
    local task = start "see(wait()) see(wait())"
    assert.same({}, ended)
    library.task_wake(task, push, nil)
    library.task_wake(task, nil, nil)
    assert.same({ { "fine" }, "one two" }, { ended, seen() })
  end)

  it("waits inside pcall and in an iterator", function()
    local task = start "pcall(function() for a in wait do see(a) if a == 'one' then break end end end) see('end')"
    library.task_wake(task, push, nil)
    assert.same({ { "fine" }, "one end" }, { ended, seen() })
  end)

  it("is found by what runs in it", function()
    local task = start "here() wait() here()"
    assert.is_true(state.here == task)
    state.here = nil
    library.task_wake(task, nil, nil)
    assert.is_true(state.here == task)
  end)

  it("takes turns with others, each with its own waits", function()
    local tasks = {}
    for i = 1, 50 do tasks[i] = start(("wait() see(%d) wait()"):format(i)) end
    for i = 50, 1, -1 do library.task_wake(tasks[i], nil, nil) end
    for i = 1, 50 do library.task_wake(tasks[i], nil, nil) end
    assert.equal(50, #ended)
    assert.matches("^50 49 48 .* 2 1$", seen())
  end)

  it("ends with the error and the way there", function()
    start "local function inner() error('broken') end\ninner()"
    assert.matches("^source.lua:1: broken\nstack traceback:\n.*source.lua:2: in main chunk", ended[1])
    start "error({})"
    assert.matches("^the error is a table value\nstack traceback:", ended[2])
    start "error(('x'):rep(1e6), 0)"
    assert.truthy(#ended[3] <= 4096)
    start "local function f() return 1 + f() end f()"
    assert.matches("stack overflow", ended[4])
    start "coroutine.yield()"
    assert.matches("may wait, but not call coroutine.yield", ended[5])
    start "see('still fine')"
    assert.same({ "fine", "still fine" }, { ended[6], seen() })
  end)

  it("uses the coroutines of ended tasks again", function()
    start "first = coroutine.running()"
    start "see(first == coroutine.running())"
    local task = start "wait()"
    start "see(first == coroutine.running())"
    library.task_wake(task, nil, nil)
    assert.equal("true false", seen())
    local before = state:bytes()
    for _ = 1, 2000 do library.task_wake(start "wait()", nil, nil) end
    assert.truthy(state:bytes() - before < 10000)
  end)

  it("takes back what it waits for when it is cancelled, and says why", function()
    local task = start "see(wait()) see(wait())"
    library.task_cancel(task, reasons.client_gone)
    assert.same({ 2, { "fine" }, "nil client_gone nil client_gone" }, { cancels, ended, seen() })
  end)

  it("can wait again once it has calmed down", function()
    local task = start "see(wait()) calm() see(wait()) see(wait())"
    library.task_cancel(task, reasons.client_gone)
    assert.equal("client_gone", ffi.string(library.task_cancelled(task)))
    library.task_wake(task, push, nil)
    assert.same({}, ended)
    library.task_cancel(task, reasons.shutdown)
    assert.same({ 2, { "fine" }, "nil client_gone one two nil shutdown" }, { cancels, ended, seen() })
  end)

  it("that is cancelled while it runs is told at its next wait", function()
    assert.is_true(start "cancel_me() see('on') see(wait())" == nil)
    assert.same({ 1, { "fine" }, "on nil client_gone" }, { cancels, ended, seen() })
  end)

  it("cannot wait where Lua cannot: the operation is taken back", function()
    start "see((pcall(string.gsub, 'x', 'x', wait)))"
    assert.same({ 1, { "fine" }, "false" }, { cancels, ended, seen() })
  end)

  it("is nothing outside of a task or in a coroutine of its own", function()
    state:define("bare", ffi.cast("lua_CFunction", library.task_here))
    assert.error_matches(function() state:run "bare()" end, "only inside a request")
    start "coroutine.wrap(bare)()"
    assert.matches("only inside a request", ended[1])
  end)

  it("that does not wait must not be woken: the program stops and says so", function()
    local process = io.popen([[luajit -e '
      package.path = "./?.lua;" .. package.path
      local ffi, library = require "ffi", require "spec.support.library"
      local vm = require "spec.support.vm"
      ffi.cdef "struct task; void task_wake(struct task *task, void *push, void *arg);"
      library.task_wake(ffi.cast("struct task *", ffi.new("char[256]")), nil, nil)' 2>&1]])
    local output = process:read "*a"
    process:close()
    assert.matches("woken that does not wait", output)
  end)
end)
