local base64 = require "moongate.base64"

describe("base64", function()
  for bytes, text in pairs {
    [""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==", ["\255\254"] = "//4=",
    ["\255"] = "/w==", ["\255\255\255"] = "////", ["\0\0\0"] = "AAAA", ["\255\255\0"] = "//8A",
  } do
    it("writes and reads " .. text, function()
      assert.equal(text, base64.encode(bytes))
      assert.equal(bytes, base64.decode(text))
    end)
  end

  it("reads the alphabet of addresses, and texts without padding", function()
    assert.equal("\255\254", base64.decode "__4")
  end)

  it("knows what is none", function()
    assert.is_nil(base64.decode "a")
    assert.is_nil(base64.decode "ab$c")
  end)
end)
