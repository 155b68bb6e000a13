-- A Lua state as the gateway makes them, for specs: made through FFI, apart from the one that runs the specs.
local ffi = require "ffi"
local library = require "spec.support.library"

ffi.cdef [[
typedef struct lua_State lua_State;
typedef int (*lua_CFunction)(lua_State *L);
struct vm;
struct vm *vm_new(void *owner);
void vm_free(struct vm *vm);
lua_State *vm_state(struct vm *vm);
void vm_preload(struct vm *vm, const char *module, lua_CFunction open);
size_t vm_bytes(const struct vm *vm);
void *vm_owner(lua_State *L);
void budget_start(void);
void budget_stop(void);
int bind_json(lua_State *L);
int bind_guard(lua_State *L);

int luaL_loadbuffer(lua_State *L, const char *buff, size_t sz, const char *name);
int lua_pcall(lua_State *L, int nargs, int nresults, int errfunc);
const char *lua_tolstring(lua_State *L, int idx, size_t *len);
int lua_toboolean(lua_State *L, int idx);
int lua_type(lua_State *L, int idx);
int lua_gettop(lua_State *L);
void lua_settop(lua_State *L, int idx);
void lua_pushcclosure(lua_State *L, lua_CFunction fn, int n);
void lua_setfield(lua_State *L, int idx, const char *k);
int lua_gc(lua_State *L, int what, int data);
]]

local C = ffi.C
local GLOBALS, NIL = -10002, 0

local vm = {}
vm.__index = vm

local function text(L, index)
  local length = ffi.new "size_t[1]"
  if C.lua_type(L, index) == NIL then return nil end
  local bytes = C.lua_tolstring(L, index, length)
  if bytes ~= nil then return ffi.string(bytes, length[0]) end
  return C.lua_toboolean(L, index) ~= 0
end

-- Leaves the function that a source compiles to on the stack.
function vm:push(source)
  assert(C.luaL_loadbuffer(self.L, source, #source, "@source.lua") == 0, text(self.L, -1))
end

-- Runs a source; its results as strings (or nil, or whether they are true). Raises what it raises.
function vm:run(source)
  self:push(source)
  local top = C.lua_gettop(self.L) - 1
  local status = C.lua_pcall(self.L, 0, -1, 0)
  local results, count = {}, C.lua_gettop(self.L) - top
  for i = 1, count do results[i] = text(self.L, top + i) end
  C.lua_settop(self.L, top)
  if status ~= 0 then error(results[1], 0) end
  return unpack(results, 1, count)
end

function vm:define(name, fn)
  C.lua_pushcclosure(self.L, fn, 0)
  C.lua_setfield(self.L, GLOBALS, name)
end

-- Bytes in use, once what is garbage is gone.
function vm:bytes()
  for _ = 1, 12 do C.lua_gc(self.L, 2, 0) end -- buffers shrink by and by
  return tonumber(library.vm_bytes(self.vm))
end

function vm:free()
  library.vm_free(self.vm)
  library.budget_stop()
end

-- With the C modules that need no loop. owner: a worker, for those that need one.
function vm.new(owner)
  library.budget_start()
  local self = setmetatable({ vm = library.vm_new(owner) }, vm)
  self.L = library.vm_state(self.vm)
  library.vm_preload(self.vm, "moongate.core.json", library.bind_json)
  library.vm_preload(self.vm, "moongate.core.guard", library.bind_guard)
  return self
end

return vm
