-- SHA-256 and its hex, against known answers.
local ffi = require "ffi"
local bench = require "spec.store.workbench"
local library = bench.library

local function hex(text)
  local digest, digits = ffi.new("unsigned char[32]"), ffi.new("char[65]")
  library.digest_sha256(text, #text, digest)
  library.digest_hex(digest, digits)
  return ffi.string(digits)
end

describe("digest_sha256", function()
  it("gives the digests of the standard", function()
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", hex "")
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", hex "abc")
  end)
end)

describe("digest_from_hex", function()
  it("reads what digest_hex wrote, in either case", function()
    local one, other = ffi.new("unsigned char[32]"), ffi.new("unsigned char[32]")
    library.digest_sha256("abc", 3, one)
    assert.is_true(library.digest_from_hex(hex "abc", other))
    assert.equal(ffi.string(one, 32), ffi.string(other, 32))
    assert.is_true(library.digest_from_hex(hex("abc"):upper(), other))
    assert.equal(ffi.string(one, 32), ffi.string(other, 32))
  end)

  it("refuses what is no digest", function()
    local digest = ffi.new("unsigned char[32]")
    for _, text in ipairs { "", "abc", ("0"):rep(63), ("0"):rep(65), ("0"):rep(63) .. "g" } do
      assert.is_false(library.digest_from_hex(text, digest))
    end
  end)
end)
