-- Probabilities of tokens between OpenAI's shape and Gemini's, and through Gemini's protocol and surface.
require "spec.support.core"
local json = require "moongate.core.json"
local logprobs = require "moongate.logprobs"
local protocol = require "protocols.gemini"
local surface = require "moongate.surfaces.gemini"

local GEMINI = {
  chosenCandidates = { { token = "Hi", logProbability = -0.25 }, { token = "é", logProbability = -1 } },
  topCandidates = {
    { candidates = { { token = "Hi", logProbability = -0.25 }, { token = "Yo", logProbability = -2 } } },
    { candidates = {} },
  },
}

describe("probabilities of tokens", function()
  it("come from Gemini in OpenAI's shape, with the bytes of each token", function()
    local content = logprobs.from_gemini(GEMINI).content
    assert.same({ "Hi", -0.25, { 72, 105 } }, { content[1].token, content[1].logprob, { unpack(content[1].bytes) } })
    assert.equal("Yo", content[1].top_logprobs[2].token)
    assert.same({ 195, 169 }, { unpack(content[2].bytes) })
    assert.equal(0, #content[2].top_logprobs)
  end)

  it("go back as they came", function()
    assert.same(GEMINI, json.decode(json.encode(logprobs.to_gemini(logprobs.from_gemini(GEMINI)))))
  end)

  it("are none where nothing is told, whatever stands there", function()
    for _, odd in ipairs { {}, "x", 5, { chosenCandidates = "x" }, { chosenCandidates = { 1, { token = 2 } } } } do
      assert.is_nil(logprobs.from_gemini(odd))
    end
    for _, odd in ipairs { {}, { content = "x" }, { content = { 1 } }, { content = json.null } } do
      assert.is_nil(logprobs.to_gemini(odd))
    end
    assert.is_nil(logprobs.to_gemini(nil))
  end)

  local body = { candidates = { { index = 0, finishReason = "STOP", logprobsResult = GEMINI,
    content = { role = "model", parts = { { text = "Hié" } } } } } }

  it("are read of Gemini's whole answers and streams", function()
    assert.equal(-1, protocol.reply(body).choices[1].logprobs.content[2].logprob)
    local found
    for _, event in ipairs(protocol.reader()({ document = body, data = "" })) do found = found or event.logprobs end
    assert.equal("Hi", found.content[1].token)
  end)

  it("are told to Gemini's callers", function()
    local call = { id = "r", request = { now = 0 }, served = { model = "m" } }
    local told = json.decode(surface.reply(call, protocol.reply(body)))
    assert.same(GEMINI, told.candidates[1].logprobsResult)
    local text = surface.writer(call):event { kind = "text", text = "Hié", logprobs = logprobs.from_gemini(GEMINI) }
    assert.same(GEMINI, json.decode((text:match "data: (.-)\r?\n")).candidates[1].logprobsResult)
  end)
end)
