-- A disk that is full: a small file system of its own where this user may mount one, else the limit that the system
-- sets on the size of this process's files. What it refuses is the same; only its word for it differs.
local ffi = require "ffi"

if not pcall(ffi.typeof, "struct spec_disk_limit") then
  ffi.cdef [[
  struct spec_disk_limit { uint64_t soft, hard; };
  int getrlimit(int which, struct spec_disk_limit *limit);
  int setrlimit(int which, const struct spec_disk_limit *limit);
  void (*signal(int number, void (*handler)(int)))(int);
  ]]
end

local FILE_SIZE, SIGXFSZ, IGNORE = 1, 25, 1

local disk = {}
disk.__index = disk

--- A folder below `folder` whose disk holds that many kilobytes.
---@return table
function disk.new(folder, kilobytes)
  local self = setmetatable({ path = folder .. "/disk", kilobytes = kilobytes }, disk)
  assert(os.execute("mkdir " .. self.path) == 0)
  local mount = ("mount -t tmpfs -o size=%dk,mode=700 moongate-spec %s 2>/dev/null"):format(kilobytes, self.path)
  self.is_mounted = os.execute(mount) == 0
  self.reason = self.is_mounted and "the disk is full" or "a limit of the system on its size"
  if not self.is_mounted then
    ffi.C.signal(SIGXFSZ, ffi.cast("void (*)(int)", IGNORE))
    self.before = ffi.new("struct spec_disk_limit")
    ffi.C.getrlimit(FILE_SIZE, self.before)
    self:limit(kilobytes * 1024)
  end
  return self
end

function disk:limit(bytes)
  local limit = ffi.new("struct spec_disk_limit", { bytes or self.before.soft, self.before.hard })
  assert(ffi.C.setrlimit(FILE_SIZE, limit) == 0)
end

--- Takes all the room there is, or gives it back.
function disk:fill()
  if not self.is_mounted then return self:limit(0) end
  os.execute("cat /dev/zero 2>/dev/null >" .. self.path .. "/fill")
end

function disk:free()
  if not self.is_mounted then return self:limit(self.kilobytes * 1024) end
  os.remove(self.path .. "/fill")
end

function disk:close()
  if not self.is_mounted then return self:limit() end
  assert(os.execute("umount " .. self.path) == 0)
end

return disk
