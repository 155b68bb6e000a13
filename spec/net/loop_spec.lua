-- The loop: timers, calls posted from anywhere, stopping.
local ffi = require "ffi"
local library = require "spec.support.library"

ffi.cdef [[
struct loop; struct loop_timer;
struct loop *loop_new(void);
void loop_free(struct loop *loop);
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
struct loop_timer *loop_after(struct loop *loop, double seconds, void (*on_elapsed)(void *), void *arg);
void loop_forget(struct loop_timer *timer);
void loop_post(struct loop *loop, void (*on_call)(void *), void *arg);
int64_t clock_monotonic_us(void);

typedef unsigned long loop_spec_thread;
typedef struct { char bytes[32]; } loop_spec_semaphore;
int pthread_create(loop_spec_thread *thread, const void *attributes, void *(*start)(void *), void *arg);
int pthread_join(loop_spec_thread thread, void **result);
int sem_init(loop_spec_semaphore *semaphore, int shared, unsigned value);
int sem_post(loop_spec_semaphore *semaphore);
int sem_wait(loop_spec_semaphore *semaphore);
]]

describe("a loop", function()
  local loop, callbacks

  -- A C function that calls a Lua one; kept alive and freed by the spec.
  local function hook(act)
    local callback = ffi.cast("void (*)(void *)", act)
    callbacks[#callbacks + 1] = callback
    return callback
  end

  before_each(function()
    loop, callbacks = library.loop_new(), {}
  end)

  after_each(function()
    library.loop_free(loop)
    for _, callback in ipairs(callbacks) do callback:free() end
  end)

  local function run() library.loop_run(loop) end
  -- Compiled code must not be called back into.
  jit.off(run)

  it("runs until it is stopped, and can run again", function()
    local runs = 0
    local stop = hook(function() runs = runs + 1; library.loop_stop(loop) end)
    library.loop_post(loop, stop, nil)
    run()
    library.loop_post(loop, stop, nil)
    run()
    assert.equal(2, runs)
  end)

  it("does not run at all when it was stopped before", function()
    local ran = false
    library.loop_after(loop, 60, hook(function() ran = true end), nil)
    library.loop_stop(loop)
    run()
    assert.is_false(ran)
  end)

  it("calls timers in the order of their times, not of their making", function()
    local order = {}
    local function note(word) return hook(function() order[#order + 1] = word end) end
    library.loop_after(loop, 0.03, hook(function() library.loop_stop(loop) end), nil)
    library.loop_after(loop, 0.02, note("b"), nil)
    library.loop_after(loop, 0, note("a"), nil)
    run()
    assert.same({ "a", "b" }, order)
  end)

  it("waits as long as it was told", function()
    local start, elapsed = library.clock_monotonic_us(), nil
    library.loop_after(loop, 0.05, hook(function()
      elapsed = tonumber(library.clock_monotonic_us() - start)
      library.loop_stop(loop)
    end), nil)
    run()
    -- The kernel's coarse clock may be one tick behind.
    assert.is_true(elapsed >= 39000)
  end)

  it("never calls a timer that was taken back, from inside a callback too", function()
    local called = false
    local late = library.loop_after(loop, 0.02, hook(function() called = true end), nil)
    library.loop_after(loop, 0.001, hook(function() library.loop_forget(late) end), nil)
    library.loop_after(loop, 0.04, hook(function() library.loop_stop(loop) end), nil)
    run()
    library.loop_forget(nil)
    assert.is_false(called)
  end)

  it("keeps the order of posted calls, those posted by a call included", function()
    local order = {}
    local third = hook(function() order[#order + 1] = 3; library.loop_stop(loop) end)
    library.loop_post(loop, hook(function() order[#order + 1] = 1; library.loop_post(loop, third, nil) end), nil)
    library.loop_post(loop, hook(function() order[#order + 1] = 2 end), nil)
    run()
    assert.same({ 1, 2, 3 }, order)
  end)

  it("runs what is still posted when it is freed", function()
    local order = {}
    local other = library.loop_new()
    local second = hook(function() order[#order + 1] = 2 end)
    library.loop_post(other, hook(function() order[#order + 1] = 1; library.loop_post(other, second, nil) end), nil)
    local function free() library.loop_free(other) end
    jit.off(free)
    free()
    assert.same({ 1, 2 }, order)
  end)

  it("takes calls and the stop from another thread", function()
    local thread = ffi.new("loop_spec_thread[1]")
    local semaphore = ffi.new("loop_spec_semaphore")
    local start = ffi.cast("void *(*)(void *)", library.loop_run)
    ffi.C.sem_init(semaphore, 0, 0)
    assert.equal(0, ffi.C.pthread_create(thread, nil, start, loop))
    local post = ffi.cast("void (*)(void *)", ffi.C.sem_post)
    for _ = 1, 10000 do library.loop_post(loop, post, semaphore) end
    for _ = 1, 10000 do ffi.C.sem_wait(semaphore) end
    library.loop_stop(loop)
    assert.equal(0, ffi.C.pthread_join(thread[0], nil))
  end)
end)
