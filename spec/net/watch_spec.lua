-- Watching a folder: every way a file changes in practice is told, once it has settled.
local ffi = require "ffi"
local library = require "spec.support.library"

ffi.cdef [[
struct loop; struct watch;
struct watch *watch_start(struct loop *loop, const char *folder, void (*on_change)(void *), void *arg, char *error,
                          size_t error_size);
void watch_stop(struct watch *watch);
]]
ffi.cdef [[
struct loop *loop_new(void);
void loop_free(struct loop *loop);
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
void loop_forget(struct loop_timer *timer);
struct loop_timer *loop_after(struct loop *loop, double seconds, void (*on_elapsed)(void *), void *arg);
]]

local PATIENCE = 5 -- seconds after which a spec gives up: a bound on failure, never a wait

describe("a watched folder", function()
  local loop, watch, place, changes, gave_up, wanted, on_change, on_patience_end

  local function shell(command)
    assert.equal(0, os.execute("cd " .. place .. " && { " .. command .. "; }"))
  end

  local function start(folder)
    local fault = ffi.new("char[256]")
    watch = library.watch_start(loop, place .. "/" .. folder, on_change, nil, fault, 256)
    return watch ~= nil, ffi.string(fault)
  end

  -- Runs the loop until that many more changes were told; false if they never are.
  local function told(count)
    wanted, gave_up = changes + (count or 1), false
    local timer = library.loop_after(loop, PATIENCE, on_patience_end, nil)
    library.loop_run(loop)
    if not gave_up then library.loop_forget(timer) end
    return not gave_up
  end
  -- Compiled code must not be called back into.
  jit.off(told)

  setup(function()
    on_change = ffi.cast("void (*)(void *)", function()
      changes = changes + 1
      if changes >= wanted then library.loop_stop(loop) end
    end)
    on_patience_end = ffi.cast("void (*)(void *)", function() gave_up = true; library.loop_stop(loop) end)
  end)

  teardown(function()
    on_change:free()
    on_patience_end:free()
  end)

  before_each(function()
    place = os.tmpname()
    os.remove(place)
    loop, changes, wanted = library.loop_new(), 0, 0
    assert.equal(0, os.execute("mkdir -p " .. place .. "/policies/routing"))
  end)

  after_each(function()
    library.watch_stop(watch)
    watch = nil
    library.loop_free(loop)
    os.execute("rm -rf " .. place)
  end)

  local ways = {
    { "a file written anew", "echo 1 > policies/routing/a.lua" },
    { "a file written over", "echo 2 > policies/a.lua", "echo 1 > policies/a.lua" },
    { "a file appended to", "echo 2 >> policies/a.lua", "echo 1 > policies/a.lua" },
    { "an edit by sed -i", "sed -i s/1/2/ policies/routing/a.lua", "echo 1 > policies/routing/a.lua" },
    { "a rename over, as editors save", "echo 2 > b; mv b policies/a.lua", "echo 1 > policies/a.lua" },
    { "a backup and a new file, as vi saves", "mv policies/a.lua policies/a.lua~; echo 2 > policies/a.lua",
      "echo 1 > policies/a.lua" },
    { "a file taken out", "rm policies/a.lua", "echo 1 > policies/a.lua" },
    { "a file moved out", "mv policies/a.lua .", "echo 1 > policies/a.lua" },
    { "a hard link", "ln a policies/a.lua", "echo 1 > a" },
    { "a symlink to a file", "ln -s ../a policies/a.lua", "echo 1 > a" },
    { "a file made readable", "chmod 644 policies/a.lua", "echo 1 > policies/a.lua; chmod 0 policies/a.lua" },
    { "a folder moved in with its files", "mv hooks policies/", "mkdir hooks; echo 1 > hooks/a.lua" },
    { "a folder moved out", "mv policies/routing ." },
    { "a swap of ..data, as in a ConfigMap",
      "mkdir policies/..2; echo 2 > policies/..2/a.lua; ln -s ..2 policies/..tmp; mv -T policies/..tmp policies/..data",
      "mkdir policies/..1; echo 1 > policies/..1/a.lua; ln -s ..1 policies/..data; ln -s ..data/a.lua policies/a.lua" },
  }

  for _, way in ipairs(ways) do
    it("tells of " .. way[1], function()
      if way[3] then shell(way[3]) end
      assert(start("policies"))
      shell(way[2])
      assert.is_true(told())
    end)
  end

  it("sees files in folders that were made after the start, however deep", function()
    assert(start("policies"))
    shell("mkdir -p policies/hooks/deep/er")
    assert.is_true(told())
    shell("echo 1 > policies/hooks/deep/er/a.lua")
    assert.is_true(told())
  end)

  it("sees files behind a symlink to a folder, and a swap of that", function()
    shell("mkdir one two; ln -s ../one policies/lib")
    assert(start("policies"))
    shell("echo 1 > one/a.lua")
    assert.is_true(told())
    shell("ln -sfn ../two policies/lib")
    assert.is_true(told())
    shell("echo 1 > two/a.lua")
    assert.is_true(told())
  end)

  it("follows the folder itself when it is a symlink that is swapped", function()
    shell("mkdir -p one two; ln -s one live")
    assert(start("live"))
    shell("ln -s two next; mv -T next live")
    assert.is_true(told())
    shell("echo 1 > two/a.lua")
    assert.is_true(told())
  end)

  it("follows a symlink on the way to the folder", function()
    shell("mkdir -p one/policies two/policies; ln -s one live")
    assert(start("live/policies"))
    shell("ln -s two next; mv -T next live")
    assert.is_true(told())
    shell("echo 1 > two/policies/a.lua")
    assert.is_true(told())
  end)

  it("survives that the folder vanishes and comes back", function()
    assert(start("policies"))
    shell("rm -rf policies")
    assert.is_true(told())
    shell("mkdir policies")
    assert.is_true(told())
    shell("echo 1 > policies/a.lua")
    assert.is_true(told())
  end)

  it("survives that folders above it vanish and come back", function()
    shell("mkdir -p a/b/policies")
    assert(start("a/b/policies"))
    shell("rm -rf a")
    assert.is_true(told())
    shell("mkdir -p a/b/policies; echo 1 > a/b/policies/a.lua")
    assert.is_true(told())
    shell("echo 2 > a/b/policies/a.lua")
    assert.is_true(told())
  end)

  it("survives a queue that overflows", function()
    shell("echo 1 > policies/a; echo 1 > policies/b")
    assert(start("policies"))
    -- More signs than the kernel keeps, while nobody reads them: the new folder's own is lost.
    local file = assert(io.open("/proc/sys/fs/inotify/max_queued_events"))
    local limit = file:read("*n")
    file:close()
    for i = 1, limit + 100 do assert(io.open(place .. (i % 2 == 0 and "/policies/a" or "/policies/b"), "a")):close() end
    shell("mkdir policies/late")
    assert.is_true(told())
    shell("echo 1 > policies/late/a.lua")
    assert.is_true(told())
  end)

  it("ends at a loop of symlinks", function()
    shell("ln -s . policies/self; ln -s ../routing policies/routing/again")
    assert(start("policies"))
    shell("echo 1 > policies/routing/a.lua")
    assert.is_true(told())
  end)

  it("tells a burst of changes once", function()
    assert(start("policies"))
    shell("for i in 1 2 3 4 5 6 7 8; do echo $i > policies/$i.lua; done")
    assert.is_true(told())
    assert.equal(1, changes)
  end)

  it("tells of changes that never end, at the latest 60 ms after the first", function()
    assert(start("policies"))
    local writes, again = 0, nil
    local function write()
      assert(io.open(place .. "/policies/a.lua", "w")):close()
      writes = writes + 1
    end
    -- A writer that never rests: every 5 ms, so that 15 quiet ones never come.
    again = ffi.cast("void (*)(void *)", function()
      write()
      library.loop_after(loop, 0.005, again, nil)
    end)
    write()
    library.loop_after(loop, 0.005, again, nil)
    assert.is_true(told())
    assert.is_true(writes <= 20)
    library.watch_stop(watch)
    watch = nil
    library.loop_free(loop)
    again:free()
    loop = library.loop_new()
  end)

  it("does not mind what happens beside the folder", function()
    assert(start("policies"))
    shell("echo 1 > beside; mkdir policies2; echo 1 > policies2/a; mv beside policies2")
    shell("echo 1 > policies/a.lua")
    assert.is_true(told())
    assert.equal(1, changes)
  end)

  it("is refused in a sentence when there is no such folder", function()
    local started, fault = start("nothing")
    assert.is_false(started)
    assert.equal("the folder " .. place .. "/nothing can't be watched: No such file or directory", fault)
    shell("echo 1 > file")
    started, fault = start("file")
    assert.is_false(started)
    assert.equal(place .. "/file can't be watched: it is not a folder", fault)
  end)
end)
