-- What a view has read of a target is a list; these are the places in it, as core/bind/seen.h has them for what fills
-- it and writes it down. What has not been read is nil.
---@class moongate.seen
return {
  index = 1,      -- the target's
  wait = 2,       -- seconds that it is exhausted for; 0: usable
  why = 3,        -- the reason, with a wait
  open = 4,       -- whether its circuit breaker is
  latency_ms = 5, -- false: not known yet
  error_rate = 6, -- where it is, the rest of its health is, too
  open_s = 7,     -- seconds until an open breaker lets one through
  counts = 8,     -- what is used of each limit, in their order
  told = 9,       -- what its provider told that remains, by name
  balance = 10,   -- its provider's; false: none
  gauge = 11,     -- what reads it
}
