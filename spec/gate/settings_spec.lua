-- The configuration as C needs it, read from the JSON that lua/moongate/control.lua writes.
local ffi = require "ffi"
local library = require "spec.support.library"

ffi.cdef [[
  struct settings_spec_limits {
    size_t target_bytes, header_bytes, header_count, body_bytes, output_bytes;
    double header_s, body_s, idle_s, write_s;
  };
  struct settings_spec_target {
    char *id, *base_url, *upstream_id; bool is_named_by_path, is_local, costs_nothing;
  };
  struct settings_spec_door { char *address, *chain, *key; };
  struct settings_spec {
    char *json; struct settings_spec_door *doors; size_t door_count; int workers; char *store;
    int64_t retention_days; char *policies, *policies_label;
    struct settings_spec_limits client; double drain_s; bool zero_spend; void *spending; bool keyless;
    int log_level; char *log_file; bool log_json, log_text;
    struct settings_spec_target *targets; size_t target_count; char *texts; int references;
  };
  struct settings_spec *settings_spec_parse(const char *json) __asm__("settings_parse");
  const struct settings_spec_target *settings_spec_target(const struct settings_spec *, const char *id)
    __asm__("settings_target");
  struct settings_spec *settings_spec_take(struct settings_spec *) __asm__("settings_take");
  void settings_spec_drop(struct settings_spec *) __asm__("settings_drop");
]]

local kept

local function parse(json)
  local settings = library.settings_spec_parse(json)
  if settings == nil then return nil end
  kept[#kept + 1] = settings
  return settings
end

describe("the settings", function()
  before_each(function() kept = {} end)
  after_each(function()
    for _, settings in ipairs(kept) do library.settings_spec_drop(settings) end
  end)

  it("hold what the configuration says", function()
    local json = [[{ "listen": [{ "addr": "127.0.0.1:80" },
      { "addr": "[::1]:0", "cert": "c.pem", "key": "k.pem" }, {}], "workers": 3,
      "store": "memory:", "retention_days": 400, "policies": "/p",
      "policies_label": "p", "zero_spend": true, "keyless": true, "log_level": 2, "log_json": true,
      "limits": { "body_bytes": 1000, "header_s": 1, "body_s": 2, "idle_s": 3.5, "drain_s": 4 } }]]
    local settings = parse(json)
    assert.equal(json, ffi.string(settings.json))
    assert.equal(2, tonumber(settings.door_count))
    local plain, secure = settings.doors[0], settings.doors[1]
    assert.same({ "127.0.0.1:80", true, true }, { ffi.string(plain.address), plain.chain == nil, plain.key == nil })
    assert.same({ "[::1]:0", "c.pem", "k.pem" },
      { ffi.string(secure.address), ffi.string(secure.chain), ffi.string(secure.key) })
    assert.same({ 3, "memory:", "/p", "p" }, { settings.workers, ffi.string(settings.store),
      ffi.string(settings.policies), ffi.string(settings.policies_label) })
    assert.equal(400, tonumber(settings.retention_days))
    assert.same({ true, true, 2, true, false },
      { settings.zero_spend, settings.keyless, settings.log_level, settings.log_json, settings.log_text })
    local client = settings.client
    assert.same({ 1000, 1, 2, 3.5, 4 },
      { tonumber(client.body_bytes), client.header_s, client.body_s, client.idle_s, settings.drain_s })
  end)

  it("bound every connection where the configuration says nothing", function()
    local settings = parse "{}"
    local client = settings.client
    for _, bound in ipairs { "target_bytes", "header_bytes", "header_count", "body_bytes", "output_bytes", "header_s",
      "body_s", "idle_s", "write_s" } do
      assert.is_true(tonumber(client[bound]) > 0, bound)
    end
    assert.same({ 1, 30, false, false, 1 },
      { settings.workers, settings.drain_s, settings.zero_spend, settings.keyless, settings.log_level })
    assert.is_true(settings.policies == nil)
    assert.same({ 0, 0 }, { tonumber(settings.door_count), tonumber(settings.target_count) })
    assert.is_true(library.settings_spec_target(settings, "a") == nil)
  end)

  it("find every target by its id, and no other", function()
    local targets = {}
    for i = 1, 200 do
      targets[i] = ('{ "id": "p/%d", "base_url": "http://h/%d", "is_local": %s, "costs_nothing": %s }'):format(
        (i * 37) % 201, (i * 37) % 201, i % 2 == 0, i % 3 == 0)
    end
    targets[201] = '{ "base_url": "http://nameless" }'
    targets[202] = '{ "id": "mock/m" }'
    local settings = parse('{ "targets": [' .. table.concat(targets, ",") .. "] }")
    assert.equal(201, tonumber(settings.target_count))
    for i = 1, 200 do
      local number = (i * 37) % 201
      local target = library.settings_spec_target(settings, "p/" .. number)
      assert.same({ "http://h/" .. number, i % 2 == 0, i % 3 == 0 },
        { ffi.string(target.base_url), target.is_local, target.costs_nothing })
    end
    assert.is_true(library.settings_spec_target(settings, "mock/m").base_url == nil)
    for _, id in ipairs { "", "p", "p/", "p/201", "P/1", "p/1 " } do
      assert.is_true(library.settings_spec_target(settings, id) == nil, id)
    end
  end)

  it("read the rows of a model table: what a kind of them shares, and the model", function()
    local kinds = [[{ "id": "groq", "base_url": "http://g", "costs_nothing": true },
      { "id": "a-long-name", "base_url": "http://a", "is_named_by_path": true }, { "id": "m", "is_local": true }]]
    local lines = { "0 x/y", "1 x/y", "2 z", "3 no-such-kind", "-1 none", "0", "junk", "" }
    for i = 1, 300 do lines[#lines + 1] = i % 3 .. " model-" .. i end
    local settings = parse(('{ "targets": [{ "id": "own/x", "upstream_id": "x-v2" }], "rows": { "kinds": [%s], '
      .. '"lines": "%s\\n" } }'):format(kinds, table.concat(lines, "\\n")))
    assert.equal(304, tonumber(settings.target_count))
    local function of(id)
      local target = library.settings_spec_target(settings, id)
      return { ffi.string(target.upstream_id), target.base_url ~= nil and ffi.string(target.base_url),
        target.is_named_by_path, target.is_local, target.costs_nothing }
    end
    assert.same({ "x/y", "http://g", false, false, true }, of "groq/x/y")
    assert.same({ "x/y", "http://a", true, false, false }, of "a-long-name/x/y")
    assert.same({ "z", false, false, true, false }, of "m/z")
    assert.same({ "x-v2", false, false, false, false }, of "own/x")
    for i = 1, 300 do
      assert.equal("model-" .. i, of((({ [0] = "groq", "a-long-name", "m" })[i % 3]) .. "/model-" .. i)[1])
    end
    assert.is_true(library.settings_spec_target(settings, "groq") == nil)
  end)

  it("are not misled by wrong types and other cases", function()
    local settings = parse [[{ "workers": "9", "WORKERS": 9, "zero_spend": 1, "store": 5, "listen": [7],
      "targets": [{ "id": "a/b", "costs_nothing": "yes", "Is_Local": true, "base_url": "http://h" }] }]]
    assert.same({ 1, false }, { settings.workers, settings.zero_spend })
    assert.is_true(settings.store == nil)
    assert.equal(0, tonumber(settings.door_count))
    local target = library.settings_spec_target(settings, "a/b")
    assert.same({ false, false }, { target.costs_nothing, target.is_local })
  end)

  it("are none if the text is not JSON", function()
    assert.is_nil(parse "{")
    assert.is_nil(parse "")
  end)

  it("stay until the last one drops them", function()
    local settings = parse '{ "store": "memory:" }'
    assert.equal(settings, library.settings_spec_take(settings))
    library.settings_spec_drop(settings)
    assert.equal("memory:", ffi.string(settings.store))
    library.settings_spec_drop(nil)
  end)
end)
