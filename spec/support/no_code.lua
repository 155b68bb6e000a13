-- Runs a program that may execute nothing that was written, as systemd's MemoryDenyWriteExecute has it: `luajit -joff
-- spec/support/no_code.lua PROGRAM WORDS...`. Exits with 77 where the kernel has no such thing (before 6.3).
local ffi = require "ffi"

local PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1

ffi.cdef [[
int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int execvp(const char *file, char *const words[]);
]]

if ffi.C.prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) ~= 0 then os.exit(77) end
local words = ffi.new("const char *[?]", #arg + 1)
for i, word in ipairs(arg) do words[i - 1] = word end
ffi.C.execvp(arg[1], ffi.cast("char *const *", words))
os.exit(127)
