-- The gateway's C modules as a library, for specs that call them through FFI.
local ffi = require "ffi"

return ffi.load(os.getenv("MOONGATE_TEST_LIBRARY") or "build/libmoongate-test.so")
