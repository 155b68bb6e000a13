-- Policy sets: the files of a folder at one moment, sorted, versioned and bounded.
local ffi = require "ffi"
local lfs = require "lfs"
local library = require "spec.support.library"

ffi.cdef [[
struct policy_file { char *path; char *text; size_t length; char version[9]; };
struct policyset { struct policy_file *files; size_t count; };
struct policyset *policyset_read(const char *folder, char *error, size_t error_size);
struct policyset *policyset_builtin(void);
struct policyset *policyset_new(void);
void policyset_add(struct policyset *set, const char *path, const char *text, size_t length);
struct policyset *policyset_take(struct policyset *set);
void policyset_drop(struct policyset *set);
int symlink(const char *target, const char *path);
int mkfifo(const char *path, unsigned mode);
]]

describe("a policy set", function()
  local folder

  local function path(name) return folder .. "/" .. name end

  local function write(name, text)
    local file = assert(io.open(path(name), "wb"))
    file:write(text)
    file:close()
  end

  local function read()
    local message = ffi.new "char[300]"
    local set = library.policyset_read(folder, message, 300)
    if set == nil then return nil, ffi.string(message) end
    return ffi.gc(set, library.policyset_drop)
  end

  local function listed(set)
    local files = {}
    for i = 0, tonumber(set.count) - 1 do
      local file = set.files[i]
      files[#files + 1] = { ffi.string(file.path), ffi.string(file.text, file.length) }
    end
    return files
  end

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(lfs.mkdir(folder))
    assert(lfs.mkdir(path "routing"))
  end)

  after_each(function() os.execute("rm -rf '" .. folder .. "'") end)

  it("holds every Lua file below a folder, sorted by path, and nothing hidden", function()
    write("task.lua", "three")
    write("routing/b.lua", "two")
    write("routing/a.lua", "")
    write("routing/.a.lua.swp.lua", "hidden")
    write("routing/notes.txt", "no Lua")
    write(".lua", "hidden")
    assert(lfs.mkdir(path ".git"))
    write(".git/x.lua", "hidden")
    assert.same({ { "routing/a.lua", "" }, { "routing/b.lua", "two" }, { "task.lua", "three" } }, listed(read()))
  end)

  it("follows links to files, as mounted configuration has them, and opens nothing that would block", function()
    assert(lfs.mkdir(path "..data"))
    write("..data/x.lua", "linked")
    assert.equal(0, ffi.C.symlink("../..data/x.lua", path "routing/x.lua"))
    assert.equal(0, ffi.C.symlink("nowhere", path "routing/gone.lua"))
    assert.equal(0, ffi.C.symlink("circle.lua", path "routing/circle.lua"))
    assert.equal(0, ffi.C.mkfifo(path "routing/pipe.lua", 6 * 64))
    assert.same({ { "routing/x.lua", "linked" } }, listed(read()))
  end)

  it("names versions by the content alone", function()
    write("task.lua", "abc")
    write("billing.lua", "abc")
    write("access.lua", "abd")
    local files = read().files
    assert.equal("ba7816bf", ffi.string(files[1].version))
    assert.equal("ba7816bf", ffi.string(files[2].version))
    assert.not_equal("ba7816bf", ffi.string(files[0].version))
  end)

  it("is refused with a sentence when something is too large, too deep or not there", function()
    write("routing/large.lua", ("-"):rep(1024 * 1024))
    assert.equal(1, tonumber(read().count))
    write("routing/large.lua", ("-"):rep(1024 * 1024 + 1))
    assert.equal("routing/large.lua: a policy file may have 1 MiB at most", (select(2, read())))
    os.remove(path "routing/large.lua")

    local deep = "lib"
    for _ = 1, 4 do
      assert(lfs.mkdir(path(deep)))
      write(deep .. "/x.lua", "")
      deep = deep .. "/in"
    end
    assert.equal(4, tonumber(read().count))
    assert(lfs.mkdir(path(deep)))
    assert.equal("lib/in/in/in/in: folders of policies may be nested 4 deep", (select(2, read())))
    os.execute("rm -rf '" .. path "lib" .. "'")

    for i = 1, 1001 do write(("routing/%d.lua"):format(i), "") end
    assert.matches("there may be 1000 policy files at most", (select(2, read())))

    folder = folder .. "-not"
    assert.matches("%-not: No such file or directory", (select(2, read())))
  end)

  it("lives until its last user drops it", function()
    local set = library.policyset_new()
    library.policyset_add(set, "b.lua", "bb", 2)
    library.policyset_add(set, "a.lua", "a\0a", 3)
    assert.is_true(library.policyset_take(set) == set)
    library.policyset_drop(set)
    assert.same({ { "a.lua", "a\0a" }, { "b.lua", "bb" } }, listed(set))
    library.policyset_drop(set)
    library.policyset_drop(nil)
  end)

  it("ships with the program", function()
    local set = ffi.gc(library.policyset_builtin(), library.policyset_drop)
    for _, file in ipairs(listed(set)) do
      local on_disk = assert(io.open("policies/" .. file[1], "rb"))
      assert.equal(on_disk:read "*a", file[2])
      on_disk:close()
    end
  end)
end)
