-- What a view has read of a target is a list; these are the places in it. The first are as core/bind/gauge.c fills
-- them; what has not been read is nil.
---@class moongate.seen
return {
  wait = 1,       -- seconds that it is exhausted for; 0: usable
  why = 2,        -- the reason, with a wait
  open = 3,       -- whether its circuit breaker is
  latency_ms = 4, -- false: not known yet
  error_rate = 5, -- where it is, the rest of its health is, too
  open_s = 6,     -- seconds until an open breaker lets one through
  counts = 7,     -- what is used of each limit, in their order
  told = 8,       -- what its provider told that remains, by name
  balance = 9,    -- its provider's; false: none
  gauge = 10,     -- what reads it
}
