-- What a file may name: Lua 5.1 as LuaJIT has it, and no global of its own.
std = "luajit"
max_line_length = 120
unused_args = false
exclude_files = { "build/", "node_modules/", "spec/sdk/node_modules/" }

-- Policies run in the sandbox: they know `log` and no `io`.
files["policies/"] = { read_globals = { "log" } }
files["examples/"] = { read_globals = { "log", "env" } }
files["spec/"] = { std = "luajit+busted" }
files["spec/bench/peers/"] = { globals = { "ngx" } }
-- Type files for editors declare what others define.
files["lua/moongate/meta/"] = { ignore = { "11.", "21.", "24." } }
