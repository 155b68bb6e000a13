-- Ollama on either side of a running gateway: its callers with any provider, and any caller with an Ollama.
local json = require "dkjson"
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"

describe("Ollama's format", function()
  local upstream, moongate

  setup(function()
    upstream = provider.open()
    moongate = gateway.start { config = {
      providers = {
        here = { protocol = "ollama", base_url = upstream:base "ollama", retries = 0,
          breaker = { failures = 1000, open = 1 } },
        acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-1", retries = 0,
          breaker = { failures = 1000, open = 1 } },
      },
      models = {
        { id = "llama", provider = "here", upstream_id = "llama3.2:3b" }, { id = "gpt", provider = "acme" },
        { id = "embedding", provider = "here", strengths = { "embedding" } },
      },
    } }
  end)
  before_each(function() upstream:forget() end)
  teardown(gateway.stop_all)

  local function ask(path, body) return moongate:request { path = path, json = body } end

  local function asked(model, more)
    local body = { model = model, messages = { { role = "user", content = "Hello?" } } }
    for name, value in pairs(more or {}) do body[name] = value end
    return body
  end

  local function lines(answer)
    local list = {}
    for line in answer.body:gmatch "[^\n]+" do list[#list + 1] = assert(json.decode(line)) end
    return list
  end

  local function said(list)
    local parts = {}
    for i, line in ipairs(list) do parts[i] = line.message and line.message.content or line.response or "" end
    return table.concat(parts)
  end

  local function row_of(answer) return (moongate:admin("/v1/requests/" .. answer.headers["x-request-id"])) end

  describe("on both sides", function()
    it("goes on as it is, line by line", function()
      local answer = ask("/api/chat", asked("llama", { keep_alive = "5m" }))
      assert.equal("application/x-ndjson", answer.headers["content-type"])
      local list = lines(answer)
      assert.equal("Hello from the provider.", said(list))
      assert.same({ true, "stop", 9, 12, "llama3.2:3b" }, {
        list[#list].done, list[#list].done_reason, list[#list].prompt_eval_count, list[#list].eval_count,
        list[1].model,
      })
      local sent = upstream:body()
      assert.same({ "llama3.2:3b", "5m" }, { sent.model, sent.keep_alive })
      local row = row_of(answer)
      assert.same({ 9, 12, false, "ollama" }, { row.input_tokens, row.output_tokens, row.estimated, row.surface })
    end)

    it("goes on whole where it is asked to", function()
      local answer = ask("/api/chat", asked("llama", { stream = false }))
      assert.equal("Hello from the provider.", answer:json().message.content)
      assert.same({ 9, 12 }, { row_of(answer).input_tokens, row_of(answer).output_tokens })
    end)

    it("takes a bare prompt, and what is meant for the bare model", function()
      local list = lines(ask("/api/generate", { model = "llama", prompt = "a", suffix = "b", raw = true }))
      assert.equal("Hello from the provider.", said(list))
      assert.equal("", list[#list].response)
      local seen = upstream:seen()
      assert.equal("/api/generate", seen[#seen].path)
      assert.same({ "b", true }, { upstream:body().suffix, upstream:body().raw })
    end)

    it("ends well where all is said in one line, or nothing", function()
      upstream:next { pieces = {} }
      local answer = ask("/api/chat", asked "llama")
      assert.same({ 1, true }, { #lines(answer), lines(answer)[1].done })
      assert.same({ 9, 12, false }, { row_of(answer).input_tokens, row_of(answer).output_tokens,
        row_of(answer).estimated })
    end)

    it("tells of a stream that broke off, by a line", function()
      for _, behaviour in ipairs {
        { wrong = "cut", after = 2 }, { wrong = "end", after = 2 }, { finish = false }, { wrong = "error", after = 2 },
        { wrong = "mid_event", after = 2 },
      } do
        upstream:next(behaviour)
        local list = lines(ask("/api/chat", asked "llama"))
        assert.is_string(list[#list].error)
        for i = 1, #list - 1 do assert.is_false(list[i].done) end
      end
    end)
  end)

  describe("to a caller of another", function()
    it("is translated, streamed and whole", function()
      local stream = moongate:stream { model = "llama", stream_options = { include_usage = true } }
      local events = stream:events()
      assert.equal("Hello from the provider.", (gateway.text_of(events)))
      assert.equal("[DONE]", events[#events])
      assert.equal(21, events[#events - 1].usage.total_tokens)
      stream:close()
      local answer = moongate:chat { model = "llama" }
      assert.equal("Hello from the provider.", answer:json().choices[1].message.content)
      assert.same({ 9, 12 }, { answer:json().usage.prompt_tokens, answer:json().usage.completion_tokens })
    end)

    it("has its calls and their results", function()
      upstream:next { tools = { { id = "call_a", type = "function",
        ["function"] = { name = "add", arguments = '{"x":1}' } } } }
      local answer = moongate:chat { model = "llama" }:json().choices[1]
      assert.same({ "tool_calls", "call_a", "add", '{"x":1}' }, {
        answer.finish_reason, answer.message.tool_calls[1].id, answer.message.tool_calls[1]["function"].name,
        answer.message.tool_calls[1]["function"].arguments,
      })
      assert.equal(200, moongate:chat({ model = "llama", messages = {
        { role = "user", content = "1?" }, answer.message, { role = "tool", tool_call_id = "call_a", content = "2" },
      } }).status)
      local sent = upstream:body().messages
      assert.same({ x = 1 }, sent[2].tool_calls[1]["function"].arguments)
      assert.same({ "add", "2" }, { sent[3].tool_name, sent[3].content })
    end)

    it("breaks off with an error where the stream does", function()
      upstream:next { finish = false }
      local events = moongate:stream { model = "llama" }:events()
      assert.is_table(events[#events].error)
    end)

    it("embeds", function()
      local answer = moongate:request { path = "/v1/embeddings", json = { model = "embedding", input = { "a", "b" } } }
      assert.same({ { 0, 0.5, -0.25 }, 8 }, { answer:json().data[1].embedding, answer:json().usage.prompt_tokens })
    end)
  end)

  describe("from a caller", function()
    it("is answered whoever serves", function()
      local list = lines(ask("/api/chat", asked("gpt", { options = { num_predict = 50, stop = { "END" } } })))
      assert.equal("Hello from the provider.", said(list))
      local last = list[#list]
      assert.same({ true, "stop", 9, 12 }, { last.done, last.done_reason, last.prompt_eval_count, last.eval_count })
      assert.is_true(last.total_duration > 0)
      assert.same({ 50, { "END" } }, { upstream:body().max_tokens, upstream:body().stop })
      local whole = ask("/api/chat", asked("gpt", { stream = false })):json()
      assert.equal("Hello from the provider.", whole.message.content)
    end)

    it("has calls with their arguments as objects", function()
      upstream:usually { tools = { { id = "call_a", type = "function",
        ["function"] = { name = "add", arguments = '{"x":1}' } } } }
      for _, stream in ipairs { true, false } do
        local first = lines(ask("/api/chat", asked("gpt", { stream = stream })))[1]
        assert.same({ x = 1 }, first.message.tool_calls[1]["function"].arguments)
      end
    end)

    it("may be a bare prompt", function()
      local list = lines(ask("/api/generate", { model = "gpt", prompt = "Hello?", system = "Be brief." }))
      assert.equal("Hello from the provider.", said(list))
      assert.equal("", list[#list].response)
      local whole = ask("/api/generate", { model = "gpt", prompt = "Hello?", stream = false }):json()
      assert.same({ "Hello from the provider.", true }, { whole.response, whole.done })
    end)

    it("is refused in its own words", function()
      local answer = ask("/api/chat", asked("llama", { options = { temperature = "hot" } }))
      assert.same({ 400, { error = 'options.temperature: expected a number; got "hot"' } },
        { answer.status, answer:json() })
      assert.matches("nobody", ask("/api/chat", asked "nobody"):json().error)
      upstream:next { kind = "error", status = 500 }
      assert.is_string(ask("/api/chat", asked "gpt"):json().error)
      assert.is_string(ask("/api/nothing", {}):json().error)
    end)

    it("embeds", function()
      local answer = ask("/api/embed", { model = "embedding", input = { "a", "b" } }):json()
      assert.same({ { { 0, 0.5, -0.25 }, { 1, 0.5, -0.25 } }, 8 }, { answer.embeddings, answer.prompt_eval_count })
    end)

    it("finds what its clients ask for at start", function()
      local list = moongate:request({ path = "/api/tags", method = "GET" }):json()
      local names = {}
      for _, model in ipairs(list.models) do names[model.name] = true end
      assert.is_true(names.llama and names.gpt)
      assert.matches("^%d", moongate:request({ path = "/api/version", method = "GET" }):json().version)
      assert.same({ "completion" }, ask("/api/show", { model = "llama" }):json().capabilities)
      assert.matches("lama", ask("/api/show", { model = "lama" }):json().error)
      assert.equal(400, ask("/api/show", {}).status)
      local loaded = ask("/api/generate", { model = "llama" }):json()
      assert.same({ true, "load" }, { loaded.done, loaded.done_reason })
      assert.equal(0, #upstream:seen())
    end)
  end)
end)
