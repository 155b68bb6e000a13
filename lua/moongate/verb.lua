-- What every command does before its own work: reads its words, helps who asks for it, says what is wrong with them,
-- and reads the configuration. Called by lua/moongate/commands/*.lua.
local command_line = require "moongate.command_line"
local control = require "moongate.control"
local process = require "moongate.core.process"

local verb = {}

local OPTIONS = { ["-c"] = "config", ["--config"] = "config" }
local FLAGS = { ["--help"] = "help", ["-h"] = "help" }

---@class moongate.verb
---@field name string
---@field help string
---@field options table<string, string>|nil those with a value, as they are spelt, besides -c
---@field flags table<string, string>|nil those without, besides --help
---@field most integer|nil how many words there may be besides them: none unless told
---@field check nil|fun(given: table, plain: string[]): string|nil what is wrong with the words; may change them
---@field run fun(given: table, plain: string[]): integer the exit code

local function both(set, more)
  local all = {}
  for spelt, name in pairs(set) do all[spelt] = name end
  for spelt, name in pairs(more or {}) do all[spelt] = name end
  return all
end

local function wrong_words(command, given, plain)
  local extra = plain[(command.most or 0) + 1]
  if extra then return string.format('"%s" is one word too many', extra) end
  return command.check and command.check(given, plain)
end

-- Says on standard error why the command has failed.
---@param name string of the command
---@param message string
---@return integer the exit code for that
function verb.fail(name, message)
  process.complain("moongate " .. name .. ": " .. message)
  return 1
end

---@param command moongate.verb
---@param words string[]
---@return integer exit code
function verb.run(command, words)
  local given, plain = command_line.read(words, both(OPTIONS, command.options), both(FLAGS, command.flags))
  if given and given.help then
    process.print(command.help)
    return 0
  end
  local wrong = not given and plain or wrong_words(command, given, plain)
  if not wrong then return command.run(given, plain) end
  verb.fail(command.name, wrong .. "; moongate " .. command.name .. " --help tells more")
  return 2
end

-- The configuration, with all that it leans on. nil: what is wrong with it has been said.
---@param given table
---@return table|nil
function verb.load(given)
  local settings, problem = control.load(given.config, {})
  if settings then return control.current() end
  process.complain(problem)
  return nil
end

-- The same for commands that only ask the gateway, which is quicker: see control.peek.
---@param given table
---@param is_brief boolean|nil one line, whatever is wrong
---@return table|nil
function verb.peek(given, is_brief)
  local config, problem = control.peek(given.config)
  if config then return config end
  local line, more = string.match(problem, "^([^\n]*)(\n?)")
  if is_brief and more ~= "" then problem = line .. " (and more; moongate check tells all)" end
  process.complain(problem)
  return nil
end

return verb
