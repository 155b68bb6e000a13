-- MiniMax: the balance, as its console asks for it: by the group's id and a cookie of a session in the browser. The
-- cookie was HERTZ-SESSION and is _token now; `hertzSession` is tried as either, `token` as the new one alone.
local function is_fine(answer)
  return answer and type(answer.base_resp) == "table" and answer.base_resp.status_code == 0
end

local function check(http, options)
  local url, group = options.base_url .. "/account/query_balance", tostring(options.groupid)
  local session, token, answer, why = options.hertzSession, options.token or options.hertzSession, nil, nil
  if not token then return nil, "it needs hertzSession or token, a cookie of platform.minimax.io" end
  if not string.find(group, "^[%w_-]+$") then return nil, "groupid must be the number of the group" end
  if session then
    answer, why = http.json(url .. "?GroupId=" .. group, { headers = { cookie = "HERTZ-SESSION=" .. session } })
  end
  if not is_fine(answer) then
    local headers = { cookie = "_token=" .. token, ["x-group-id"] = group }
    answer, why = http.json(url, { headers = headers })
  end
  if not answer then return nil, why end
  if not is_fine(answer) then return nil, "it refuses: " .. tostring(answer.base_resp.status_msg) end
  return { unit = "dollars", remaining = answer.available_amount }
end

return {
  base_url = "https://platform.minimax.io",
  needs = { "groupid" },
  check = check,
  fixture = {
    options = { groupid = "1780", hertzSession = "a-session" },
    answers = {
      ["GET /account/query_balance?GroupId=1780"] = [[{"available_amount": "12.50", "cash_balance": "12.50",
        "base_resp": {"status_code": 0, "status_msg": "success"}}]],
    },
    meters = { { metric = "dollars", window = "subscription", remaining = 12.5, status = "ok" } },
  },
}
