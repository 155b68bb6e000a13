-- The filter of system calls itself, in a process of its own: what it refuses, with which word, and what goes on.
local process = require "spec.support.process"

local PRELUDE = [[
package.path = "./?.lua;" .. package.path
local ffi = require "ffi"
local library = require "spec.support.library"
ffi.cdef "void confine_prepare(void); bool confine_start(char *, size_t); int confine_refused(void);"
ffi.cdef "int ptrace(long, int, void *, void *); int unshare(int); int socket(int, int, int); int close(int);"
ffi.cdef "void *mmap(void *, size_t, int, int, int, long); int mprotect(void *, size_t, int);"
ffi.cdef "int setuid(unsigned); int mount(const char *, const char *, const char *, unsigned long, const void *);"
ffi.cdef "int execve(const char *, char *const *, char *const *); extern char **environ; char *getenv(const char *);"
local EPERM = 1
local function confine()
  local error = ffi.new "char[256]"
  library.confine_prepare()
  if not library.confine_start(error, 256) then print(ffi.string(error)) os.exit(3) end
end
local function told()
  local list = {}
  repeat
    local call = library.confine_refused()
    if call >= 0 then list[#list + 1] = call end
  until call < 0
  return #list
end
local function refused(answer) return answer == -1 and ffi.errno() == EPERM end
confine()
]]

local function run(text)
  local status, output, errors = process.run({ "luajit", "-joff", "-e", PRELUDE .. text },
    { env = { LD_PRELOAD = os.getenv "MOONGATE_PRELOAD" or false, ASAN_OPTIONS = "detect_leaks=0" } })
  if status == 3 then return pending "the kernel takes no filter" end
  assert.equal(0, status, output .. errors)
end

describe("a confined process", function()
  for title, text in pairs {
    ["may not trace"] = "assert(refused(ffi.C.ptrace(0, 0, nil, nil))) assert(told() == 1 and told() == 0)",
    ["may not mount, nor take name spaces of its own, nor another user's rights"] = [[
      assert(refused(ffi.C.mount("x", "/", "tmpfs", 0, nil)))
      assert(refused(ffi.C.unshare(0x10000000)))
      assert(refused(ffi.C.setuid(1)))
      assert(told() == 3)]],
    ["is told once of each call that was refused, however often"] = [[
      for _ = 1, 5 do assert(refused(ffi.C.unshare(0))) end
      assert(told() == 1)
      assert(refused(ffi.C.unshare(0)))
      assert(told() == 0)]],
    ["gets no memory that is written and executed, and any other"] = [[
      local NONE = ffi.cast("void *", -1)
      assert(ffi.C.mmap(nil, 4096, 7, 0x22, -1, 0) == NONE and ffi.errno() == EPERM)
      local page = ffi.C.mmap(nil, 4096, 3, 0x22, -1, 0)
      assert(page ~= NONE)
      assert(refused(ffi.C.mprotect(page, 4096, 7)))
      assert(ffi.C.mprotect(page, 4096, 5) == 0)
      assert(told() == 2)]],
    ["has sockets of the usual families alone"] = [[
      for _, family in ipairs { 1, 2, 10, 16 } do
        local socket = ffi.C.socket(family, family == 16 and 3 or 1, 0)
        assert(socket >= 0 or not refused(-1), family)
        if socket >= 0 then ffi.C.close(socket) end
      end
      for _, family in ipairs { 17, 38, 40 } do assert(refused(ffi.C.socket(family, 3, 0)), family) end
      assert(told() == 1)]],
    ["takes no second filter on top of one that is the same, also where another program takes its place"] = [[
      local function filters() return io.open "/proc/self/status":read "*a":match "Seccomp_filters:%s+(%d+)" end
      local before = filters()
      confine()
      assert(filters() == before)
      local words = ffi.new("const char *[4]", { "/bin/sh", "-c", "test -n \"$MOONGATE_CONFINED\"" })
      ffi.C.execve("/bin/sh", ffi.cast("char *const *", words), ffi.C.environ)
      error "no other program"]],
  } do
    it(title, function() run(text) end)
  end
end)
