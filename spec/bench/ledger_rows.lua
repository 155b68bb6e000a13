-- Ledgers of any size: a few rows of a real gateway, multiplied in SQLite.
local process = require "spec.support.process"

local ledger_rows = {}

-- Runs statements with the sqlite3 command; what they answer.
---@param file string
---@param text string
---@return string
function ledger_rows.sql(file, text)
  local status, output, errors = process.run({ "sqlite3", file, text }, { seconds = 3600 })
  assert(status == 0, errors)
  return output
end

-- Every row so many times over, in the order of their times, over seven days, as a gateway writes them. The gateway is
-- down meanwhile.
---@param file string
---@param times integer
function ledger_rows.multiply(file, times)
  ledger_rows.sql(file, ([[
    PRAGMA synchronous = OFF; PRAGMA cache_size = -500000; PRAGMA temp_store = MEMORY;
    CREATE TEMP TABLE seeds AS SELECT * FROM ledger;
    CREATE TEMP TABLE copies AS WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d)
      SELECT seeds.rowid AS seed, i, time - abs(random()) %% 604000000 AS at FROM c CROSS JOIN seeds;
    DELETE FROM ledger;
    INSERT INTO ledger SELECT printf('%%013d-%%d-%%d', at, seed, i), printf('%%s-%%d', request_id, i), at, org, "key",
      label, tier, surface, task, policy, provider, model, outcome, status, attempts, input_tokens, cached_tokens,
      cache_write_tokens, output_tokens, reasoning_tokens, billed_tokens, cost_microusd, savings_microusd, estimated,
      latency_ms, detail FROM copies CROSS JOIN seeds ON seeds.rowid = seed ORDER BY at;
    PRAGMA wal_checkpoint(TRUNCATE);]]):format(times))
end

return ledger_rows
