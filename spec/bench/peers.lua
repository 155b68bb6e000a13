-- The peers of the benchmark, from Debian's own packages: fetched and unpacked below a folder, never installed. So no
-- service is started, and libluajit2-5.1-2, which nginx's Lua module needs and which conflicts with the libluajit-5.1-2
-- that moongate is built with, can stand beside it.
local lfs = require "lfs"
local process = require "spec.support.process"

local peers = {}

local PACKAGES = {
  nginx = { "nginx" },
  lua = { "libnginx-mod-http-ndk", "libnginx-mod-http-lua", "lua-resty-core", "lua-resty-lrucache",
    "libluajit2-5.1-2", "libluajit2-5.1-common", "libpcre3", "lua-cjson" },
  haproxy = { "haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1" },
}

local NGINX, HAPROXY = "/usr/sbin/nginx", "/usr/sbin/haproxy"
local MODULE = "/usr/lib/nginx/modules/ngx_http_lua_module.so"

local function exists(path) return lfs.attributes(path, "mode") ~= nil end

local function has_all(root) return exists(root .. NGINX) and exists(root .. MODULE) and exists(root .. HAPROXY) end

local function output_of(...)
  local status, output, errors = process.run({ ... }, { seconds = 120 })
  return status == 0 and output or nil, errors
end

-- apt's lists may be missing, as in a fresh container: then they are fetched, once.
local function download(packages, folder)
  local command = { "apt-get", "download", "-q", unpack(packages) }
  local status, errors, _
  status = process.run(command, { cwd = folder, seconds = 300 })
  if status == 0 then return true end
  local user = output_of("id", "-u")
  local update = { "apt-get", "update", "-qq" }
  if user and not user:match("^0%s") then table.insert(update, 1, "sudo") end
  process.run(update, { seconds = 300 })
  status, _, errors = process.run(command, { cwd = folder, seconds = 300 })
  return status == 0, errors
end

local function unpack_all(folder, root)
  for name in lfs.dir(folder) do
    if name:match("%.deb$") then assert(output_of("dpkg", "-x", folder .. "/" .. name, root)) end
  end
end

-- Fetches what is not there yet. Answers where the peers are, and what could not be had, each with its reason.
---@param folder string an absolute path
---@return { root: string, libraries: string, modules: string, nginx: string, haproxy: string, missing: string[] }
function peers.fetch(folder)
  local root, packages, missing = folder .. "/root", folder .. "/packages", {}
  lfs.mkdir(folder)
  lfs.mkdir(root)
  lfs.mkdir(packages)
  if not has_all(root) then
    for _, name in ipairs { "nginx", "lua", "haproxy" } do
      io.stderr:write("Fetching ", table.concat(PACKAGES[name], " "), "\n")
      local well, why = download(PACKAGES[name], packages)
      if not well then missing[#missing + 1] = name .. ": " .. (why or ""):gsub("%s+", " ") end
    end
    unpack_all(packages, root)
  end
  local triplet = (output_of("gcc", "-print-multiarch") or ""):gsub("%s", "")
  return { root = root, nginx = root .. NGINX, haproxy = root .. HAPROXY, missing = missing,
    modules = ("%s/usr/lib/%s/lua/5.1"):format(root, triplet),
    libraries = ("%s/usr/lib/%s:%s/lib/%s"):format(root, triplet, root, triplet) }
end

-- Which Debian versions they are, for the table's foot.
---@return string
function peers.versions(found)
  local list = {}
  for _, name in ipairs { "nginx", "libnginx-mod-http-lua", "haproxy" } do
    for file in lfs.dir(found.root:gsub("/root$", "/packages")) do
      local version = file:match("^" .. name:gsub("%-", "%%-") .. "_(.-)_%w+%.deb$")
      if version then list[#list + 1] = name .. " " .. version:gsub("%%3a", ":") end
    end
  end
  return table.concat(list, ", ")
end

return peers
