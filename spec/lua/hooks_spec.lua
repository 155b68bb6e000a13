-- The hooks of one request, phase by phase, over a set of real policies: order, what each sees, what is taken over.
local fakes = require "spec.support.fakes"
local json = require "moongate.core.json"

describe("hooks", function()
  local core, hooks, hook_stream, decider, call
  local version = 0 -- a text of its own each time

  before_each(function()
    core = fakes.install()
    hooks = require "moongate.hooks"
    hook_stream = require "moongate.hook_stream"
    decider = require("moongate.decider").new()
    decider:bound(1000, 64)
  end)
  after_each(function() core.restore() end)

  -- A request that these hooks look at; bodies by file name.
  local function begin(files, more)
    local list = {}
    for name, text in pairs(files) do
      version = version + 1
      list[#list + 1] = { path = "hooks/" .. name .. ".lua", text = text, version = "v" .. version }
    end
    assert.same({}, decider:install(list).problems)
    more = more or {}
    more.body = more.body or '{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
    call = fakes.call({}, more)
    call.state.policies = decider
    call.request.caller = { name = "dev", org = "acme", tier = "pro" }
    return hooks.begin(call)
  end

  local function logged()
    local texts = {}
    for _, line in ipairs(core.of "log.write") do
      if line[2] == "a policy says" then texts[#texts + 1] = json.decode("{" .. line[3] .. "}").text end
    end
    return texts
  end

  local function faults()
    local sum = 0
    for series, count in pairs(core.counted) do
      if series:find("^moongate_policy_faults_total") then sum = sum + count end
    end
    return sum
  end

  local openai = require "protocols.openai"

  local function answer(text, more)
    local body = json.decode(fakes.answer(text))
    for name, value in pairs(more or {}) do body[name] = value end
    return { text = json.encode(body), status = 200, headers = {}, protocol = openai }
  end

  local function event(value)
    local data = type(value) == "table" and json.encode(value) or value
    return { name = "", data = data, raw = "data: " .. data .. "\n\n" }
  end

  local function chunk(text, finish, index)
    return event { id = "c", choices = json.array { {
      index = index or 0, delta = { content = text }, finish_reason = finish or json.null } } }
  end

  -- Sends events through; what came out as a list of texts by choice, and the act.
  local function through(run, events)
    local editor, raw = hook_stream.new(run), {}
    for _, each in ipairs(events) do
      local text, act = editor:event(each, each.data and openai.read_event(each) or { kind = "lifecycle" })
      if act then return table.concat(raw), act end
      raw[#raw + 1] = text
    end
    local text, act = editor:finish()
    raw[#raw + 1] = text
    return table.concat(raw), act
  end

  local function texts(raw)
    local said = {}
    for data in raw:gmatch("data: ([^\n]+)\n\n") do
      for _, choice in ipairs(json.decode(data).choices or {}) do
        said[choice.index + 1] = (said[choice.index + 1] or "") .. (choice.delta.content or "")
      end
    end
    return said
  end

  it("are nothing at all where none is installed", function()
    assert.is_nil(begin {})
    assert.equal(decider:hooks(), decider:hooks())
  end)

  it("run in name order, each with its own state through all phases", function()
    local text = [[
return {
  request = function(req) log("request %s") req.state.seen = "%s" end,
  response = function(req, response) log(req.state.seen .. " " .. response.text) end,
  finish = function(req) log("finish " .. req.state.seen) end,
}
]]
    local run = begin { ["20_b"] = text:gsub("%%s", "b"), ["10_a"] = text:gsub("%%s", "a"),
      ["15_c"] = text:gsub("%%s", "c") }
    run:request()
    run:response(answer "yes")
    run:finish()
    assert.same({ "request a", "request c", "request b", "a yes", "c yes", "b yes", "finish a", "finish c",
      "finish b" }, logged())
  end)

  it("see one another's changes as data only, never their tables", function()
    local run = begin {
      ["10_a"] = [[
return { request = function(req)
  setmetatable(req.messages[1], { __index = function() error "trap" end })
  req.messages[1].content = "new"
end }
]],
      ["20_b"] = "return { request = function(req) log(req.messages[1].content, req.messages[1].nothing) end }",
    }
    assert.is_nil(run:request())
    assert.same({ "new\tnil" }, logged())
    assert.equal('{"model":"m","messages":[{"content":"new","role":"user"}]}', call.document:text(0))
  end)

  it("leave every byte of what they only read", function()
    local body = '{ "model" : "m",\n"messages":[ {"content":"Hi", "role":"user"} ],"big":12345678901234567890 }'
    local run = begin({ ["10_a"] = "return { request = function(req) log(#req.messages, req.body.model) end }" },
      { body = body })
    local before = call.document
    run:request()
    assert.equal(before, call.document)
    assert.same({ "1\tm" }, logged())
  end)

  it("change what the plan goes by", function()
    local run = begin { ["10_a"] = [[
return { request = function(req)
  req.messages[1].content = ("long "):rep(1000)
  req.body.max_tokens, req.body.model = 77, "other"
end }
]] }
    run:request()
    assert.same({ 5000, 77, "other", 1250 + 4 }, { call.request.text_length, call.request.max_tokens,
      call.request.model, call.request.estimated_tokens })
    assert.equal(5000, #call.request.messages[1].content)
  end)

  it("are told what is wrong with what they left, and it is not sent", function()
    for code, words in pairs {
      ["req.messages = {}"] = "messages: expected",
      ["req.messages[1].role = 'boss'"] = "messages[0].role: expected",
      ["req.body.model = 7"] = "model: expected",
      ["req.body.x = math.huge"] = "cannot be encoded",
      ["req.body[1] = 2"] = "the names in a body are texts",
      ["req.body.stream = true"] = "cannot change stream",
    } do
      local run = begin { ["10_a"] = "return { on_fault = 'refuse', request = function(req) " .. code .. " end }" }
      local before = call.document
      local act = run:request()
      assert.same({ 500, "policy_fault" }, { act.refusal.status, act.refusal.code }, code)
      assert.matches(words, act.refusal.message, 1, true)
      assert.equal(before, call.document)
    end
    assert.equal(6, faults())
  end)

  it("find no field that is not there, in any phase", function()
    local files = { ["10_a"] = [[
return {
  request = function(req) return req.mesages end,
  event = function(req, event) event.txt = "" end,
  response = function(req, response) response.test = "" end,
}
]] }
    local run = begin(files)
    run:request()
    through(begin(files), { chunk "x" })
    begin(files):response(answer "x")
    assert.equal(3, faults())
    local words = {}
    for _, line in ipairs(core.of "log.write") do words[#words + 1] = line[3] end
    assert.matches('did you mean \\"messages\\"', table.concat(words), 1, true)
  end)

  it("find nothing of a request that is over, and cannot act on it", function()
    local text = [[
local kept
return { request = function(req)
  if kept then
    for _, act in ipairs {
      function() return kept.body end, function() return kept.id end, function() kept.messages = {} end,
      function() kept:refuse(403, "late") end, function() kept:answer "late" end, function() kept:header("a", "b") end,
    } do
      local _, why = pcall(act)
      log(why)
    end
    kept.state.mine = 1
  end
  kept = req
end }
]]
    local list = { { path = "hooks/10_a.lua", text = text, version = "1" } }
    decider:install(list)
    for _ = 1, 2 do
      call = fakes.call({}, { body = '{"model":"m","messages":[]}' })
      call.state.policies = decider
      local run = hooks.begin(call)
      assert.is_nil(run:request())
      run:finish()
    end
    assert.equal(6, #logged())
    for _, line in ipairs(logged()) do assert.matches("this request is over", line, 1, true) end
  end)

  it("stop at the first that decides", function()
    local run = begin {
      ["10_a"] = "return { request = function(req) req:refuse(403, 'first') req:answer('late') end }",
      ["20_b"] = "return { request = function() log 'never' end }",
    }
    local act = run:request()
    assert.same({ 403, "first", "hooks/10_a" }, { act.refusal.status, act.refusal.message, act.by.label })
    assert.same({}, logged())
  end)

  it("change a response's text, thoughts and body; one untouched stays byte for byte", function()
    local run = begin { ["10_a"] = [[
return { response = function(req, response)
  response.text = response.text .. "!"
  if response.reasoning then response.reasoning = "" end
end }
]] }
    local one = answer("a", { choices = json.array { { index = 0, finish_reason = "stop",
      message = { role = "assistant", content = "a", reasoning = "why" } } } })
    run:response(one)
    local message = json.decode(one.text).choices[1].message
    assert.same({ "a!", "" }, { message.content, message.reasoning })

    run = begin { ["10_a"] = "return { response = function(req, response) log(response.body.choices[1].index) end }" }
    one = answer "a"
    local before = " " .. one.text
    one.text = before
    run:response(one)
    assert.equal(before, one.text)
  end)

  it("cannot leave a response that is none", function()
    local run = begin { ["10_a"] = "return { response = function(req, response) response.body.choices = {} end }" }
    local one = answer "a"
    local before = one.text
    assert.is_nil(run:response(one))
    assert.same({ before, 1 }, { one.text, faults() })
  end)

  it("see embeddings as a body without text", function()
    local run = begin { ["10_a"] = [[
return { response = function(req, response) log(response.text, #response.body.data) end,
  request = function(req) log(req.messages, req.body.input) end }
]] }
    run:response { text = '{"data":[{"embedding":[1]}]}', status = 200, headers = {}, protocol = openai }
    assert.same({ "nil\t1" }, logged())
  end)

  it("see each event's own text after one another, choice by choice", function()
    local run = begin {
      ["10_a"] = "return { event = function(req, event) event.text = event.text:upper() end }",
      ["20_b"] = "return { event = function(req, event) event.text = event.text .. event.index end }",
    }
    local raw = through(run, { chunk "a", chunk("b", nil, 1), chunk("c", "stop"), chunk("d", "stop", 1) })
    assert.same({ "A0C0", "B1D1" }, texts(raw))
  end)

  it("hand on an event that nobody changed byte for byte", function()
    local run = begin { ["10_a"] = "return { event = function() end }" }
    local odd = { name = "x", data = '{ "choices": [{"delta":{"content":"a"}}] }', raw = "event: x\r\ndata:\r\n\r\n" }
    local comment = { name = "", raw = ": still here\n\n" }
    assert.equal(odd.raw .. comment.raw, (through(run, { odd, comment, })))
  end)

  it("are shown the last event of every choice once", function()
    local run = begin { ["10_a"] =
      "return { event = function(req, event) if event.last then log(event.index, event.kind, event.finish) end end }" }
    through(run, { chunk "a", chunk("b", nil, 1), chunk("", "stop"), chunk("", "stop"),
      event { choices = json.array {}, usage = { total_tokens = 3 } } })
    assert.same({ "0\tfinish\tstop", "1\tend\tnil" }, logged())
  end)

  it("hold a stream back that only a response hook looks at, and change it as a whole", function()
    local run = begin { ["10_a"] =
      "return { response = function(req, response) response.text = response.text:gsub('secret', '******') end }" }
    local raw = through(run, { chunk "a se", chunk("x", nil, 1), chunk "cret", chunk(" secret", "stop", 1),
      chunk("", "stop") })
    assert.same({ "a ******", "x ******" }, texts(raw))
    run = begin { ["10_a"] = "return { response = function(req, response) log(response.stream, response.body) end }" }
    local events = { chunk "a", chunk("b", "stop") }
    assert.equal(events[1].raw .. events[2].raw, (through(run, events)))
    assert.same({ "true\tnil" }, logged())
  end)

  it("do not hold back for ever", function()
    local run = begin { ["10_a"] = "return { response = function() end }" }
    local long = chunk(("x"):rep(1024 * 1024))
    local events = {}
    for i = 1, 17 do events[i] = long end
    local raw, act = through(run, events)
    assert.same({ "", 502 }, { raw, act.refusal.status })
  end)

  it("that failed are left out of what follows", function()
    local run = begin { ["10_a"] = [[
return {
  request = function(req) error "no" end,
  event = function(req, event) event.text = "never" end,
  response = function(req, response) response.text = "never" end,
  finish = function() log "never" end,
}
]] }
    assert.is_nil(run:request())
    assert.same({ "a" }, texts((through(run, { chunk "a" }))))
    local one = answer "a"
    run:response(one)
    run:finish()
    assert.not_matches("never", one.text)
    assert.same({}, logged())
    assert.equal(1, faults())
  end)

  it("say in their own file what follows from a fault, or the configuration does", function()
    local bad = "return { %s request = function() error 'no' end }"
    local function refuses(own, config)
      return begin({ ["10_a"] = bad:format(own) }, { config = { on_fault = config } }):request() ~= nil
    end
    assert.is_false(refuses("", "default"))
    assert.is_true(refuses("", "refuse"))
    assert.is_false(refuses("on_fault = 'default',", "refuse"))
    assert.is_true(refuses("on_fault = 'refuse',", "default"))
    local text = bad:format "on_fault = 'ignore',"
    local report = decider:install { { path = "hooks/10_a.lua", text = text, version = "x" } }
    assert.equal('on_fault must be "refuse" or "default"', report.problems[1].message)
  end)
end)
